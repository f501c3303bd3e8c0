"""A file as text columns: one string (or NULL) per field, with the line it came from and the row as it was written."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.ingestion.source import IngestError

csv.field_size_limit(16_000_000)


class TextRows(NamedTuple):
    """`table`: columns of strings plus `__line` (from 1) and `__raw`; `broken`: (line, reason, raw) of unreadable rows."""

    table: pa.Table
    broken: list[tuple[int, str, str]]


def read_text_rows(path: Path) -> TextRows:
    """Reads CSV, JSONL (plain or .gz) or Parquet as text columns.

    Raises:
        IngestError: the file as a whole cannot be read.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes[-1] if suffixes else "")
    if kind == ".parquet":
        return _parquet(path)
    if kind not in (".csv", ".jsonl", ".ndjson", ".json"):
        raise IngestError(f"{path}: unknown kind of file {kind!r}; give .csv, .jsonl, .ndjson, .json (one object a line) or .parquet, plain or .gz")
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise IngestError(f"{path}: cannot be read ({error}); check that the file is whole and readable") from error
    return _csv(path, content) if kind == ".csv" else _json_lines(path, content)


def _table(columns: dict[str, list], lines: list[int], raw: list[str]) -> pa.Table:
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table({**arrays, "__line": pa.array(lines, pa.int64()), "__raw": pa.array(raw, pa.string())})


def _csv(path: Path, content: bytes) -> TextRows:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise IngestError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from error
    if "\0" in text:
        raise IngestError(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: a NUL byte, so this is no CSV text; export it again")
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, None)
    if not header or not any(h.strip() for h in header):
        raise IngestError(f"{path}, line 1: no header; the first line must name the columns")
    if len(set(header)) < len(header):
        raise IngestError(f"{path}, line 1: a column name stands twice; name each column once")
    columns: dict[str, list] = {name: [] for name in header}
    stores = list(columns.values())
    lines, raw, broken, before = [], [], [], reader.line_num
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if not row:
                continue
            text_of_row = _as_csv(row)
            if len(row) != len(header):
                broken.append((line, f"{len(row)} fields where the header has {len(header)}", text_of_row))
                continue
            for store, value in zip(stores, row, strict=True):
                store.append(value if value != "" else None)
            lines.append(line)
            raw.append(text_of_row)
    except csv.Error as error:
        raise IngestError(f"{path}, line {reader.line_num}: {error}; correct the quoting of that line") from error
    return TextRows(_table(columns, lines, raw), broken)


def _as_csv(row: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(row)
    return out.getvalue()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict:
    return dict(pairs)


def _json_lines(path: Path, content: bytes) -> TextRows:
    records: list[dict[str, str | None]] = []
    lines, raw, broken = [], [], []
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
    for number, packed in enumerate(content.split(b"\n"), start=1):
        if not packed.strip():
            continue
        try:
            text = packed.decode("utf-8")
            value = decoder.decode(text)
            text.encode("utf-8")
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
            record = {str(k): _as_text(v) for k, v in value.items()}
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).split(": line")[0]
            broken.append((number, f"not valid: {reason}", packed.decode("utf-8", errors="backslashreplace")))
            continue
        records.append(record)
        lines.append(number)
        raw.append(text.strip())
    names = list(dict.fromkeys(name for record in records for name in record))
    if broken and not records:
        line, reason, _ = broken[0]
        raise IngestError(f"{path}, line {line}: no line of the file is a JSON object ({reason}); give one JSON object a line")
    return TextRows(_table({name: [r.get(name) for r in records] for name in names}, lines, raw), broken)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text.encode("utf-8")
    return text


def _parquet(path: Path) -> TextRows:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise IngestError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0][:120]}); export it again") from error
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)
        if pa.types.is_nested(column.type):
            texts = [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in column.to_pylist()]
        elif pa.types.is_timestamp(column.type):
            texts = [None if v is None else v.isoformat(sep=" ") for v in column.cast(pa.timestamp("us", column.type.tz), safe=False).to_pylist()]
        else:
            texts = column.cast(pa.string()).to_pylist()
        columns[name] = texts
    lines = list(range(1, table.num_rows + 1))
    rows = zip(*columns.values(), strict=True) if columns else []
    raw = [json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows]
    return TextRows(_table(columns, lines, raw), [])
