"""Against an independent program: ClickHouse (chdb) on a small log, in a golden file that scripts/chdb_golden.py regenerates."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import funnel, retention
from tests.spec import reference as ref
from tests.spec.reference import START, Event

GOLDEN = json.loads((Path(__file__).parent / "golden/chdb.json").read_text())


@pytest.fixture(scope="module")
def events() -> ibis.Table:
    rows = GOLDEN["funnel_log"]
    frame = pd.DataFrame(
        {
            "user_id": [u for u, _, _ in rows],
            "event_name": [n for _, n, _ in rows],
            "event_at": [START + timedelta(seconds=s) for _, _, s in rows],
        }
    )
    return ibis.memtable(
        frame.assign(
            event_at=frame["event_at"].astype("datetime64[us]"), event_id=[f"e{i:04d}" for i in range(len(rows))]
        )
    )


def levels(events: ibis.Table, **options) -> dict[str, int]:
    """The deepest step of every user, 0 for those who never enter."""
    found = funnel(
        events,
        steps=GOLDEN["steps"],
        window=f"{GOLDEN['window_seconds']}s",
        observed_through=START + timedelta(days=99),
        breakdown="user_id",
        **options,
    ).to_pandas()
    return dict.fromkeys(GOLDEN["levels"]["default"], 0) | {
        u: int(r["users"].sum()) for u, r in found.groupby("segment")
    }


def differing(events: ibis.Table, oracle: str, **options) -> set[str]:
    return {u for u, n in levels(events, **options).items() if n != GOLDEN["levels"][oracle][u]}


def test_the_ordered_funnel_is_window_funnel_for_every_user(events):
    assert differing(events, "default") == set()
    assert differing(events, "strict_once") == set()


def test_strict_order_is_that_of_clickhouse_for_every_user(events):
    assert differing(events, "strict_order", mode="strict_order") == set()


def test_strict_differs_from_clickhouse_only_where_a_step_already_reached_comes_again(events):
    """u47 (A B C A D) and u53 do an earlier step between two steps: an event between them, so not strict; ClickHouse lets it pass."""
    assert differing(events, "strict_order", mode="strict") == {"u47", "u53"}


def test_strict_increase_differs_only_where_window_funnel_forgets_the_older_chain(events):
    """u02, u63, u70: a later entry at the very instant of the next step replaces the earlier one in ClickHouse's state, and the
    step no longer comes after it. By the definition the earlier entry still leads there (u63: A at 30 s, B at 60 s)."""
    missed = differing(events, "strict_increase", same_instant="does_not_count")
    assert missed == {"u02", "u63", "u70"}
    found = levels(events, same_instant="does_not_count")
    assert all(found[u] > GOLDEN["levels"]["strict_increase"][u] for u in missed)


def test_retention_is_that_of_clickhouse_for_every_cohort_day():
    """`retention(day = d, day = d + 1, ...)` counts users of day d seen again on day d + n: our recurring calendar retention by day."""
    rows = [Event(u, "A", 1440 * day + 60) for u, day in GOLDEN["retention_log"]]
    days = GOLDEN["return_days"]
    found = retention(
        ref.table(rows),
        returns=days,
        observed_through=START + timedelta(days=99),
        counting="calendar",
        start="recurring",
        cohort_by="day",
    ).to_pandas()
    got = {(pd.Timestamp(r.cohort) - pd.Timestamp(START)).days: {} for r in found.itertuples()}
    for r in found.itertuples():
        got[(pd.Timestamp(r.cohort) - pd.Timestamp(START)).days][r.period_from] = (r.users, r.retained)
    wanted = {
        int(d): {n: (row[0], k) for n, k in zip(days, row[1:], strict=True)}
        for d, row in GOLDEN["retained"].items()
        if row[0]
    }
    assert got == wanted
