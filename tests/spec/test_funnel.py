"""The funnel against hand counts, a brute-force reading of its definition and published counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.metrics import funnel, retention_curve

ECOM = Path(__file__).resolve().parents[2] / "data/sample/ecom/ecom.csv.gz"
FAR = datetime(2100, 1, 1)


def log(*rows: tuple[str, str, datetime]) -> ibis.Table:
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at"])
    return ibis.memtable(frame.assign(event_at=frame["event_at"].astype("datetime64[us]")))


def users(table: ibis.Table) -> list[int]:
    return table.order_by("step").to_pandas()["users"].tolist()


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, minute)


def test_any_entry_converts_where_the_first_entry_is_too_early():
    """Hand count: A 13:00, A 13:30, B 13:45, C 14:15 with a 1 h window."""
    events = log(("u", "A", at(13)), ("u", "A", at(13, 30)), ("u", "B", at(13, 45)), ("u", "C", at(14, 15)))
    assert users(funnel(events, steps=["A", "B", "C"], window="1h", observed_through=FAR)) == [1, 1, 1]
    assert users(funnel(events, steps=["A", "B", "C"], window="1h", observed_through=FAR, entry="first")) == [1, 1, 0]


def test_at_the_same_instant_the_order_of_the_steps_wins():
    assert users(
        funnel(log(("u", "B", at(9)), ("u", "A", at(9))), steps=["A", "B"], window="1h", observed_through=FAR)
    ) == [1, 1]


def test_an_entrant_whose_window_is_open_is_in_neither_count():
    events = log(("u", "A", at(9)), ("u", "B", at(10)), ("v", "A", at(12)))
    found = funnel(events, steps=["A", "B"], window="2h", observed_through=at(13)).order_by("step").to_pandas()
    assert found["users"].tolist() == [1, 1]
    assert found["entrants_immature"].tolist() == [1, 1]


def test_a_funnel_of_one_step_is_refused():
    with pytest.raises(ValueError, match="at least two steps"):
        funnel(log(("u", "A", at(9))), steps=["A"], window="1h", observed_through=FAR)


def test_shortly_after_midnight_is_not_day_one_of_rolling_retention():
    """Hand count: 23:45 and 00:01 are 16 minutes apart."""
    events = log(("u", "A", datetime(2026, 1, 1, 23, 45)), ("u", "A", datetime(2026, 1, 2, 0, 1)))
    found = retention_curve(events, days=[1], observed_through=datetime(2026, 1, 10)).to_pandas()
    assert (found["users"][0], found["retained"][0]) == (1, 0)


def reference(rows: list[tuple[str, str, int]], steps: list[str], window: int, entry: str) -> list[int]:
    """From the definition: for some (or the first) entry, the deepest chain found by taking the earliest next step."""
    depth = {}
    for user in {r[0] for r in rows}:
        mine = sorted((t, steps.index(name)) for u, name, t in rows if u == user)
        entries = [i for i, (_, s) in enumerate(mine) if s == 0]
        for i in entries[:1] if entry == "first" else entries:
            reached, start = 1, mine[i][0]
            for t, s in mine[i + 1 :]:
                if s == reached and t - start <= window:
                    reached += 1
            depth[user] = max(depth.get(user, 0), reached)
    return [sum(d >= k for d in depth.values()) for k in range(1, len(steps) + 1)]


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("uv"), st.sampled_from("ABC"), st.integers(0, 12)), min_size=1, max_size=14),
    st.sampled_from(["any", "first"]),
)
def test_the_funnel_is_what_its_definition_says(rows, entry):
    known = [(None, name, at(0)) for name in "ABC"]  # events of nobody: every name occurs
    events = log(*((u, n, at(0) + timedelta(minutes=10 * t)) for u, n, t in rows), *known)
    found = users(funnel(events, steps=["A", "B", "C"], window="50m", observed_through=FAR, entry=entry))
    assert found == reference(rows, ["A", "B", "C"], 5, entry)
