"""Texts that stand somewhere in a file's bytes as Arrow arrays, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit


def texts_at(data: np.ndarray, offsets: np.ndarray, is_valid: np.ndarray) -> pa.Array:
    """Texts that stand one behind the other."""
    valid = None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    body = pa.py_buffer(data[: offsets[-1]])
    return pa.StringArray.from_buffers(len(is_valid), pa.py_buffer(offsets.astype(np.int32)), body, valid)


def gathered(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, is_valid: np.ndarray) -> pa.Array:
    """Texts that stand anywhere."""
    offsets = np.empty(len(begins) + 1, np.int64)
    out = np.empty(_lengths(begins, ends, is_valid, offsets), np.uint8)
    _gather(data, begins, offsets, out)
    return texts_at(out, offsets, is_valid)


def buffers_of(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (32 bit) and bytes of a string array."""
    _, offsets, data = texts.buffers()
    where = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return where, np.frombuffer(data if data is not None and data.size else b"\0", np.uint8)


@njit(cache=True, nogil=True)
def _lengths(begins, ends, is_valid, offsets):  # noqa: ANN001, ANN202
    o = offsets[0] = 0
    for i in range(len(begins)):
        if is_valid[i]:
            o += ends[i] - begins[i]
        offsets[i + 1] = o
    return o


@njit(cache=True, nogil=True)
def _gather(data, begins, offsets, out):  # noqa: ANN001, ANN202
    for i in range(len(begins)):
        a, o = begins[i], offsets[i]
        for k in range(offsets[i + 1] - o):
            out[o + k] = data[a + k]
