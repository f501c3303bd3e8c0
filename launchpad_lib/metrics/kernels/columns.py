"""Columns of rows as numbers: instants, truths and texts as the engine hands them over, each row put in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit


class AskedValue(NamedTuple):
    """A column asked for, as the engine hands it over without a copy: instants in microseconds, truths as numbers."""

    name: str
    value: ir.Value
    is_truth: bool


def asked_value(name: str, value: ir.Value) -> AskedValue:
    kind = value.type()
    if kind.is_boolean():
        return AskedValue(name, value.cast("int8"), True)
    return AskedValue(name, value.cast("timestamp(6)") if kind.is_timestamp() else value, False)


class Coded(NamedTuple):
    """Texts as codes into a list that is given."""

    codes: np.ndarray
    names: Sequence[str]


class Texts:
    """The texts of each column met so far; those that are met first get the next codes."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, int]] = {}

    def numbers(self, name: str, array: np.ndarray | Coded) -> np.ndarray:
        """A column as it is handed on."""
        if not isinstance(array, Coded):
            return array
        known, values = self._known.setdefault(name, {}), self.values.setdefault(name, [])
        there = np.flatnonzero(_is_met(array.codes, np.zeros(len(array.names) + 1, np.bool_))[:-1])
        place = np.full(len(array.names) + 1, -1, np.int32)
        for code in there.tolist():
            text = array.names[code]
            if text not in known:
                known[text] = len(values)
                values.append(text)
            place[code] = known[text]
        return _renamed(array.codes, place, np.empty(len(array.codes), np.int32))


def column_of(
    column: pa.ChunkedArray, asked: AskedValue, *, places: np.ndarray | None = None, names: Sequence[str] | None = None
) -> np.ndarray | Coded:
    """A column as numbers, each row in its place. `names`: the texts of codes that the engine gave."""
    kind = column.type
    if names is not None:
        return Coded(scattered(column, places), names)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        encoded = pc.dictionary_encode(column).unify_dictionaries()
        texts = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        codes = pa.chunked_array([c.indices.fill_null(-1) for c in encoded.chunks], pa.int32())
        return Coded(scattered(codes, places), texts)
    if column.null_count:
        raise ValueError(f"columns: {asked.name!r} holds {column.null_count} NULL; fill them before the fold")
    found = scattered(column, places)
    return found.view(np.uint8) if asked.is_truth else found


def scattered(column: pa.ChunkedArray, places: np.ndarray | None) -> np.ndarray:
    chunks = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    kind = chunks[0].dtype if chunks else np.dtype(column.type.to_pandas_dtype())
    shown = np.dtype(np.int64) if kind.kind == "M" else kind
    if places is None:
        whole = np.concatenate(chunks) if len(chunks) > 1 else chunks[0] if chunks else np.empty(0, kind)
        return whole.view(shown)
    out, done = np.empty(len(places), shown), 0
    for chunk in chunks:
        scatter(chunk.view(shown), places[done : done + len(chunk)], out)
        done += len(chunk)
    return out


@njit(cache=True, nogil=True)
def scatter(values, places, out):  # pragma: no cover (compiled)
    for i in range(len(values)):
        out[places[i]] = values[i]


@njit(cache=True, nogil=True)
def _renamed(codes, place, out):  # pragma: no cover (compiled)
    for i in range(len(codes)):
        out[i] = place[codes[i]]
    return out


@njit(cache=True, nogil=True)
def _is_met(codes, met):  # pragma: no cover (compiled)
    for i in range(len(codes)):
        met[codes[i]] = True
    return met
