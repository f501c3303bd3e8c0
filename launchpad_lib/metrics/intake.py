"""How much came in, what of it stands under no user, and which values are missing."""

from __future__ import annotations

from typing import NamedTuple

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.event.rules import PLACEHOLDER_USERS
from launchpad_lib.metrics.kernels.lake_log import is_fact_events, of_days
from launchpad_lib.metrics.quality import missing_share
from launchpad_lib.metrics.windows import local_date


class Intake(NamedTuple):
    """Rows of events and telemetry that are in the lake, and rows that were refused, of any table."""

    accepted: int
    refused: int


def intake(*tables: ir.Table, rejected: ir.Table) -> Intake:
    """Counts the rows of the tables and the refused rows."""
    return Intake(sum(int(t.count().execute()) for t in tables), int(rejected.count().execute()))


def placeholder_users(**tables: ir.Table) -> pd.DataFrame:
    """Grain: one row per table and placeholder that stands for a user there: `table_name, user_id, rows`, most rows
    first.

    Events under one are refused at the door; rows of telemetry, and of lakes written before that, are in the lake.
    """
    frames = []
    for name, table in tables.items():
        # Of a lake's events the index knows the users, and by day how many rows each has.
        is_lake = is_fact_events(table.op())
        found = _placeholders(table.op().source.table("dim_users") if is_lake else table)
        if is_lake and (paths := table.op().source.log.dictionary_paths):
            met = _placeholders(table.op().source.read_parquet(paths)).user_id.execute().tolist()
            found = found.filter(found.user_id.isin(met)) if met else found.limit(0)
        frames.append(
            found.group_by("user_id")
            .agg(rows=found.events.sum() if is_lake else found.count())
            .to_pandas()
            .assign(table_name=name)
        )
    together = pd.concat(frames)[["table_name", "user_id", "rows"]]
    order = ["rows", "table_name", "user_id"]
    return together.sort_values(order, ascending=[False, True, True]).reset_index(drop=True)


def _placeholders(users: ir.Table) -> ir.Table:
    """The rows whose user is a placeholder."""
    names = sorted(PLACEHOLDER_USERS)
    # Only what is short enough, spaces aside, is read letter by letter.
    short = users.filter(users.user_id.strip().length() <= max(len(name) for name in names))
    return short.filter(short.user_id.strip().lower().isin(names))


def rows_with_a_user(*tables: ir.Table) -> int:
    """Rows that name a user, placeholder or not."""
    # Every event of a lake names one: without it is in no day file.
    return sum(int((t.count() if is_fact_events(t.op()) else t.user_id.count()).execute()) for t in tables)


def missing_values(**tables: ir.Table) -> pd.DataFrame:
    """Grain: one row per column of each table that has rows: `table_name, column, rows, missing, missing_share`."""
    frames = [missing_share(t).to_pandas().assign(table_name=n) for n, t in tables.items()]
    found = pd.concat(frames)
    return found.loc[found["rows"] > 0, ["table_name", "column", "rows", "missing", "missing_share"]].reset_index(
        drop=True
    )


def records_in_gaps(gaps: ir.Table) -> pd.DataFrame:
    """Grain: one row per gap, in order of source and offset, with `records`: how many offsets it spans."""
    named = gaps.mutate(records=gaps.to_offset - gaps.from_offset)
    return named.order_by(["source", "partition", "from_offset"]).to_pandas()


def busiest_days(events: ir.Table, telemetry: ir.Table, *, report_timezone: str) -> pd.DataFrame:
    """Grain: one row per local date with rows, of the events, or of telemetry where there are none: `day, rows`."""
    has_events = bool(events.limit(1).count().execute())
    table, at = (events, "event_at") if has_events else (telemetry, "observed_at")
    # By the minute first: the engine's own conversion costs more than the scan, and days begin at whole minutes.
    counted = of_days(table, "event_minutes")
    if counted is None:
        minutes = table.select(minute=table[at].truncate("m")).filter(lambda t: t.minute.notnull())
        counted = minutes.group_by("minute").agg(rows=minutes.count())
    dated = counted.mutate(day=local_date(counted.minute, report_timezone))
    daily = dated.group_by("day").agg(rows=dated.rows.sum().cast(dt.int64)).order_by("day").to_pandas()
    return daily.assign(day=pd.to_datetime(daily["day"]).astype("datetime64[us]"))
