"""Names, counts, changes and refusals inside sentences."""

from __future__ import annotations

import pytest

from launchpad_lib.contract.catalogue.funnel_tables import FUNNEL_SEGMENTS
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.sentences import listed, named, span_words
from launchpad_lib.findings.change import Change, changed
from launchpad_lib.findings.rows import answered, not_answered, reason_in, refused_rows
from launchpad_lib.inference import largest_differs_p, unequal_rates_p
from tests.findings.saying import HOSTILE


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_line_quoted_where_it_is_no_plain_word_and_never_long(name):
    shown = named(name)
    assert "\n" not in shown and len(shown) <= 90
    assert shown == name or shown.startswith("“") or "…" in shown


def test_a_name_written_from_right_to_left_does_not_turn_the_sentence():
    assert named("שלום") == "“\u2068שלום\u2069”"


def test_a_list_that_is_read_aloud_says_how_many_more():
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"


@pytest.mark.parametrize(
    ("window", "words"), [("90m", "90 minutes"), ("1h", "1 hour"), ("14d", "14 days"), (None, "any time")]
)
def test_a_window_is_read_in_words(window, words):
    assert span_words(window) == words


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (0.001, 0.05, Change.UP),
        (-0.05, -0.001, Change.DOWN),
        (-0.019, 0.019, Change.SMALL),
        (0.001, 0.019, Change.SMALL),
        (-0.02, 0.019, Change.OPEN),
        (0.0, 0.05, Change.OPEN),
    ],
)
def test_a_change_is_told_three_ways(low, high, kind):
    """The margin is 2 points, its ends outside; an interval that touches 0 says nothing."""
    assert changed(Estimate(0.0, low, high), 0.02) is kind


def test_the_largest_of_two_counts_is_larger_beyond_chance():
    """15 of 20: two-sided binomial p = 0.0414; 14 of 20: 0.1153 (tables of the binomial distribution)."""
    assert largest_differs_p(15, 5) == pytest.approx(0.0414, abs=1e-4)
    assert largest_differs_p(14, 6) == pytest.approx(0.1153, abs=1e-4)
    assert largest_differs_p(0, 0) is None


def test_groups_of_which_none_or_all_convert_are_not_told_apart():
    assert unequal_rates_p([0, 0], [50, 70]) == 1.0 and unequal_rates_p([50, 70], [50, 70]) == 1.0
    assert unequal_rates_p([3, 0], [10, 0]) is None
    assert unequal_rates_p([56, 48], [70, 80]) == pytest.approx(0.00805, abs=1e-5)  # Pearson by hand: 7.03


def test_a_part_that_cannot_be_computed_is_a_row_that_says_why():
    def impossible():
        raise ValueError("window=None: a trend needs a window; give one")

    rows = answered(FUNNEL_SEGMENTS, impossible, refused_because=None)
    assert reason_in(rows) == "window=None: a trend needs a window; give one"
    assert rows["users"].isna().all() and rows["users"].dtype == float
    whole = answered(FUNNEL_SEGMENTS, impossible, refused_because="nobody entered")
    assert reason_in(whole) == "nobody entered" and reason_in(whole.head(0)) is None


def test_what_was_not_asked_is_not_called_unanswerable():
    assert not_answered("not asked: give steps").verdict == "Nothing was asked of this page."
    assert not_answered("nobody entered").verdict == "These data cannot answer the question."
    assert refused_rows(FUNNEL_SEGMENTS, "x", segment=["a", "b"])["segment"].tolist() == ["a", "b"]
