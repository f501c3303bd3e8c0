"""Holds text rows against the contract of a table: typed rows on one side, a reason per refused row on the other."""

from __future__ import annotations

import difflib
from typing import NamedTuple

import duckdb
import pyarrow as pa

from launchpad_lib.ingestion.source import IngestError, SourceSpec
from launchpad_lib.schema import TABLES, Column

SQL_TYPES = {"string": "VARCHAR", "timestamp": "TIMESTAMP", "float64": "DOUBLE", "int64": "BIGINT", "boolean": "BOOLEAN", "json": "VARCHAR"}
KIND_WORDS = {"timestamp": "a timestamp", "float64": "a number", "int64": "a whole number", "boolean": "true or false", "json": "a JSON object"}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


class Checked(NamedTuple):
    """`rows` has the table's columns and `__line`; `refused` has `line, reason, raw`."""

    rows: pa.Table
    refused: pa.Table


def quoted(name: str) -> str:
    """An SQL identifier; quotes in the name are doubled."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """An SQL string literal; quotes in the value are doubled."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"


def check(text_rows: pa.Table, *, source: SourceSpec, file: str) -> Checked:
    """Casts the mapped columns, keeps the unmapped ones of events in `properties`, and gives each bad row its reason.

    Raises:
        IngestError: the mapping names a column the file does not have.
    """
    table = TABLES[source.table]
    theirs = [n for n in text_rows.column_names if not n.startswith("__")]
    for ours, name in source.columns.items():
        if name not in theirs:
            near = difflib.get_close_matches(name, theirs, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(theirs[:20])}"
            raise IngestError(f"{file}: columns.{ours}={name!r} is no column of this file; {hint}")
    mapping = {c.name: source.columns.get(c.name) or (c.name if c.name in theirs else None) for c in table.columns}
    missing = [c.name for c in table.columns if c.required and not mapping[c.name] and c.name not in source.constants]
    missing = [m for m in missing if m != table.key[0] or len(table.key) > 1 or m in ("feature_id",)]
    if missing and text_rows.num_rows:
        raise IngestError(f"{file}: no column for {', '.join(missing)}; map it under `columns` (the file has {', '.join(theirs[:20])})")
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET TimeZone = " + literal(source.timezone))
    con.register("text_rows", text_rows)
    texts, values, reasons = [], [], []
    for column in table.columns:
        texts.append(f"{_text(column, mapping[column.name], source, theirs)} AS {quoted(column.name)}")
        values.append(f"{_value(column, source)} AS {quoted(column.name)}")
    for column in table.columns:
        reasons += _rules(column, source)
    con.execute(f"CREATE TABLE texts AS SELECT __line, __raw, {', '.join(texts)} FROM text_rows")
    reason = f"CASE {' '.join(reasons)} END" if reasons else "NULL"
    con.execute(f"CREATE TABLE judged AS SELECT *, {reason} AS __reason FROM texts")
    rows = con.sql(f"SELECT __line, {', '.join(values)} FROM judged WHERE __reason IS NULL ORDER BY __line").to_arrow_table()
    refused = con.sql("SELECT __line AS line, __reason AS reason, __raw AS raw FROM judged WHERE __reason IS NOT NULL ORDER BY 1").to_arrow_table()
    con.close()
    return Checked(rows, refused)


def _text(column: Column, theirs: str | None, source: SourceSpec, all_theirs: list[str]) -> str:
    if column.type == "json":
        return _properties(theirs, source, all_theirs)
    if column.name in source.constants:
        return literal(source.constants[column.name])
    if theirs is None:
        if column.name in ("event_id", "observation_id"):
            return _made_id(source, all_theirs)
        return "NULL::VARCHAR"
    text = f"nullif(trim({quoted(theirs)}), '')"
    if column.name == "event_name" and source.event_names:
        arms = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in source.event_names.items())
        return f"CASE {text} {arms} ELSE {text} END"
    return text


def _made_id(source: SourceSpec, all_theirs: list[str]) -> str:
    """An id from the natural key, or from the whole row and its how-manieth occurrence in the file.

    Without a stated key, equal rows are several events, not duplicates; the same file still gives the same ids.
    """
    names = [source.columns.get(n, n) for n in source.natural_key] or all_theirs
    parts = ", ".join(f"coalesce({quoted(n)}, '\x1f')" for n in names if n in all_theirs)
    constants = "|".join(f"{k}={v}" for k, v in sorted(source.constants.items()))
    nth = "" if source.natural_key else f", row_number() OVER (PARTITION BY {', '.join(quoted(n) for n in all_theirs)} ORDER BY __line)::VARCHAR"
    return f"md5(concat_ws('\x1e', {literal(constants)}, {parts}{nth}))"


def _properties(theirs: str | None, source: SourceSpec, all_theirs: list[str]) -> str:
    known = {c.name for c in TABLES[source.table].columns}
    used = set(source.columns.values()) | (known & set(all_theirs))
    pairs = [f"{literal(n)}, {quoted(n)}" for n in all_theirs if n not in used]
    pairs += [f"{literal(k)}, {literal(v)}" for k, v in source.constants.items() if k not in known]
    extra = f"json_object({', '.join(pairs)})" if pairs else "'{}'::JSON"
    if theirs is None:
        return f"json_merge_patch('{{}}', {extra})::VARCHAR"
    own = f"nullif(trim({quoted(theirs)}), '')"
    is_object = f"({own} IS NULL OR (json_valid({own}) AND json_type(CASE WHEN json_valid({own}) THEN {own} END) = 'OBJECT'))"
    return f"CASE WHEN {is_object} THEN json_merge_patch(coalesce({own}, '{{}}')::JSON, {extra})::VARCHAR ELSE {own} END"


def _value(column: Column, source: SourceSpec) -> str:
    name, unit = quoted(column.name), source.units.get(column.name)
    if column.type == "timestamp":
        if unit:
            return f"make_timestamp(try_cast(round(try_cast({name} AS DOUBLE) * {SECONDS[unit] * 1e6}) AS BIGINT))"
        return f"(try_cast({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    cast = f"try_cast({name} AS {SQL_TYPES[column.type]})"
    if unit and column.name.endswith("_ms"):
        return f"{cast} * {SECONDS[unit] * 1e3}"
    if unit and column.name.endswith("_seconds"):
        return f"{cast} * {SECONDS[unit]}"
    return cast


def _rules(column: Column, source: SourceSpec) -> list[str]:
    """The WHEN arms of one column, most basic first."""
    name, value = quoted(column.name), _value(column, source)
    shown = f"left({name}, 60)"
    arms = []
    if column.required:
        arms.append(f"WHEN {name} IS NULL THEN {literal(column.name + ' is missing')}")
    if column.type in ("timestamp", "float64", "int64", "boolean"):
        arms.append(f"WHEN {name} IS NOT NULL AND {value} IS NULL THEN {literal(column.name + ': ')} || {shown} || {literal(' is not ' + KIND_WORDS[column.type])}")
    if column.type == "float64":
        arms.append(f"WHEN isnan({value}) OR isinf({value}) THEN {literal(column.name + ' is not a finite number')}")
    if column.type == "json":
        arms.append(f"WHEN NOT (json_valid({name}) AND json_type(CASE WHEN json_valid({name}) THEN {name} END) = 'OBJECT') THEN 'properties is not a JSON object'")
    for sign, bound, word in (("<", column.minimum, "under"), (">", column.maximum, "over")):
        if bound is not None:
            arms.append(f"WHEN {value} {sign} {bound} THEN {literal(column.name + ': ')} || {shown} || {literal(f' is {word} {bound:g}')}")
    if column.name == TABLES[source.table].time_column:
        for sign, limit, word in (("<", source.valid_from, "before"), (">=", source.valid_until, "not before")):
            if limit is not None:
                arms.append(f"WHEN {value} {sign} TIMESTAMP {literal(limit.replace(tzinfo=None))} THEN {literal(f'{column.name} is {word} {limit}')}")
    return arms
