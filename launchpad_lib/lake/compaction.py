"""Small files into large ones, rows of a user side by side within a date, one row per event_id, and nothing kept that
nobody needs.

Readers and the stream worker go on meanwhile: a compaction is one commit that swaps files for files with the same rows.
A version that a kept report's manifest names stays readable, its files and its log alike.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from launchpad_lib.contract.arrow import EVENTS_SCHEMA
from launchpad_lib.contract.private import inner_folder
from launchpad_lib.contract.sql import literal
from launchpad_lib.contract.tables import EVENTS, TABLES
from launchpad_lib.lake.checkpoints import checkpoint
from launchpad_lib.lake.clean_up import clean_up, note_retired
from launchpad_lib.lake.copies import Copies, content_sql, counted
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Fenced, Removal
from launchpad_lib.lake.dropped_copies import SOURCE, told_copies
from launchpad_lib.lake.kept_reports import kept_versions, reports_to_keep
from launchpad_lib.lake.occupied import shared
from launchpad_lib.lake.refused_damage import refuse_damage
from launchpad_lib.lake.sealed import refuse_changed, seal_file
from launchpad_lib.lake.warehouse import named_through, refresh_warehouse, version_of_views

SMALL_BYTES = 16 << 20
_ORDER = "user_id, event_at, received_at, event_id"
_COLUMNS = ", ".join(f'"{c.name}"' for c in EVENTS.columns)
# Of the copies of an event the one received first is kept; whether another says something else is told.
_RANKED = f"""SELECT {_COLUMNS}, filename, file_row_number, row_number() OVER copies AS copy,
    {content_sql(EVENTS)} <> first_value({content_sql(EVENTS)}) OVER copies AS is_other
    FROM read_parquet($files, filename = true, file_row_number = true, union_by_name = true, hive_partitioning = false)
    WHERE event_id IN (
        SELECT event_id FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
        GROUP BY event_id HAVING count(*) > 1)
    WINDOW copies AS (PARTITION BY event_id ORDER BY received_at, event_at, filename, file_row_number)"""


class CompactionResult(NamedTuple):
    """`files_before`, `files_after` of the events table; `duplicates` rows dropped; what the clean-up deleted."""

    files_before: int
    files_after: int
    duplicates: int
    deleted_files: int
    deleted_log_files: int


class _File(NamedTuple):
    path: str
    size: int
    rows: int
    event_on: str | None


def compact(
    lake: Path,
    *,
    say: Callable[[str], None],
    reports: Path | None = None,
    grace_seconds: float = 3600,
    memory_limit: str = "1GB",
) -> CompactionResult:
    """The whole of it: duplicates, files, clean-up of every table.

    `reports` is kept beside those that the lake knows of.

    Raises:
        ValueError: the lake has no events yet, a file of it is damaged, or an erasure is at work; nothing is changed
            then.
    """
    refuse_damage(lake)
    if not DeltaTable.is_deltatable(str(lake / "events")):
        raise ValueError(
            f"lake={str(lake)!r}: there is no events table; run `launchpad ingest` or `launchpad stream` "
            "first, or correct the path"
        )
    with shared(lake):
        done = _compacted(lake, say=say, reports=reports, grace_seconds=grace_seconds, memory_limit=memory_limit)
    refresh_warehouse(lake, say=say, observed_through=named_through(lake))
    return done


def _compacted(
    lake: Path, *, say: Callable[[str], None], reports: Path | None, grace_seconds: float, memory_limit: str
) -> CompactionResult:
    log = DeltaLog(lake / "events", schema=EVENTS_SCHEMA, partition_by=["event_on"])
    before = _files(log)
    duplicates = _drop_duplicates(log, memory_limit=memory_limit)
    log.reopen()
    merged, dropped = _merge(log, small_bytes=None, min_files=2, memory_limit=memory_limit, say=say)
    log.reopen()
    after = len(_files(log))
    say(
        f"events: {len(before)} files became {after}, {merged} dates rewritten, {duplicates + dropped} "
        "duplicates dropped"
    )
    deleted = deleted_log = 0
    folders = reports_to_keep(lake, reports)
    say(f"kept are the versions that reports name under {', '.join(map(str, folders)) or 'no folder: none is known'}")
    for table in TABLES:
        if DeltaTable.is_deltatable(str(lake / table)):
            versions = [*kept_versions(folders, table), *version_of_views(lake, table)]
            deleted_log += checkpoint(lake / table, keep_versions=versions, grace_seconds=grace_seconds)
            deleted += clean_up(lake / table, keep_versions=versions, grace_seconds=grace_seconds)
    say(f"clean-up: {deleted} files and {deleted_log} log entries that no version in use names")
    return CompactionResult(len(before), after, duplicates + dropped, deleted, deleted_log)


def merge_small(lake: Path, *, small_bytes: int = SMALL_BYTES, min_files: int = 16) -> int:
    """Merges the small files of every date that has at least `min_files` of them; how many dates.

    For use while events come in.
    """
    log = DeltaLog(lake / "events", schema=EVENTS_SCHEMA, partition_by=["event_on"])
    return _merge(log, small_bytes=small_bytes, min_files=min_files, memory_limit="512MB", say=lambda _: None)[0]


def _files(log: DeltaLog) -> list[_File]:
    actions = pa.table(log.snapshot.get_add_actions(flatten=True))
    dates = (
        actions["partition.event_on"].to_pylist()
        if "partition.event_on" in actions.column_names
        else [None] * actions.num_rows
    )
    columns = (
        actions["path"].to_pylist(),
        actions["size_bytes"].to_pylist(),
        actions["num_records"].to_pylist(),
        dates,
    )
    return [_File(p, s, n or 0, None if d is None else str(d)) for p, s, n, d in zip(*columns, strict=True)]


def _connect(memory_limit: str, place: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": memory_limit,
            "temp_directory": str(place / "_spill"),
            "preserve_insertion_order": False,
        }
    )


def _drop_duplicates(log: DeltaLog, *, memory_limit: str) -> int:
    """Rewrites the files that hold a copy of an event which another file has with an earlier received_at;
    rows dropped.
    """
    files = _files(log)
    if not files:
        return 0
    con = _connect(memory_limit, log.place)
    names = {str(log.place / unquote(f.path)): f for f in files}
    try:
        con.execute(f"CREATE TEMP TABLE losers AS FROM ({_RANKED}) WHERE copy > 1", {"files": list(names)})
        total = 0
        for (name,) in con.execute("SELECT DISTINCT filename FROM losers ORDER BY 1").fetchall():
            file = names[name]
            rows = f"""SELECT {_COLUMNS} FROM read_parquet($files, file_row_number = true, union_by_name = true,
                hive_partitioning = false)
                WHERE file_row_number NOT IN (SELECT file_row_number FROM losers WHERE filename = $files[1])"""
            dropped = f"SELECT {_COLUMNS}, is_other FROM losers WHERE filename = $files[1]"
            total += _swap(log, con, rows, dropped, [file])
        return total
    finally:
        con.close()


def _merge(
    log: DeltaLog, *, small_bytes: int | None, min_files: int, memory_limit: str, say: Callable[[str], None]
) -> tuple[int, int]:
    by_date: dict[str | None, list[_File]] = {}
    for file in _files(log):
        if small_bytes is None or file.size < small_bytes:
            by_date.setdefault(file.event_on, []).append(file)
    con = _connect(memory_limit, log.place)
    dates = dropped = 0
    try:
        for event_on, files in sorted(by_date.items(), key=lambda x: str(x[0])):
            if len(files) < min_files:
                continue
            rows = f"""SELECT {_COLUMNS} FROM read_parquet($files, filename = true, file_row_number = true,
                union_by_name = true, hive_partitioning = false) QUALIFY row_number() OVER (
                PARTITION BY event_id ORDER BY received_at, event_at, filename, file_row_number) = 1"""
            copies = f"SELECT {_COLUMNS}, is_other FROM ({_RANKED}) WHERE copy > 1"
            try:
                dropped += _swap(log, con, rows, copies, files)
                dates += 1
            except Fenced as error:
                say(f"{event_on}: left as it is, {error}")
                log.reopen()
    finally:
        con.close()
    return dates, dropped


def _swap(log: DeltaLog, con: duckdb.DuckDBPyConnection, rows: str, dropped: str, files: list[_File]) -> int:
    """Writes `rows` (of `files`) in order of user as one file in their place, and counts the `dropped` ones; how many
    rows fewer it has.
    """
    partition_values: dict[str, str | None] = {} if files[0].event_on is None else {"event_on": files[0].event_on}
    folder = "/".join(f"{k}={v}" for k, v in partition_values.items())
    target = log.place / folder / f"{int(time.time() * 1000):013d}-{uuid.uuid4().hex}.parquet"
    inner_folder(target.parent)
    sources: dict[str, object] = {"files": [str(log.place / unquote(f.path)) for f in files]}
    refuse_changed(log.place / unquote(f.path) for f in files)
    try:
        query = (
            f"COPY ({rows} ORDER BY {_ORDER}) TO {literal(target)} (FORMAT parquet, COMPRESSION zstd, "
            "ROW_GROUP_SIZE 122880, PARQUET_VERSION v2)"
        )
        kept = con.execute(query, sources).fetchall()[0][0]
        descriptor = os.open(target, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
        target = seal_file(target, lake=log.place.parent)
        path = target.relative_to(log.place).as_posix()
        names = ("event_at", "received_at")
        bounds = con.execute(
            f"SELECT {', '.join(f'strftime({f}({n}), $form)' for f in ('min', 'max') for n in names)} FROM "
            "read_parquet($new)",
            {"new": str(target), "form": "%Y-%m-%dT%H:%M:%S.%f"},
        ).fetchall()[0]
        minimum, maximum = dict(zip(names, bounds[:2], strict=True)), dict(zip(names, bounds[2:], strict=True))
        lost = sum(f.rows for f in files) - kept
        copies = told_copies(log.place.parent, con, dropped, sources) if lost else Copies(0, 0)
        addition = [Addition(path, target.stat().st_size, kept, partition_values, minimum, maximum)] if kept else []
        removals = [Removal(f.path, f.size, partition_values) for f in files]
        note_retired(log.place, [unquote(f.path) for f in files])
        log.commit(
            additions=addition,
            removals=removals,
            transactions=counted(copies, source=SOURCE, before=log.transaction),
            operation="OPTIMIZE",
            is_data_change=lost > 0,
        )
        return lost
    except (Fenced, OSError, duckdb.Error):
        target.unlink(missing_ok=True)
        raise


class Upkeep:
    """After each commit of a stream: every `checkpoint_every` commits a checkpoint, every `compact_every` a merge of
    small files, in a thread of its own.
    """

    def __init__(
        self,
        lake: Path,
        *,
        say: Callable[[str], None],
        reports: Path | None = None,
        checkpoint_every: int = 200,
        compact_every: int = 400,
        grace_seconds: float = 900,
    ) -> None:
        self._lake, self._reports, self._say = lake, reports, say
        self._checkpoint_every, self._compact_every, self._grace = checkpoint_every, compact_every, grace_seconds
        self._commits = 0
        self._thread: threading.Thread | None = None

    def __call__(self, version: int) -> None:
        self._commits += 1
        if self._commits % self._checkpoint_every == 0 and (self._thread is None or not self._thread.is_alive()):
            is_merge_due = self._commits % self._compact_every < self._checkpoint_every
            self._thread = threading.Thread(target=self._work, args=(is_merge_due,), daemon=True, name="upkeep")
            self._thread.start()

    def _work(self, is_merge_due: bool) -> None:
        try:
            if is_merge_due:
                merge_small(self._lake)
            for table in ("events", "rejected", "gaps"):
                place = self._lake / table
                kept = kept_versions(reports_to_keep(self._lake, self._reports), table)
                versions = [*kept, *version_of_views(self._lake, table)]
                checkpoint(place, keep_versions=versions, grace_seconds=self._grace)
                if is_merge_due:
                    clean_up(place, keep_versions=versions, grace_seconds=self._grace)
        except Exception as error:  # noqa: BLE001  upkeep is tried again at the next turn; the stream itself must go on
            self._say(f"upkeep put off: {type(error).__name__}: {error}")
