"""Compiled code of the files' door beside independent programs: Python's csv, json and re, on text made by chance."""

from __future__ import annotations

import csv
import io
import json
import re

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lib.contract.event import rules
from launchpad_lib.contract.event.typed_properties import may_be_of_other_types
from launchpad_lib.ingestion.files.csv_scan import are_records, scan_records, texts_of
from launchpad_lib.ingestion.files.extra_texts import objects_of
from launchpad_lib.ingestion.files.json_lines import Asked, read_json_lines
from launchpad_lib.ingestion.files.keys import Sieve, repeated
from launchpad_lib.ingestion.files.lines import STRETCH, lines_of

FIELDS = ["", "x", '"x"', '"a,b"', '"a""b"', '""', '""""', 'a"b', '"', '"\n"', "ü", " ", "'", '"x"y', "\u2028"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 3),
)
@example([["", ""]], "\n", False, 2)
@example([["x", '""']], "\r\n", True, 2)
def test_fields_are_those_of_the_csv_module_or_none_are_taken(rows, end, is_ended, fields):
    text = end.join(",".join(row) for row in rows) + (end if is_ended else "")
    content = text.encode()
    found = scan_records(content, fields=fields, lines=len(lines_of(content).starts) - 1, delimiter=",")
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        expected = None
    is_one_a_line = expected is not None and len(expected) == len(lines_of(content).starts) - 1
    if found is None:
        assert (
            not is_one_a_line
            or not are_records(content, ",")
            or any(len(row) != fields for row in expected)
            or fields == 1
        )
        return
    assert expected is not None
    columns = [texts_of(content, found, field).to_pylist() for field in range(fields)]
    assert [list(row) for row in zip(*columns, strict=True)] == expected
    assert found.starts.tolist() == lines_of(content).starts.tolist()


VALUES = st.one_of(st.text(max_size=5), st.sampled_from(['"', "\\", "\n", "\t", "\x01", "\x7f", "ü", "\u2028", ""]))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            VALUES,
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats()),
            st.one_of(st.none(), st.booleans()),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_other_fields_are_the_text_that_the_contract_writes(rows):
    try:
        "".join(row[0] for row in rows).encode()
    except UnicodeEncodeError:
        return
    types = (pa.string(), pa.int64(), pa.float64(), pa.bool_())
    names = ['a"b', "b", "c\n", "d"]
    columns = [
        (name, pa.chunked_array([[row[i] for row in rows]], kind))
        for i, (name, kind) in enumerate(zip(names, types, strict=True))
    ]
    found = objects_of([*columns, ("constant", "k")], rows=len(rows))
    for text, row in zip(found.to_pylist(), rows, strict=True):
        is_there = {name: value for name, value in zip(names, row, strict=True) if value is not None and value != ""}
        kept = {n: v for n, v in is_there.items() if not isinstance(v, float) or np.isfinite(v)} | {"constant": "k"}
        assert text == msgspec.json.encode(kept).decode()


@pytest.mark.parametrize("kind", [pa.float32(), pa.date32(), pa.decimal128(9, 2), pa.list_(pa.int64()), pa.binary()])
def test_types_whose_text_is_for_the_engine_are_left_to_it(kind):
    assert objects_of([("a", pa.chunked_array([pa.nulls(2, kind)]))], rows=2) is None


SHAPES = {"string": '[^"n]', "number": "[^-0-9n]", "integer": "(?:[^-0-9n]|-?[0-9]+[.eE])", "boolean": "[^tfn]"}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*rules.TYPED, "other"]),
    st.lists(
        st.tuples(
            st.sampled_from(sorted({name for typed in rules.TYPED.values() for name in typed} | {"x", 'q"'})),
            st.sampled_from([None, True, False, 0, -1, 12, 1.5, -2.0, 1e300, "", "1", 'a"b', [], {"k": 1}]),
        ),
        max_size=4,
    ),
)
def test_typed_properties_are_in_doubt_where_a_pattern_of_their_types_says_so(event, pairs):
    text = msgspec.json.encode({"wrapped": dict(pairs)} | dict(pairs)).decode()
    pattern = "|".join(f'"{name}":{SHAPES[kind]}' for name, kind in rules.TYPED.get(event, {}).items())
    expected = bool(pattern and re.search(pattern, text))
    found = may_be_of_other_types(pa.array(["other", event, None]), pa.array([text, text, text]))
    assert found.tolist() == [False, expected, False]


KEYS = ["a", "b", "event_id", "long key", "ab"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(KEYS), max_size=4, unique=True), min_size=2, max_size=8), st.booleans())
def test_fields_are_found_whatever_the_line_before_had(lines, is_spaced):
    """A field is first looked for where it stood in the line before: lines in any order of fields, and with gaps."""
    separators = (", ", " : ") if is_spaced else (",", ":")
    objects = [{key: f"{key} {n}" for key in keys} for n, keys in enumerate(lines)]
    content = "\n".join(json.dumps(one, separators=separators) for one in objects).encode()
    table = read_json_lines(lines_of(content), before=0, asked=Asked(["a", "event_id"], own="own", used=["a"])).table
    for key in ("a", "event_id"):
        expected = [one.get(key) for one in objects]
        assert (table[key].to_pylist() if key in table.column_names else [None] * len(objects)) == expected
    stored = [json.loads(text) for text in table["__properties"].to_pylist()]
    assert stored == [{k: v for k, v in one.items() if k != "a"} for one in objects]


def test_lines_longer_than_a_stretch_and_around_its_edges_are_cut_at_line_feeds():
    for size in (STRETCH - 1, STRETCH, STRETCH + 1, 3 * STRETCH):
        content = b"a" * (size - 1) + b"\n" + b"b" * STRETCH + b"\n\nc"
        expected = np.cumsum([0, *(len(line) for line in content.splitlines(keepends=True))])
        assert lines_of(content).starts.tolist() == expected.tolist()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), max_size=40), max_size=4))
def test_only_what_stands_twice_is_told(parts):
    arrays = [np.array(part, np.uint64) * np.uint64(0x9E3779B97F4A7C15) for part in parts]
    whole = np.concatenate([np.empty(0, np.uint64), *arrays])
    values, counts = np.unique(whole, return_counts=True)
    assert repeated(arrays, Sieve(len(whole))).tolist() == values[counts > 1].tolist()


def test_what_the_sieve_holds_back_by_chance_is_not_told():
    """Of 200,000 different hashes thousands meet a bit that is set; only the 300 that stand twice are repeated."""
    hashes = np.random.default_rng(20261126).integers(0, 2**64, 200_000, np.uint64)
    by_chance = Sieve(len(hashes)).put(hashes)
    assert len(by_chance) > 1_000 and len(np.unique(hashes)) == len(hashes)
    again = [hashes[:150_000], np.concatenate([hashes[150_000:], hashes[:300]])]
    assert repeated(again, Sieve(len(hashes))).tolist() == sorted(hashes[:300].tolist())
