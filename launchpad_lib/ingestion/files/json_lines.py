"""JSON lines as columns.

DuckDB reads what it and RFC 8259 read alike; every other line is read strictly, one by one, and gets its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import duckdb
import pyarrow as pa

from launchpad_lib.contract.event import read_object
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.ingestion.files.lines import Lines, is_utf8, lines_of
from launchpad_lib.ingestion.files.source import IngestError

# DuckDB also takes NaN, Infinity and a comma before a bracket, keeps lone surrogates and overflowing numbers: such
# lines are read strictly.
DOUBTFUL = r"(?i)[:\[,]\s*-?(nan|inf)|,\s*[}\]]|\\ud[89a-f]|\de[+-]?\d\d\d"
Read = tuple[pa.Table, list[tuple[int, str, str]], list[str], Callable[[list[int]], list[str]]]


def read_json_lines(path: Path, content: bytes, *, wanted: Collection[str] | None) -> Read:
    """One row per line that is a JSON object: `wanted` fields as text, `__line`, and the whole object as `__object`.

    A string is its text, null is NULL, anything else is its JSON. Of a key that stands twice the last value wins.

    Raises:
        IngestError: there are lines and none is a JSON object.
    """
    lines = lines_of(content)
    count = len(lines.starts) - 1
    first = next((n for n in range(1, count + 1) if lines.line(n).strip()), None)
    if first and lines.line(first).strip() in (b"[", b"{"):
        raise IngestError(
            f"{path}, line {first}: no line of the file is a JSON object (it is one text over several lines); "
            "give one JSON object a line"
        )
    con = duckdb.connect(config={"threads": 2})
    con.register("given", lines.table() if is_utf8(content) else _readable(lines))
    # json_type raises where json_valid is false: CASE asks in order.
    con.execute(
        "CREATE TABLE doubtful AS SELECT line FROM given WHERE CASE WHEN text IS NULL OR NOT json_valid(text) "
        "OR regexp_matches(text, $doubtful) THEN true "
        "ELSE json_type(text) <> 'OBJECT' END",
        {"doubtful": DOUBTFUL},
    )
    plain = (
        "given WHERE line NOT IN (FROM doubtful)"
        if con.execute("SELECT count(*) FROM doubtful").fetchall()[0][0]
        else "given"
    )
    con.execute(f"CREATE TABLE shapes AS SELECT json_keys(text) AS keys, count(*) AS rows FROM {plain} GROUP BY 1")
    if con.execute("SELECT count(*) FROM shapes WHERE len(keys) <> list_unique(keys)").fetchall()[0][0]:
        twice = "SELECT keys FROM shapes WHERE len(keys) <> list_unique(keys)"
        con.execute(
            f"INSERT INTO doubtful SELECT line FROM (SELECT line, json_keys(text) AS keys FROM {plain}) WHERE "
            f"keys IN ({twice})"
        )
        con.execute("DELETE FROM shapes WHERE len(keys) <> list_unique(keys)")
        plain = "given WHERE line NOT IN (FROM doubtful)"
    records, broken = _one_by_one(
        lines, [n for (n,) in con.execute("SELECT line FROM doubtful ORDER BY line").fetchall()]
    )
    names = sorted(
        {name for (name,) in con.execute("SELECT DISTINCT unnest(keys) FROM shapes").fetchall()}
        | {name for r in records.values() for name in r}
    )
    if broken and not records and not con.execute("SELECT count(*) FROM shapes").fetchall()[0][0]:
        line, reason, _ = broken[0]
        raise IngestError(
            f"{path}, line {line}: no line of the file is a JSON object "
            f"({reason.removeprefix('not valid: ')}); give one JSON object a line"
        )
    fields = names if wanted is None else [n for n in names if n in set(wanted)]
    values = ", ".join([*(f"v[{i + 1}]" for i in range(len(fields))), "line, text::VARCHAR"])
    pointers = "json_extract_string(text, $pointers::VARCHAR[])" if fields else "NULL"
    found = con.sql(
        f"SELECT {values} FROM (SELECT {pointers} AS v, line, text FROM {plain})",
        params={"pointers": [_pointer(n) for n in fields]} if fields else {},
    ).to_arrow_table()
    table = found.rename_columns([*fields, "__line", "__object"])
    con.close()
    if records:
        strict = {name: pa.array([_as_text(r.get(name)) for r in records.values()], pa.string()) for name in fields}
        objects = pa.array([_as_json(r) for r in records.values()], pa.string())
        table = pa.concat_tables(
            [table, pa.table({**strict, "__line": pa.array(list(records), pa.int64()), "__object": objects})]
        ).sort_by("__line")
    return table, broken, names, lambda numbers: [lines.text(n).strip() for n in numbers]


def _readable(lines: Lines) -> pa.Table:
    """Columns line, text, where a line that is not UTF-8 is NULL."""
    numbers = range(1, len(lines.starts))
    texts = [lines.line(n).decode("utf-8") if is_utf8(lines.line(n)) else None for n in numbers]
    return pa.table({"line": pa.array(numbers, pa.int64()), "text": pa.array(texts, pa.large_string())})


def _pointer(name: str) -> str:
    """RFC 6901: any name can be a pointer, whatever quotes or dots it has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _one_by_one(lines: Lines, numbers: list[int]) -> tuple[dict[int, dict], list[tuple[int, str, str]]]:
    """Strict reading of the doubtful lines; an empty line is none."""
    records: dict[int, dict] = {}
    broken = []
    for number in numbers:
        line = lines.line(number)
        if not line.strip():
            continue
        try:
            records[number] = read_object(line.strip())
        except NotAnObjectError as error:
            broken.append((number, str(error), lines.text(number).strip()))
    return records, broken


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _as_json(value)
