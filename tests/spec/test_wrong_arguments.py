"""Every metric function called with wrong things in every argument: an answer, a refusal, or one sentence.

What may be given stands in each docstring; what is given here is what people type: nothing, a list for a text, a fraction, a
frame for a list, a number for a name, the begin of the calendar, a text of 100,000 characters.
"""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

import launchpad_lib.metrics as metrics
from launchpad_lib.metrics import RULES
from launchpad_lib.metrics.lifecycle import asked_lifecycle
from launchpad_lib.metrics.paths import asked_path_steps, asked_transitions
from launchpad_lib.metrics.quality import rejects_by_reason
from launchpad_lib.metrics.returning import asked_retention
from launchpad_lib.metrics.steps import checked_rules

START = datetime(2026, 1, 1)
ROWS = [
    {
        "event_id": f"{u}-{d}-{name}",
        "event_name": name,
        "user_id": f"u{u}",
        "session_id": str(d),
        "session_key": f"u{u}|{d}",
        "event_at": START + timedelta(days=d, minutes=k),
        "received_at": START + timedelta(days=d, minutes=k, seconds=5),
        "feature_id": "f",
        "platform": "web",
        "properties": '{"p": "a"}',
    }
    for u in range(4)
    for d in range(9)
    for k, name in enumerate(["visit", "help", "buy"][: 1 + (u + d) % 3])
]
EVENTS = ibis.memtable(pd.DataFrame(ROWS))
TELEMETRY = ibis.memtable(
    pd.DataFrame({
        "observation_id": ["1", "2"], "feature_id": ["f"] * 2, "user_id": ["u", "v"], "session_id": ["1", "1"],
        "observed_at": [START, START], "latency_ms": [1.0, 2.0], "crashed": [True, False], "error_count": [0, 1],
    })
)  # fmt: skip
REJECTED = ibis.memtable({"table_name": ["events"], "reason": ["no"], "source": ["x.csv"]})
MATRIX = metrics.retention(EVENTS, returns=[1], observed_through=datetime(2026, 1, 20), cohort_by="week")
TABLES = {
    "telemetry": TELEMETRY,
    "rejected": REJECTED,
    "matrix": MATRIX,
    "sessions": EVENTS,
    "table": EVENTS,
    "events": EVENTS,
}
GIVEN = {
    "observed_through": datetime(2026, 1, 20),
    "steps": ["visit", "buy"],
    "window": "7d",
    "days": [1, 3],
    "returns": [1, 3],
    "start_event": "visit",
    "complete_event": "buy",
    "view_event": "visit",
    "share_event": "buy",
    "event": "buy",
    "event_name": "buy",
    "interaction_events": ["help"],
    "feature_id": "f",
    "feature_ids": ["f"],
    "pairs": [("visit", "buy")],
    "threshold_ms": 100.0,
    "anchor": "visit",
    "gap": "3d",
    "within": "1d",
    "at_least": 1,
    "before": (START, START + timedelta(days=3)),
    "after": (START + timedelta(days=3), START + timedelta(days=6)),
    "rules": RULES[:1],
}
WRONG = [
    None,
    "x" * 100_000,
    ["12"],
    1.5,
    True,
    datetime(1, 1, 1),
    pd.DataFrame({"a": ["b\nc"] * 50}),
    object(),
]
# Given by our own code only, a result in each, or no table at all.
NOT_ASKED = {"with_trailing", "latency_quantiles", "nobody_mature", "on_or_after", "property_value", "parse_window"}
FUNCTIONS = [n for n in metrics.__all__ if inspect.isfunction(getattr(metrics, n)) and n not in NOT_ASKED]


def called(name: str, **changed: object) -> object:
    """The function with what is right, but for what is changed."""
    function = getattr(metrics, name)
    given: dict[str, object] = {}
    first = next(iter(inspect.signature(function).parameters))
    for key, parameter in inspect.signature(function).parameters.items():
        if key in GIVEN and parameter.default is parameter.empty:
            given[key] = GIVEN[key]
    given |= changed
    return function(given.pop(first, TABLES[first]), **given)


def taken(name: str, **changed: object) -> str | None:
    """None where it was answered or refused; else the error's kind and sentence."""
    try:
        called(name, **changed)
    except ValueError as error:
        said = str(error)
        is_sentence = "\n" not in said and len(said) < 400 and type(error) is ValueError
        return None if is_sentence else f"{type(error).__name__}: {said[:200]}"
    except Exception as error:  # whatever it is, it is what the test is after
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_argument_is_one_sentence_whatever_it_is(name):
    assert taken(name) is None
    arguments = list(inspect.signature(getattr(metrics, name)).parameters)
    said = {(key, repr(wrong)[:30]): taken(name, **{key: wrong}) for key in arguments for wrong in WRONG}
    assert not {place: told for place, told in said.items() if told}


@pytest.mark.parametrize("returns", [["12"], "12", [(1, 7, 9)], [1.5], [True], [-1], [(7, 1)], []])
def test_periods_that_are_none_are_no_other_periods(returns):
    """["12"] was read as the bracket from 1 to 2."""
    with pytest.raises(ValueError, match="returns="):
        metrics.retention(EVENTS, returns=returns, observed_through=datetime(2026, 1, 20))


def test_numbers_of_numpy_are_numbers():
    days = pd.Series([1, 3]).to_numpy()
    found = metrics.retention_curve(EVENTS, days=days, observed_through=datetime(2026, 1, 20)).to_pandas()
    assert found["day"].tolist() == [1, 3] and len(rejects_by_reason(REJECTED).to_pandas()) == 1


def defaults(function: object) -> dict[str, object]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def test_a_rule_of_a_funnel_has_one_default_wherever_it_can_be_said():
    """Six functions take the rules of a funnel; the one that checks them has the defaults."""
    rules = defaults(checked_rules)
    family = [n for n in metrics.__all__ if n.startswith("funnel")]
    assert len(family) == 7
    differ = {
        (name, key): value
        for name in family
        for key, value in defaults(getattr(metrics, name)).items()
        if key in rules and value != rules[key]
    }
    assert not differ


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (metrics.retention, asked_retention),
        (metrics.transitions, asked_transitions),
        (metrics.path_steps, asked_path_steps),
        (metrics.lifecycle, asked_lifecycle),
    ],
)
def test_a_question_read_with_others_takes_the_arguments_it_takes_alone(question, asked):
    """But for the unit, which the reading of all has."""
    alone, together = (inspect.signature(f).parameters for f in (question, asked))
    alone = {k: (p.default, p.annotation) for k, p in alone.items() if k != "by"}
    assert {k: (p.default, p.annotation) for k, p in together.items()} == alone
