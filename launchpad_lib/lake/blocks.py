"""Blocks: the events of some days as plain arrays sorted by user and time, which kernels read without an engine.

Grain: one row per row of the day files, in the order (user_number, event_at, received_at, event_id). Of a row a block
has its instant, its session's number and its *kind*: which of the distinct combinations of the columns with few values
(name, feature, platform, country, version) it is. Whatever is asked of those columns alone is computed once per kind,
not once per row.

A block's days begin at a multiple of their number (`BLOCK_DAYS`, fewer where days are large), so new days touch the
newest blocks alone, and a restated day the one it is in. A file is named by its first day and by a hash of the contents
of its day files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from launchpad_lib.contract.private import inner_folder, keep_private
from launchpad_lib.lake.day_files import DayFile
from launchpad_lib.lake.manifests import described, is_intact

LAYOUT = 1  # of a block; another number makes all anew
BLOCK_DAYS = 8
MOST_BLOCK_ROWS = 8_000_000  # a block is sorted in memory; a day of more is a block of its own
KIND_COLUMNS = ("event_code", "feature_id", "platform", "country", "app_version")
MOST_KINDS = 1 << 16  # a column that would make more combinations is left to the engine
FEW_KINDS = 1 << 22  # of a table of marks, beyond which distinct combinations are sorted
ALIGNED = 64


class Block(NamedTuple):
    """One block as its manifest tells it. `columns` are those that its kinds tell apart, `days` the days it has."""

    path: str
    days: tuple[str, ...]
    rows: int
    columns: tuple[str, ...]
    arrays: Mapping[str, tuple[int, str, int]]

    def read(self, name: str, begin: int = 0, end: int | None = None) -> np.ndarray:
        """Values `begin` to `end` of an array: `users` (each user's number, once), `starts` (where the user's rows
        begin, and the number of rows), and of every row `at` (microseconds since 1970), `session` and `kind`.
        """
        offset, kind, size = self.arrays[name]
        last = size if end is None else end
        dtype = np.dtype(kind)
        return np.fromfile(self.path, dtype, max(last - begin, 0), offset=offset + begin * dtype.itemsize)

    def kinds(self) -> pa.Table:
        """Grain: one row per kind, in the order of their numbers. Columns: `columns`."""
        return pa.ipc.open_stream(self.read("kinds").tobytes()).read_all()


def block_of(folder: Path, entry: Mapping[str, Any]) -> Block:
    """A block by its entry in a manifest."""
    arrays = {name: (offset, kind, size) for name, (offset, kind, size) in entry["arrays"].items()}
    path = str(folder / entry["file"])
    return Block(path, tuple(entry["days"]), entry["rows"], tuple(entry["columns"]), arrays)


def build_blocks(folder: Path, days: Sequence[DayFile], *, known: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of the blocks of these days, which are made where no known entry stands for the same contents.

    To be called by one builder.
    """
    there = {entry["made_from"]: dict(entry) for entry in known}
    entries = []
    for some in _grouped(days):
        made_from = _made_from(some)
        entry = there.get(made_from)
        if entry is None or not is_intact(folder, entry):
            entry = _write_block(folder, some, made_from)
        entries.append(entry)
    return entries


def _made_from(days: Sequence[DayFile]) -> str:
    told = "\n".join(f"{d.day.isoformat()} {d.content_hash}" for d in days)
    return hashlib.sha256(f"{LAYOUT}\n{told}".encode()).hexdigest()


def _grouped(days: Sequence[DayFile]) -> Iterator[list[DayFile]]:
    """Days that are one block: a stretch of 8 days, or its halves as long as one has too many rows."""

    def halves(some: list[DayFile], length: int) -> Iterator[list[DayFile]]:
        if length == 1 or sum(d.rows for d in some) <= MOST_BLOCK_ROWS:
            yield some
            return
        for _, half in sorted(_by_place(some, length // 2).items()):
            yield from halves(half, length // 2)

    for _, some in sorted(_by_place(days, BLOCK_DAYS).items()):
        yield from halves(some, BLOCK_DAYS)


def _by_place(days: Sequence[DayFile], length: int) -> dict[int, list[DayFile]]:
    found: dict[int, list[DayFile]] = {}
    for day in days:
        found.setdefault(day.day.toordinal() // length, []).append(day)
    return found


def _write_block(folder: Path, days: Sequence[DayFile], made_from: str) -> dict[str, Any]:
    inner_folder(folder)
    first: date = days[0].day
    path = folder / f"{first.isoformat()}-{made_from[:24]}.block"
    aside = path.with_name(f"{path.name}.new")
    arrays: dict[str, tuple[int, str, int]] = {}
    with aside.open("wb") as file:

        def put(name: str, values: np.ndarray) -> None:
            file.write(b"\0" * (-file.tell() % ALIGNED))
            arrays[name] = (file.tell(), values.dtype.str, len(values))
            file.write(np.ascontiguousarray(values).data)

        user = _numbers(days, "user_number")
        order = np.argsort(user, kind="stable")
        user = user[order]
        begins = np.flatnonzero(np.diff(user, prepend=user[:1] + 1)) if len(user) else np.zeros(0, np.int64)
        put("users", user[begins])
        put("starts", np.append(begins, len(user)).astype(np.int64))
        del user
        put("at", _numbers(days, "event_at")[order])
        put("session", _sessions(days)[order])
        columns, kind, kinds = _kinds(days)
        put("kind", kind[order])
        with pa.BufferOutputStream() as stream:
            with pa.ipc.new_stream(stream, kinds.schema) as writer:
                writer.write_table(kinds)
            put("kinds", np.frombuffer(stream.getvalue(), np.uint8))
    keep_private(aside, like=folder)
    os.replace(aside, path)
    told = {"made_from": made_from, "days": [d.day.isoformat() for d in days], "rows": len(order)}
    return described(path, **told, columns=list(columns), arrays=arrays)


def _column(days: Sequence[DayFile], name: str) -> pa.ChunkedArray:
    found = []
    for day in days:
        file = pq.ParquetFile(day.path)
        place = file.schema_arrow.get_field_index(name)
        groups = (file.metadata.row_group(g).column(place) for g in range(file.metadata.num_row_groups))
        is_listed = not any("DELTA" in encoding for group in groups for encoding in group.encodings)
        # Lists of values are taken over where there are such; of texts stored otherwise Arrow can make none.
        texts = [name] if name in KIND_COLUMNS[1:] and is_listed else []
        found.append(pq.read_table(day.path, columns=[name], read_dictionary=texts)[name])
    if name not in KIND_COLUMNS[1:]:
        return pa.chunked_array([chunk for one in found for chunk in one.chunks], found[0].type)
    chunks = [c for one in found for c in (one if pa.types.is_dictionary(one.type) else one.dictionary_encode()).chunks]
    return pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()


def _numbers(days: Sequence[DayFile], name: str) -> np.ndarray:
    """A column without NULL; instants as microseconds."""
    found = _column(days, name)
    whole = found.cast(pa.int64()) if pa.types.is_timestamp(found.type) else found
    return whole.to_numpy()


def _sessions(days: Sequence[DayFile]) -> np.ndarray:
    """`day_writing.SESSION_NUMBER` of every row."""
    hashes, began = _column(days, "session_hash"), _column(days, "stretch_started_at").cast(pa.int64())
    return pc.coalesce(hashes, began).fill_null(0).to_numpy()


def _kinds(days: Sequence[DayFile]) -> tuple[tuple[str, ...], np.ndarray, pa.Table]:
    """The columns that kinds tell apart, the kind of every row, and what each kind is."""
    code = _numbers(days, "event_code")
    kind, members = _distinct(code.astype(np.int64))
    columns = {KIND_COLUMNS[0]: pa.array(code[members], pa.uint16())}
    for name in KIND_COLUMNS[1:]:
        column = _column(days, name)
        values = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
        codes = pa.chunked_array([c.indices.fill_null(len(values)) for c in column.chunks], pa.int32()).to_numpy()
        finer, rows = _distinct(kind.astype(np.int64) * (len(values) + 1) + codes)
        if len(rows) > MOST_KINDS:
            continue
        columns = {had: values_.take(pa.array(kind[rows])) for had, values_ in columns.items()}
        columns[name] = values.take(pa.array(codes[rows], mask=codes[rows] == len(values)))
        kind = finer
    kinds = pa.table(columns)
    return tuple(columns), kind.astype(np.min_scalar_type(max(kinds.num_rows - 1, 0))), kinds


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each value among the distinct ones, rising; and for each of those a row that has it."""
    most = int(values.max()) + 1 if len(values) else 0
    if most > FEW_KINDS:
        _, rows, numbers = np.unique(values, return_index=True, return_inverse=True)
        return numbers.astype(np.int32), rows
    row = np.full(most, -1, np.int64)
    row[values] = np.arange(len(values))
    met = np.flatnonzero(row >= 0)
    number = np.zeros(most, np.int32)
    number[met] = np.arange(len(met), dtype=np.int32)
    return number[values], row[met]
