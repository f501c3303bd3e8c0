"""Opens a lake as Ibis tables on an in-memory DuckDB that reads the Delta tables' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from deltalake import DeltaTable

from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier, literal, session_key
from launchpad_lib.contract.tables import TABLES, Table
from launchpad_lib.lake.observed import TIMED_TABLES, Outside, named_instants
from launchpad_lib.lake.snapshot import Observed, keep_observed, opened_table

SESSION_GAP_MINUTES = 30

STAR = {
    # Grain: one row per event_id; session_key is the user with the client's session or one made from 30-minute gaps.
    "fact_events": f"""
        SELECT * EXCLUDE (is_new), {session_key("sum(is_new) OVER stretch")} AS session_key
        FROM (SELECT *, CASE WHEN event_at - lag(event_at) OVER (PARTITION BY user_id, session_id IS NULL
                ORDER BY event_at, received_at, event_id) <= INTERVAL {SESSION_GAP_MINUTES} MINUTE
                THEN 0 ELSE 1 END AS is_new FROM events)
        WINDOW stretch AS (PARTITION BY user_id, session_id IS NULL ORDER BY event_at, received_at, event_id)""",
    # Grain: one row per user and session.
    "sessions": """
        SELECT user_id, session_key, min(event_at) AS started_at, max(event_at) AS ended_at,
            epoch_us(max(event_at) - min(event_at)) / 1e6 AS duration_seconds, count(*) AS events,
            arg_min(platform, event_at) AS platform
        FROM fact_events GROUP BY user_id, session_key""",
    # Grain: one row per user.
    "dim_users": """
        SELECT user_id, min(event_at) AS first_seen_at, max(event_at) AS last_seen_at, count(*) AS events,
            count(DISTINCT event_at::DATE) AS active_days, arg_min(platform, event_at) AS platform,
            arg_min(country, event_at) AS country
        FROM fact_events GROUP BY user_id""",
    # Grain: one row per feature.
    "dim_feature_metadata": "SELECT * FROM features",
    # Grain: one row per feature and UTC date. A NULL crash flag is unknown: it is in neither crash count.
    "fact_feature_metrics": """
        SELECT feature_id, observed_at::DATE AS observed_on, count(*) AS observations, count(DISTINCT user_id) AS users,
            count(latency_ms) AS latency_observations, quantile_cont(latency_ms, 0.5) AS p50_latency_ms,
            quantile_cont(latency_ms, 0.95) AS p95_latency_ms, quantile_cont(latency_ms, 0.99) AS p99_latency_ms,
            count(DISTINCT user_id) FILTER (crashed IS NOT NULL) AS crash_known_users,
            count(DISTINCT user_id) FILTER (crashed) AS crashed_users,
            1 - count(DISTINCT user_id) FILTER (crashed)
                / nullif(count(DISTINCT user_id) FILTER (crashed IS NOT NULL), 0) AS crash_free_users_rate,
            count(*) FILTER (error_count > 0) AS error_observations,
            count(*) FILTER (error_count > 0) / nullif(count(error_count), 0) AS error_rate,
            count(feedback_score) AS feedback_count, avg(feedback_score) AS mean_feedback_score
        FROM telemetry GROUP BY 1, 2""",
}


class TableVersion(NamedTuple):
    """What was read of one table: its rows within the window from `observed_from` through `observed_through` (UTC, both
    inside).

    A table without a window of its own spans from the first to the last instant of its time column; NULL without rows.
    `outside` are its rows beside the window: in the lake, in no metric.
    """

    version: int | None
    rows: int
    observed_from: datetime | None
    observed_through: datetime | None
    rejected: int
    outside: tuple[Outside, ...] = ()


@dataclass(frozen=True)
class Lake:
    """The star schema as Ibis tables on one DuckDB connection; instants are UTC without a zone.

    Events and telemetry are those of their windows; `outside` says what lies beside them.
    """

    events: ir.Table
    sessions: ir.Table
    users: ir.Table
    features: ir.Table
    feature_metrics: ir.Table
    telemetry: ir.Table
    annotations: ir.Table
    rejected: ir.Table
    gaps: ir.Table
    observed_through: datetime | None
    telemetry_observed_through: datetime | None
    versions: dict[str, TableVersion]
    outside: tuple[Outside, ...]


def open_lake(
    path: str | Path,
    *,
    versions: Mapping[str, int] | None = None,
    observed_through: str | Mapping[str, str] | None = None,
) -> Lake:
    """Opens the newest (or the named) version of every table, up to the instant through which it was observed.

    Args:
        versions: table to version; a table that is not named is read at its newest, one that is not there is empty.
        observed_through: a date or instant for events and telemetry, or one by table; derived where it is not named
        (`lake.observed`).

    Raises:
        ValueError: the lake's folder does not exist, or a named table or version, or an instant cannot be read.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(
            f"lake={str(path)!r}: there is no such folder; run `launchpad ingest` with a params file first, or "
            "correct the path"
        )
    unknown = sorted(set(versions or {}) - set(TABLES))
    if unknown:
        raise ValueError(f"lake_versions.{unknown[0]}: no such table; there are {', '.join(TABLES)}")
    # DuckDB merges nested selects itself; Ibis doing it first costs a third of the time of a funnel and changes no
    # answer.
    ibis.options.sql.fuse_selects = False
    # One thread: sums of floats, and so published digits, do not depend on the order in which threads finish.
    con = ibis.duckdb.connect(threads=1)
    con.raw_sql("SET TimeZone = 'UTC'")
    con.raw_sql("SET enable_progress_bar = false")  # it would print into the notebook
    named = named_instants(observed_through)
    found: dict[str, int | None] = {}
    windows: dict[str, Observed | None] = {}
    for table in TABLES.values():
        found[table.name] = _create(con, table, root / table.name, (versions or {}).get(table.name))
        if table.name in TIMED_TABLES:
            windows[table.name] = keep_observed(con.con, table.name, through=named.get(table.name))
    for name, query in STAR.items():
        con.raw_sql(f"CREATE TABLE {name} AS {query}")
    seen = {table.name: _seen(con, table, found[table.name], windows.get(table.name)) for table in TABLES.values()}
    return Lake(
        events=con.table("fact_events"),
        sessions=con.table("sessions"),
        users=con.table("dim_users"),
        features=con.table("dim_feature_metadata"),
        feature_metrics=con.table("fact_feature_metrics"),
        telemetry=con.table("telemetry"),
        annotations=con.table("annotations"),
        rejected=con.table("rejected"),
        gaps=con.table("gaps"),
        observed_through=seen["events"].observed_through,
        telemetry_observed_through=seen["telemetry"].observed_through,
        versions=seen,
        outside=tuple(part for version in seen.values() for part in version.outside),
    )


def _seen(con: ibis.BaseBackend, table: Table, version: int | None, window: Observed | None) -> TableVersion:
    at = identifier(table.time_column) if table.time_column else "NULL::TIMESTAMP"
    rows, first, last = con.raw_sql(f"SELECT count(*), min({at}), max({at}) FROM {table.name}").fetchall()[0]
    refused = con.raw_sql(f"SELECT count(*) FROM rejected WHERE table_name = {literal(table.name)}").fetchall()[0][0]
    if window is None:
        return TableVersion(version, rows, first, last, refused)
    return TableVersion(version, rows, window.observed_from, window.observed_through, refused, window.outside)


def _create(con: ibis.BaseBackend, table: Table, place: Path, version: int | None) -> int | None:
    """Loads one Delta table under its declared columns; returns its version, None when it is not there."""
    declared = ", ".join(f"{identifier(c.name)} {SQL_TYPES[c.type]}" for c in table.columns)
    con.raw_sql(f"CREATE TABLE {table.name} ({declared})")
    if not DeltaTable.is_deltatable(str(place)):
        return None
    delta = opened_table(place, version)
    uris = sorted(delta.file_uris())
    if uris:
        # A table that was written before a column was declared lacks it: it is NULL in all of its rows.
        there = {f.name for f in delta.schema().fields}
        names = ", ".join(identifier(c.name) for c in table.columns if c.name in there)
        con.raw_sql(
            f"INSERT INTO {table.name} BY NAME SELECT {names} FROM read_parquet({file_list(uris)}, "
            "union_by_name = true) ORDER BY ALL"
        )
    return delta.version()
