"""Typed properties of known events in canonical text: which rows may hold one of another type, in compiled code."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from launchpad_lib.contract.event import rules

_EVENTS = pa.array(list(rules.TYPED), pa.string())
_KINDS = {"string": 0, "number": 1, "integer": 2, "boolean": 3}
_PAIRS = [(f'"{name}":'.encode(), _KINDS[kind]) for typed in rules.TYPED.values() for name, kind in typed.items()]
_NAMES = np.frombuffer(b"".join(name for name, _ in _PAIRS) or b"\0", np.uint8)
_NAME_ENDS = np.cumsum([0, *(len(name) for name, _ in _PAIRS)])
_NAME_KINDS = np.array([kind for _, kind in _PAIRS], np.int64)
_FIRSTS = np.cumsum([0, *(len(typed) for typed in rules.TYPED.values())])


def may_be_of_other_types(names: pa.Array, properties: pa.Array) -> np.ndarray:
    """True for each row whose event is known and has a typed property, wherever it stands in the text, whose value
    begins like another type's.

    Args:
        names: event names.
        properties: canonical texts.
    """
    codes = np.asarray(pc.fill_null(pc.index_in(names, value_set=_EVENTS), -1))
    _, offsets, data = properties.buffers()
    found = np.zeros(len(properties), np.bool_)
    if (codes >= 0).any() and data is not None:
        where = np.frombuffer(offsets, np.int32)[properties.offset : properties.offset + len(properties) + 1]
        _look(np.frombuffer(data, np.uint8), where, codes, _NAMES, _NAME_ENDS, _NAME_KINDS, _FIRSTS, found)
    return found


@njit(cache=True, nogil=True)
def _look(data, offsets, codes, names, name_ends, kinds, firsts, found):  # noqa: ANN001, ANN202, PLR0913
    for i in range(len(codes)):
        code, end = codes[i], offsets[i + 1]
        if code < 0:
            continue
        p = offsets[i]
        while p < end and not found[i]:
            if data[p] == 34:
                for n in range(firsts[code], firsts[code + 1]):
                    first, size = name_ends[n], name_ends[n + 1] - name_ends[n]
                    is_it = p + size < end and data[p + size - 1] == 58
                    k = 1
                    while is_it and k < size:
                        is_it = data[p + k] == names[first + k]
                        k += 1
                    if is_it and _differs(data, p + size, end, kinds[n]):
                        found[i] = True
            p += 1


@njit(cache=True, nogil=True)
def _differs(data, p, end, kind):  # noqa: ANN001, ANN202
    """Whether the value there begins like none of the kind (null is of every kind)."""
    c = data[p]
    if c == 110:
        return False
    if kind == 0:
        return c != 34
    if kind == 3:
        return c != 116 and c != 102
    if c != 45 and not 48 <= c <= 57:
        return True
    if kind == 2:
        p += 1
        while p < end and 48 <= data[p] <= 57:
            p += 1
        return p < end and (data[p] == 46 or data[p] == 101 or data[p] == 69)
    return False
