"""The set-based readers against strict row-by-row reading of the same random text: Python's csv and json modules are the independent programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import msgspec
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lib.ingestion.files import readers
from launchpad_lib.ingestion.files.json_lines import Asked, read_json_lines
from launchpad_lib.ingestion.files.lines import lines_of

PATH = Path("x")


def strict_csv(text: str) -> list[tuple[int, list[str]]] | None:
    """(line, fields) of every row of three fields; None where Python's strict reader refuses the text."""
    reader, before, rows = csv.reader(io.StringIO(text, newline=""), strict=True), 0, []
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if len(row) == 3 and line > 1:
                rows.append((line, row))
    except csv.Error:
        return None
    return rows


FIELDS = ["", "x", '"x"', '"a,b"', '"a""b"', 'a"b', '"', '"\n"', "ü", " ", "\r", "'", '"x"y', "\u2028"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4), max_size=6))
@example([["x", '"a', 'b"']])
@example([["\r", "x", "x"], ['"x"', "x", "x"]])
def test_a_csv_is_read_as_by_the_strict_reader(rows):
    text = "a,b,c\n" + "".join(",".join(r) + "\n" for r in rows)
    expected = strict_csv(text)
    pieces = text.encode().splitlines(keepends=True)
    for texts in ([text.encode()], pieces):  # in one part, and line by line
        parts = [part.read() for part in readers._csv(PATH, iter(texts), delimiter=",")]
        table = pa.concat_tables([part.table for part in parts])
        broken = [row for part in parts for row in part.broken]
        lines = table["__line"].to_pylist()
        got = [
            (line, [v or "" for v in row.values()])
            for line, row in zip(lines, table.drop_columns("__line").to_pylist(), strict=True)
        ]
        if expected is not None:
            assert got == expected
        assert all(reason for _, reason, _ in broken)
        assert len(set(lines) | {line for line, _, _ in broken}) == len(lines) + len(broken)


def refuse(name: str) -> None:
    raise ValueError(name)


def finite(text: str) -> float:
    return float(text) if abs(float(text)) < float("inf") else refuse(text)


def whole(pairs: list) -> dict:
    """Half a surrogate pair is refused wherever it stands, also under a key that a later one overrides."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def strict_json(line: str) -> dict | None:
    try:
        value = json.loads(line, parse_constant=refuse, parse_float=finite, object_pairs_hook=whole)
        json.dumps(value, ensure_ascii=False).encode()
        return value if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


KEYS = ["a", "b", "a~/b", 'q\\"', "\\u0061"]
VALUES = ["1", "-0", "1.50", "1e5", "1e400", "01", "NaN", "-Infinity", "nan", '"nan"', "true", "null"]
VALUES += ['"\\ud83d\\ude00"', '"\\ud800"', '"\\u0041"', '"a\tb"', '"ü"', "[1,]", "[1,2]", '{"k":1,}']
VALUES += [
    '{"k":{"z":null}}',
    '"a,}"',
    "",
    "'x'",
    "1 2",
    '"x',
    "[",
    "0x1",
    "+1",
    ".5",
    "1.",
    '"\\x"',
    "tru",
    "12345678901234567890123",
    "/**/1",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=3), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_json_line_is_read_as_by_the_strict_reader(rows, end):
    texts = ["{" + ",".join(f'"{k}":{v}' for k, v in row) + "}" for row in rows]
    content = end.join(["{}", *texts]).encode()
    expected = {n: v for n, v in enumerate(map(strict_json, ["{}", *texts]), start=1) if v is not None}
    names = read_json_lines(lines_of(content), before=0, asked=Asked([])).names
    table, broken, _, raw, _ = read_json_lines(lines_of(content), before=0, asked=Asked(names, own="", used=names))
    assert table["__line"].to_pylist() == list(expected)
    assert [line for line, _, _ in broken] == [n for n in range(1, len(texts) + 2) if n not in expected]
    for row in table.to_pylist():
        value = expected[row["__line"]]
        for name in set(names) & set(row):
            given_value = value.get(name)
            if given_value is None or isinstance(given_value, str):
                assert row[name] == given_value
            else:
                assert json.loads(row[name]) == given_value
        anew = read_json_lines(lines_of(content), before=0, asked=Asked([], own="nothing"))
        stored = {n: t for n, t in zip(*(anew.table[c].to_pylist() for c in ("__line", "__properties")), strict=True)}
        text = stored[row["__line"]]
        if text is not None:  # where it is beyond doubt it is what the contract writes
            said = {k: v for k, v in msgspec.json.decode(json.dumps(value)).items() if v is not None}
            assert text == msgspec.json.encode(said).decode()
    assert raw(list(range(2, len(texts) + 2))) == texts
