"""Fields that fill no column of ours as one JSON object a row, put together by compiled code, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from launchpad_lib.ingestion.files.text_arrays import buffers_of, texts_at

_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Encoder().encode_lines


class _Column(NamedTuple):
    """A field's values as texts, of which empty ones are none; `is_text`: they stand in quotes."""

    key: np.ndarray
    texts: pa.Array
    is_there: np.ndarray
    is_text: bool


def objects_of(columns: Sequence[tuple[str, pa.ChunkedArray | str]], *, rows: int) -> pa.Array | None:
    """One object per row in canonical text: of each name its value, or a constant for all rows; NULL and an empty text
    are left out. None where a column is of a type whose text is for the engine.

    >>> words, numbers = pa.chunked_array([["x", "/", ""]]), pa.chunked_array([[1, None, 3]])
    >>> objects_of([("a", words), ("b", numbers)], rows=3).to_pylist()
    ['{"a":"x","b":1}', '{"a":"/"}', '{"b":3}']
    """
    found = [_column(name, pa.chunked_array([pa.repeat(v, rows)]) if isinstance(v, str) else v) for name, v in columns]
    if any(one is None for one in found):
        return None
    parts = [one for one in found if one is not None]
    lengths, is_doubtful = np.full(rows, 1, np.int64), np.zeros(rows, np.bool_)
    buffers = [buffers_of(part.texts) for part in parts]
    for part, (offsets, data) in zip(parts, buffers, strict=True):
        _measure(data, offsets, part.is_there, len(part.key), part.is_text, lengths, is_doubtful)
    ends = np.zeros(rows + 1, np.int64)
    np.cumsum(np.maximum(lengths, 2), out=ends[1:])
    out, cursor = np.empty(int(ends[-1]), np.uint8), ends[:-1].copy()
    for part, (offsets, data) in zip(parts, buffers, strict=True):
        _write(data, offsets, part.is_there, part.key, part.is_text, ends, cursor, out)
    _close(ends, cursor, out)
    texts = texts_at(out, ends, np.ones(rows, np.bool_))
    if not is_doubtful.any():
        return texts
    # A control character is written as an escape: these rows are written by the contract's own writer.
    asked = pa.array(is_doubtful)
    records: list[dict[str, object]] = [{} for _ in range(int(is_doubtful.sum()))]
    for (name, _), part in zip(columns, parts, strict=True):
        values = part.texts.filter(asked).to_pylist()
        for record, value, is_there in zip(records, values, part.is_there[is_doubtful], strict=True):
            if is_there:
                record[name] = value if part.is_text else msgspec.json.decode(value)
    anew = pa.array([_encode(record).decode() for record in records], pa.string())
    return pc.replace_with_mask(texts, asked, anew)


def _column(name: str, values: pa.ChunkedArray) -> _Column | None:
    kind, is_text = values.type, False
    if pa.types.is_string(kind):
        is_text = True
    elif pa.types.is_float64(kind):
        values = _of_floats(values)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        values = values.cast(pa.string())
    else:
        return None
    texts = values.combine_chunks()
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks else pa.array([], pa.string())
    is_there = np.asarray(pc.fill_null(pc.greater(pc.binary_length(texts), 0), False))
    return _Column(np.frombuffer(_encode(name), np.uint8), texts, is_there, is_text)


def _of_floats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """As JSON has them; what is no finite number is none."""
    listed = values.to_pylist()
    texts = _lines(listed).decode().split("\n")[:-1]
    is_finite = pc.fill_null(pc.is_finite(values), False)
    return pc.if_else(is_finite, pa.array(texts, pa.string()), pa.scalar(None, pa.string()))


@njit(cache=True, nogil=True)
def _measure(data, offsets, is_there, key, is_text, lengths, is_doubtful):  # noqa: ANN001, ANN202, PLR0913
    """Adds what each value takes, with its key, its colon, its quotes, its comma or brace."""
    for i in range(len(is_there)):
        if not is_there[i]:
            continue
        size = offsets[i + 1] - offsets[i] + key + 2
        if is_text:
            size += 2
            for p in range(offsets[i], offsets[i + 1]):
                c = data[p]
                size += c == 34 or c == 92 or c == 10 or c == 13 or c == 9
                is_doubtful[i] |= c < 32 and c != 10 and c != 13 and c != 9
        lengths[i] += size


@njit(cache=True, nogil=True)
def _write(data, offsets, is_there, key, is_text, ends, cursor, out):  # noqa: ANN001, ANN202, PLR0913
    for i in range(len(is_there)):
        if not is_there[i]:
            continue
        o = cursor[i]
        out[o] = 123 if o == ends[i] else 44
        o += 1
        for k in range(len(key)):
            out[o + k] = key[k]
        o += len(key)
        out[o] = 58
        o += 1
        if is_text:
            out[o] = 34
            o += 1
        for p in range(offsets[i], offsets[i + 1]):
            c = data[p]
            if is_text and (c == 34 or c == 92 or c == 10 or c == 13 or c == 9):
                out[o] = 92
                o += 1
                c = 110 if c == 10 else (114 if c == 13 else (116 if c == 9 else c))
            out[o] = c
            o += 1
        if is_text:
            out[o] = 34
            o += 1
        cursor[i] = o


@njit(cache=True, nogil=True)
def _close(ends, cursor, out):  # noqa: ANN001, ANN202
    for i in range(len(cursor)):
        if cursor[i] == ends[i]:
            out[ends[i]] = 123
        out[ends[i + 1] - 1] = 125
