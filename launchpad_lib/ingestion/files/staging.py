"""Judged rows as the Parquet files that a commit will name, written as they come, in bounded memory.

Beside each file lie, row by row, a hash of the key, the source file and the line: all that is needed to find copies
without reading the rows again.
"""

from __future__ import annotations

import fcntl
import shutil
import threading
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from launchpad_lib.contract.arrow import REFUSED_SCHEMA, arrow_schema
from launchpad_lib.contract.private import inner_folder, private_folder
from launchpad_lib.contract.tables import Table
from launchpad_lib.ingestion.files.keys import key_hashes
from launchpad_lib.lake.occupied import Share

FLUSH_BYTES = 96_000_000
ROW_GROUP_ROWS = 122_880
STAGING = "_staging"
DAY_US = 86_400_000_000
# Texts that differ from row to row are not worth a dictionary.
_DISTINCT = ("event_id", "observation_id", "properties")


class Staged(NamedTuple):
    """One file of rows, of one day where the table has days; `sides` has one element per row."""

    path: Path
    day: str | None
    sides: Path

    def side(self) -> np.ndarray:
        """Key hash, source file and line of each row."""
        return np.load(self.sides, mmap_mode="r")


SIDE = np.dtype([("key", np.uint64), ("file", np.int32), ("line", np.int64)])


class Scratch:
    """A folder within the lake for rows that are not committed yet; it goes with this object, or with the next
    ingestion where the process was killed.
    """

    def __init__(self, lake: Path) -> None:
        parent = lake / STAGING
        _sweep(parent)
        self.folder = parent / uuid.uuid4().hex
        is_new = not lake.exists()
        private_folder(lake)
        share = Share(lake)
        inner_folder(self.folder)
        self._lock = (self.folder / ".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._remove = weakref.finalize(self, _removed, self.folder, self._lock, share, lake if is_new else None)

    def remove(self) -> None:
        """Removes what is left; twice does no harm."""
        self._remove()


class Stager:
    """Takes rows from several threads."""

    def __init__(self, scratch: Scratch, table: Table) -> None:
        self._folder, self._table, self._scratch = scratch.folder, table, scratch
        self._has_days = table.name in ("events", "telemetry")
        self._guard = threading.Lock()
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._refused: list[pa.Table] = []
        self.staged: list[Staged] = []
        self.refused: list[Path] = []

    def add(self, rows: pa.Table, *, file: int) -> None:
        """Judged rows (the table's columns and `__line`) of a source file."""
        if not rows.num_rows:
            return
        rows = rows.append_column("__file", pa.array(np.full(rows.num_rows, file, np.int32)))
        with self._guard:
            self._waiting.append(rows)
            self._bytes += rows.nbytes
            if self._bytes < FLUSH_BYTES:
                return
            due, self._waiting, self._bytes = self._waiting, [], 0
        self._write(due)

    def add_refused(self, rows: pa.Table, *, file: int) -> None:
        """Refused rows as they are kept."""
        if not rows.num_rows:
            return
        rows = rows.append_column("__file", pa.array(np.full(rows.num_rows, file, np.int32)))
        with self._guard:
            self._refused.append(rows)
            if sum(r.nbytes for r in self._refused) < FLUSH_BYTES // 4:
                return
            self._write_refused()

    def finish(self) -> None:
        """Writes what waits."""
        with self._guard:
            due, self._waiting, self._bytes = self._waiting, [], 0
            if self._refused:
                self._write_refused()
        if due:
            self._write(due)

    def _write_refused(self) -> None:
        path = self._folder / f"refused-{len(self.refused):06d}.parquet"
        schema = REFUSED_SCHEMA.append(pa.field("__file", pa.int32()))
        pq.write_table(pa.concat_tables(self._refused).cast(schema), path)
        self.refused.append(path)
        self._refused = []

    def _write(self, parts: list[pa.Table]) -> None:
        """Rows of a day go into one file, in the order they came: what comes in order of days is not copied for it."""
        schema = arrow_schema(self._table)
        days: dict[str | None, list[tuple[pa.Table, np.ndarray]]] = {}
        for part in parts:
            for day, rows in self._by_day(part):
                side = np.empty(rows.num_rows, SIDE)
                side["key"] = key_hashes(rows, self._table)
                side["file"], side["line"] = rows["__file"].to_numpy(), rows["__line"].to_numpy()
                days.setdefault(day, []).append((rows.drop_columns(["__file", "__line"]).cast(schema), side))
        for day in sorted(days, key=str):
            tables, sides = zip(*days[day], strict=True)
            self._write_file(pa.concat_tables(tables), np.concatenate(sides), day)

    def _by_day(self, rows: pa.Table) -> Iterator[tuple[str | None, pa.Table]]:
        if self._table.name == "events":
            at = rows.column_names.index("received_at")
            rows = rows.set_column(at, "received_at", pc.coalesce(rows["received_at"], rows["event_at"]))
        if not self._has_days:
            yield None, rows
            return
        days = rows[self._table.time_column].cast(pa.int64()).to_numpy() // DAY_US
        if not bool((days[1:] >= days[:-1]).all()):
            order = np.argsort(days, kind="stable")
            rows, days = rows.take(pa.array(order)), days[order]
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for begin, end in zip(edges[:-1], edges[1:], strict=True):
            yield str(np.datetime64(int(days[begin]), "D")), rows.slice(begin, end - begin)

    def _write_file(self, rows: pa.Table, side: np.ndarray, day: str | None) -> None:
        name = f"part-{uuid.uuid4().hex}.snappy.parquet"
        write_rows(rows, self._folder / name)
        np.save(self._folder / f"{name}.npy", side)
        staged = Staged(self._folder / name, day, self._folder / f"{name}.npy")
        with self._guard:
            self.staged.append(staged)


def write_rows(rows: pa.Table, path: Path) -> None:
    """One data file of a table."""
    dictionaries = [
        n for n in rows.column_names if n not in _DISTINCT and pa.types.is_string(rows.schema.field(n).type)
    ]
    pq.write_table(rows, path, compression="snappy", use_dictionary=dictionaries, row_group_size=ROW_GROUP_ROWS)


def _sweep(parent: Path) -> None:
    """Removes what killed ingestions left: nobody holds its lock any more."""
    for folder in parent.glob("*") if parent.is_dir() else ():
        try:
            with (folder / ".lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody is at work there


def _removed(folder: Path, lock: IO[str], share: Share, made: Path | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()
    share.close()
    for empty in (folder.parent, made):
        try:
            if empty is not None:
                empty.rmdir()
        except OSError:
            continue  # it is not empty
