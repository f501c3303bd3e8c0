"""Which files of a Delta table hold which day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from launchpad_lib.lake.delta_log import data_files


def files_by_day(table: DeltaTable, *, partition: str) -> dict[date, list[str]] | None:
    """The data files of each day of a table; None where it is not partitioned by that date, or not every file is."""
    actions = pa.table(table.get_add_actions(flatten=True))
    if actions.num_rows == 0:
        return {}
    key = f"partition.{partition}"
    if key not in actions.column_names or actions[key].null_count:
        return None
    days: dict[date, list[str]] = {}
    uris = {_tail(uri): uri for uri in data_files(table)}
    for path, day in zip(actions["path"].to_pylist(), actions[key].to_pylist(), strict=True):
        days.setdefault(day if isinstance(day, date) else date.fromisoformat(str(day)), []).append(uris[_tail(path)])
    return {day: sorted(files) for day, files in days.items()}


def all_files_by_day(table: DeltaTable) -> tuple[dict[date, list[str]], int]:
    """All files for each UTC day that has rows, and how many rows have no instant."""
    files = sorted(table.file_uris())
    con = duckdb.connect()
    try:
        con.execute("SET TimeZone = 'UTC'")
        counts = con.execute(
            "SELECT event_at::DATE, count(*) FROM read_parquet($files, union_by_name = true) GROUP BY ALL",
            {"files": files},
        ).fetchall()
    finally:
        con.close()
    rows = dict(counts)
    return {day: files for day in sorted(d for d in rows if d is not None)}, rows.get(None, 0)


def _tail(path: str) -> str:
    return "/".join(path.rsplit("/", 2)[-2:])


def hash_of_names(files: Sequence[str]) -> str:
    """A data file of a Delta table is never changed in place, so its name stands for its rows."""
    return hashlib.sha256("\n".join(sorted(_tail(f) for f in files)).encode()).hexdigest()
