"""Checked rows into Delta tables: each file once, each key once, rows and refused rows with the file's mark in the
commit.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from launchpad_lib.contract.arrow import REFUSED_SCHEMA, arrow_schema
from launchpad_lib.contract.event.rules import MAX_AHEAD
from launchpad_lib.contract.sql import literal
from launchpad_lib.contract.tables import REJECTED, TABLES, Table
from launchpad_lib.ingestion.files.commits import committed, linked, newest, on_newest, opened, partition_of, written_to
from launchpad_lib.ingestion.files.copies import MEMORY_LIMIT, Copies, find_copies, without, without_keys
from launchpad_lib.ingestion.files.marks import has_mark, mark_of, stamp_of
from launchpad_lib.ingestion.files.prepared import (
    CheckedFile,
    Mark,
    Prepared,
    printable,
    raise_if_all_are_refused,
    told_conflicts,
)
from launchpad_lib.ingestion.files.reading import FileToRead, Reader
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.ingestion.files.staging import Scratch, Stager
from launchpad_lib.lake.copies import copy_counters
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Removal, data_files
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.sealed import refuse_changed


class IngestResult(NamedTuple):
    """Counts of one source: rows read = accepted + duplicates + rejected."""

    table: str
    files: int
    skipped_files: int
    read: int
    accepted: int
    duplicates: int
    rejected: int


def ingest(source: SourceSpec, *, lake: Path, ingested_at: datetime, root: Path = Path(".")) -> IngestResult:
    """Brings a source's new files into the lake; a file whose content is known already changes nothing.

    Every file is read and checked before anything is written, and all files of the source are one commit. Memory does
    not grow with the files: rows wait on the lake's disk. Features are edited: of one key the newest row is kept, by
    order of ingestion, file and line; of events the one received first.

    Raises:
        IngestError: a file cannot be read at all, or the lake not be written; the lake is as before.
    """
    return commit(prepare(source, lake=lake, ingested_at=ingested_at, root=root), lake=lake)


def prepare(source: SourceSpec, *, lake: Path, ingested_at: datetime, root: Path = Path(".")) -> Prepared:
    """Reads and checks the files whose content is new; their rows wait beside the tables.

    Raises:
        IngestError: a file cannot be read at all, or every row of the source is refused.
    """
    table = TABLES[source.table]
    known = newest(lake_place(lake) / table.name)
    files = source.files(root)
    moment = ingested_at if ingested_at.tzinfo else ingested_at.replace(tzinfo=UTC)
    new: dict[Mark, FileToRead] = {}
    before = {path: stamp_of(path) for path in files}
    for path in files:
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        mark = mark_of(source, path, name)
        if mark not in new and not has_mark(known, mark):
            new[mark] = FileToRead(path, name, len(new))
    if not new:
        return Prepared(table.name, len(files), len(files), [], None, [], [], frozenset())
    with written_to(lake):
        scratch = Scratch(lake)
    try:
        prepared = _prepared(source, scratch, table=table, moment=moment, new=new, files=len(files), lake=lake)
        for file in new.values():
            if stamp_of(file.path) != before[file.path]:  # its mark would be of other rows than those that were read
                raise IngestError(f"{file.path}: was changed while it was read; run this again when it is written")
        return prepared
    except BaseException:
        scratch.remove()
        raise


def _prepared(
    source: SourceSpec,
    scratch: Scratch,
    *,
    table: Table,
    moment: datetime,
    new: dict[Mark, FileToRead],
    files: int,
    lake: Path,
) -> Prepared:
    with written_to(lake):
        stager = Stager(scratch, table)
        reader = Reader(_not_ahead(source, moment), stager, moment=moment)
        read = dict(zip(new, reader.read(list(new.values())), strict=True))
        # Rows of these were given ids before their file turned out to have some.
        again = {
            m: new[m]._replace(number=len(new) + new[m].number, has_ids=True) for m in new if read[m].has_ids_after_all
        }
        read |= dict(zip(again, reader.read(list(again.values())), strict=True))
        stager.finish()
        checked = [
            CheckedFile(
                (again.get(m) or f).number, m, printable(f.name), read[m].read, read[m].refused, read[m].has_ids
            )
            for m, f in new.items()
        ]
    unwanted = frozenset(new[m].number for m in again)
    skipped = files - len(new)
    prepared = Prepared(table.name, files, skipped, checked, scratch, stager.staged, stager.refused, unwanted)
    raise_if_all_are_refused(prepared, source)
    return prepared


def _not_ahead(source: SourceSpec, moment: datetime) -> SourceSpec:
    """A row from more than a day ahead is a wrong clock: one of them would make every window look over.

    Of events the judge knows.
    """
    if source.table != "telemetry" or source.valid_until is not None:
        return source
    return source.model_copy(update={"valid_until": (moment + MAX_AHEAD).replace(microsecond=0)})


def commit(prepared: Prepared, *, lake: Path) -> IngestResult:
    """Writes prepared files, each exactly once whatever else writes to the lake or died before.

    Refused rows go first. A death between the two commits is mended by the next ingestion: the rows' table has no mark
    yet, the refused rows' table has, so the former is completed and the latter not doubled. Each commit is made on the
    version it was computed from; when another process was faster it is computed again.
    """
    if prepared.scratch is None:
        return IngestResult(prepared.table, prepared.files, prepared.skipped_files, 0, 0, 0, 0)
    try:
        with written_to(lake):
            return Commit(prepared, prepared.scratch, lake).run()
    finally:
        prepared.scratch.remove()


class Commit:
    """The two commits of one source."""

    def __init__(self, prepared: Prepared, scratch: Scratch, lake: Path) -> None:
        self._prepared, self._scratch, self._lake = prepared, scratch, lake
        self._table = TABLES[prepared.table]
        self._partition = partition_of(self._table)
        self._copies: tuple[int | None, set[int], Copies] | None = None

    def run(self) -> IngestResult:
        prepared = self._prepared
        there = newest(self._lake / self._table.name)
        conflicts = self.copies_on(there, self._fresh(there)) if self._table.name == "events" else None
        on_newest(self._lake / REJECTED.name, lambda: self._write_refused(conflicts))
        fresh, accepted = self.write_rows()
        read, rejected = sum(f.read for f in fresh), sum(f.refused for f in fresh)
        skipped = prepared.files - len(fresh)
        return IngestResult(
            self._table.name, prepared.files, skipped, read, accepted, read - accepted - rejected, rejected
        )

    def write_rows(self) -> tuple[list[CheckedFile], int]:
        """The commit of the rows: the files whose mark the table did not have, and how many rows it has more."""
        return on_newest(self._lake / self._table.name, self._write_rows)

    def _fresh(self, snapshot: DeltaTable | None) -> list[CheckedFile]:
        return [f for f in self._prepared.checked if not has_mark(snapshot, f.mark)]

    def copies_on(self, snapshot: DeltaTable | None, fresh: list[CheckedFile]) -> Copies:
        """The copies as of a version; looked for once a version."""
        version = snapshot.version() if snapshot is not None else None
        left_out = set(self._prepared.unwanted) | (
            {f.number for f in self._prepared.checked} - {f.number for f in fresh}
        )
        if self._copies is None or self._copies[:2] != (version, left_out):
            found = find_copies(
                self._prepared.staged,
                table=self._table,
                left_out=left_out,
                snapshot=snapshot,
                scratch=self._scratch.folder,
            )
            self._copies = version, left_out, found
        return self._copies[2]

    def _write_refused(self, copies: Copies | None) -> None:
        place = self._lake / REJECTED.name
        snapshot = newest(place)
        fresh = [f for f in self._prepared.checked if not has_mark(snapshot, f.mark)]
        numbers = {f.number for f in fresh}
        names = {f.number: f.name for f in fresh}
        told = told_conflicts([c for c in copies.conflicts if c.file in numbers] if copies else [], names)
        target = self._scratch.folder / "refused.parquet"
        if not _write_new_refused(self._prepared.refused, numbers, told, snapshot, target):
            return
        log = opened(place, REFUSED_SCHEMA, None, snapshot)
        marks = {f.mark.app_id: f.mark.version for f in fresh}
        committed(log, [linked(target, place, None, None)], [], marks)

    def _write_rows(self) -> tuple[list[CheckedFile], int]:
        place = self._lake / self._table.name
        snapshot = newest(place)
        fresh = self._fresh(snapshot)
        if not fresh:
            return [], 0
        copies = self.copies_on(snapshot, fresh)
        schema = arrow_schema(self._table)
        if self._partition:
            schema = schema.append(pa.field(self._partition, pa.date32()))
        log = opened(place, schema, self._partition, snapshot)
        written = self._written(copies, place)
        removals, kept, replaced = self._given_way(copies, log)
        marks = {f.mark.app_id: f.mark.version for f in fresh}
        rows = sum(a.rows for a in written)
        without_ids = sum(f.read - f.refused for f in fresh if not f.has_ids) if self._table.name == "events" else 0
        counts = (copies.same, len(copies.conflicts), min(without_ids, rows - replaced))
        for name, count in zip(copy_counters("files"), counts, strict=True):
            if count:
                marks[name] = (log.transaction(name) or 0) + count
        committed(log, [*written, *kept], removals, marks)
        return fresh, rows - replaced

    def _written(self, copies: Copies, place: Path) -> list[Addition]:
        """The staged files, without the rows that are left out, moved into the table's folder."""
        additions = []
        for number, staged in enumerate(self._prepared.staged):
            source = staged.path
            if number in copies.dropped:
                source = self._scratch.folder / f"kept-{uuid.uuid4().hex}.parquet"
                if not without(staged, copies.dropped[number], source):
                    continue
            additions.append(linked(source, place, self._partition, staged.day))
        return additions

    def _given_way(self, copies: Copies, log: DeltaLog) -> tuple[list[Removal], list[Addition], int]:
        """Lake files some of whose rows are replaced: they go, and come again without them; how many rows went."""
        if not copies.replaced:
            return [], [], 0
        actions = {str(log.place / unquote(a["path"])): a for a in pa.table(log.snapshot.get_add_actions()).to_pylist()}
        removals, additions, gone = [], [], 0
        refuse_changed(copies.replaced)
        for file, hashes in copies.replaced.items():
            action = actions[file]
            values = {k: None if v is None else str(v) for k, v in (action.get("partition") or {}).items()}
            removals.append(Removal(action["path"], action["size_bytes"], values))
            target = self._scratch.folder / f"kept-{uuid.uuid4().hex}.parquet"
            left = without_keys(file, hashes, self._table, target)
            gone += pq.read_metadata(file).num_rows - left
            if left:
                additions.append(linked(target, log.place, self._partition, values.get(self._partition or "")))
        return removals, additions, gone


def _write_new_refused(
    staged: list[Path], numbers: set[int], told: pa.Table, snapshot: DeltaTable | None, target: Path
) -> int:
    """Refused rows of these files in order, without those that an earlier ingestion of the same, since then longer,
    file refused already; how many.
    """
    columns = ", ".join(c.name for c in REJECTED.columns)
    known = data_files(snapshot) if snapshot is not None else []
    same = "md5(concat_ws(chr(30), table_name, source, line, reason, coalesce(raw, chr(31))))"
    asked: dict[str, object] = {"numbers": sorted(numbers)}
    rows = f"SELECT {columns} FROM told"
    if staged:
        rows += f" UNION ALL SELECT {columns} FROM read_parquet($staged) WHERE list_contains($numbers, __file)"
        asked["staged"] = [str(path) for path in staged]
    else:
        asked.pop("numbers")
    query = f"SELECT * FROM ({rows})"
    if known:
        query += f" WHERE {same} NOT IN (SELECT {same} FROM read_parquet($known))"
        asked["known"] = known
    with duckdb.connect(
        config={"threads": 2, "memory_limit": MEMORY_LIMIT, "temp_directory": str(target.parent)}
    ) as con:
        con.register("told", told)
        con.execute(
            f"COPY ({query} ORDER BY source, line) TO {literal(target)} (FORMAT parquet, COMPRESSION snappy)", asked
        )
    return pq.read_metadata(target).num_rows
