"""Rows taken out of a table so that no byte of them stays: of its files, of its log, of any version.

A table that has such rows, in whatever file, is rewritten where they are in one commit, gets a checkpoint, and loses
the log before it and every data file that it does not name. Versions before are gone: they had the rows. Each step may
be the last one before a kill: the same erasure again finds what is left and ends it.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from launchpad_lib.contract.arrow import arrow_schema
from launchpad_lib.contract.sql import file_list, literal
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Removal, open_table
from launchpad_lib.lake.log_damage import LOG, log_files
from launchpad_lib.lake.sealed import keep_log_private, refuse_changed, seal_file

_BOUNDED = ("event_at", "received_at")


class Doomed(Protocol):
    """Which rows of a table go."""

    def condition(self, con: duckdb.DuckDBPyConnection, file: Path, columns: Sequence[str]) -> str | None:
        """The SQL condition on the rows of one file, with `file_row_number`; None where none of them can go."""

    def is_in_log(self, bounds: Mapping[str, object]) -> bool:
        """Whether bounds of columns that a commit states (column to value) tell of such a row."""


class Found(NamedTuple):
    """The rows of a table that go: by file, of the newest version (`current`), and of files that only older versions,
    or none, name (`older`). `is_in_log`: an older commit states a value of theirs.
    """

    table: str
    current: dict[Path, int]
    older: dict[Path, int]
    is_in_log: bool

    @property
    def rows(self) -> int:
        """Rows of the newest version."""
        return sum(self.current.values())

    @property
    def is_any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.current or self.older or self.is_in_log)


def find(lake: Path, table: str, doomed: Doomed) -> Found | None:
    """Looks into every Parquet file of a table's folder; None where the lake has no such table.

    A file that nobody names and that cannot be read counts as one that has such a row.

    Raises:
        ValueError: a file of the newest version is not as it was written.
    """
    place = lake / table
    if not DeltaTable.is_deltatable(str(place)):
        return None
    named = _named(place)
    refuse_changed(sorted(named))
    current: dict[Path, int] = {}
    older: dict[Path, int] = {}
    with _connected(place) as con:
        for path in _data_files(place):
            try:
                rows = _rows_that_go(con, path, doomed)
            except (duckdb.Error, OSError, pa.ArrowException):
                if path in named:
                    raise
                rows = 1
            if rows:
                (current if path in named else older)[path] = rows
    return Found(table, current, older, _is_in_log(place, doomed))


def erase(lake: Path, found: Found, doomed: Doomed) -> None:
    """Takes the rows out, and with them the table's past.

    Raises:
        Fenced: somebody else commits to the table, who takes no share of the lake.
        ValueError: the table uses a feature of the Delta protocol that is not known.
        OSError, duckdb.Error: the disk is full or cannot be written.
    """
    place, table = lake / found.table, TABLES[found.table]
    log = DeltaLog(place, schema=arrow_schema(table), partition_by=[])
    if found.current:
        _rewrite(log, found.current, doomed)
    open_table(place).create_checkpoint()
    keep_log_private(place)
    _forget_past(place)


def _rewrite(log: DeltaLog, files: Mapping[Path, int], doomed: Doomed) -> None:
    actions = {log.place / unquote(a["path"]): a for a in pa.table(log.snapshot.get_add_actions()).to_pylist()}
    removals, additions, gone = [], [], 0
    try:
        with _connected(log.place) as con:
            for path, rows in files.items():
                action = actions[path]
                values = {k: None if v is None else str(v) for k, v in (action.get("partition") or {}).items()}
                removals.append(Removal(action["path"], action["size_bytes"], values))
                kept = _without(con, log, path, doomed, values)
                additions += [kept] if kept is not None else []
                gone += rows
        log.commit(
            additions=additions,
            removals=removals,
            transactions={},
            operation="DELETE",
            metrics={"rows": gone},
            at_version=log.version,
        )
    except BaseException:
        for addition in additions:
            (log.place / addition.path).unlink(missing_ok=True)
        raise


def _without(
    con: duckdb.DuckDBPyConnection, log: DeltaLog, path: Path, doomed: Doomed, values: dict[str, str | None]
) -> Addition | None:
    """The file again without the rows, in their order; None where none stays."""
    target = path.with_name(f"{int(time.time() * 1000):013d}-{uuid.uuid4().hex}.parquet")
    condition = doomed.condition(con, path, _columns(path)) or "false"
    rows = f"read_parquet({file_list([path])}, file_row_number = true, hive_partitioning = false)"
    try:
        kept = con.execute(
            f"COPY (SELECT * EXCLUDE (file_row_number) FROM {rows} WHERE ({condition}) IS NOT TRUE) TO "
            f"{literal(target)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, PARQUET_VERSION v2)"
        ).fetchall()[0][0]
        if not kept:
            target.unlink()
            return None
        descriptor = os.open(target, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
        sealed = seal_file(target, lake=log.place.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    there = [n for n in _BOUNDED if n in _columns(sealed)]
    bounds = ", ".join(f"strftime({side}({n}), '%Y-%m-%dT%H:%M:%S.%f')" for side in ("min", "max") for n in there)
    told = con.execute(f"SELECT {bounds} FROM read_parquet({file_list([sealed])})").fetchall()[0] if there else ()
    minimum, maximum = dict(zip(there, told[: len(there)])), dict(zip(there, told[len(there) :]))  # noqa: B905
    return Addition(sealed.relative_to(log.place).as_posix(), sealed.stat().st_size, kept, values, minimum, maximum)


def _forget_past(place: Path) -> None:
    """Removes the log before the newest checkpoint, oldest first, and then every data file that it does not name."""
    table = open_table(place)
    head = table.version()
    for path in sorted((place / LOG).iterdir()):
        is_before = path.name[:20].isdigit() and int(path.name[:20]) < head
        if is_before or path.name.startswith(("_commit_", ".retired")):
            path.unlink(missing_ok=True)
    named = _named(place)
    for path in _data_files(place):
        if path not in named:
            path.unlink(missing_ok=True)
    for left in sorted((place / "_spill").glob("*")) if (place / "_spill").is_dir() else ():
        left.unlink(missing_ok=True)


def _rows_that_go(con: duckdb.DuckDBPyConnection, path: Path, doomed: Doomed) -> int:
    condition = doomed.condition(con, path, _columns(path))
    if condition is None:
        return 0
    rows = f"read_parquet({file_list([path])}, file_row_number = true, hive_partitioning = false)"
    return int(con.execute(f"SELECT count(*) FROM {rows} WHERE {condition}").fetchall()[0][0])


def _is_in_log(place: Path, doomed: Doomed) -> bool:
    """Whether an older commit or checkpoint states a value in its bounds; what Launchpad writes states times only."""
    files = log_files(place)
    stated: list[str] = []
    for path in files.commits.values():
        actions = [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
        stated += [str(a["add"].get("stats") or "") for a in actions if "add" in a]
    for path in (path for paths in files.checkpoints.values() for path in paths):
        rows = pq.read_table(path, columns=["add.stats"])
        adds = rows["add"].to_pylist() if "add" in rows.column_names else []  # of a table without files
        stated += [str(a["stats"]) for a in adds if a and a.get("stats")]
    for text in stated:
        try:
            bounds = json.loads(text)
        except ValueError:
            continue
        for side in ("minValues", "maxValues"):
            if doomed.is_in_log(bounds.get(side) or {}):
                return True
    return False


def _named(place: Path) -> set[Path]:
    actions = pa.table(open_table(place).get_add_actions())
    return {place / unquote(p) for p in actions["path"].to_pylist()}


def _data_files(place: Path) -> list[Path]:
    return [p for p in sorted(place.rglob("*.parquet")) if LOG not in p.relative_to(place).parts]


def _columns(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _connected(place: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1, "memory_limit": "1GB", "temp_directory": str(place / "_spill")})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    return con
