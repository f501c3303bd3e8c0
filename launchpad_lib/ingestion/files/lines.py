"""The lines of a text file as an Arrow column that shares the file's bytes: no Python object per line."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

BATCH_LINES = 50_000  # DuckDB reads the batches of an Arrow table side by side


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

    def has_empty(self) -> bool:
        """Whether a line is nothing but its end."""
        data, lengths = np.frombuffer(self.content, dtype=np.uint8), np.diff(self.starts)
        begins = data[self.starts[:-1]]
        return bool(((lengths == 1) & (begins == 10)).any() or ((lengths == 2) & (begins == 13)).any())

    def table(self, first: int = 1) -> pa.Table:
        """Columns line, text (with its line end) from a line on. The content must be UTF-8."""
        batches, data = [], pa.py_buffer(self.content)
        for begin in range(first - 1, len(self.starts) - 1, BATCH_LINES):
            offsets = self.starts[begin : begin + BATCH_LINES + 1]
            text = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(np.ascontiguousarray(offsets)), data)
            numbers = pa.array(np.arange(begin + 1, begin + len(offsets), dtype=np.int64))
            batches.append(pa.record_batch([numbers, text], names=["line", "text"]))
        return pa.Table.from_batches(batches, schema=pa.schema([("line", pa.int64()), ("text", pa.large_string())]))


def lines_of(content: bytes) -> Lines:
    """Cuts at every line feed; an empty rest after the last one is no line."""
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == 10).astype(np.int64) + 1
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends])
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
