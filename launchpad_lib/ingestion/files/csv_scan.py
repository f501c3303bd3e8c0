"""Whether every line of a CSV text is one whole record by RFC 4180, so that all readers agree on it."""

from __future__ import annotations

import numpy as np
from numba import njit


def are_records(content: bytes, delimiter: str) -> bool:
    r"""Whether quotes open and close fields within their lines, and stand doubled inside.

    >>> [are_records(text, ",") for text in (b'a,"b ""c"" d"', b'a,"b\nc"', b'a,b"c')]
    [True, False, False]
    """
    return len(delimiter.encode()) == 1 and bool(_are_records(np.frombuffer(content, np.uint8), ord(delimiter)))


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
