"""Decoded blocks into the lake: rows, refused events, gaps and the next offsets, each exactly once.

A Delta commit is atomic for one table, and there are three. Gaps and refused events are therefore committed first, each
table with the offsets they cover as its own application transactions; the events and the offsets that reading goes on
from come last. After a crash in between the stretch is read again: what a table's own transaction covers is left out,
the rest is written. Docs: decision 0011.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from launchpad_lib.contract.arrow import EVENTS_SCHEMA, GAPS_SCHEMA, REFUSED_SCHEMA, ROWS_SCHEMA
from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS, conflicting
from launchpad_lib.contract.private import private_folder
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.ingestion.stream.decoding import Decoded, Refused
from launchpad_lib.ingestion.stream.seen_ids import Seen, SeenIds
from launchpad_lib.lake.copies import Copies, counted
from launchpad_lib.lake.data_files import discard, write_file
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Fenced
from launchpad_lib.lake.occupied import Share

DAY_US = 86_400_000_000


class Gap(NamedTuple):
    """A stretch [from_offset, to_offset) of a partition that is gone."""

    partition: str
    from_offset: int
    to_offset: int
    reason: str


class Prepared(NamedTuple):
    """One commit to be: new rows only. `offsets`: partition -> (where it was read from, where to read on).

    `duplicates` counts the copies that say the same as the event that is kept; those that say something else are among
    the `refused`, so that they can be looked at. `copies` has both, by partition.
    """

    rows: pa.Table
    refused: list[Refused]
    gaps: list[Gap]
    offsets: dict[str, tuple[int | None, int]]
    duplicates: int
    copies: dict[str, Copies] = {}  # noqa: RUF012


class Written(NamedTuple):
    """Counts of one commit; `version` is that of the events table."""

    version: int
    rows: int
    refused: int
    gaps: int
    duplicates: int


class StreamSink:
    """The lake's end of one source; not for use from two threads at once."""

    def __init__(self, lake: Path, *, source_name: str, dedupe_window: int = 1_000_000) -> None:
        self.source_name = source_name
        private_folder(lake)
        self._share = Share(lake)  # what is read but not committed yet must not meet an erasure
        self._events = DeltaLog(lake / "events", schema=EVENTS_SCHEMA, partition_by=["event_on"])
        self._rejected = DeltaLog(lake / "rejected", schema=REFUSED_SCHEMA, partition_by=[])
        self._gaps = DeltaLog(lake / "gaps", schema=GAPS_SCHEMA, partition_by=[])
        self._seen = SeenIds(window=dedupe_window)
        self._remember_recent()

    @property
    def version(self) -> int:
        """The newest version of the events table that this sink knows."""
        return self._events.version

    def reopen(self) -> None:
        """Reads tables, offsets and recent ids again; to be called after `Fenced`."""
        for log in (self._events, self._rejected, self._gaps):
            log.reopen()
        self._remember_recent()

    def offset(self, partition: str) -> int | None:
        """Where reading goes on; None for a partition never read."""
        return self._events.transaction(self._app(partition))

    def identity(self) -> int | None:
        """The fingerprint of the source as it was when it was first read."""
        return self._events.transaction(f"{self.source_name}#identity")

    def record_identity(self, fingerprint: int) -> None:
        """Keeps the fingerprint of a source that is read for the first time."""
        self._events.commit(transactions={f"{self.source_name}#identity": (None, fingerprint)}, operation="SOURCE")

    def prepare(
        self, decoded: Sequence[Decoded], *, gaps: Sequence[Gap], offsets: dict[str, tuple[int | None, int]]
    ) -> Prepared:
        """Leaves out the events that went by before: of copies in one batch the earliest received stays."""
        rows = pa.concat_tables([d.rows for d in decoded]).combine_chunks() if decoded else ROWS_SCHEMA.empty_table()
        refused = [r for d in decoded for r in d.refused]
        if not rows.num_rows:
            return Prepared(rows, refused, list(gaps), offsets, 0)
        order = pc.sort_indices(rows, [("received_at", "ascending")]).to_numpy()
        seen = self._seen.first_seen(_one(rows["event_id"]), order=order, columns=_content(rows))
        dropped = rows.num_rows - int(seen.is_new.sum())
        if not dropped:
            return Prepared(rows, refused, list(gaps), offsets, 0)
        conflicts, copies = self._copies(decoded, rows, seen)
        kept = rows.filter(pa.array(seen.is_new))
        return Prepared(kept, refused + conflicts, list(gaps), offsets, dropped - len(conflicts), copies)

    @staticmethod
    def _copies(decoded: Sequence[Decoded], rows: pa.Table, seen: Seen) -> tuple[list[Refused], dict[str, Copies]]:
        """The copies that say something else, and how many there are of both kinds, by partition."""
        conflicts: list[Refused] = []
        copies: dict[str, Copies] = {}
        start = 0
        for part in decoded:
            stop = start + part.rows.num_rows
            others = np.flatnonzero(seen.is_other[start:stop])
            same = int((~seen.is_new[start:stop]).sum()) - len(others)
            if same or len(others):
                before = copies.get(part.partition, Copies(0, 0))
                copies[part.partition] = Copies(before.same + same, before.other + len(others))
            if len(others):
                offsets = part.offsets()
                for index in others:
                    row = {k: v for k, v in rows.slice(start + int(index), 1).to_pylist()[0].items() if v is not None}
                    raw = json.dumps(row, default=str, ensure_ascii=False)[:MAX_RAW_CHARACTERS]
                    reason = conflicting(row["event_id"])
                    conflicts.append(Refused(part.partition, int(offsets[index]), reason, raw))
            start = stop
        return conflicts, copies

    def commit(self, prepared: Prepared) -> Written:
        """Writes gaps, refused events, then events with the next offsets.

        Can be called again with the same after an OSError.

        Raises:
            Fenced: another worker has moved an offset; nothing of the events was written.
            OSError: the disk is full or read-only.
        """
        now = datetime.now(UTC).replace(tzinfo=None)
        gaps = self._commit_gaps(prepared, now)
        refused = self._commit_refused(prepared, now)
        files: list[Addition] = []
        try:
            files = list(self._write_events(prepared.rows, files))
            version = self._events.commit(
                additions=files,
                transactions={self._app(p): move for p, move in prepared.offsets.items()} | self._counted(prepared),
                operation="STREAMING UPDATE",
                metrics={"rows": prepared.rows.num_rows, "refused": refused, "duplicates": prepared.duplicates},
            )
        except (Fenced, OSError):
            discard(self._events.place, files)
            raise
        return Written(version, prepared.rows.num_rows, refused, gaps, prepared.duplicates)

    def _counted(self, prepared: Prepared) -> dict[str, tuple[int | None, int]]:
        """The numbers of copies so far, carried on in the commit: exactly once, like the offsets."""
        moves: dict[str, tuple[int | None, int]] = {}
        for partition, copies in prepared.copies.items():
            moves |= counted(copies, source=self._app(partition), before=self._events.transaction)
        return moves

    def _app(self, partition: str) -> str:
        return f"{self.source_name}/{partition}"

    def _commit_gaps(self, prepared: Prepared, now: datetime) -> int:
        fresh, moves = [], {}
        for gap in prepared.gaps:
            known = self._gaps.transaction(self._app(gap.partition))
            start = max(gap.from_offset, known or 0)
            if gap.to_offset > start:
                fresh.append((self.source_name, gap.partition, start, gap.to_offset, gap.reason, now))
                moves[self._app(gap.partition)] = (known, gap.to_offset)
        if fresh:
            self._append(self._gaps, fresh, GAPS_SCHEMA, moves)
        return len(fresh)

    def _commit_refused(self, prepared: Prepared, now: datetime) -> int:
        partitions = {r.partition for r in prepared.refused}
        known = {p: self._rejected.transaction(self._app(p)) for p in partitions}
        fresh = [
            (EVENTS.name, self._app(r.partition), r.offset, r.reason, r.raw, now)
            for r in prepared.refused
            if r.offset >= (known[r.partition] or 0)
        ]
        if fresh:
            sources = {f[1] for f in fresh}
            moves = {self._app(p): (known[p], prepared.offsets[p][1]) for p in partitions if self._app(p) in sources}
            self._append(self._rejected, fresh, REFUSED_SCHEMA, moves)
        return len(fresh)

    def _append(
        self, log: DeltaLog, rows: list[tuple], schema: pa.Schema, moves: dict[str, tuple[int | None, int]]
    ) -> None:
        columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
        files: list[Addition] = []
        try:
            files.append(write_file(log.place, pa.Table.from_arrays(columns, schema=schema), partition_values={}))
            log.commit(additions=files, transactions=moves, operation="STREAMING UPDATE")
        except (Fenced, OSError):
            discard(log.place, files)
            raise

    def _write_events(self, rows: pa.Table, written: list[Addition]) -> list[Addition]:
        if not rows.num_rows:
            return written
        days = rows["event_at"].cast(pa.int64()).to_numpy() // DAY_US
        found = days[:1] if days.min() == days.max() else np.unique(days)
        for day in found:
            part = rows if len(found) == 1 else rows.filter(pa.array(days == day))
            event_on = str(np.datetime64(int(day), "D"))
            written.append(write_file(self._events.place, part, partition_values={"event_on": event_on}))
        return written

    def _remember_recent(self) -> None:
        """Fills the window with the ids and contents of the files received last."""
        self._seen.clear()
        actions = pa.table(self._events.snapshot.get_add_actions(flatten=True))
        if not actions.num_rows:
            return
        is_known = "max.received_at" in actions.column_names
        recency = actions["max.received_at" if is_known else "modification_time"].cast(pa.int64())
        order = pc.sort_indices(
            pc.coalesce(recency, pa.scalar(0, pa.int64())), sort_keys=[("", "descending")]
        ).to_pylist()
        chosen, rows = [], 0
        for index in order:
            chosen.append(actions["path"][index].as_py())
            rows += actions["num_records"][index].as_py() or 0
            if rows >= self._seen.window:
                break
        for path in reversed(chosen):
            file = pq.ParquetFile(self._events.place / unquote(path))
            there = [n for n in ROWS_SCHEMA.names if n in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=100_000, columns=there):
                rows = pa.Table.from_batches([batch])
                for name in ROWS_SCHEMA.names:
                    if name not in there:  # declared after the file was written
                        rows = rows.append_column(name, pa.nulls(batch.num_rows, pa.string()))
                rows = rows.select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA)
                self._seen.first_seen(_one(rows["event_id"]), columns=_content(rows))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _content(rows: pa.Table) -> list[pa.Array]:
    """The columns in which copies of one event agree: all but the id and the time of receipt."""
    columns = {n: _one(rows[n]) for n in rows.column_names if n not in ("event_id", "received_at")}
    if columns["properties"].null_count:  # of rows that another writer put into the lake
        columns["properties"] = pc.fill_null(columns["properties"], "{}")
    return [c.cast(pa.int64()).cast(pa.string()) if pa.types.is_timestamp(c.type) else c for c in columns.values()]
