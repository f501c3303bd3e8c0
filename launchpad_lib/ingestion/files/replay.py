"""Refused rows judged again, after a mapping or the contract was mended: what is accepted now is a row of its table and
no refused row any more.

The rows' table is written first, under a mark that names the rows; then they leave the refused ones. After a death in
between, the next replay finds the mark, or the rows by their keys, and only does the second.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.arrow import REFUSED_SCHEMA
from launchpad_lib.contract.tables import REJECTED, TABLES
from launchpad_lib.ingestion.files.commits import newest, on_newest, written_to
from launchpad_lib.ingestion.files.prepared import CheckedFile, Mark, Prepared
from launchpad_lib.ingestion.files.reading import FileToRead, Reader
from launchpad_lib.ingestion.files.refused_rows import Batch, batches, refused_rows, written
from launchpad_lib.ingestion.files.sink import Commit
from launchpad_lib.ingestion.files.source import SourceSpec
from launchpad_lib.ingestion.files.staging import Scratch, Stager
from launchpad_lib.lake.data_files import discard, write_file
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Fenced, Removal
from launchpad_lib.lake.sealed import refuse_changed


class Replayed(NamedTuple):
    """Counts of refused rows: `judged` = `accepted` + `known` (the lake has them) + `refused` again.

    `left` are those that could not be judged, by the reason why.
    """

    judged: int
    accepted: int
    known: int
    refused: int
    left: dict[str, int]


def replay(
    lake: Path,
    sources: list[SourceSpec],
    *,
    root: Path,
    reason: str | None = None,
    source: str | None = None,
    is_dry: bool = False,
    now: datetime | None = None,
) -> Replayed:
    """Judges the refused rows of a lake again by these mappings, and events of streams by the contract.

    A row that is refused again stays as it is, with the reason of then. Done twice it changes nothing.

    Args:
        root: the folder that the paths of the sources are relative to.
        reason, source: only rows whose reason, or file or stream, contains this text, taken literally.
        is_dry: nothing is written.

    Raises:
        IngestError: the lake cannot be written.
    """
    rows = refused_rows(lake, reason=reason, source=source)
    found, left = batches(rows, sources, root=root)
    accepted = known = refused = 0
    for batch in found:
        with written_to(lake):
            done = _one(batch, lake, moment=now or datetime.now(UTC), is_dry=is_dry)
        accepted, known, refused = accepted + done[0], known + done[1], refused + done[2]
    return Replayed(sum(len(b.rows) for b in found), accepted, known, refused, left)


def _one(batch: Batch, lake: Path, *, moment: datetime, is_dry: bool) -> tuple[int, int, int]:
    """Accepted, known, refused again."""
    if not batch.rows:
        return 0, 0, 0
    table, scratch = TABLES[batch.source.table], Scratch(lake)
    try:
        path = scratch.folder / f"again.{batch.source.format}"
        lines = written(batch, path)
        stager = Stager(scratch, table)
        reader = Reader(batch.source, stager, moment=moment, is_whole=False)
        (read,) = reader.read([FileToRead(path, batch.name, 0, batch.has_ids)])
        stager.finish()
        again = {n for p in stager.refused for n in pq.read_table(p, columns=["line"])["line"].to_pylist()}
        mark = Mark(f"replay:{table.name}:{_named(batch)}", 1)
        checked = [CheckedFile(0, mark, batch.name, read.read, read.refused, read.has_ids)]
        prepared = Prepared(table.name, 1, 0, checked, scratch, stager.staged, [], frozenset())
        commit = Commit(prepared, scratch, lake)
        copies = commit.copies_on(newest(lake / table.name), checked)
        again |= {c.line for c in copies.conflicts}
        good = [row for line, row in lines.items() if line not in again]
        dropped = sum(len(places) for places in copies.dropped.values()) - len(copies.conflicts)
        if is_dry:
            return len(good) - dropped, dropped, len(lines) - len(good)
        more = commit.write_rows()[1] if good else 0
        on_newest(lake / REJECTED.name, lambda: _taken_out(lake / REJECTED.name, {row.key for row in good}))
        return more, len(good) - more, len(lines) - len(good)
    finally:
        scratch.remove()


def _named(batch: Batch) -> str:
    """The rows and their mapping, as a name."""
    told = hashlib.sha256(batch.source.model_dump_json(exclude={"path"}, exclude_defaults=True).encode())
    for row in batch.rows:
        told.update(repr(row.key).encode("utf-8", "surrogatepass"))
    return told.hexdigest()[:32]


def _taken_out(place: Path, keys: set[tuple[str, str, int | None, str | None]]) -> None:
    """The refused rows without these."""
    if not keys:
        return
    log = DeltaLog(place, schema=REFUSED_SCHEMA, partition_by=[])
    removals: list[Removal] = []
    additions: list[Addition] = []
    try:
        for action in pa.table(log.snapshot.get_add_actions()).to_pylist():
            path = place / unquote(action["path"])
            there = pq.ParquetFile(path).read()
            columns = (there[name].to_pylist() for name in ("table_name", "source", "line", "raw"))
            is_left = [key not in keys for key in zip(*columns, strict=True)]
            if all(is_left):
                continue
            refuse_changed([path])
            removals.append(Removal(action["path"], action["size_bytes"], {}))
            if any(is_left):
                rest = there.filter(pa.array(is_left)).select(REFUSED_SCHEMA.names).cast(REFUSED_SCHEMA)
                additions.append(write_file(place, rest, partition_values={}))
        if removals:
            log.commit(additions=additions, removals=removals, transactions={}, operation="REPLAY")
    except (Fenced, OSError):
        discard(place, additions)
        raise
