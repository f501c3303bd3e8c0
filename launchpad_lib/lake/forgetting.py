"""A person, or what is older than a day, taken out of a lake: rows, refused rows, index, saved states, rows put aside.

The index goes first and whole: its dictionary numbers users, its blocks and states have rows of everybody. It is made
again by whoever comes next. So whatever a kill leaves, the same erasure finds something to do as long as there is
anything left.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.people import mentions_person, names_person
from launchpad_lib.contract.sql import file_list, identifier, literal
from launchpad_lib.contract.tables import REJECTED, TABLES
from launchpad_lib.lake.delta_log import data_files, open_table
from launchpad_lib.lake.erasure import Doomed, erase, find
from launchpad_lib.lake.index import INDEX
from launchpad_lib.lake.manifests import VERSIONS
from launchpad_lib.lake.occupied import alone
from launchpad_lib.lake.seen_files import NOTES

STAGING = "_staging"
PEOPLE = tuple(t.name for t in TABLES.values() if any(c.name == "user_id" for c in t.columns))


class RowsOfPerson(NamedTuple):
    """Rows whose `user_id` is one of the ids."""

    ids: frozenset[str]

    def condition(self, con: duckdb.DuckDBPyConnection, file: Path, columns: Sequence[str]) -> str | None:
        """As text, whatever type the file has."""
        listed = ", ".join(literal(one) for one in sorted(self.ids))
        return f"user_id::VARCHAR IN ({listed})" if "user_id" in columns else None

    def is_in_log(self, bounds: Mapping[str, object]) -> bool:
        """Bounds of long texts are cut."""
        stated = bounds.get("user_id")
        text = "" if stated is None else str(stated)
        return text in self.ids or (len(text) >= 32 and any(one.startswith(text[:32]) for one in self.ids))


class RefusedRowsOfPerson(NamedTuple):
    """Refused rows that name one of the ids, in whatever field: which one is the user's nobody could tell."""

    ids: frozenset[str]

    def condition(self, con: duckdb.DuckDBPyConnection, file: Path, columns: Sequence[str]) -> str | None:
        """The numbers of the rows."""
        names = [n for n in ("raw", "reason", "source") if n in columns]
        numbers, first = [], 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=10_000, columns=names):
            for at, row in enumerate(batch.to_pylist(), first):
                raw, reason, source = (row.get(n) or "" for n in ("raw", "reason", "source"))
                if names_person(raw, self.ids) or mentions_person(f"{reason} {source}", self.ids):
                    numbers.append(at)
            first += batch.num_rows
        return f"file_row_number IN ({', '.join(map(str, numbers))})" if numbers else None

    def is_in_log(self, bounds: Mapping[str, object]) -> bool:
        """As they stand."""
        return any(str(value) in self.ids for value in bounds.values())


class RowsBefore(NamedTuple):
    """Rows of a time before an instant (UTC)."""

    column: str
    before: datetime

    def condition(self, con: duckdb.DuckDBPyConnection, file: Path, columns: Sequence[str]) -> str | None:
        """A row without a time stays."""
        return f"{identifier(self.column)} < TIMESTAMP '{self.before}'" if self.column in columns else None

    def is_in_log(self, bounds: Mapping[str, object]) -> bool:
        """Times tell nothing of anybody."""
        return False


def rows_of_person(ids: frozenset[str]) -> dict[str, Doomed]:
    """What goes of each table."""
    return {**{name: RowsOfPerson(ids) for name in PEOPLE}, REJECTED.name: RefusedRowsOfPerson(ids)}


class Erasing:
    """One erasure of a lake, which nobody else works in meanwhile.

    Raises:
        ValueError: somebody writes there or reads its index, a file is damaged, or there is no such lake.
    """

    def __init__(self, lake: Path, doomed: Mapping[str, Doomed], *, ids: frozenset[str] = frozenset()) -> None:
        if not any((lake / name / "_delta_log").is_dir() for name in TABLES):
            raise ValueError(f"lake={str(lake)!r}: has no table; name the folder that launchpad ingest wrote")
        self._lake, self._doomed, self._ids = lake, dict(doomed), ids
        self._held = ExitStack()
        self._held.enter_context(alone(lake))
        try:
            _refuse_readers(lake)
            self.found = [f for name, rows in doomed.items() if (f := find(lake, name, rows)) is not None]
            self.is_indexed = any(f.is_any for f in self.found) or any(map(self._is_person_indexed, _indexes(lake)))
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Erasing:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def run(self) -> None:
        """Takes everything out.

        Raises:
            OSError, duckdb.Error: the disk is full or cannot be written; the same again ends it.
        """
        shutil.rmtree(self._lake / STAGING, ignore_errors=True)  # rows of ingestions that were killed: nobody writes
        if self.is_indexed:
            for index in _indexes(self._lake):
                _empty(index)
        for found in self.found:
            if found.is_any:
                erase(self._lake, found, self._doomed[found.table])

    def versions_with_rows(self, table: str, versions: Sequence[int]) -> dict[int, bool | None]:
        """Of each version whether it has rows that go; None where the version cannot be opened any more."""
        files = {str(p) for f in self.found if f.table == table for p in (*f.current, *f.older)}
        told: dict[int, bool | None] = {}
        for version in versions:
            try:
                named = data_files(open_table(self._lake / table, version=version))
            except (DeltaError, OSError):
                told[version] = None
                continue
            there = {os.path.join(os.path.realpath(os.path.dirname(n)), os.path.basename(n)) for n in named}
            told[version] = bool({os.path.realpath(f) for f in files} & there)
        return told

    def _is_person_indexed(self, index: Path) -> bool:
        parts = sorted((index / "events" / "users").glob("*.parquet")) if self._ids else []
        if not parts:
            return False
        with duckdb.connect(config={"threads": 1}) as con:
            try:
                condition = RowsOfPerson(self._ids).condition(con, parts[0], ["user_id"])
                rows = f"SELECT count(*) FROM read_parquet({file_list(parts)}) WHERE {condition}"
                return bool(con.execute(rows).fetchall()[0][0])
            except duckdb.Error:
                return True  # damaged: it is made again anyway


def _empty(index: Path) -> None:
    """Removes all but the notes of intact files; the dictionary of users last: by it a killed erasure is told."""
    users = index / "events" / "users"
    entries = [e for e in index.iterdir() if e.name not in (NOTES, "events")]
    for entry in [*entries, *(e for e in users.parent.glob("*") if e != users), users, users.parent]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def _indexes(lake: Path) -> Iterator[Path]:
    """Where an index of the lake lies: beside it, and in the temporary folder from when it could not be written."""
    own = Path(tempfile.gettempdir()) / f"launchpad-index-{os.getuid()}"
    for folder in (lake / INDEX, own / hashlib.sha256(str(lake.resolve()).encode()).hexdigest()[:24]):
        if folder.is_dir() and not folder.is_symlink():
            yield folder


def _refuse_readers(lake: Path) -> None:
    """A report, notebook or app holds the manifests of what it reads."""
    for index in _indexes(lake):
        for manifest in sorted(index.glob(f"*/{VERSIONS}/*.json")):
            with manifest.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ValueError(
                        f"lake={str(lake)!r}: a report, a notebook or an app is reading it; end that (in JupyterLab: "
                        "shut the kernel down), and start this again"
                    ) from None
                except OSError:
                    return
