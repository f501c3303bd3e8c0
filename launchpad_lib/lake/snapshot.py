"""What a run reads, pinned: one version of every table, and through which instant each table with instants was
observed.

A notebook that is given these reads the same rows as every other, whatever a stream writes meanwhile; run by hand
without them it reads the newest versions, and derives the same window from the same version.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.sql import file_list, identifier
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.observed import TIMED_TABLES, Outside, covered_window, end_of_dates, named_instants


class Snapshot(NamedTuple):
    """`versions` by table, of those that are there; `observed_through` by table with instants, in UTC, of those with
    rows.
    """

    versions: dict[str, int]
    observed_through: dict[str, datetime]

    def for_notebook(self) -> dict:
        """As parameters of a notebook."""
        through = {table: at.isoformat(timespec="microseconds") for table, at in self.observed_through.items()}
        return {"lake_versions": self.versions, "observed_through": through}


class Observed(NamedTuple):
    """The window of one table, both instants inside, and what lies outside of it."""

    observed_from: datetime
    observed_through: datetime
    outside: tuple[Outside, ...]


def take_snapshot(
    lake: str | Path,
    *,
    versions: Mapping[str, int] | None = None,
    observed_through: str | Mapping[str, str] | None = None,
) -> Snapshot:
    """The newest versions, or the named ones, and the instants through which they were observed, named or derived.

    Raises:
        ValueError: a named table or version is not there, or an instant cannot be read.
    """
    pinned = newest_versions(lake) | dict(versions or {})
    through = named_instants(observed_through)
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET TimeZone = 'UTC'")
    for table in TIMED_TABLES:
        if table in through or table not in pinned:
            continue
        uris = sorted(opened_table(Path(lake) / table, pinned[table]).file_uris())
        rows = f"read_parquet({file_list(uris)}, union_by_name = true)"
        found = observed_window(con, rows, table) if uris else None
        if found is not None:
            through[table] = found.observed_through
    con.close()
    return Snapshot(pinned, through)


def keep_observed(con: duckdb.DuckDBPyConnection, table: str, *, through: datetime | None) -> Observed | None:
    """Takes the rows beside the window out of a loaded table; the window and what lay beside it."""
    found = observed_window(con, table, table, through=through)
    if found is not None and found.outside:
        at = identifier(TABLES[table].time_column or "")
        con.execute(
            f"DELETE FROM {table} WHERE {at} < TIMESTAMP '{found.observed_from}' OR {at} > TIMESTAMP "
            f"'{found.observed_through}'"
        )
    return found


def observed_window(
    con: duckdb.DuckDBPyConnection, rows: str, table: str, *, through: datetime | None = None
) -> Observed | None:
    """The window of a table's rows (a table or a table function in SQL); None without rows.

    With `through` the window ends there, and begins where the rows up to it begin in earnest.
    """
    at = identifier(TABLES[table].time_column or "")
    if through is None:
        found = _window(con, rows, at)
        if found is None:
            return None
        through = _end(con, rows, at, found)
    begin = _window(con, f"(FROM {rows} WHERE {at} <= TIMESTAMP '{through}')", at)
    is_empty = begin is None
    begin = begin or (through, through)
    sides = con.execute(
        f"""SELECT CASE WHEN {at} < TIMESTAMP '{begin[0]}' THEN 'before' ELSE 'after' END AS side,
            count(*), min({at}), max({at})
        FROM {rows} WHERE {at} < TIMESTAMP '{begin[0]}' OR {at} > TIMESTAMP '{through}'
        GROUP BY side ORDER BY side DESC"""
    ).fetchall()
    if is_empty and not sides:
        return None
    return Observed(begin[0], through, tuple(Outside(table, *side) for side in sides))


def _window(con: duckdb.DuckDBPyConnection, rows: str, at: str) -> tuple[datetime, datetime] | None:
    """The first and the last instant of the rows within the covered window."""
    counted = con.sql(
        f"""SELECT epoch_us(date_trunc('minute', {at})) // 60000000 AS minute, count(*) AS rows,
            min({at}) AS first_at, max({at}) AS last_at
        FROM {rows} WHERE {at} IS NOT NULL GROUP BY minute ORDER BY minute"""
    ).to_arrow_table()
    minutes = counted["minute"].to_numpy()
    found = covered_window(minutes, counted["rows"].to_numpy())
    if found is None:
        return None
    first, last = np.searchsorted(minutes, found)
    return counted["first_at"][int(first)].as_py(), counted["last_at"][int(last)].as_py()


def _end(con: duckdb.DuckDBPyConnection, rows: str, at: str, window: tuple[datetime, datetime]) -> datetime:
    """The last instant, or the end of its date where the rows have dates only."""
    inside = f"{at} BETWEEN TIMESTAMP '{window[0]}' AND TIMESTAMP '{window[1]}'"
    times = con.execute(
        f"""SELECT {at} - date_trunc('day', {at}), count(DISTINCT date_trunc('day', {at})) FROM {rows}
        WHERE {inside} GROUP BY 1 LIMIT 3"""
    ).fetchall()
    return (
        end_of_dates(window[1], [time_of_day for time_of_day, _ in times], dates=sum(n for _, n in times)) or window[1]
    )


def newest_versions(path: str | Path) -> dict[str, int]:
    """The newest version of every table that is there: what `open_lake` is given so that several readers
    read the same.
    """
    places = {name: Path(path) / name for name in TABLES}
    return {
        name: opened_table(place, None).version()
        for name, place in places.items()
        if DeltaTable.is_deltatable(str(place))
    }


def opened_table(place: Path, version: int | None) -> DeltaTable:
    """The table at its newest or a named version.

    A listing made while a worker commits can miss a commit; it is then made again.
    """
    for delay in (0.02, 0.05, 0.1, 0.2, 0.4):
        try:
            return DeltaTable(str(place), version=version)
        except DeltaError as error:
            if "contiguous" in str(error):
                time.sleep(delay)
            elif version is not None:
                raise ValueError(
                    f"lake_versions.{place.name}={version}: {place} has no such version any more, or never "
                    "had; leave it out for the newest"
                ) from error
            else:
                raise
    return DeltaTable(str(place), version=version)
