"""The lines of a text file by where they begin: no Python object per line."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STRETCH = 131_072


class Lines(NamedTuple):
    """`content`: the file's bytes; `starts`: where each line begins, and the end of the last one."""

    content: bytes
    starts: np.ndarray

    def line(self, number: int) -> bytes:
        """The line of that number (from 1), as written, with its line end."""
        return self.content[self.starts[number - 1] : self.starts[number]]

    def text(self, number: int) -> str:
        """The line without its line end; bytes that are no UTF-8 are shown escaped."""
        return self.line(number).decode("utf-8", errors="backslashreplace").rstrip("\r\n")


def lines_of(content: bytes) -> Lines:
    """Cuts at every line feed; an empty rest after the last one is no line."""
    data, found = np.frombuffer(content, dtype=np.uint8), [np.zeros(1, dtype=np.int64)]
    for begin in range(0, len(data), STRETCH):  # what fits into a processor's cache
        found.append(np.flatnonzero(data[begin : begin + STRETCH] == 10) + (begin + 1))
    starts = np.concatenate(found)
    return Lines(content, starts if starts[-1] == len(content) else np.append(starts, np.int64(len(content))))


def is_utf8(content: bytes) -> bool:
    """Whether the whole content is UTF-8."""
    if content.isascii():
        return True
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
