"""The compiled funnel against hand counts, a brute force written from the definition, and the expression form."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_logs import START, minutes, write_days

from launchpad_lib.metrics import Step, funnel
from launchpad_lib.metrics.kernels import FunnelFold, fast_funnel

CODES = {"A": 1, "B": 2, "C": 3, "other": 0}
FAR = datetime(2027, 1, 1)


def users(table) -> list[int]:
    return table.order_by("step").to_pandas()["users"].tolist()


def rows_of(*events: tuple[int, str, float]) -> list[tuple[int, int, datetime]]:
    return [(user, CODES[name], minutes(at)) for user, name, at in events]


def test_any_entry_converts_where_the_first_entry_drops(tmp_path):
    """Hand count: A 13:00, A 13:30, B 13:45, C 14:15 and a 1 h window: only the second A has C in time."""
    log = write_days(tmp_path, rows_of((0, "A", 780), (0, "A", 810), (0, "B", 825), (0, "C", 855)), event_codes=CODES)
    assert users(fast_funnel(log, steps=["A", "B", "C"], window="1h", observed_through=FAR)) == [1, 1, 1]
    assert users(fast_funnel(log, steps=["A", "B", "C"], window="1h", observed_through=FAR, entry="first")) == [1, 1, 0]


@pytest.mark.parametrize("entry", ["any", "first"])
def test_at_the_same_instant_the_order_of_the_steps_wins_over_the_order_of_arrival(tmp_path, entry):
    log = write_days(tmp_path, rows_of((0, "C", 9), (0, "B", 9), (0, "A", 9)), event_codes=CODES, row_group_size=1)
    assert users(fast_funnel(log, steps=["A", "B", "C"], window="1m", observed_through=FAR, entry=entry)) == [1, 1, 1]


def test_a_chain_runs_on_over_midnight(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 1439), (0, "B", 1441)), event_codes=CODES)
    assert users(fast_funnel(log, steps=["A", "B"], window="2m", observed_through=FAR)) == [1, 1]
    assert users(fast_funnel(log, steps=["A", "B"], window="1m", observed_through=FAR)) == [1, 0]


def test_an_entrant_whose_window_is_open_is_in_neither_count(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0), (0, "B", 60), (1, "A", 180)), event_codes=CODES)
    found = fast_funnel(log, steps=["A", "B"], window="2h", observed_through=minutes(240)).order_by("step").to_pandas()
    assert found["users"].tolist() == [1, 1]
    assert found["entrants_immature"].tolist() == [1, 1]


def test_a_funnel_nobody_entered_has_no_rate(tmp_path):
    log = write_days(tmp_path, rows_of((0, "B", 0)), event_codes=CODES)
    found = fast_funnel(log, steps=["A", "B"], window="2h", observed_through=FAR).order_by("step").to_pandas()
    assert found["users"].tolist() == [0, 0]
    assert found["conversion_rate"].isna().all()


def test_an_unknown_event_is_refused_with_the_nearest_names(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0)), event_codes={"quiz_started": 1, "quiz_completed": 2})
    found = fast_funnel(log, steps=["quiz_start", "quiz_completed"], window="1h", observed_through=FAR)
    rows = found.order_by("step").to_pandas()
    assert rows["step_name"].tolist() == ["quiz_start", "quiz_completed"]
    assert rows["users"].isna().all() and rows["conversion_rate"].isna().all()
    assert set(rows["refused_because"]) == {
        "event 'quiz_start': does not occur in the log; did you mean 'quiz_started'?"
    }


def test_a_property_filter_is_refused_rather_than_ignored(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0)), event_codes=CODES)
    with pytest.raises(ValueError, match="property filters"):
        fast_funnel(log, steps=[Step("A", (("platform", "web"),)), "B"], window="1h", observed_through=FAR)


def test_one_step_or_a_window_without_a_unit_is_refused(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0)), event_codes=CODES)
    with pytest.raises(ValueError, match="at least two steps"):
        fast_funnel(log, steps=["A"], window="1h", observed_through=FAR)
    with pytest.raises(ValueError, match="unit"):
        fast_funnel(log, steps=["A", "B"], window="7", observed_through=FAR)


def test_a_user_number_beyond_the_dictionary_is_refused(tmp_path):
    log = write_days(tmp_path, rows_of((5, "A", 0)), event_codes=CODES)._replace(users=3)
    with pytest.raises(ValueError, match="user number 5"):
        fast_funnel(log, steps=["A", "B"], window="1h", observed_through=FAR)


def brute_force(rows: list[tuple[int, str, float]], steps: list[str], window: float, entry: str) -> list[int]:
    """From the definition: for some (or the first) entry, the deepest chain found by taking the earliest next step."""
    depth: dict[int, int] = {}
    for user in {r[0] for r in rows}:
        mine = sorted((t, j) for u, name, t in rows if u == user for j, step in enumerate(steps) if step == name)
        entries = [i for i, (_, j) in enumerate(mine) if j == 0]
        for i in entries[:1] if entry == "first" else entries:
            reached = 1
            for t, j in mine[i + 1 :]:
                if j == reached and t - mine[i][0] <= window:
                    reached += 1
            depth[user] = max(depth.get(user, 0), reached)
    return [sum(d >= k for d in depth.values()) for k in range(1, len(steps) + 1)]


# Days apart, minutes apart and equal instants; several events of one name at one instant; users without any step.
TIMES = st.sampled_from([0, 1, 2, 3, 5, 8, 1438, 1439, 1440, 1441, 2880, 2890])
EVENTS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["A", "B", "C", "other"]), TIMES), min_size=1, max_size=40
)
STEPS = st.sampled_from([["A", "B", "C"], ["B", "A"], ["A", "B", "A"], ["A", "A"]])


@settings(max_examples=150, deadline=None)
@given(
    EVENTS,
    st.sampled_from(["any", "first"]),
    st.sampled_from([2, 5, 1440, None]),
    STEPS,
    st.integers(1, 9),
    st.integers(1, 3),
)
def test_the_compiled_funnel_is_what_its_definition_says(rows, entry, window, steps, row_group_size, threads):
    with tempfile.TemporaryDirectory() as folder:
        log = write_days(Path(folder), rows_of(*rows), event_codes=CODES, row_group_size=row_group_size)
        fold = FunnelFold(
            step_codes=[CODES[s] for s in steps], window=window and f"{window}m", entry=entry, threads=threads
        )
        fold.fold(log.paths, users=log.users)
        assert fold.counts(observed_through=FAR)[0] == brute_force(rows, steps, window or 1e9, entry)


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.sampled_from(["any", "first"]), st.sampled_from([2, 1440, None]), st.integers(0, 4000))
def test_the_compiled_funnel_equals_the_expression_form_in_every_column(rows, entry, window, observed_minutes):
    events = ibis.memtable(
        [{"user_id": f"u{u}", "event_name": n, "event_at": minutes(t), "properties": None} for u, n, t in rows]
        + [
            {"user_id": None, "event_name": n, "event_at": minutes(0), "properties": None} for n in CODES
        ],  # names known
        schema={"user_id": "string", "event_name": "string", "event_at": "timestamp(6)", "properties": "string"},
    )
    asked = {
        "steps": ["A", "B", "C"],
        "window": window and f"{window}m",
        "observed_through": minutes(observed_minutes),
        "entry": entry,
    }
    with tempfile.TemporaryDirectory() as folder:
        log = write_days(Path(folder), rows_of(*rows), event_codes=CODES)
        ours = fast_funnel(log, **asked).order_by("step").to_pandas()
    reference = funnel(events, **asked).order_by("step").to_pandas()[list(ours.columns)]
    assert ours["users"].tolist() == reference["users"].tolist()
    assert ours["entrants_immature"].tolist() == reference["entrants_immature"].tolist()
    assert ours["refused_because"].fillna("").tolist() == reference["refused_because"].fillna("").tolist()
    for column in ("conversion_rate", "step_conversion_rate", "ci_low", "ci_high"):
        np.testing.assert_allclose(ours[column].astype(float), reference[column].astype(float), rtol=1e-12, atol=1e-12)


def test_a_bot_with_two_hundred_thousand_events_costs_a_linear_pass(tmp_path):
    """Counted, not timed: every event of the bot is one more row; the answer is its funnel and everybody else's."""
    names = np.array([1, 2, 3])
    bot = [(1, int(names[i % 3]), START + timedelta(milliseconds=400 * i)) for i in range(200_000)]
    log = write_days(
        tmp_path, [*rows_of((0, "A", 1), (0, "B", 2), (2, "A", 3)), *bot], event_codes=CODES, row_group_size=122_880
    )
    assert users(fast_funnel(log, steps=["A", "B", "C"], window="1h", observed_through=FAR)) == [3, 2, 1]
