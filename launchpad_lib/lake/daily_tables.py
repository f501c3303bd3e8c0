"""Tables of the star schema that are made day by day: a day is made again only when its files changed.

Each day's part is a Parquet file named by the day and by what it was made from, so that a part is there exactly when it
is up to date, and any set of parts is what a full rebuild would write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
from deltalake import DeltaTable

from launchpad_lib.contract.sql import file_list, literal, session_key
from launchpad_lib.lake.day_files import DayFiles, files_by_day, hash_of_names
from launchpad_lib.lake.opening import SESSION_GAP_MINUTES, STAR

# Grain: one row per user and UTC date. Its sums, firsts and lasts over days are dim_users.
USER_DAYS = """
    SELECT user_number, any_value(user_id) AS user_id, min(event_at) AS first_seen_at, max(event_at) AS last_seen_at,
        count(*) AS events, arg_min(platform, event_at) AS platform, arg_min(country, event_at) AS country
    FROM source GROUP BY user_number ORDER BY user_number"""
DIM_USERS = """
    SELECT any_value(user_id) AS user_id, min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at,
        sum(events)::BIGINT AS events, count(*) AS active_days, arg_min(platform, first_seen_at) AS platform,
        arg_min(country, first_seen_at) AS country
    FROM source GROUP BY user_number"""
# Grain: one row per user, client session (or stretch without one) and UTC date: a day's share of a session. A stretch
# without a client's session ends where the user is silent for more than the session gap.
SESSION_PARTS = f"""
    SELECT user_id, session_id, min(event_at) AS started_at, max(event_at) AS ended_at, count(*) AS events,
        arg_min(platform, event_at) AS platform, min(event_at) FILTER (platform IS NOT NULL) AS platform_at
    FROM (SELECT *, sum(is_new) OVER (
            PARTITION BY user_id, session_id IS NULL ORDER BY event_at, received_at, event_id) AS stretch
        FROM (SELECT *, CASE WHEN event_at - lag(event_at) OVER (
                PARTITION BY user_id, session_id IS NULL ORDER BY event_at, received_at, event_id)
            <= INTERVAL {SESSION_GAP_MINUTES} MINUTE THEN 0 ELSE 1 END AS is_new FROM source))
    GROUP BY user_id, session_id, CASE WHEN session_id IS NULL THEN stretch END ORDER BY ALL"""
# Shares of consecutive days are one session where the silence between them is not over the gap.
_SHARED_KEY = session_key("sum(is_new) OVER (PARTITION BY user_id, session_id IS NULL ORDER BY started_at, ended_at)")
SESSIONS = f"""
    SELECT user_id, session_key, min(started_at) AS started_at, max(ended_at) AS ended_at,
        epoch_us(max(ended_at) - min(started_at)) / 1e6 AS duration_seconds, sum(events)::BIGINT AS events,
        arg_min(platform, platform_at) AS platform
    FROM (SELECT *, {_SHARED_KEY} AS session_key
        FROM (SELECT *, CASE WHEN started_at - lag(ended_at) OVER (
                PARTITION BY user_id, session_id IS NULL ORDER BY started_at, ended_at)
            <= INTERVAL {SESSION_GAP_MINUTES} MINUTE THEN 0 ELSE 1 END AS is_new FROM source))
    GROUP BY user_id, session_key"""


class DailyTable(NamedTuple):
    """The parts of a table in day order, and the days that this build made."""

    paths: tuple[str, ...]
    rewritten: tuple[date, ...]


def build_user_days(days: DayFiles, folder: Path) -> DailyTable:
    """Grain: one row per user and UTC date. The input of `dim_users`."""
    return _build(
        ((d.day, [d.path], d.content_hash) for d in days.days), folder, query=USER_DAYS, absent=("platform", "country")
    )


def build_feature_metrics(telemetry: Path, folder: Path, *, version: int | None = None) -> DailyTable:
    """`fact_feature_metrics` (one row per feature and UTC date) from the Delta table `telemetry`, identical to the full
    query.
    """
    if not DeltaTable.is_deltatable(str(telemetry)):
        raise ValueError(
            f"telemetry={str(telemetry)!r}: is no Delta table; run `launchpad ingest` with a params file "
            "first, or correct the path"
        )
    sources = files_by_day(DeltaTable(str(telemetry), version=version), partition="observed_on")
    query = STAR["fact_feature_metrics"].replace("FROM telemetry", "FROM source") + " ORDER BY ALL"
    return _build(((day, files, hash_of_names(files)) for day, files in sorted(sources.items())), folder, query=query)


def dim_users(user_days: DailyTable, *, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """Grain: one row per user; the columns of the star schema's dim_users, merged from the days."""
    return con.sql(DIM_USERS.replace("FROM source", f"FROM read_parquet({file_list(user_days.paths)})"))


def build_session_parts(days: DayFiles, folder: Path) -> DailyTable:
    """Grain: one row per user, session and UTC date. The input of `sessions`."""
    return _build(
        ((d.day, [d.path], d.content_hash) for d in days.days),
        folder,
        query=SESSION_PARTS,
        absent=("session_id", "platform"),
    )


def sessions(parts: DailyTable, *, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """Grain: one row per user and session; the columns of the star schema's sessions, merged over midnight from the
    days.
    """
    return con.sql(SESSIONS.replace("FROM source", f"FROM read_parquet({file_list(parts.paths)})"))


def _build(
    sources: Iterable[tuple[date, list[str], str]], folder: Path, *, query: str, absent: tuple[str, ...] = ()
) -> DailyTable:
    folder.mkdir(parents=True, exist_ok=True)
    paths, rewritten = [], []
    # One thread: sums of floats do not depend on the order in which threads finish.
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET TimeZone = 'UTC'")
    for day, files, source_hash in sources:
        path = folder / f"{day}-{source_hash[:24]}.parquet"
        paths.append(str(path))
        if path.exists():
            continue
        rows = f"read_parquet({file_list(files)}, union_by_name = true)"
        has = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()}
        missing = "".join(f", NULL::VARCHAR AS {c}" for c in absent if c not in has)
        # Sorted as the full load sorts, so that a float sum adds in the same order.
        con.execute(f"CREATE OR REPLACE TEMP TABLE source AS SELECT *{missing} FROM {rows} ORDER BY ALL")
        con.execute(f"COPY ({query}) TO {literal(f'{path}.new')} (FORMAT parquet, COMPRESSION zstd)")
        os.replace(f"{path}.new", path)
        rewritten.append(day)
    con.close()
    for old in set(folder.glob("*.parquet")) - {Path(p) for p in paths}:
        old.unlink()
    return DailyTable(tuple(paths), tuple(rewritten))
