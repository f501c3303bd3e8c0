"""Opens a lake as Ibis tables on an in-memory DuckDB that reads the Delta tables' files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier, literal
from launchpad_lib.contract.tables import TABLES, Table

SESSION_GAP_MINUTES = 30

STAR = {
    # Grain: one row per event_id; session_key is the client's session or one made from 30-minute gaps.
    "fact_events": f"""
        SELECT * EXCLUDE (is_new), coalesce(session_id, user_id || '#' || sum(is_new) OVER (
            PARTITION BY user_id, session_id IS NULL ORDER BY event_at, received_at, event_id)) AS session_key
        FROM (SELECT *, CASE WHEN event_at - lag(event_at) OVER (PARTITION BY user_id, session_id IS NULL
                ORDER BY event_at, received_at, event_id) <= INTERVAL {SESSION_GAP_MINUTES} MINUTE THEN 0 ELSE 1 END AS is_new FROM events)""",
    # Grain: one row per user and session.
    "sessions": """
        SELECT user_id, session_key, min(event_at) AS started_at, max(event_at) AS ended_at,
            epoch_us(max(event_at) - min(event_at)) / 1e6 AS duration_seconds, count(*) AS events, arg_min(platform, event_at) AS platform
        FROM fact_events GROUP BY user_id, session_key""",
    # Grain: one row per user.
    "dim_users": """
        SELECT user_id, min(event_at) AS first_seen_at, max(event_at) AS last_seen_at, count(*) AS events,
            count(DISTINCT event_at::DATE) AS active_days, arg_min(platform, event_at) AS platform, arg_min(country, event_at) AS country
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
            1 - count(DISTINCT user_id) FILTER (crashed) / nullif(count(DISTINCT user_id) FILTER (crashed IS NOT NULL), 0) AS crash_free_users_rate,
            count(*) FILTER (error_count > 0) AS error_observations,
            count(*) FILTER (error_count > 0) / nullif(count(error_count), 0) AS error_rate,
            count(feedback_score) AS feedback_count, avg(feedback_score) AS mean_feedback_score
        FROM telemetry GROUP BY 1, 2""",
}


class TableVersion(NamedTuple):
    """What was read of one table. `observed_through` is the last instant of its time column (UTC), NULL without rows."""

    version: int | None
    rows: int
    observed_through: datetime | None
    rejected: int


@dataclass(frozen=True)
class Lake:
    """The star schema as Ibis tables on one DuckDB connection; instants are UTC without a zone."""

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


def open_lake(path: str | Path, *, versions: dict[str, int] | None = None) -> Lake:
    """Opens the newest (or the named) version of every table; a table that is not there is empty.

    Raises:
        ValueError: the lake's folder does not exist, or a named table or version.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(
            f"lake={str(path)!r}: there is no such folder; run `launchpad ingest` with a params file first, or correct the path"
        )
    unknown = sorted(set(versions or {}) - set(TABLES))
    if unknown:
        raise ValueError(f"lake_versions.{unknown[0]}: no such table; there are {', '.join(TABLES)}")
    # DuckDB merges nested selects itself; Ibis doing it first costs a third of the time of a funnel and changes no answer.
    ibis.options.sql.fuse_selects = False
    # One thread: sums of floats, and so published digits, do not depend on the order in which threads finish.
    con = ibis.duckdb.connect(threads=1)
    con.raw_sql("SET TimeZone = 'UTC'")
    con.raw_sql("SET enable_progress_bar = false")  # it would print into the notebook
    seen: dict[str, TableVersion] = {}
    for table in TABLES.values():
        version = _create(con, table, root / table.name, (versions or {}).get(table.name))
        seen[table.name] = TableVersion(version, 0, None, 0)
    for name, query in STAR.items():
        con.raw_sql(f"CREATE TABLE {name} AS {query}")
    for table in TABLES.values():
        through = f"max({identifier(table.time_column)})" if table.time_column else "NULL::TIMESTAMP"
        rows, last = con.raw_sql(f"SELECT count(*), {through} FROM {table.name}").fetchall()[0]
        refused = con.raw_sql(f"SELECT count(*) FROM rejected WHERE table_name = {literal(table.name)}").fetchall()[0][
            0
        ]
        seen[table.name] = TableVersion(seen[table.name].version, rows, last, refused)
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
    )


def newest_versions(path: str | Path) -> dict[str, int]:
    """The newest version of every table that is there: what `open_lake` is given so that several readers read the same."""
    places = {name: Path(path) / name for name in TABLES}
    return {
        name: _opened(place, None).version() for name, place in places.items() if DeltaTable.is_deltatable(str(place))
    }


def _opened(place: Path, version: int | None) -> DeltaTable:
    """The table at its newest or a named version. A listing made while a worker commits can miss a commit; it is then made again."""
    for delay in (0.02, 0.05, 0.1, 0.2, 0.4):
        try:
            return DeltaTable(str(place), version=version)
        except DeltaError as error:
            if "contiguous" in str(error):
                time.sleep(delay)
            elif version is not None:
                raise ValueError(
                    f"lake_versions.{place.name}={version}: {place} has no such version any more, or never had; leave it out for the newest"
                ) from error
            else:
                raise
    return DeltaTable(str(place), version=version)


def _create(con: ibis.BaseBackend, table: Table, place: Path, version: int | None) -> int | None:
    """Loads one Delta table under its declared columns; returns its version, None when it is not there."""
    declared = ", ".join(f"{identifier(c.name)} {SQL_TYPES[c.type]}" for c in table.columns)
    con.raw_sql(f"CREATE TABLE {table.name} ({declared})")
    if not DeltaTable.is_deltatable(str(place)):
        return None
    delta = _opened(place, version)
    uris = sorted(delta.file_uris())
    if uris:
        # A table that was written before a column was declared lacks it: it is NULL in all of its rows.
        there = {f.name for f in delta.schema().fields}
        names = ", ".join(identifier(c.name) for c in table.columns if c.name in there)
        con.raw_sql(
            f"INSERT INTO {table.name} BY NAME SELECT {names} FROM read_parquet({file_list(uris)}, union_by_name = true) ORDER BY ALL"
        )
    return delta.version()
