"""A file as columns of fields, with the line each row came from; the row as it was written is looked up when it is
refused.

Sets of rows are read by Arrow and DuckDB; a row that those readers might take otherwise than the standard says is read
one by one.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from launchpad_lib.ingestion.files.fields import Kind
from launchpad_lib.ingestion.files.json_lines import read_json_lines
from launchpad_lib.ingestion.files.lines import Lines, lines_of
from launchpad_lib.ingestion.files.source import IngestError

csv.field_size_limit(2**31 - 1)  # a long field is no fault; the default refuses 128 KB
RESTARTS_MAX = 1_000
KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


class TextRows(NamedTuple):
    """`table`: a column per field plus `__line` (from 1); JSON adds `__object`, the whole object.

    `broken`: (line, reason, raw) of unreadable rows.

    `names`: every field the file has. `raw`: the rows as they were written, for given lines. `kind`: what the file's
    values are like.
    """

    table: pa.Table
    broken: list[tuple[int, str, str]]
    names: list[str]
    raw: Callable[[list[int]], list[str]]
    kind: Kind


class Form(NamedTuple):
    """How a file is written, where its name does not say."""

    kind: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"


def read_text_rows(path: Path, *, wanted: Collection[str] | None = None, form: Form | None = None) -> TextRows:
    """Reads CSV, JSONL (plain or .gz) or Parquet.

    Args:
        wanted: of JSON, the fields that get a column (all others stay in `__object`); None is every field.
        form: what the mapping states about the file.

    Raises:
        IngestError: the file as a whole cannot be read.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes[-1] if suffixes else "")
    form = form or Form()
    kind = f".{form.kind}" if form.kind else kind
    if kind not in KINDS:
        raise IngestError(
            f"{path}: unknown kind of file {kind!r}; give .csv, .tsv, .jsonl, .ndjson, .json (one object a "
            "line) or .parquet, plain or .gz, "
            f"state its `format`, or name the files of a mixed folder by a glob such as '{path.parent.name}/*.csv'"
        )
    if kind == ".parquet":
        return _parquet(path)
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise IngestError(f"{path}: cannot be read ({error}); check that the file is whole and readable") from error
    if codecs.lookup(form.encoding).name != "utf-8":
        content = _as_utf8(path, content, form.encoding)
    if kind in (".csv", ".tsv"):
        return _csv(path, content, delimiter="\t" if kind == ".tsv" and form.delimiter == "," else form.delimiter)
    return TextRows(*read_json_lines(path, content.removeprefix(b"\xef\xbb\xbf"), wanted=wanted), "json")


def _as_utf8(path: Path, content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        raise IngestError(f"{path}: not {encoding} ({error}); state its `encoding`") from error


def _csv(path: Path, content: bytes, *, delimiter: str = ",") -> TextRows:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content:
        raise IngestError(f"{path}, line 1: no header; the first line must name the columns")
    lines = lines_of(content)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IngestError(
            f"{path}, line {content[: error.start].count(10) + 1}: not UTF-8; save the file as UTF-8, or state "
            "its `encoding`, for example latin-1"
        ) from error
    if b"\0" in content:
        raise IngestError(
            f"{path}, line {content[: content.index(0)].count(10) + 1}: a NUL byte, so this is no CSV text; "
            "export it again"
        )
    has_lone_return = content.count(b"\r") != content.count(b"\r\n")
    physical = (
        None
        if not has_lone_return and lines.line(1).count(b'"') % 2 == 0
        else list(io.StringIO(content.decode("utf-8"), newline=""))
    )
    first = physical if physical is not None else [lines.line(1).decode("utf-8")]
    reader = csv.reader(first, strict=True, delimiter=delimiter)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise IngestError(
            f"{path}, line 1: the header cannot be read ({error}); correct the quoting of that line"
        ) from error
    if not header or not any(h.strip() for h in header):
        raise IngestError(f"{path}, line 1: no header; the first line must name the columns")
    if len(set(header)) < len(header):
        raise IngestError(f"{path}, line 1: a column name stands twice; name each column once")
    start, header = reader.line_num, _not_ours(header)
    if physical is None:
        table = _plain_csv(lines, header, delimiter)
        if table is not None:
            return TextRows(table, [], header, lambda numbers: [lines.text(n) for n in numbers], "csv")
        physical = list(io.StringIO(content.decode("utf-8"), newline=""))
    columns, numbers, ends, broken = _quoted_csv(path, physical, start, header, delimiter)
    last = dict(zip(numbers, ends, strict=True))
    arrays = {name: pa.array(values, pa.string()) for name, values in zip(header, columns, strict=True)}
    table = pa.table({**arrays, "__line": pa.array(numbers, pa.int64())})

    def raw(wanted: list[int]) -> list[str]:
        return ["".join(physical[n - 1 : last[n]]).rstrip("\r\n") for n in wanted]

    return TextRows(table, broken, header, raw, "csv")


def _not_ours(names: list[str]) -> list[str]:
    """A field that is called like one of the reader's own columns gets a _ behind its name."""
    return [f"{n}_" if n in ("__line", "__raw", "__object") else n for n in names]


def _plain_csv(lines: Lines, header: list[str], delimiter: str) -> pa.Table | None:
    """The rows of a CSV each of whose lines is one whole record by RFC 4180, read at once; None for any other."""
    rows = len(lines.starts) - 2
    if rows < 1 or lines.has_empty() or (b'"' in lines.content and not _is_record_a_line(lines, delimiter)):
        return None
    names = [f"c{i}" for i in range(len(header))]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(lines.content),
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows=1, block_size=16_000_000),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False, delimiter=delimiter),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != rows or (len(header) == 1 and "" in table.column(0).to_pylist()):
        return None
    return pa.Table.from_arrays(
        [*table.columns, pa.chunked_array([pa.array(range(2, rows + 2), pa.int64())])], names=[*header, "__line"]
    )


def _is_record_a_line(lines: Lines, delimiter: str) -> bool:
    """Whether every line is a whole record with proper quoting, so that all readers agree on it."""
    between = re.escape(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"{between}\r\n]*)'
    with duckdb.connect(config={"threads": 2}) as con:
        con.register("given", lines.table(2))
        found = con.execute(
            "SELECT count(*) FROM given WHERE NOT regexp_full_match(text, $record)",
            {"record": rf"{field}(?:{between}{field})*\r?\n?"},
        ).fetchall()
    return found[0][0] == 0


def _quoted_csv(
    path: Path, physical: list[str], start: int, header: list[str], delimiter: str
) -> tuple[list[tuple], list[int], list[int], list[tuple[int, str, str]]]:
    """Row by row. A line whose quoting is broken is refused alone and reading goes on with the next line."""
    width, rows, lines, ends, broken = len(header), [], [], [], []
    done, restarts = start, 0
    while done < len(physical):
        reader = csv.reader(physical[done:] if done else physical, strict=True, delimiter=delimiter)
        offset = before = done
        try:
            for row in reader:
                before, line = offset + reader.line_num, before + 1
                if len(row) == width:
                    rows.append(row)
                    lines.append(line)
                    ends.append(before)
                elif row:
                    broken.append(
                        (
                            line,
                            f"{len(row)} fields where the header has {width}",
                            "".join(physical[line - 1 : before]).rstrip("\r\n"),
                        )
                    )
            done = len(physical)
        except csv.Error as error:
            restarts += 1
            reason = (
                "a quote is never closed" if "unexpected end of data" in str(error) else f"broken quoting ({error})"
            )
            if restarts > RESTARTS_MAX:
                raise IngestError(
                    f"{path}, line {before + 1}: {reason}, as in {RESTARTS_MAX:,} lines before it; export the "
                    "file again with proper quoting"
                ) from error
            broken.append((before + 1, reason, physical[before].rstrip("\r\n")))
            done = before + 1
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return columns, lines, ends, broken


def _parquet(path: Path) -> TextRows:
    try:
        table = pq.ParquetFile(path).read()  # read_table would take fields from the names of the folders
    except (OSError, pa.ArrowException) as error:
        raise IngestError(
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0][:120]}); export it again"
        ) from error
    if len(set(table.column_names)) < len(table.column_names):
        raise IngestError(f"{path}: a column name stands twice; name each column once")
    for index, field in enumerate(table.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            try:
                table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
            except pa.ArrowInvalid:
                continue  # not text: it is shown escaped
    table = table.rename_columns(_not_ours(table.column_names))
    numbered = table.append_column("__line", pa.array(range(1, table.num_rows + 1), pa.int64()))

    def raw(lines: list[int]) -> list[str]:
        return [
            json.dumps(row, default=str, ensure_ascii=False) for row in table.take([n - 1 for n in lines]).to_pylist()
        ]

    return TextRows(numbered, [], list(table.column_names), raw, "parquet")
