"""Rows of a CSV: as a set where each line is one record, row by row otherwise."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from launchpad_lib.ingestion.files.csv_scan import scan_records, texts_of
from launchpad_lib.ingestion.files.lines import Lines, lines_of
from launchpad_lib.ingestion.files.source import IngestError
from launchpad_lib.ingestion.files.text_rows import TextRows

# A long field is no fault (the default refuses 128 KB); one of this size is a quote that is never closed.
MOST_CHARACTERS = 2**26
RESTARTS_MAX = 1_000
ROWS_AT_ONCE, CHARACTERS_AT_ONCE = 50_000, 12_000_000
csv.field_size_limit(MOST_CHARACTERS)


def read_csv_rows(
    path: Path, content: bytes, before: int, header: list[str], delimiter: str, *, count: int
) -> TextRows:
    """Lines each of which is one record (or empty, which is none); `count` of them."""
    found = scan_records(content, fields=len(header), lines=count, delimiter=delimiter) if content else None
    if found is not None:
        lines = Lines(content, found.starts)
        columns = {name: texts_of(content, found, field) for field, name in enumerate(header)}
        table = pa.table({**columns, "__line": pa.array(np.arange(before + 1, before + count + 1))})
        return TextRows(table, [], header, lambda numbers: [lines.text(n - before) for n in numbers], "csv")
    lines = lines_of(content)
    physical = iter(io.StringIO(content.decode("utf-8"), newline=""))
    read = [part() for part in rows_one_by_one(path, physical, before, header, delimiter)]
    broken = [row for part in read for row in part.broken]
    joined = pa.concat_tables([part.table for part in read])
    return TextRows(joined, broken, header, lambda numbers: [lines.text(n - before) for n in numbers], "csv")


class _Lines:
    """Physical lines, some of which are read twice."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._again, self.taken = lines, deque[str](), list[str]()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line

    def put_back_all_but_the_first(self) -> str:
        first = self.taken[0]
        self._again.extendleft(reversed(self.taken[1:]))
        self.taken = []
        return first


def rows_one_by_one(
    path: Path, physical: Iterator[str], before: int, header: list[str], delimiter: str
) -> Iterator[partial[TextRows]]:
    """Row by row. A line whose quoting is broken is refused alone and reading goes on with the next line."""
    lines, restarts = _Lines(physical), 0
    rows: list[list[str]] = []
    numbers: list[int] = []
    texts: dict[int, str] = {}
    broken: list[tuple[int, str, str]] = []
    characters = 0
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            restarts += 1
            is_open = "unexpected end of data" in str(error) or "field larger" in str(error)
            reason = "a quote is never closed" if is_open else f"broken quoting ({error})"
            if restarts > RESTARTS_MAX:
                raise IngestError(
                    f"{path}, line {before + 1}: {reason}, as in {RESTARTS_MAX:,} lines before it; export the "
                    "file again with proper quoting"
                ) from error
            broken.append((before + 1, reason, lines.put_back_all_but_the_first().rstrip("\r\n")))
            before += 1
            reader = csv.reader(lines, strict=True, delimiter=delimiter)
            continue
        if row is not None:
            line, text = before + 1, "".join(lines.taken).rstrip("\r\n")
            before += len(lines.taken)
            lines.taken = []
            characters += len(text)
            if len(row) == len(header):
                rows.append(row)
                numbers.append(line)
                texts[line] = text
            elif row:
                broken.append((line, f"{len(row)} fields where the header has {len(header)}", text))
        if row is None or len(rows) >= ROWS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield partial(_as_text_rows, rows, numbers, texts, broken, header)
            rows, numbers, texts, broken, characters = [], [], {}, [], 0
        if row is None:
            return


def _as_text_rows(
    rows: list[list[str]],
    numbers: list[int],
    texts: dict[int, str],
    broken: list[tuple[int, str, str]],
    header: list[str],
) -> TextRows:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    arrays = {name: pa.array(values, pa.string()) for name, values in zip(header, columns, strict=True)}
    table = pa.table({**arrays, "__line": pa.array(numbers, pa.int64())})
    return TextRows(table, broken, header, lambda wanted: [texts[n] for n in wanted], "csv")
