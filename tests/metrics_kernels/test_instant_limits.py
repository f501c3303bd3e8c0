"""Readings that are limited in time: blocks keep the rows that the engine would keep, and those outside are not read."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.findings.log_results import events_by_name
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.kernels import block_rows, instant_limits, lake_log, unit_rows
from launchpad_lib.metrics.windows import is_one_of
from tests.metrics_kernels.test_unit_rows import CUT, START, append, read, rows_of, simple, told_by_kinds

# Rows are on tens of minutes, so these are instants of rows, and the first of a day and of a block.
EARLY, NOON, LATE = START + timedelta(days=1), START + timedelta(days=3, hours=12), START + timedelta(days=9)

LIMITS = {
    "from": lambda e: e.event_at >= EARLY,
    "after": lambda e: e.event_at > EARLY,
    "through": lambda e: e.event_at <= NOON,
    "before": lambda e: e.event_at < NOON,
    "written the other way": lambda e: ibis.literal(EARLY) < e.event_at,
    "the other way, through": lambda e: ibis.literal(NOON) >= e.event_at,
    "between": lambda e: e.event_at.between(EARLY, NOON),
    "several": lambda e: (e.event_at >= EARLY) & (is_one_of(e.event_name, ["look"]) & (e.event_at < NOON)),
    "of a block": lambda e: e.event_at >= LATE,
    "never": lambda e: (e.event_at > NOON) & (e.event_at < EARLY),
    "after all": lambda e: e.event_at > datetime(2030, 1, 1),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    place = tmp_path_factory.mktemp("lake")
    append(place, rows_of(random.Random(7), 900))
    open_lake(place)
    return place


@pytest.mark.parametrize("through", [None, CUT])
@pytest.mark.parametrize("unit", ["user_id", "session_key"])
@pytest.mark.parametrize("limit", LIMITS)
def test_blocks_keep_the_rows_that_the_engine_keeps(lake, limit, unit, through):
    events = open_lake(lake, observed_through=through).events
    columns, where = told_by_kinds(events), LIMITS[limit](events)
    expected = sorted(map(repr, simple(events, columns, unit=unit, where=where).values()))
    assert bool(expected) == (limit not in ("never", "after all") and not (through and limit == "of a block"))
    assert sorted(map(repr, read(events, columns, unit=unit, where=where))) == expected
    filtered = events.filter(where)  # said before the question
    assert sorted(map(repr, read(filtered, told_by_kinds(filtered), unit=unit))) == expected


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_in_time_is_answered_by_blocks_and_only_by_those_it_meets(lake, limit):
    events = open_lake(lake).events
    asked = lake_log.lake_rows(
        events, {"at": events.event_at}, unit="user_id", order=unit_rows.ORDER, where=LIMITS[limit](events)
    )
    bare, limits = instant_limits.limited(asked)
    assert block_rows.asked_of_kinds(asked) is None and block_rows.asked_of_kinds(bare) is not None
    blocks = block_rows.open_blocks(bare, limits).blocks
    met = [
        b
        for b in events.get_backend().log.blocks
        if any(
            limits[0] < micros(datetime.fromisoformat(d)) + 86_400_000_000 and micros(datetime.fromisoformat(d)) <= limits[1]
            for d in b.days
        )
    ]  # fmt: skip
    assert [b.path for b in blocks] == [b.path for b in met or events.get_backend().log.blocks[:1]]


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def test_what_is_no_plain_limit_is_left_to_the_engine(lake):
    events = open_lake(lake).events
    moved = events.mutate(event_at=events.event_at + ibis.interval(hours=1))
    for log, where in (
        (events, (events.event_at > EARLY) | (events.event_name == "look")),
        (events, ~(events.event_at > EARLY)),
        (events, events.event_at > events.received_at),
        (events, events.event_at == EARLY),
        (events, events.event_at >= ibis.literal(EARLY.replace(tzinfo=UTC))),
        (events, events.received_at >= EARLY),
        (moved, moved.event_at >= EARLY),
    ):
        expected = sorted(map(repr, simple(log, {"at": log.event_at}, unit="user_id", where=where).values()))
        assert sorted(map(repr, read(log, {"at": log.event_at}, unit="user_id", where=where))) == expected
        if log is events:
            asked = lake_log.lake_rows(log, {"name": log.event_name}, unit="user_id", order=("event_at",), where=where)
            assert instant_limits.limited(asked).limits == instant_limits.ALWAYS


def test_an_instant_of_pandas_is_one(lake):
    events = open_lake(lake).events
    at = {"at": events.event_at}
    found = [read(events, at, where=events.event_at >= since) for since in (pd.Timestamp(EARLY), EARLY)]
    assert found[0] == found[1] != []


@pytest.mark.parametrize("names", [None, ["look", "done"]])
def test_sessions_that_interleave_are_counted_once_by_name(lake, names):
    events = open_lake(lake).events
    counted = events.group_by("event_name").agg(users=events.user_id.nunique(), sessions=events.session_key.nunique())
    told = {row["event_name"]: (row["users"], row["sessions"]) for row in counted.to_pyarrow().to_pylist()}
    found = events_by_name(events, names=names)
    assert len(found) == len(names or told) and found["sessions"].min() > found["users"].max()
    assert {n: (u, s) for n, u, s in zip(found.event_name, found.users, found.sessions, strict=True)} == {
        name: told[name] for name in found["event_name"]
    }
