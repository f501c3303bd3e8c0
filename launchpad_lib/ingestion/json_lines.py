"""JSON lines as columns. DuckDB reads what it and RFC 8259 read alike; every other line is read strictly, one by one, and gets its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import duckdb
import pyarrow as pa

from launchpad_lib.ingestion.source import IngestError

# DuckDB also takes NaN, Infinity and a comma before a bracket, keeps lone surrogates and overflowing numbers: such lines are read strictly.
DOUBTFUL = r'(?i)[:\[,]\s*-?(nan|inf)|,\s*[}\]]|\\ud[89a-f]|\de[+-]?\d\d\d'
Read = tuple[pa.Table, list[tuple[int, str, str]], list[str], Callable[[list[int]], list[str]]]


def read_json_lines(path: Path, content: bytes, *, wanted: Collection[str] | None) -> Read:
    """One row per line that is a JSON object: `wanted` fields as text, `__line`, and the whole object as `__object`.

    A string is its text, null is NULL, anything else is its JSON. Of a key that stands twice the last value wins.

    Raises:
        IngestError: there are lines and none is a JSON object.
    """
    packed = content.split(b"\n")
    first = next((number for number, line in enumerate(packed, start=1) if line.strip()), None)
    if first and packed[first - 1].strip() in (b"[", b"{"):
        raise IngestError(f"{path}, line {first}: no line of the file is a JSON object (it is one text over several lines); give one JSON object a line")
    texts = _decoded(content, packed)
    con = duckdb.connect(config={"threads": 2})
    con.register("given", pa.table({"line": pa.array(range(1, len(texts) + 1), pa.int64()), "text": pa.array(texts, pa.string())}))
    con.execute(
        "CREATE TABLE judged AS SELECT *, CASE WHEN text IS NULL OR NOT json_valid(text) OR regexp_matches(text, $doubtful) THEN NULL "
        "WHEN json_type(text) = 'OBJECT' THEN json_keys(text) END AS keys FROM (SELECT line, trim(text, ' \t\r') AS text FROM given) WHERE text IS NULL OR text <> ''",
        {"doubtful": DOUBTFUL},
    )
    con.execute("ALTER TABLE judged ADD COLUMN is_plain BOOLEAN")
    con.execute("UPDATE judged SET is_plain = coalesce(len(keys) = list_unique(keys), false)")
    doubtful = [line for (line,) in con.execute("SELECT line FROM judged WHERE NOT is_plain ORDER BY line").fetchall()]
    records, broken = _one_by_one(packed, doubtful)
    plain = [name for (name,) in con.execute("SELECT DISTINCT unnest(keys) FROM judged WHERE is_plain").fetchall()]
    names = sorted({*plain, *(name for record in records.values() for name in record)})
    if broken and not records and not plain and not con.execute("SELECT count(*) FROM judged WHERE is_plain").fetchall()[0][0]:
        line, reason, _ = broken[0]
        raise IngestError(f"{path}, line {line}: no line of the file is a JSON object ({reason}); give one JSON object a line")
    fields = names if wanted is None else [n for n in names if n in set(wanted)]
    found = con.sql(_select(len(fields)), params={"pointers": [_pointer(n) for n in fields]} if fields else {})
    table = found.to_arrow_table().rename_columns([*fields, "__line", "__object"])
    con.close()
    if records:
        strict = {name: pa.array([_as_text(r.get(name)) for r in records.values()], pa.string()) for name in fields}
        objects = pa.array([_as_json(r) for r in records.values()], pa.string())
        table = pa.concat_tables([table, pa.table({**strict, "__line": pa.array(list(records), pa.int64()), "__object": objects})]).sort_by("__line")
    return table, broken, names, lambda lines: [packed[n - 1].decode("utf-8", errors="backslashreplace").strip() for n in lines]


def _decoded(content: bytes, packed: list[bytes]) -> list[str | None]:
    """The lines as text; None for a line that is not UTF-8."""
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        texts: list[str | None] = []
        for line in packed:
            try:
                texts.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                texts.append(None)
        return texts


def _select(width: int) -> str:
    if not width:
        return "SELECT line, text FROM judged WHERE is_plain ORDER BY line"
    values = ", ".join(f"v[{i + 1}]" for i in range(width))
    return f"SELECT {values}, line, text FROM (SELECT json_extract_string(text, $pointers::VARCHAR[]) AS v, line, text FROM judged WHERE is_plain) ORDER BY line"


def _pointer(name: str) -> str:
    """RFC 6901: any name can be a pointer, whatever quotes or dots it has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _one_by_one(packed: list[bytes], lines: list[int]) -> tuple[dict[int, dict], list[tuple[int, str, str]]]:
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
    records: dict[int, dict] = {}
    broken = []
    for number in lines:
        line = packed[number - 1]
        try:
            value = decoder.decode(line.decode("utf-8").strip())
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
            json.dumps(value, ensure_ascii=False).encode("utf-8")
            records[number] = value
        except (ValueError, RecursionError) as error:
            broken.append((number, f"not valid: {_reason(error)}", line.decode("utf-8", errors="backslashreplace").strip()))
    return records, broken


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair"
    if "integer string conversion" in str(error):
        return "a number of more than 4,300 digits"
    return str(error).split(": line")[0]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _as_json(value)
