"""Whether every line of a CSV text is one whole record by RFC 4180, so that all readers agree on it; and then its
fields, by compiled code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from launchpad_lib.ingestion.files.text_arrays import gathered, texts_at


class Records(NamedTuple):
    """`starts`: where each line begins, and the end of the last one. Of each field and line the span of its text and
    how many quotes stand doubled in it.
    """

    starts: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    doubled: np.ndarray


def are_records(content: bytes, delimiter: str) -> bool:
    r"""Whether quotes open and close fields within their lines, and stand doubled inside.

    >>> [are_records(text, ",") for text in (b'a,"b ""c"" d"', b'a,"b\nc"', b'a,b"c')]
    [True, False, False]
    """
    return len(delimiter.encode()) == 1 and bool(_are_records(np.frombuffer(content, np.uint8), ord(delimiter)))


def scan_records(content: bytes, *, fields: int, lines: int, delimiter: str) -> Records | None:
    r"""None unless quotes open and close fields within their lines and stand doubled inside, each line has just these
    fields, and none is empty.

    >>> found = [scan_records(text, fields=2, lines=1, delimiter=",") for text in (b'a,"b ""c"" d"', b'a,b"c', b"a")]
    >>> [f and (f.begins.ravel().tolist(), f.doubled.ravel().tolist()) for f in found]
    [([0, 3], [0, 2]), None, None]
    """
    if len(delimiter.encode()) != 1 or len(content) >= 2**31:
        return None
    shape = (fields, lines)
    found = Records(
        np.empty(lines + 1, np.int64), np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.int32)
    )
    return found if _scan(np.frombuffer(content or b" ", np.uint8), len(content), ord(delimiter), *found) else None


def texts_of(content: bytes, records: Records, field: int) -> pa.Array:
    """The texts of one field."""
    data = np.frombuffer(content or b" ", np.uint8)
    begins, ends, doubled = records.begins[field], records.ends[field], records.doubled[field]
    if not doubled.any():
        return gathered(data, begins, ends, np.ones(len(begins), np.bool_))
    offsets = np.zeros(len(begins) + 1, np.int64)
    np.cumsum(ends.astype(np.int64) - begins - doubled, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    _undouble(data, begins, ends, doubled, offsets, out)
    return texts_at(out, offsets, np.ones(len(begins), np.bool_))


@njit(cache=True, nogil=True)
def _are_records(data, delimiter):  # noqa: ANN001, ANN202
    p, size = 0, len(data)
    while p < size:
        # At the first byte of a field.
        if data[p] == 34:
            p += 1
            while True:
                if p >= size or data[p] == 10 or data[p] == 13:
                    return False
                if data[p] == 34:
                    if p + 1 < size and data[p + 1] == 34:
                        p += 1
                    else:
                        break
                p += 1
            p += 1
            if p < size and data[p] == 13:
                p += 1
                if p >= size or data[p] != 10:
                    return False
            if p < size and data[p] != delimiter and data[p] != 10:
                return False
        else:
            while p < size and data[p] != delimiter and data[p] != 10:
                if data[p] == 34:
                    return False
                p += 1
        p += 1
    return True


@njit(cache=True, nogil=True)
def _scan(data, size, delimiter, starts, begins, ends, doubled):  # noqa: ANN001, ANN202, PLR0913
    fields, lines = begins.shape
    p = starts[0] = 0
    for line in range(lines):
        if p >= size or data[p] == 10:
            return False
        for field in range(fields):
            # At the first byte of a field.
            is_last, count = field == fields - 1, 0
            if p < size and data[p] == 34:
                p += 1
                begin = p
                while True:
                    if p >= size or data[p] == 10 or data[p] == 13:
                        return False
                    if data[p] == 34:
                        if p + 1 >= size or data[p + 1] != 34:
                            break
                        count += 1
                        p += 1
                    p += 1
                end = p
                p += 1
                if is_last and p + 1 < size and data[p] == 13 and data[p + 1] == 10:
                    p += 1
            else:
                begin = p
                while p < size and data[p] != delimiter and data[p] != 10:
                    if data[p] == 34:
                        return False
                    p += 1
                end = p
                if is_last and p < size and data[p] == 10 and end > begin and data[end - 1] == 13:
                    end -= 1
            if is_last:
                if p < size and data[p] != 10:
                    return False
                if end == begin and fields == 1:
                    return False
            elif p >= size or data[p] != delimiter:
                return False
            begins[field, line], ends[field, line], doubled[field, line] = begin, end, count
            p += 1
        starts[line + 1] = min(p, size)
    return p >= size


@njit(cache=True, nogil=True)
def _undouble(data, begins, ends, doubled, offsets, out):  # noqa: ANN001, ANN202, PLR0913
    for i in range(len(begins)):
        o, p = offsets[i], begins[i]
        while p < ends[i]:
            out[o] = data[p]
            o += 1
            p += 2 if doubled[i] > 0 and data[p] == 34 else 1
