"""Which event ids went by lately, in a fixed amount of memory.

Each id is kept as 128 bits of a seeded hash (a false "seen" among a billion ids: less than one in 10^20; the seed is
drawn per process, so nobody can craft ids that collide). Two generations: when the younger is full the older is
forgotten, so the last `window` to 2 x `window` ids are known. With each id goes a fingerprint of the event's content,
so that a copy that says something else is told from one that says the same. Memory: 96 bytes per id of the window,
allocated at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit, uint64


@njit(cache=True, nogil=True)
def _mark_new(data, offsets, order, seeds, young, old, count, content, is_new, is_other):  # pragma: no cover (compiled)
    """Sets is_new[i], or is_other[i] where the content differs from the id's known one, for each row visited in
    `order`; inserts new ids into `young`; returns the new count. A content of 0 is not known.
    """
    mask = uint64(young.shape[0] - 1)
    for k in range(order.shape[0]):
        row = order[k]
        h1, h2 = seeds[0], seeds[1]
        position, end = offsets[row], offsets[row + 1]
        length = uint64(end - position)
        while position < end:
            word = uint64(0)
            stop = min(position + 8, end)
            shift = uint64(0)
            while position < stop:
                word |= uint64(data[position]) << shift
                shift += uint64(8)
                position += 1
            h1 = (h1 ^ word) * uint64(0x9E3779B97F4A7C15)
            h1 ^= h1 >> uint64(32)
            h2 = (h2 + word) * uint64(0xC2B2AE3D27D4EB4F)
            h2 ^= h2 >> uint64(29)
        h1 = (h1 ^ length) * uint64(0xFF51AFD7ED558CCD)
        h1 ^= h1 >> uint64(33)
        h2 = (h2 ^ length) * uint64(0xC4CEB9FE1A85EC53)
        h2 ^= h2 >> uint64(33)
        if h1 == uint64(0) and h2 == uint64(0):
            h1 = uint64(1)
        seen = False
        known = uint64(0)
        slot = h1 & mask
        while old[slot, 0] != uint64(0) or old[slot, 1] != uint64(0):
            if old[slot, 0] == h1 and old[slot, 1] == h2:
                seen = True
                known = old[slot, 2]
                break
            slot = (slot + uint64(1)) & mask
        slot = h1 & mask
        while not seen and (young[slot, 0] != uint64(0) or young[slot, 1] != uint64(0)):
            if young[slot, 0] == h1 and young[slot, 1] == h2:
                seen = True
                known = young[slot, 2]
            slot = (slot + uint64(1)) & mask
        if not seen:
            young[slot, 0] = h1
            young[slot, 1] = h2
            young[slot, 2] = content[row]
            count += 1
        is_new[row] = not seen
        is_other[row] = seen and known != uint64(0) and content[row] != uint64(0) and known != content[row]
    return count


@njit(cache=True, nogil=True)
def _add_content(data, offsets, seeds, content):  # pragma: no cover (compiled)
    """Mixes the text of each row, and where it ends, into the row's fingerprint."""
    for row in range(content.shape[0]):
        h = content[row] ^ seeds[0]
        position, end = offsets[row], offsets[row + 1]
        h = (h ^ uint64(end - position)) * uint64(0x9E3779B97F4A7C15)
        while position < end:
            word = uint64(0)
            stop = min(position + 8, end)
            shift = uint64(0)
            while position < stop:
                word |= uint64(data[position]) << shift
                shift += uint64(8)
                position += 1
            h = (h ^ word) * uint64(0xFF51AFD7ED558CCD)
            h ^= h >> uint64(32)
        content[row] = h
    return 0


class Seen(NamedTuple):
    """Of each row: `is_new`, its id is met for the first time; `is_other`, its id is known with other content."""

    is_new: np.ndarray
    is_other: np.ndarray


class SeenIds:
    """Tells new ids from known ones and remembers the new ones."""

    def __init__(self, *, window: int) -> None:
        """Raises:
        ValueError: `window` out of range.
        """
        if not 1 <= window <= 2**28:
            raise ValueError(f"window={window}: ids to remember must be 1 to {2**28}; choose for example 1000000")
        self.window = window
        self._slots = 1 << max(int(2 * window - 1).bit_length(), 10)
        self._seeds = np.frombuffer(np.random.default_rng().bytes(16), dtype=np.uint64).copy()
        self.clear()
        self.first_seen(pa.array(["compiled now, not at the first event"]), columns=[pa.array(["this, too"])])
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._young = np.zeros((self._slots, 3), dtype=np.uint64)
        self._old = np.zeros((self._slots, 3), dtype=np.uint64)
        self._count = 0

    def first_seen(self, ids: pa.Array, *, order: np.ndarray | None = None, columns: Sequence[pa.Array] = ()) -> Seen:
        """Looks the ids up and remembers the new ones; rows are visited in `order` (indices), by default as they stand.

        Args:
            columns: texts that make up an event's content; none where it is not known.
        """
        ids = ids.cast(pa.string())
        seen = Seen(np.zeros(len(ids), dtype=np.bool_), np.zeros(len(ids), dtype=np.bool_))
        if len(ids) == 0:
            return seen
        data, offsets = _buffers(ids)
        content = np.zeros(len(ids), dtype=np.uint64)
        for column in columns:
            _add_content(*_buffers(column.cast(pa.string())), self._seeds, content)
        visits = np.arange(len(ids), dtype=np.int64) if order is None else order.astype(np.int64)
        step = max(self._slots // 4, 1)
        for start in range(0, len(visits), step):
            if self._count >= self.window:
                self._young, self._old = self._old, self._young
                self._young[:] = 0
                self._count = 0
            part = visits[start : start + step]
            self._count = _mark_new(
                data, offsets, part, self._seeds, self._young, self._old, self._count, content, *seen
            )
        return seen


def _buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and offsets of a column of texts; a NULL is an empty text."""
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    has_data = data_buffer is not None and data_buffer.size
    return np.frombuffer(data_buffer, dtype=np.uint8) if has_data else np.zeros(1, dtype=np.uint8), offsets
