"""Texts of one width, a whole column at once, without a Python object each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

Parts = list[str | tuple[np.ndarray, int]]


def user_digits(users: int) -> int:
    """How many digits the number in a user's id has."""
    return max(5, len(str(users - 1)))


def numbered(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    """A prefix and a number with leading zeros.

    >>> numbered("u", np.array([7, 42]), 3).to_pylist()
    ['u007', 'u042']
    """
    return fixed_texts([prefix, (numbers, digits)], len(numbers))


def fixed_texts(parts: Parts, count: int) -> pa.Array:
    """Constant parts (ASCII) and numbers with so many digits, one behind the other.

    >>> fixed_texts([(np.array([9, 10]), 2), ":", (np.array([5, 0]), 2)], 2).to_pylist()
    ['09:05', '10:00']
    """
    columns: list[np.ndarray] = []
    for part in parts:
        if isinstance(part, str):
            columns += [np.full(count, character, dtype=np.uint8) for character in part.encode("ascii")]
        else:
            numbers, digits = part
            columns += [(numbers // 10**place % 10 + ord("0")).astype(np.uint8) for place in reversed(range(digits))]
    body = np.stack(columns, axis=1)
    offsets = np.arange(count + 1, dtype=np.int32) * len(columns)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(body))
