"""Reads day files a row group at a time, each thread its own range of user numbers, and hands the columns to a kernel.

A day file is sorted by user number, so a range of users is a run of row groups. A thread that takes one range through
all days in order owns the state of those users: no locks, no merge, and decoding and folding run on all cores. Memory
is one row group a thread beside the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.names import nearest, quoted

# (thread, file, columns in the order asked for, first row, row after the last)
Kernel = Callable[[int, str, list[np.ndarray], int, int], None]


class EventLog(Protocol):
    """Day files as a fold needs them; `lake.day_files.DayFiles` is one."""

    @property
    def paths(self) -> Sequence[str]:
        """One file per UTC day in day order, each sorted by (user_number, event_at, received_at, event_id)."""

    @property
    def event_codes(self) -> Mapping[str, int]:
        """Event name -> the number in column `event_code`."""

    @property
    def users(self) -> int:
        """User numbers are 0 ... users - 1."""


class _Group(NamedTuple):
    path: str
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls on it
    rows: int
    low: int
    high: int


class _File(NamedTuple):
    path: str
    metadata: pq.FileMetaData
    groups: list[_Group]


def fold_files(paths: Sequence[str], *, columns: Sequence[str], users: int, kernel: Kernel, threads: int = 2) -> None:
    """Hands every row of the files to `kernel`, user by user in day order. The first column must be `user_number`.

    Raises:
        ValueError: a file names a user number that is not below `users`, or holds a NULL in a column asked for.
    """
    files = [_file(path) for path in paths]
    for group in (g for file in files for g in file.groups):
        if group.high >= users:
            raise ValueError(
                f"users={users}: {group.path!r} has user number {group.high}; numbers must be below it: "
                "rebuild the day files with their dictionary"
            )
    ranges = _ranges([g for file in files for g in file.groups], users=users, threads=threads)
    edges = [start for start, _ in ranges[1:]]
    shared = _SharedGroups()

    def run(thread: int) -> None:
        start, end = ranges[thread]
        for file in files:
            mine = [g for g in file.groups if g.high >= start and g.low < end]
            if not mine:
                continue
            with pq.ParquetFile(file.path, metadata=file.metadata) as source:
                for group in mine:
                    read = partial(_read, source, group, columns)
                    owners = 1 + sum(group.low < edge <= group.high for edge in edges)
                    arrays = read() if owners == 1 else shared.get(group, owners, read)
                    first = 0 if group.low >= start else int(np.searchsorted(arrays[0], start))
                    last = group.rows if group.high < end else int(np.searchsorted(arrays[0], end))
                    kernel(thread, file.path, arrays, first, last)

    if len(ranges) == 1:
        run(0)
        return
    with ThreadPoolExecutor(len(ranges)) as pool:
        for done in [pool.submit(run, thread) for thread in range(len(ranges))]:
            done.result()


class _SharedGroups:
    """Row groups in which one thread's users end and another's begin: decoded once, by whoever comes first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[_Group, tuple[Future, int]] = {}

    def get(self, group: _Group, owners: int, read: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        with self._lock:
            found = self._waiting.get(group)
            future, left = found if found else (Future(), owners)
            if left > 1:
                self._waiting[group] = (future, left - 1)
            else:
                del self._waiting[group]
        if found is None:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
        return future.result()


def _file(path: str) -> _File:
    metadata = pq.read_metadata(path)
    found = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        column = next(
            (group.column(c) for c in range(group.num_columns) if group.column(c).path_in_schema == "user_number"), None
        )
        if column is None:
            raise ValueError(f"file={path!r}: has no column user_number; build day files from the lake first")
        statistics = column.statistics
        if statistics is None or not statistics.has_min_max:
            raise ValueError(f"file={path!r}: has no statistics of user_number; write it by the day file builder")
        found.append(_Group(path, index, group.num_rows, int(statistics.min), int(statistics.max)))
    return _File(path, metadata, found)


def _ranges(groups: list[_Group], *, users: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of user numbers with about equal rows, from the row groups' statistics."""
    if threads <= 1 or not groups or users < 2:
        return [(0, users)]
    middle = np.array([(g.low + g.high + 1) // 2 for g in groups])
    order = np.argsort(middle, kind="stable")
    share = np.cumsum(np.array([g.rows for g in groups])[order])
    cuts = [int(middle[order][np.searchsorted(share, share[-1] * k / threads)]) for k in range(1, threads)]
    edges = sorted({0, users, *(c for c in cuts if 0 < c < users)})
    return list(zip(edges[:-1], edges[1:], strict=True))


def _read(source: pq.ParquetFile, group: _Group, columns: Sequence[str]) -> list[np.ndarray]:
    """The columns of a row group as arrays without a copy; an instant as microseconds since 1970."""
    table = source.read_row_group(group.index, columns=list(columns), use_threads=False)
    arrays = []
    for name in columns:
        column = table.column(name)
        if column.null_count:
            raise ValueError(
                f"file={group.path!r}: column {name} holds {column.null_count} NULL; day files have none, rebuild them"
            )
        if pa.types.is_timestamp(column.type) and column.type.unit != "us":
            column = column.cast(pa.timestamp("us"))
        values = (column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()).to_numpy(zero_copy_only=False)
        arrays.append(values.view(np.int64) if values.dtype.kind == "M" else values)
    return arrays


def utc_date_of_file(path: str) -> int:
    """Number (days since 1970) of the UTC date of a day file, from its statistics.

    Raises:
        ValueError: the file holds events of two dates.
    """
    metadata = pq.read_metadata(path)
    place = metadata.schema.to_arrow_schema().names.index("event_at")
    found = [metadata.row_group(i).column(place).statistics for i in range(metadata.num_row_groups)]
    dates = {micros_of(instant) // 86_400_000_000 for s in found for instant in (s.min, s.max)}
    if len(dates) != 1:
        raise ValueError(f"file={path!r}: must hold events of exactly one UTC date; build day files from the lake")
    return dates.pop()


def codes_of(names: Sequence[str], *, log: EventLog, argument: str) -> list[int]:
    """Event codes of names.

    Raises:
        ValueError: a name the log has never seen; the nearest ones are offered.
    """
    for name in names:
        if name not in log.event_codes:
            raise ValueError(f"{argument}={quoted(name)}: does not occur in the log; {nearest(name, log.event_codes)}")
    return [log.event_codes[name] for name in names]


def unknown_code(names: Iterable[str | None], *, log: EventLog) -> str | None:
    """One sentence on the first name that the log has never seen, else None: what a result without numbers says."""
    for name in names:
        if name is not None and name not in log.event_codes:
            return f"event {quoted(name)}: does not occur in the log; {nearest(name, log.event_codes)}"
    return None


def micros_of(instant: datetime) -> int:
    """Microseconds since 1970 of a UTC instant (with a zone or without)."""
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def grown(values: np.ndarray, users: int) -> np.ndarray:
    """The array with room for `users` rows; new rows are 0."""
    if len(values) >= users:
        return values
    larger = np.zeros((users, *values.shape[1:]), values.dtype)
    larger[: len(values)] = values
    return larger
