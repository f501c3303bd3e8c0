"""Numbers and names inside sentences: a missing number never makes nonsense of the sentence. Expected texts are by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.contract.wording import amount, duration, percent, points, rate

MISSING = [None, float("nan"), float("inf"), -float("inf"), np.float64("nan")]
NUMBERS = st.none() | st.floats(width=32)
WORDS = {
    "percent": lambda v: percent(v),
    "duration": lambda v: duration(v),
    "amount": lambda v: amount(v, "days", 1),
    "points": lambda v: points(v, v, v),
    "rate": lambda v: rate(v, v, v, 10),
}


@pytest.mark.parametrize("value", MISSING)
def test_a_missing_number_is_the_same_part_of_speech_as_a_number(value):
    sentences = [
        f"Of those, {percent(value)} came back.",
        f"Half of them did so within {duration(value)}.",
        f"The rate changed by {points(value, value, value)}.",
        f"{rate(value, None, None, 0).capitalize()} of the users finish.",
        f"They stay for {amount(value, 'days')}.",
    ]
    assert sentences == [
        "Of those, an unknown share came back.",
        "Half of them did so within an unknown time.",
        "The rate changed by an unknown number of points.",
        "An unknown share (n = 0) of the users finish.",
        "They stay for an unknown number of days.",
    ]


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(WORDS)), value=NUMBERS)
@example(name="points", value=-0.0001)
@example(name="points", value=0.0)
@example(name="percent", value=-0.0)
def test_no_text_of_a_number_holds_what_is_no_word_of_a_sentence(name, value):
    text = WORDS[name](value)
    assert not re.search(r"nan|None|inf|no number|-0\.0(?!\d)", text), text
    assert (value is None or not math.isfinite(value)) == text.startswith("an unknown ")


def test_an_interval_that_is_half_known_is_left_out():
    assert points(0.031, None, 0.07) == "+3.1 points"
    assert rate(0.5, float("nan"), 0.6, 100) == "50.0 % (n = 100)"
    assert rate(0.5, 0.4, 0.6, None) == "50.0 % (40.0 to 60.0 %)"


def test_where_one_name_is_nearly_right_the_merely_alike_are_not_offered():
    assert nearest("quiz_start", ["quiz_started", "quiz_completed"]) == "did you mean 'quiz_started'?"
    assert nearest("quiz", ["quiz_a", "quiz_b", "home"]) == "did you mean 'quiz_b' or 'quiz_a'?"


@settings(max_examples=60, deadline=None)
@given(name=st.text(), known=st.lists(st.text() | st.none(), max_size=12))
@example(name="x" * 5_000, known=["x" * 4_999, "y" * 5_000])
@example(name="\u202egnp.exe", known=["\x00", "\n", " a ", ""])
def test_a_sentence_on_names_is_one_line_of_bounded_length_whatever_the_names(name, known):
    sentence = f"event {quoted(name)}: {nearest(name, known)}"
    assert sentence.isprintable() and len(sentence) < 4_000
