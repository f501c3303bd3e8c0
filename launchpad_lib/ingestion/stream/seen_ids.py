"""Which event ids went by lately, in a fixed amount of memory.

Each id is kept as 128 bits of a seeded hash (a false "seen" among a billion ids: less than one in 10^20; the seed is drawn per process,
so nobody can craft ids that collide). Two generations: when the younger is full the older is forgotten, so the last `window` to
2 x `window` ids are known. Memory: 64 bytes per id of the window, allocated at the start.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit, uint64


@njit(cache=True, nogil=True)
def _mark_new(data, offsets, order, seeds, young, old, count, is_new):  # pragma: no cover (compiled)
    """Sets is_new[i] for each row visited in `order`; inserts new ids into `young`; returns the new count."""
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
        slot = h1 & mask
        while old[slot, 0] != uint64(0) or old[slot, 1] != uint64(0):
            if old[slot, 0] == h1 and old[slot, 1] == h2:
                seen = True
                break
            slot = (slot + uint64(1)) & mask
        slot = h1 & mask
        while not seen and (young[slot, 0] != uint64(0) or young[slot, 1] != uint64(0)):
            if young[slot, 0] == h1 and young[slot, 1] == h2:
                seen = True
            slot = (slot + uint64(1)) & mask
        if not seen:
            young[slot, 0] = h1
            young[slot, 1] = h2
            count += 1
        is_new[row] = not seen
    return count


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
        self.first_seen(pa.array(["compiled now, not at the first event"]))
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._young = np.zeros((self._slots, 2), dtype=np.uint64)
        self._old = np.zeros((self._slots, 2), dtype=np.uint64)
        self._count = 0

    def first_seen(self, ids: pa.Array, *, order: np.ndarray | None = None) -> np.ndarray:
        """True where a row's id is met for the first time; rows are visited in `order` (indices), by default as they stand."""
        ids = ids.cast(pa.string())
        is_new = np.zeros(len(ids), dtype=np.bool_)
        _, offset_buffer, data_buffer = ids.buffers()
        if len(ids) == 0 or offset_buffer is None:
            return is_new
        offsets = np.frombuffer(offset_buffer, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
        data = (
            np.frombuffer(data_buffer, dtype=np.uint8)
            if data_buffer is not None and data_buffer.size
            else np.zeros(1, dtype=np.uint8)
        )
        visits = np.arange(len(ids), dtype=np.int64) if order is None else order.astype(np.int64)
        step = max(self._slots // 4, 1)
        for start in range(0, len(visits), step):
            if self._count >= self.window:
                self._young, self._old = self._old, self._young
                self._young[:] = 0
                self._count = 0
            self._count = _mark_new(
                data, offsets, visits[start : start + step], self._seeds, self._young, self._old, self._count, is_new
            )
        return is_new
