"""Opens a lake as Ibis tables: lazy views on day files, on tables made day by day, and on the Delta tables' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from deltalake import DeltaTable

from launchpad_lib.contract.scratch_folders import ScratchFolder
from launchpad_lib.contract.sql import file_list, identifier
from launchpad_lib.contract.tables import TABLES, Table
from launchpad_lib.lake.daily_tables import (
    DIM_USERS,
    EVENT_DAYS,
    EVENT_DELAYS,
    EVENT_PARTS,
    FEATURE_HOURS,
    FEATURE_METRICS,
    SESSION_PARTS_OF_CUT_DAYS,
    SESSIONS,
    USER_DAYS_OF_CUT_DAYS,
    merged,
    over,
)
from launchpad_lib.lake.event_log import LakeBackend, event_log, no_events
from launchpad_lib.lake.index import Indexed, indexed
from launchpad_lib.lake.observed import TIMED_TABLES, Outside, named_instants
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.refused_damage import refuse_damage
from launchpad_lib.lake.small_tables import none_of, small_table
from launchpad_lib.lake.snapshot import Snapshot, newest_versions, opened_table
from launchpad_lib.lake.telemetry_log import telemetry_log

THREADS = 2  # no result hangs on it
MEMORY_LIMIT = "1GB"


class TableVersion(NamedTuple):
    """What was read of one table: its rows within the window from `observed_from` through `observed_through` (UTC, both
    inside).

    A table without a window of its own spans from the first to the last instant of its time column; NULL without rows.
    `outside` are its rows beside the window: in the lake, in no metric. So are `incomplete` events, which lack an id,
    a user, a name or an instant: only a foreign writer leaves such.
    """

    version: int | None
    rows: int
    observed_from: datetime | None
    observed_through: datetime | None
    rejected: int
    outside: tuple[Outside, ...] = ()
    incomplete: int = 0


@dataclass(frozen=True)
class Lake:
    """The star schema as Ibis tables on one DuckDB connection; instants are UTC without a zone.

    Events and telemetry are those of their windows; `outside` says what lies beside them. Nothing is loaded: a table is
    read when it is asked, and only what it is asked for. `index` is where the index of its events lies: in the lake, or
    in a temporary folder where the lake cannot be written; None without events.
    """

    events: ir.Table
    sessions: ir.Table
    users: ir.Table
    features: ir.Table
    feature_metrics: ir.Table
    feature_hours: ir.Table
    telemetry: ir.Table
    series: ir.Table
    annotations: ir.Table
    experiments: ir.Table
    rejected: ir.Table
    gaps: ir.Table
    observed_through: datetime | None
    telemetry_observed_through: datetime | None
    versions: dict[str, TableVersion]
    outside: tuple[Outside, ...]
    index: Path | None = None


def take_snapshot(
    lake: str | Path,
    *,
    versions: Mapping[str, int] | None = None,
    observed_through: str | Mapping[str, str] | None = None,
) -> Snapshot:
    """The newest versions, or the named ones, and the instants through which they were observed, named or derived.

    The lake's index is brought up to date for it.

    Raises:
        ValueError: a named table or version is not there, an instant cannot be read, or a file that is to be read is
            not as it was written.
    """
    refuse_damage(lake, versions=versions)
    pinned = newest_versions(lake) | dict(versions or {})
    named = named_instants(observed_through)
    through = {}
    for table in TIMED_TABLES:
        if table in pinned:
            window = indexed(Path(lake), table, version=pinned[table], through=named.get(table)).window
            if table in named or window is not None:
                through[table] = named.get(table) or window.observed_through  # type: ignore[union-attr]
    return Snapshot(pinned, through)


def open_lake(
    path: str | Path,
    *,
    versions: Mapping[str, int] | None = None,
    observed_through: str | Mapping[str, str] | None = None,
) -> Lake:
    """Opens the newest (or the named) version of every table, up to the instant through which it was observed.

    The lake's index (its folder `_index`) is brought up to date where it is not; then opening reads no row.

    Args:
        versions: table to version; a table that is not named is read at its newest, one that is not there is empty.
        observed_through: a date or instant for events and telemetry, or one by table; derived where it is not named
        (`lake.observed`).

    Raises:
        ValueError: the lake's folder does not exist, or a named table or version, an instant cannot be read, or, where
            no version is named, a file is not as it was written.
    """
    root = lake_place(path)
    if not root.is_dir():
        raise ValueError(
            f"lake={str(path)!r}: there is no such folder; run `launchpad ingest` with a params file first, or "
            "correct the path"
        )
    unknown = sorted(set(versions or {}) - set(TABLES))
    if unknown:
        raise ValueError(f"lake_versions.{unknown[0]}: no such table; there are {', '.join(TABLES)}")
    if versions is None:  # whoever names versions has asked before
        refuse_damage(root)
    # DuckDB merges nested selects itself; Ibis doing it first costs a third of the time of a funnel and changes no
    # answer.
    ibis.options.sql.fuse_selects = False
    named = named_instants(observed_through)
    con = _connection()
    wanted = dict(versions or {})
    timed = timed_tables(root, versions=wanted, through=named)
    found: dict[str, int | None] = {name: one.version for name, one in timed.items()}
    for name, table in TABLES.items():
        if name not in timed:
            found[name] = _create(con, table, root / name, wanted.get(name))
    _star_views(con, timed)
    refused = dict(con.raw_sql("SELECT table_name, count(*) FROM rejected GROUP BY 1").fetchall())
    seen = {
        name: _seen(con, table, found[name], timed.get(name), refused.get(name, 0)) for name, table in TABLES.items()
    }
    return Lake(
        events=con.table("fact_events"),
        sessions=con.table("sessions"),
        users=con.table("dim_users"),
        features=con.table("dim_feature_metadata"),
        feature_metrics=con.table("fact_feature_metrics"),
        feature_hours=con.table("fact_feature_hours"),
        telemetry=con.table("telemetry"),
        series=con.table("series"),
        annotations=con.table("annotations"),
        experiments=con.table("experiments"),
        rejected=con.table("rejected"),
        gaps=con.table("gaps"),
        observed_through=seen["events"].observed_through,
        telemetry_observed_through=seen["telemetry"].observed_through,
        versions=seen,
        outside=tuple(part for version in seen.values() for part in version.outside),
        index=timed["events"].place if "events" in timed else None,
    )


def _connection() -> LakeBackend:
    """A connection with bounded memory; what it must put aside goes to a private folder that ends with it."""
    spill = ScratchFolder("spill")
    con = LakeBackend().connect(threads=THREADS, memory_limit=MEMORY_LIMIT, temp_directory=spill.name)
    con.spill = spill
    con.raw_sql("SET TimeZone = 'UTC'")
    con.raw_sql("SET enable_progress_bar = false")  # it would print into the notebook
    return con


def _star_views(con: LakeBackend, timed: Mapping[str, Indexed]) -> None:
    for name, query in {**star_queries(timed), **day_queries(timed.get("events"))}.items():
        con.raw_sql(f"CREATE VIEW {name} AS {query}")
    con.raw_sql("CREATE VIEW dim_feature_metadata AS FROM features")
    if "events" in timed:
        con.log = event_log(timed["events"])
    if "telemetry" in timed:
        con.telemetry = telemetry_log(timed["telemetry"])
    con.held = [file for one in timed.values() for file in one.held]


def star_queries(timed: Mapping[str, Indexed]) -> dict[str, str]:
    """The SQL of the tables that are views on the index: fact_events, sessions, dim_users, telemetry,
    fact_feature_metrics and fact_feature_hours.
    """
    events, telemetry = timed.get("events"), timed.get("telemetry")
    log = event_log(events).fact_events() if events else no_events()
    health = f"FROM {telemetry.rows_within(telemetry.days)}" if telemetry else none_of(TABLES["telemetry"])
    return {
        "fact_events": log,
        "sessions": _merged(SESSIONS, SESSION_PARTS_OF_CUT_DAYS, events, "session_parts"),
        "dim_users": _merged(DIM_USERS, USER_DAYS_OF_CUT_DAYS, events, "user_days"),
        "telemetry": health,
        "fact_feature_metrics": _daily(FEATURE_METRICS, telemetry, "feature_metrics"),
        "fact_feature_hours": _daily(FEATURE_HOURS, telemetry, "feature_hours"),
    }


def day_queries(events: Indexed | None) -> dict[str, str]:
    """The SQL of what metrics ask of a lake's events day by day instead of reading them: rows and arrivals by day,
    delays, minutes.
    """
    minutes = "SELECT make_timestamp(minute * 60000000) AS minute, rows FROM source"
    return {
        "event_days": _merged("FROM source", EVENT_DAYS, events, "days"),
        "event_delays": _merged("FROM source", EVENT_DELAYS, events, "delays"),
        "event_minutes": _merged(minutes, EVENT_PARTS["minutes"], events, "minutes"),
    }


def _merged(query: str, cut_query: str, events: Indexed | None, name: str) -> str:
    """A table merged over days, by `cut_query` of those that the window cuts; without any day it has its columns and
    no row.
    """
    if events is None or not events.days:
        more = "NULL::UINTEGER AS user_number, NULL::BIGINT AS session_hash, NULL::TIMESTAMP AS stretch_started_at"
        typed = f"(SELECT *, {more} FROM ({none_of(TABLES['events'])}))"
        return over(query, f"({over(cut_query, typed)})")
    cut = [events.rows_within([day]) for day in events.cut]
    return merged(query, cut_query, paths=events.paths(name), cut_rows=cut)


def _daily(query: str, telemetry: Indexed | None, name: str) -> str:
    """A table whose rows of a day stand in its part; of days that the window cuts they are made from their rows."""
    if telemetry is None or not telemetry.days:
        return over(query, f"({none_of(TABLES['telemetry'])})")
    paths = telemetry.paths(name)
    whole = [f"SELECT * FROM read_parquet({file_list(paths)})"] if paths else []
    return " UNION ALL BY NAME ".join([*whole, *(over(query, telemetry.rows_within([day])) for day in telemetry.cut)])


def _seen(con: LakeBackend, table: Table, version: int | None, found: Indexed | None, refused: int) -> TableVersion:
    if table.name in TIMED_TABLES:
        window = found.window if found else None
        lost = found.files.incomplete if found and found.files else 0
        if found is None or window is None:
            return TableVersion(version, 0, None, None, refused, incomplete=lost)
        first, last = window.observed_from, window.observed_through
        return TableVersion(version, found.rows, first, last, refused, window.outside, lost)
    at = identifier(table.time_column) if table.time_column else "NULL::TIMESTAMP"
    rows, first, last = con.raw_sql(f"SELECT count(*), min({at}), max({at}) FROM {table.name}").fetchall()[0]
    return TableVersion(version, rows, first, last, refused)


def timed_tables(
    root: Path, *, versions: Mapping[str, int], through: Mapping[str, datetime | None]
) -> dict[str, Indexed]:
    """Events and telemetry as the index has them, of those that are there: at the named versions or the newest."""
    timed = {}
    for name in TIMED_TABLES:
        if DeltaTable.is_deltatable(str(root / name)):
            version = versions[name] if name in versions else opened_table(root / name, None).version()
            timed[name] = indexed(root, name, version=version, through=through.get(name))
    return timed


def _create(con: LakeBackend, table: Table, place: Path, version: int | None) -> int | None:
    """Loads one small Delta table (refused rows, which may be many, as a view); returns its version, None when it is
    not there.
    """
    if table.name in TIMED_TABLES:
        return None  # not there: `star_queries` knows what it has then
    found = small_table(table, place, version)
    kind, order = ("VIEW", "") if table.name == "rejected" and found.files else ("TABLE", " ORDER BY ALL")
    con.raw_sql(f"CREATE {kind} {table.name} AS {found.query}{order}")
    return found.version
