"""A file as parts, each a set of rows with the line it came from, so that a file of any size is read in bounded memory.

Cutting the file is done in order and costs little; what reads a part can be called on another thread. Sets of rows are
read by compiled code and Arrow; a row that those readers might take otherwise than the standard says is read one by
one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.event import read_object
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.ingestion.files.csv_rows import read_csv_rows, rows_one_by_one
from launchpad_lib.ingestion.files.csv_scan import are_records
from launchpad_lib.ingestion.files.json_lines import Asked, read_json_lines
from launchpad_lib.ingestion.files.lines import lines_of
from launchpad_lib.ingestion.files.source import OWN, IngestError
from launchpad_lib.ingestion.files.text_rows import TextRows
from launchpad_lib.ingestion.files.whole_texts import texts_in

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
PART_ROWS = 120_000


class Part(NamedTuple):
    """`read` gives the rows, on any thread; `first_names` the fields of the first row."""

    read: Callable[[], TextRows]
    first_names: Callable[[], Collection[str]]


class Form(NamedTuple):
    """How a file is written, where its name does not say."""

    kind: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"


def parts_of(path: Path, *, asked: Asked, form: Form | None = None) -> Generator[Part, None, None]:
    """The parts of CSV, JSONL (plain or .gz) or Parquet in order.

    Args:
        asked: what is asked of JSON objects.
        form: what the mapping states about the file.

    Raises:
        IngestError: the file as a whole cannot be read.
    """
    form = form or Form()
    kind = kind_of_file(path, form)
    if kind == ".parquet":
        yield from _parquet(path)
    elif kind in (".csv", ".tsv"):
        delimiter = "\t" if kind == ".tsv" and form.delimiter == "," else form.delimiter
        yield from _csv(path, texts_in(path, form.encoding), delimiter=delimiter)
    else:
        yield from _json(path, texts_in(path, form.encoding), asked)


def kind_of_file(path: PurePath, form: Form) -> str:
    """The ending that tells how a file is written, such as `.csv`.

    Raises:
        IngestError: none that is known.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes[-1] if suffixes else "")
    kind = f".{form.kind}" if form.kind else kind
    if kind not in KINDS:
        raise IngestError(
            f"{path}: unknown kind of file {kind!r}; give .csv, .tsv, .jsonl, .ndjson, .json (one object a "
            "line) or .parquet, plain or .gz, "
            f"state its `format`, or name the files of a mixed folder by a glob such as '{path.parent.name}/*.csv'"
        )
    return kind


def _lines_in(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n"))


def _json(path: Path, texts: Iterator[bytes], asked: Asked) -> Iterator[Part]:
    before, is_begun = 0, False
    for content in texts:
        lines = lines_of(content)
        if not is_begun:
            first = next((n for n in range(1, len(lines.starts)) if lines.line(n).strip()), None)
            is_begun = first is not None
            if first and lines.line(first).strip() in (b"[", b"{"):
                raise IngestError(
                    f"{path}, line {before + first}: no line of the file is a JSON object (it is one text over several "
                    "lines); give one JSON object a line"
                )
        yield Part(partial(read_json_lines, lines, before=before, asked=asked), partial(_names_in, content))
        before += len(lines.starts) - 1


def _names_in(content: bytes) -> Collection[str]:
    """The fields of the first line that is an object."""
    for line in io.BytesIO(content):
        if line.strip():
            try:
                return read_object(line.strip())
            except NotAnObjectError:
                continue
    return ()


def _csv(path: Path, texts: Iterator[bytes], *, delimiter: str) -> Iterator[Part]:
    """Parts each of whose lines is one record are read as sets; from the first other part on, row by row."""
    content = next(texts, b"")
    if not content:
        raise IngestError(f"{path}, line 1: no header; the first line must name the columns")
    _check_text(path, content, 0)
    end = content.index(b"\n") + 1 if b"\n" in content else len(content)
    if not _has_lone_return(content) and content[:end].count(b'"') % 2 == 0:
        header = _header(path, csv.reader([content[:end].decode("utf-8")], strict=True, delimiter=delimiter))
        content, before = content[end:], 1
    else:
        lines = _Physical(path, content, texts)
        reader = csv.reader(lines, strict=True, delimiter=delimiter)
        header = _header(path, reader)
        for read in rows_one_by_one(path, lines, reader.line_num, header, delimiter):
            yield Part(read, lambda: header)
        return
    if not content:
        content = next(texts, b"")
    if not content:
        yield Part(partial(read_csv_rows, path, b"", before, header, delimiter, count=0), lambda: header)
    while content:
        if _has_lone_return(content) or (b'"' in content and not are_records(content, delimiter)):
            lines = _Physical(path, content, texts, before)
            for read in rows_one_by_one(path, lines, before, header, delimiter):
                yield Part(read, lambda: header)
            return
        count = _lines_in(content)
        yield Part(partial(read_csv_rows, path, content, before, header, delimiter, count=count), lambda: header)
        before += count
        content = next(texts, b"")
        _check_text(path, content, before)


class _Physical:
    """The rest of a text line by line; what ends a line is a line feed, a return, or both."""

    def __init__(self, path: Path, content: bytes, texts: Iterator[bytes], before: int = 0) -> None:
        self._path, self._texts, self._before = path, texts, before
        self._lines: Iterator[str] = iter(io.StringIO(content.decode("utf-8"), newline=""))
        self._count = _lines_in(content)

    def __iter__(self) -> _Physical:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            content = next(self._texts, b"")
            if not content:
                raise StopIteration
            self._before += self._count
            self._count = _lines_in(content)
            _check_text(self._path, content, self._before)
            self._lines = iter(io.StringIO(content.decode("utf-8"), newline=""))
            line = next(self._lines)
        return line


def _check_text(path: Path, content: bytes, before: int) -> None:
    try:
        if not content.isascii():
            content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IngestError(
            f"{path}, line {before + content[: error.start].count(10) + 1}: not UTF-8; save the file as UTF-8, or "
            "state its `encoding`, for example latin-1"
        ) from error
    if b"\0" in content:
        raise IngestError(
            f"{path}, line {before + content[: content.index(0)].count(10) + 1}: a NUL byte, so this is no CSV text; "
            "export it again"
        )


def _has_lone_return(content: bytes) -> bool:
    return b"\r" in content and content.count(b"\r") != content.count(b"\r\n")


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise IngestError(
            f"{path}, line 1: the header cannot be read ({error}); correct the quoting of that line, or "
            "state the `delimiter` if it is another one"
        ) from error
    if not header or not any(h.strip() for h in header):
        raise IngestError(f"{path}, line 1: no header; the first line must name the columns")
    if len(set(header)) < len(header):
        raise IngestError(f"{path}, line 1: a column name stands twice; name each column once")
    return _not_ours(header)


def _not_ours(names: list[str]) -> list[str]:
    """A field that is called like one of the reader's own columns gets a _ behind its name."""
    return [f"{n}_" if n in OWN else n for n in names]


def _parquet(path: Path) -> Iterator[Part]:
    try:
        with pq.ParquetFile(path) as file:  # read_table would take fields from the names of the folders
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise IngestError(f"{path}: a column name stands twice; name each column once")
            before = 0
            if not file.metadata.num_rows:
                yield Part(partial(_parquet_rows, file.schema_arrow.empty_table(), before), lambda: names)
            for batch in file.iter_batches(batch_size=PART_ROWS):
                yield Part(partial(_parquet_rows, pa.Table.from_batches([batch]), before), lambda: names)
                before += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise IngestError(
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0][:120]}); export it again"
        ) from error


def _parquet_rows(table: pa.Table, before: int) -> TextRows:
    for index, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_float16(kind) or pa.types.is_decimal256(kind):  # DuckDB has neither
            wide = pa.float32() if pa.types.is_float16(kind) else pa.string()
            table = table.set_column(index, field.name, table.column(index).cast(wide))
            continue
        is_other_text = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_large_string(kind)
        if is_other_text or pa.types.is_string_view(kind) or kind != field.type:
            try:
                table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue  # not text: it is shown escaped
    table = table.rename_columns(_not_ours(table.column_names))
    numbered = table.append_column("__line", pa.array(np.arange(before + 1, before + table.num_rows + 1)))

    def raw(lines: list[int]) -> list[str]:
        rows = table.take([n - 1 - before for n in lines]).to_pylist()
        return [json.dumps(row, default=str, ensure_ascii=False) for row in rows]

    return TextRows(numbered, [], list(table.column_names), raw, "parquet")
