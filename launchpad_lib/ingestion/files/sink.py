"""Checked rows into Delta tables: each file once, each key once, rows and refused rows with the file's mark in the
commit.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.arrow import REFUSED_SCHEMA, arrow_schema
from launchpad_lib.contract.event.rules import MAX_AHEAD
from launchpad_lib.contract.sql import literal
from launchpad_lib.contract.tables import REJECTED, TABLES, Table
from launchpad_lib.ingestion.files.copies import MEMORY_LIMIT, Copies, find_copies, without, without_keys
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
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Fenced, Removal, data_files, open_table
from launchpad_lib.lake.place import lake_place

ATTEMPTS = 30
T = TypeVar("T")


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
        IngestError: a file cannot be read at all; the lake is as before.
    """
    return commit(prepare(source, lake=lake, ingested_at=ingested_at, root=root), lake=lake)


def prepare(source: SourceSpec, *, lake: Path, ingested_at: datetime, root: Path = Path(".")) -> Prepared:
    """Reads and checks the files whose content is new; their rows wait beside the tables.

    Raises:
        IngestError: a file cannot be read at all, or every row of the source is refused.
    """
    table = TABLES[source.table]
    known = _snapshot(lake_place(lake) / table.name)
    files = source.files(root)
    moment = ingested_at if ingested_at.tzinfo else ingested_at.replace(tzinfo=UTC)
    new: dict[Mark, FileToRead] = {}
    for path in files:
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        mark = _mark_of(source, path, name)
        if mark not in new and not _has_mark(known, mark):
            new[mark] = FileToRead(path, name, len(new))
    skipped = len(files) - len(new)
    if not new:
        return Prepared(table.name, len(files), skipped, [], None, [], [], frozenset())
    scratch = Scratch(lake)
    try:
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
        prepared = Prepared(table.name, len(files), skipped, checked, scratch, stager.staged, stager.refused, unwanted)
        raise_if_all_are_refused(prepared, source)
    except BaseException:
        scratch.remove()
        raise
    return prepared


def _mark_of(source: SourceSpec, path: Path, name: str) -> Mark:
    """A file is known by its table, mapping and content; one of features by its name, with its last content: what was
    edited there and back again is new each time.
    """
    spec_hash = hashlib.sha256(source.model_dump_json(exclude={"path"}, exclude_defaults=True).encode()).hexdigest()
    content = _content_hash(path)
    if source.table != "features":
        return Mark(f"{source.table}:{spec_hash[:12]}:{content}", 1)
    place = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return Mark(f"{source.table}:{spec_hash[:12]}:{place}", int(content[:15], 16))


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
        return _Commit(prepared, prepared.scratch, lake).run()
    finally:
        prepared.scratch.remove()


class _Commit:
    """The two commits of one source."""

    def __init__(self, prepared: Prepared, scratch: Scratch, lake: Path) -> None:
        self._prepared, self._scratch, self._lake = prepared, scratch, lake
        self._table = TABLES[prepared.table]
        self._partition = _partition(self._table)
        self._copies: tuple[int | None, set[int], Copies] | None = None

    def run(self) -> IngestResult:
        prepared = self._prepared
        there = _snapshot(self._lake / self._table.name)
        conflicts = self._copies_on(there, self._fresh(there)) if self._table.name == "events" else None
        _on_newest(self._lake / REJECTED.name, lambda: self._write_refused(conflicts))
        fresh, accepted = _on_newest(self._lake / self._table.name, self._write_rows)
        read, rejected = sum(f.read for f in fresh), sum(f.refused for f in fresh)
        skipped = prepared.files - len(fresh)
        return IngestResult(
            self._table.name, prepared.files, skipped, read, accepted, read - accepted - rejected, rejected
        )

    def _fresh(self, snapshot: DeltaTable | None) -> list[CheckedFile]:
        return [f for f in self._prepared.checked if not _has_mark(snapshot, f.mark)]

    def _copies_on(self, snapshot: DeltaTable | None, fresh: list[CheckedFile]) -> Copies:
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
        snapshot = _snapshot(place)
        fresh = [f for f in self._prepared.checked if not _has_mark(snapshot, f.mark)]
        numbers = {f.number for f in fresh}
        names = {f.number: f.name for f in fresh}
        told = told_conflicts([c for c in copies.conflicts if c.file in numbers] if copies else [], names)
        target = self._scratch.folder / "refused.parquet"
        if not _write_new_refused(self._prepared.refused, numbers, told, snapshot, target):
            return
        log = _opened(place, REFUSED_SCHEMA, None, snapshot)
        marks = {f.mark.app_id: f.mark.version for f in fresh}
        _committed(log, [_linked(target, place, None, None)], [], marks)

    def _write_rows(self) -> tuple[list[CheckedFile], int]:
        place = self._lake / self._table.name
        snapshot = _snapshot(place)
        fresh = self._fresh(snapshot)
        if not fresh:
            return [], 0
        copies = self._copies_on(snapshot, fresh)
        schema = arrow_schema(self._table)
        if self._partition:
            schema = schema.append(pa.field(self._partition, pa.date32()))
        log = _opened(place, schema, self._partition, snapshot)
        written = self._written(copies, place)
        removals, kept, replaced = self._given_way(copies, log)
        marks = {f.mark.app_id: f.mark.version for f in fresh}
        rows = sum(a.rows for a in written)
        without_ids = sum(f.read - f.refused for f in fresh if not f.has_ids) if self._table.name == "events" else 0
        counts = (copies.same, len(copies.conflicts), min(without_ids, rows - replaced))
        for name, count in zip(copy_counters("files"), counts, strict=True):
            if count:
                marks[name] = (log.transaction(name) or 0) + count
        _committed(log, [*written, *kept], removals, marks)
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
            additions.append(_linked(source, place, self._partition, staged.day))
        return additions

    def _given_way(self, copies: Copies, log: DeltaLog) -> tuple[list[Removal], list[Addition], int]:
        """Lake files some of whose rows are replaced: they go, and come again without them; how many rows went."""
        if not copies.replaced:
            return [], [], 0
        actions = {str(log.place / unquote(a["path"])): a for a in pa.table(log.snapshot.get_add_actions()).to_pylist()}
        removals, additions, gone = [], [], 0
        for file, hashes in copies.replaced.items():
            action = actions[file]
            values = {k: None if v is None else str(v) for k, v in (action.get("partition") or {}).items()}
            removals.append(Removal(action["path"], action["size_bytes"], values))
            target = self._scratch.folder / f"kept-{uuid.uuid4().hex}.parquet"
            left = without_keys(file, hashes, self._table, target)
            gone += pq.read_metadata(file).num_rows - left
            if left:
                additions.append(_linked(target, log.place, self._partition, values.get(self._partition or "")))
        return removals, additions, gone


def _on_newest(place: Path, write: Callable[[], T]) -> T:
    """Runs `write` on the newest version; again when another process committed in between (compare and swap)."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return write()
        except (Fenced, DeltaError) as error:
            is_beaten = isinstance(error, Fenced) or "already exists" in str(error)
            if not is_beaten or attempt == ATTEMPTS:
                raise IngestError(
                    f"{place}: the rows could not be committed ({str(error).splitlines()[0][:160]}); run it again"
                ) from error
    raise AssertionError


def _opened(place: Path, schema: pa.Schema, partition: str | None, snapshot: DeltaTable | None) -> DeltaLog:
    """The table's log at just this version, with all declared columns; made where there is none."""
    log = DeltaLog(place, schema=schema, partition_by=[partition] if partition else [])
    expected = 0 if snapshot is None else snapshot.version()
    there = {f.name for f in log.snapshot.schema().fields}
    missing = [f for f in Schema.from_arrow(schema).fields if f.name not in there]
    if missing and log.version == expected:
        log.snapshot.alter.add_columns(missing)
        log.reopen()
        expected += 1
    if log.version != expected:
        raise Fenced("another process has committed since these rows were computed")
    return log


def _committed(log: DeltaLog, additions: list[Addition], removals: list[Removal], marks: dict[str, int]) -> None:
    """One commit on the version at hand; where it does not come about its files go again."""
    try:
        log.commit(
            additions=additions,
            removals=removals,
            transactions={app_id: (log.transaction(app_id), version) for app_id, version in marks.items()},
            operation="MERGE" if removals else "WRITE",
            at_version=log.version,
        )
    except (Fenced, OSError):
        for addition in additions:
            (log.place / addition.path).unlink(missing_ok=True)
        raise


def _linked(file: Path, place: Path, partition: str | None, day: str | None) -> Addition:
    """Puts a written file into the table's folder; it counts once it is committed."""
    path = f"part-{uuid.uuid4().hex}.snappy.parquet"
    path = f"{partition}={day}/{path}" if partition else path
    (place / path).parent.mkdir(parents=True, exist_ok=True)
    os.link(file, place / path)
    metadata = pq.read_metadata(file)
    names = [metadata.schema.column(i).name for i in range(metadata.num_columns)]
    minimum: dict[str, str] = {}
    maximum: dict[str, str] = {}
    for name in ("event_at", "received_at"):
        groups = range(metadata.num_row_groups) if name in names else ()
        found = [metadata.row_group(g).column(names.index(name)).statistics for g in groups]
        if found and all(f is not None and f.has_min_max for f in found):
            minimum[name] = min(f.min for f in found).isoformat(timespec="microseconds")
            maximum[name] = max(f.max for f in found).isoformat(timespec="microseconds")
    values: dict[str, str | None] = {partition: day} if partition else {}
    return Addition(path, file.stat().st_size, metadata.num_rows, values, minimum, maximum)


def _snapshot(place: Path) -> DeltaTable | None:
    return open_table(place) if DeltaTable.is_deltatable(str(place)) else None


def _has_mark(snapshot: DeltaTable | None, mark: Mark) -> bool:
    return snapshot is not None and snapshot.transaction_version(mark.app_id) == mark.version


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    except OSError as error:
        raise IngestError(
            f"{path}: cannot be read ({error.strerror}); check that the file is there and readable"
        ) from error


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


def _partition(table: Table) -> str | None:
    if table.name not in ("events", "telemetry"):
        return None
    return str(table.time_column).removesuffix("_at") + "_on"
