"""Conditions in time that are drawn, on a lake with a restated day and a day that is gone: the rows that DuckDB keeps of
the plain rows by the same conditions, written in SQL by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import reduce
from typing import NamedTuple

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.kernels import block_rows, lake_log, unit_rows
from tests.metrics_kernels.test_unit_rows import START, append, read, rows_of

MICROSECOND = timedelta(microseconds=1)
GONE = date(2026, 1, 4)
CUT = START + timedelta(days=8, hours=3)  # within a day
ZONES = [timezone(timedelta(minutes=m)) for m in (0, 330, -300)]


class Condition(NamedTuple):
    """A condition for Ibis and for SQL."""

    of: Callable[[ir.Table], ir.BooleanValue]
    sql: str


def edged(rng: random.Random, count: int, first_id: int) -> list[dict]:
    """Rows on the last and the first instants of days, and one microsecond beside others."""
    rows = rows_of(rng, count, first_id=first_id)
    for row in rows:
        at = datetime.combine(row["event_at"].date(), datetime.min.time()) if rng.random() < 0.4 else row["event_at"]
        at += rng.choice([-1, 0, 0, 1]) * MICROSECOND
        row |= {"event_at": at, "received_at": at + timedelta(seconds=rng.randrange(3)), "event_on": at.date()}
    return rows


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The lake's events, without and with an end of the window, and the rows that are in it."""
    place, rng = tmp_path_factory.mktemp("lake"), random.Random(11)
    rows = [row for row in edged(rng, 500, 0) if row["event_at"] >= START]
    append(place, rows)
    open_lake(place)
    late = [row for row in edged(rng, 200, 1000) if row["event_on"] in (date(2026, 1, 2), date(2026, 1, 9))]
    append(place, late)
    open_lake(place)
    DeltaTable(str(place / "events")).delete(f"event_on = '{GONE}'")
    kept = [row for row in rows + late if row["event_on"] != GONE]
    assert late and len(kept) < len(rows + late)
    logs = {
        through: open_lake(place, observed_through=through and {"events": through}).events
        for through in (None, str(CUT))
    }
    return logs, kept


def instants() -> st.SearchStrategy[datetime]:
    """Edges of days and blocks, instants of rows, those beside them, and far away."""
    minutes = st.integers(-3, 16 * 144).map(lambda k: START + timedelta(minutes=10 * k))
    days = st.integers(-1, 14).map(lambda k: START + timedelta(days=k))
    near = st.tuples(st.one_of(days, minutes), st.integers(-2, 2)).map(lambda at: at[0] + at[1] * MICROSECOND)
    return st.one_of(
        near, st.sampled_from([datetime(1, 1, 1), datetime(1969, 12, 31, 23), datetime(9999, 12, 31), CUT])
    )


SIDES = {
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
}


def compared(side: str, at: datetime, form: str) -> Condition:
    """`event_at` against an instant in one of the forms in which one may be written."""
    zone = ZONES[at.day % 3]
    if form == "zone" and 1 < at.year < 9999:
        value: object = at.replace(tzinfo=zone)
        utc = at - zone.utcoffset(None)
        return Condition(lambda e: SIDES[side](e.event_at, value), f"event_at {side} TIMESTAMP '{utc}'")
    if form == "date":
        return Condition(lambda e: SIDES[side](e.event_at, at.date()), f"event_at {side} DATE '{at.date()}'")
    if form == "text":
        return Condition(lambda e: SIDES[side](e.event_at, str(at)), f"event_at {side} TIMESTAMP '{at}'")
    if form == "other way":
        return Condition(lambda e: SIDES[side](ibis.literal(at), e.event_at), f"TIMESTAMP '{at}' {side} event_at")
    if form == "arrival":
        return Condition(lambda e: SIDES[side](e.event_at, e.received_at), f"event_at {side} received_at")
    return Condition(lambda e: SIDES[side](e.event_at, at), f"event_at {side} TIMESTAMP '{at}'")


def between(first: datetime, last: datetime) -> Condition:
    """Both ends inside; often the wrong way round."""
    return Condition(
        lambda e: e.event_at.between(first, last), f"event_at BETWEEN TIMESTAMP '{first}' AND TIMESTAMP '{last}'"
    )


OTHERS = [
    Condition(lambda e: e.event_name == "look", "event_name = 'look'"),
    Condition(lambda e: e.platform == "web", "platform = 'web'"),  # NULL of some rows
    Condition(lambda e: e.event_at.notnull(), "event_at IS NOT NULL"),
]
FORMS = st.sampled_from(["plain"] * 6 + ["other way", "zone", "date", "text", "arrival"])
LEAVES = st.one_of(
    st.builds(compared, st.sampled_from(list(SIDES)), instants(), FORMS),
    st.builds(compared, st.sampled_from([">=", "<="]), instants(), st.just("plain")),
    st.builds(between, instants(), instants()),
    st.sampled_from(OTHERS),
)


def both(a: Condition, b: Condition) -> Condition:
    return Condition(lambda e: a.of(e) & b.of(e), f"({a.sql}) AND ({b.sql})")


def either(a: Condition, b: Condition) -> Condition:
    return Condition(lambda e: a.of(e) | b.of(e), f"({a.sql}) OR ({b.sql})")


def other(a: Condition) -> Condition:
    return Condition(lambda e: ~a.of(e), f"NOT ({a.sql})")


CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.builds(both, inner, inner), st.builds(either, inner, inner), st.builds(other, inner)),
    max_leaves=4,
)
BETWEEN_FILTERS = {
    "nothing": lambda e: e,
    "a copy of the instant": lambda e: e.mutate(when=e.event_at),
    "without a column": lambda e: e.drop("country") if "country" in e.columns else e,
}


# What blocks answer by themselves, alone and together; one condition that is of another kind sends all to the engine.
LIMITS = st.one_of(
    st.builds(compared, st.sampled_from([">=", ">", "<=", "<"]), instants(), st.sampled_from(["plain", "other way"])),
    st.builds(between, instants(), instants()),
    st.sampled_from(OTHERS),
)
LIMITS_TOGETHER = st.lists(LIMITS, min_size=1, max_size=3).map(lambda parts: reduce(both, parts))
FILTERS = st.one_of(
    st.lists(LIMITS, min_size=1, max_size=2),
    st.lists(LIMITS_TOGETHER, min_size=1, max_size=2),
    st.lists(CONDITIONS, min_size=1, max_size=2),
)


@settings(max_examples=50)
@given(
    filters=FILTERS,
    shape=st.sampled_from(list(BETWEEN_FILTERS)),
    is_where=st.booleans(),
    is_cut=st.booleans(),
)
def test_drawn_conditions_keep_the_rows_that_duckdb_keeps(world, filters, shape, is_where, is_cut):
    logs, rows = world
    events = logs[str(CUT) if is_cut else None]
    for condition in filters[: len(filters) - is_where]:
        events = BETWEEN_FILTERS[shape](events.filter(condition.of(events)))
    where = filters[-1].of(events) if is_where else None
    wanted = " AND ".join(f"({c.sql})" for c in filters) + (f" AND event_at <= TIMESTAMP '{CUT}'" if is_cut else "")
    plain = pa.Table.from_pylist(rows)  # noqa: F841 (read by DuckDB)
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT list((epoch_us(event_at), event_name) ORDER BY event_at, received_at, event_id) "
            f"FROM plain WHERE {wanted} GROUP BY user_id"
        ).fetchall()
    assert sorted(read(events, {"at": events.event_at, "name": events.event_name}, where=where)) == sorted(
        units for (units,) in found
    )


def test_the_lake_of_these_has_blocks_that_a_limit_cuts(world):
    events = world[0][None]
    asked = lake_log.lake_rows(events, {"at": events.event_at}, unit="user_id", order=unit_rows.ORDER, where=None)
    assert block_rows.asked_of_kinds(asked) is not None and len(asked.log.blocks) > 1
