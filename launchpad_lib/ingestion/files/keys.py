"""Keys of rows as hashes of 64 bits: equal keys have equal hashes, so what may be a copy is found among numbers.

Two different keys of one hash cost a second look, never a row.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from launchpad_lib.contract.tables import Table
from launchpad_lib.ingestion.files.text_arrays import buffers_of

BITS_A_KEY = 16


def key_hashes(rows: pa.Table, table: Table) -> np.ndarray:
    """One hash per row; a NULL part of a key is as an empty one."""
    parts = [_text(rows[name]) for name in table.key]
    texts = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1e")
    hashes = np.empty(rows.num_rows, np.uint64)
    start = 0
    for chunk in texts.chunks:
        offsets, data = buffers_of(chunk)
        _hashes(data, offsets, hashes[start : start + len(chunk)])
        start += len(chunk)
    return hashes


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return pc.fill_null(column.cast(pa.string()), "")


@njit(cache=True, nogil=True)
def _hashes(data, offsets, hashes):  # noqa: ANN001, ANN202
    for i in range(len(hashes)):
        h = np.uint64(14695981039346656037)
        for k in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[k])) * np.uint64(1099511628211)
        h = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes[i] = h ^ (h >> np.uint64(32))


class Sieve:
    """A table of bits, 16 to a key: says "maybe" of every key that was put in, and of about every sixteenth other."""

    def __init__(self, keys: int) -> None:
        self._bits = np.zeros(max(1 << int(np.ceil(np.log2(max(keys, 1) * BITS_A_KEY / 8))), 1024), np.uint8)

    def put(self, hashes: np.ndarray) -> np.ndarray:
        """Puts hashes in; those that may have been there before."""
        return hashes[_put(self._bits, hashes)]

    def maybe(self, hashes: np.ndarray) -> np.ndarray:
        """The hashes that may be there."""
        return hashes[_maybe(self._bits, hashes)]


def repeated(parts: Iterable[np.ndarray], sieve: Sieve) -> np.ndarray:
    """The hashes, sorted, that stand more than once in all parts together; all are left in the sieve."""
    parts = list(parts)
    maybe = np.unique(np.concatenate([np.empty(0, np.uint64), *(sieve.put(part) for part in parts)]))
    counts = np.zeros(len(maybe), np.int64)
    if len(maybe):  # about one hash in fifty is there by chance: looked up in a table of their own
        slots = np.full(1 << int(np.ceil(np.log2(2 * len(maybe)))), -1, np.int64)
        _enter(maybe, slots)
        for part in parts:
            _count(part, maybe, slots, counts)
    return maybe[counts > 1]


def is_among(hashes: np.ndarray, sorted_hashes: np.ndarray) -> np.ndarray:
    """For each hash whether it is one of these."""
    if not len(sorted_hashes):
        return np.zeros(len(hashes), np.bool_)
    places = np.minimum(np.searchsorted(sorted_hashes, hashes), len(sorted_hashes) - 1)
    return sorted_hashes[places] == hashes


@njit(cache=True, nogil=True)
def _enter(keys, slots):  # noqa: ANN001, ANN202
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        slot = np.int64(keys[i] & mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & np.int64(mask)
        slots[slot] = i


@njit(cache=True, nogil=True)
def _count(hashes, keys, slots, counts):  # noqa: ANN001, ANN202
    mask = np.uint64(len(slots) - 1)
    for i in range(len(hashes)):
        slot = np.int64(hashes[i] & mask)
        while slots[slot] >= 0:
            if keys[slots[slot]] == hashes[i]:
                counts[slots[slot]] += 1
                break
            slot = (slot + 1) & np.int64(mask)


@njit(cache=True, nogil=True)
def _put(bits, hashes):  # noqa: ANN001, ANN202
    was_there = np.zeros(len(hashes), np.bool_)
    mask = np.uint64(len(bits) * 8 - 1)
    for i in range(len(hashes)):
        bit = hashes[i] & mask
        byte, flag = np.int64(bit >> np.uint64(3)), np.uint8(1) << np.uint8(bit & np.uint64(7))
        was_there[i] = (bits[byte] & flag) != 0
        bits[byte] |= flag
    return was_there


@njit(cache=True, nogil=True)
def _maybe(bits, hashes):  # noqa: ANN001, ANN202
    is_there = np.zeros(len(hashes), np.bool_)
    mask = np.uint64(len(bits) * 8 - 1)
    for i in range(len(hashes)):
        bit = hashes[i] & mask
        is_there[i] = (bits[np.int64(bit >> np.uint64(3))] >> np.uint8(bit & np.uint64(7))) & np.uint8(1)
    return is_there
