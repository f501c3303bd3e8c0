"""The lake for SQL tools: `LAKE/warehouse.duckdb`, a small DuckDB file of views on the files of one version.

It lies in the lake's own folder and not in `_index`: people point their tools at it, and `_index` may be deleted at any
time. It holds no row, is written beside and renamed, and can be made again at any time. What its views name is kept
until the next refresh: the index does not forget it, and a compaction does not delete it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import duckdb

from launchpad_lib.contract.private import keep_private
from launchpad_lib.contract.sql import identifier, literal
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.index import INDEX, Indexed
from launchpad_lib.lake.manifests import described, is_intact, only_builder, read_body, write_body
from launchpad_lib.lake.observed import TIMED_TABLES, named_instants
from launchpad_lib.lake.opening import star_queries, timed_tables
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.refused_damage import refuse_damage
from launchpad_lib.lake.small_tables import small_table

WAREHOUSE = "warehouse.duckdb"
NOTE = "named.json"
STORAGE = "v1.0.0"  # the oldest form that DuckDB still writes: clients of any version since open it

Through = str | Mapping[str, str] | None


class WarehouseViews(NamedTuple):
    """The views by name as SQL, the files they read, and the version of every table that is there. As long as `held`
    are open nobody forgets the index's files.
    """

    queries: dict[str, str]
    files: tuple[str, ...]
    versions: dict[str, int]
    timed: dict[str, Indexed]

    @property
    def held(self) -> list[IO[str]]:
        """The index's manifests, held."""
        return [file for one in self.timed.values() for file in one.held]


def warehouse_views(
    lake: str | Path, *, versions: Mapping[str, int] | None = None, observed_through: Through = None
) -> WarehouseViews:
    """The tables of `open_lake` as views, of the newest or the named versions; the index is brought up to date.

    `fact_feature_metrics` has `event_date` (its `observed_on`) and `latency_ms` (its `p50_latency_ms`) too, and
    `lake_tables` says what is read: one row per table.

    Raises:
        ValueError: the lake's folder does not exist, or a named table or version, an instant cannot be read, or a file
            that is to be read is not as it was written.
    """
    root = lake_place(lake).resolve()
    if not root.is_dir():
        raise ValueError(
            f"lake={str(lake)!r}: there is no such folder; run `launchpad ingest` with a params file first, or "
            "correct the path"
        )
    wanted = dict(versions or {})
    unknown = sorted(set(wanted) - set(TABLES))
    if unknown:
        raise ValueError(f"lake_versions.{unknown[0]}: no such table; there are {', '.join(TABLES)}")
    refuse_damage(root, versions=wanted)
    timed = timed_tables(root, versions=wanted, through=named_instants(observed_through))
    small = {n: small_table(t, root / n, wanted.get(n)) for n, t in TABLES.items() if n not in TIMED_TABLES}
    queries = star_queries(timed)
    queries["fact_feature_metrics"] = (
        f"SELECT *, observed_on AS event_date, p50_latency_ms AS latency_ms FROM ({queries['fact_feature_metrics']})"
    )
    queries |= {"dim_feature_metadata" if n == "features" else n: one.query for n, one in small.items()}
    found = {n: one.version for n, one in timed.items()}
    found |= {n: one.version for n, one in small.items() if one.version is not None}
    queries["lake_tables"] = _lake_tables(found, timed)
    files = [f for one in timed.values() for f in one.all_files()] + [f for one in small.values() for f in one.files]
    return WarehouseViews(queries, tuple(files), found, timed)


def _lake_tables(versions: Mapping[str, int], timed: Mapping[str, Indexed]) -> str:
    rows = []
    for name, version in versions.items():
        window = timed[name].window if name in timed else None
        began, ended = (
            (f"TIMESTAMP '{window.observed_from}'", f"TIMESTAMP '{window.observed_through}'")
            if window
            else ("NULL::TIMESTAMP", "NULL::TIMESTAMP")
        )
        outside = sum(o.rows for o in window.outside) if window else 0
        rows.append(
            f"SELECT {literal(name)} AS table_name, {version}::BIGINT AS version, {began} AS observed_from, "
            f"{ended} AS observed_through, {outside}::BIGINT AS rows_outside"
        )
    return " UNION ALL ".join(rows) or (
        "SELECT NULL::VARCHAR AS table_name, NULL::BIGINT AS version, NULL::TIMESTAMP AS observed_from, "
        "NULL::TIMESTAMP AS observed_through, NULL::BIGINT AS rows_outside WHERE false"
    )


def create_views(con: duckdb.DuckDBPyConnection, queries: Mapping[str, str], *, database: str | None = None) -> None:
    """Creates the views in a database of the connection, by default in its own."""
    place = f"{identifier(database)}." if database else ""
    for name, query in queries.items():
        con.execute(f"CREATE VIEW {place}{identifier(name)} AS {query}")


def refresh_warehouse(
    lake: str | Path,
    *,
    say: Callable[[str], None],
    versions: Mapping[str, int] | None = None,
    observed_through: Through = None,
) -> None:
    """Brings `LAKE/warehouse.duckdb` up to the newest or the named versions; what hinders it is one sentence."""
    try:
        write_warehouse(
            lake, warehouse_views(lake, versions=versions, observed_through=observed_through), through=observed_through
        )
    except Exception as error:  # noqa: BLE001  no run fails for the file of views
        reason = " ".join(str(error).split()) or type(error).__name__
        say(
            f"warehouse={str(Path(lake) / WAREHOUSE)!r}: could not be refreshed and names what it named before "
            f"({reason}); nothing else is touched by it"
        )


def write_warehouse(lake: str | Path, views: WarehouseViews, *, through: Through) -> bool:
    """Writes the views as `LAKE/warehouse.duckdb`, unless just these are there; whether it wrote.

    `through` is what somebody named as the end of the window; those who name none keep it (`named_through`).

    Raises:
        OSError, duckdb.Error: the lake cannot be written.
    """
    root = Path(lake).resolve()
    note = root / INDEX / "warehouse" / NOTE
    told: dict[str, Any] = {
        "views": views.queries,
        "versions": views.versions,
        "observed_through": through if through is None or isinstance(through, str) else dict(through),
    }
    with only_builder(note.parent):
        before = read_body(note) or {}
        if {**before, "file": None} == {**told, "file": None} and is_intact(root, before["file"]):
            return False
        _pin(views, also=before.get("versions", {}))
        _write(root, views.queries)
        write_body(note, {**told, "file": described(root / WAREHOUSE)})
        _pin(views, also={})
        return True


def _pin(views: WarehouseViews, *, also: Mapping[str, int]) -> None:
    for name, one in views.timed.items():
        for manifests in one.manifests():
            manifests.pin([one.version, *([also[name]] if name in also else [])])


def _write(root: Path, queries: Mapping[str, str]) -> None:
    for left in root.glob(f".{WAREHOUSE}.*.new"):  # of one that was killed: there is one builder at a time
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{WAREHOUSE}.", suffix=".new", dir=root))
    try:
        draft = folder / WAREHOUSE
        con = duckdb.connect(config={"threads": 1})
        try:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(f"ATTACH {literal(draft)} AS warehouse (STORAGE_VERSION '{STORAGE}')")
            create_views(con, queries, database="warehouse")
        finally:
            con.close()
        keep_private(draft, like=root)
        # What a client wrote into the old file belongs to no new one.
        (root / f"{WAREHOUSE}.wal").unlink(missing_ok=True)
        os.replace(draft, root / WAREHOUSE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def named_through(lake: str | Path) -> Through:
    """The end of the window that the last one who named it named, as the views have it; None where nobody did."""
    return (read_body(Path(lake) / INDEX / "warehouse" / NOTE) or {}).get("observed_through")


def version_of_views(lake: str | Path, table: str) -> list[int]:
    """The version of a table that the views name, if any: its files must stay."""
    version = (read_body(Path(lake) / INDEX / "warehouse" / NOTE) or {}).get("versions", {}).get(table)
    return [] if version is None else [version]
