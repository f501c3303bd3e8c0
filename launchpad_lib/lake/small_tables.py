"""Small Delta tables of a lake, read as they lie, and tables that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from deltalake import DeltaTable

from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier
from launchpad_lib.contract.tables import Table
from launchpad_lib.lake.delta_log import data_files
from launchpad_lib.lake.snapshot import opened_table


class SmallTable(NamedTuple):
    """A Delta table that is read as it lies: the SQL of its rows under its declared columns, and the files in it. One
    that is not there has no version, no file and no row.
    """

    query: str
    version: int | None
    files: tuple[str, ...]


def small_table(table: Table, place: Path, version: int | None) -> SmallTable:
    """A table at a named version, or the newest."""
    if not DeltaTable.is_deltatable(str(place)):
        return SmallTable(none_of(table), None, ())
    delta = opened_table(place, version)
    uris = sorted(data_files(delta))
    # A table that was written before a column was declared lacks it: it is NULL in all of its rows.
    there = {f.name for f in delta.schema().fields}
    columns = ", ".join(
        f"{identifier(c.name)}::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        if c.name in there
        else f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        for c in table.columns
    )
    rows = f"SELECT {columns} FROM read_parquet({file_list(uris)}, union_by_name = true, hive_partitioning = false)"
    return SmallTable(rows if uris else none_of(table), delta.version(), tuple(uris))


def none_of(table: Table) -> str:
    columns = ", ".join(f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}" for c in table.columns)
    return f"SELECT {columns} WHERE false"
