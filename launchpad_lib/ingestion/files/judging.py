"""Holds text rows against the contract of a table: typed rows on one side, a reason per refused row on the other."""

from __future__ import annotations

import difflib
import json
from datetime import UTC
from typing import NamedTuple

import duckdb
import pyarrow as pa

from launchpad_lib.contract.sql import SQL_TYPES, identifier, literal
from launchpad_lib.contract.tables import TABLES, Column
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec

KIND_WORDS = {
    "timestamp": "a timestamp",
    "float64": "a number",
    "int64": "a whole number",
    "boolean": "true or false",
    "json": "a JSON object",
}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
OWN = ("__line", "__raw", "__object")
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999


class Checked(NamedTuple):
    """`rows` has the table's columns and `__line`; `refused` has `line, reason, raw`."""

    rows: pa.Table
    refused: pa.Table


class Fields(NamedTuple):
    """Their fields: SQL of each, by its name; names are data, so SQL only ever sees positions. `has_object`: `__object` holds the whole row."""

    sql: dict[str, str]
    text: dict[str, str]
    has_object: bool


def check(text_rows: pa.Table, *, source: SourceSpec, file: str, names: list[str] | None = None) -> Checked:
    """Casts the mapped columns, keeps the unmapped ones of events in `properties`, and gives each bad row its reason.

    Args:
        text_rows: their fields, `__line`, and where there is one the row as written (`__raw`) or as a JSON object (`__object`).
        names: every field the source has, where `text_rows` holds some of them only.

    Raises:
        IngestError: the mapping names a column the file does not have.
    """
    table = TABLES[source.table]
    theirs = [n for n in text_rows.column_names if n not in OWN]
    mapping = _mapping(theirs, names or theirs, source=source, file=file, is_empty=text_rows.num_rows == 0)
    positions = {n: f"c{i}" for i, n in enumerate(theirs)}
    types = {n: text_rows.schema.field(n).type for n in theirs}
    is_text = {n: t == pa.string() for n, t in types.items()}
    # JSON has no NaN: a number that is none is left out of the properties.
    whole = {
        n: f"CASE WHEN isfinite({p}) THEN {p} END" if pa.types.is_floating(types[n]) else p
        for n, p in positions.items()
    }
    fields = Fields(
        {n: f"nullif({p}, '')" if is_text[n] else whole[n] for n, p in positions.items()},
        {
            n: f"nullif(trim({p}), '')" if is_text[n] else f"nullif(trim({p}::VARCHAR), '')"
            for n, p in positions.items()
        },
        "__object" in text_rows.column_names,
    )
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone = " + literal(source.timezone))
    con.register("text_rows", text_rows.rename_columns([positions.get(n, n) for n in text_rows.column_names]))
    raw = "__raw" if "__raw" in text_rows.column_names else "NULL::VARCHAR"
    texts = ", ".join(f"{_text(c, mapping[c.name], source, fields)} AS {identifier(c.name)}" for c in table.columns)
    values = ", ".join(f"{_value(c, source)} AS {identifier('v_' + c.name)}" for c in table.columns)
    reasons = " ".join(arm for c in table.columns for arm in _rules(c, source))
    try:
        con.execute(
            f"CREATE TABLE judged AS SELECT __line, {', '.join(identifier('v_' + c.name) for c in table.columns)}, CASE {reasons} END AS __reason, "
            f"CASE WHEN __reason IS NOT NULL THEN __raw END AS __raw FROM (SELECT *, {values} FROM (SELECT __line, {raw} AS __raw, {texts} FROM text_rows))"
        )
        ours = ", ".join(f"{identifier('v_' + c.name)} AS {identifier(c.name)}" for c in table.columns)
        rows = con.sql(f"SELECT __line, {ours} FROM judged WHERE __reason IS NULL ORDER BY __line").to_arrow_table()
        refused = con.sql(
            "SELECT __line AS line, __reason AS reason, __raw AS raw FROM judged WHERE __reason IS NOT NULL ORDER BY 1"
        ).to_arrow_table()
    except duckdb.Error as error:
        raise IngestError(
            f"{file}: cannot be held against the contract ({str(error).splitlines()[0][:160]}); export the column as text"
        ) from error
    finally:
        con.close()
    return Checked(rows, refused)


def _mapping(
    theirs: list[str], names: list[str], *, source: SourceSpec, file: str, is_empty: bool
) -> dict[str, str | None]:
    """Our column -> their field, or None."""
    table = TABLES[source.table]
    for place, asked in (("columns", source.columns), ("properties", source.properties)):
        for ours, name in asked.items():
            if name not in names and not (is_empty and not names):
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(names[:20])}"
                raise IngestError(f"{file}: {place}.{ours}={name!r} is no column of this file; {hint}")
    mapping = {c.name: source.columns.get(c.name) or (c.name if c.name in theirs else None) for c in table.columns}
    missing = [c.name for c in table.columns if c.required and not mapping[c.name] and c.name not in source.constants]
    missing = [m for m in missing if m != table.key[0] or len(table.key) > 1 or m in ("feature_id",)]
    if missing and not is_empty:
        raise IngestError(
            f"{file}: no column for {', '.join(missing)}; map it under `columns` (the file has {', '.join(names[:20])})"
        )
    return {ours: name if name in theirs else None for ours, name in mapping.items()}


def _text(column: Column, theirs: str | None, source: SourceSpec, fields: Fields) -> str:
    if column.type == "json":
        return _properties(theirs, source, fields)
    if column.name in source.constants:
        return literal(source.constants[column.name])
    if theirs is None:
        if column.name in ("event_id", "observation_id"):
            return _made_id(source, fields)
        return "NULL::VARCHAR"
    text = fields.text[theirs]
    if column.name == "event_name" and source.event_names:
        arms = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in source.event_names.items())
        return f"CASE {text} {arms} ELSE {text} END"
    return text


def _made_id(source: SourceSpec, fields: Fields) -> str:
    """An id from the natural key, or from the whole row and its how-manieth occurrence in the file.

    Without a stated key, equal rows are several events, not duplicates; the same file still gives the same ids.
    """
    constants = literal("|".join(f"{k}={v}" for k, v in sorted(source.constants.items())))
    keys = [source.columns.get(n, n) for n in source.natural_key]
    if keys:
        return (
            f"md5(concat_ws('\x1e', {constants}, {', '.join(_shown(fields.sql[n]) for n in keys if n in fields.sql)}))"
        )
    whole = ["trim(__object, ' \t\r\n')"] if fields.has_object else list(fields.sql.values())
    nth = f"row_number() OVER (PARTITION BY {', '.join(whole)} ORDER BY __line)::VARCHAR"
    return f"md5(concat_ws('\x1e', {constants}, {', '.join(_shown(w) for w in whole)}, {nth}))"


def _shown(sql: str) -> str:
    return f"coalesce({sql}::VARCHAR, '\x1f')"


def _properties(theirs: str | None, source: SourceSpec, fields: Fields) -> str:
    """Every field that fills no column of ours, with its JSON type; a NULL one is left out. NULL where their own properties are no JSON object."""
    known = {c.name for c in TABLES[source.table].columns}
    used = {source.columns.get(n, n) for n in known if n not in source.constants} & (
        set(fields.sql) | set(source.columns.values())
    )
    renamed = set(source.properties.values())
    pairs = [f"{literal(k)}, {literal(v)}" for k, v in source.constants.items() if k not in known]
    pairs += [f"{literal(k)}, {fields.sql[v]}::VARCHAR" for k, v in source.properties.items() if v in fields.sql]
    patches = []
    if fields.has_object:
        taken = json.dumps(dict.fromkeys(sorted(used | renamed)), ensure_ascii=False)
        patches.append(f"json_merge_patch(__object::JSON, {literal(taken)}::JSON)")
    else:
        pairs += [f"{literal(n)}, {sql}" for n, sql in fields.sql.items() if n not in used | renamed]
    patches += [f"json_object({', '.join(pairs)})"] if pairs else []
    own = fields.text[theirs] if theirs else None
    merged = f"coalesce({own}, '{{}}')::JSON" if own else "'{}'::JSON"
    for patch in patches:
        merged = f"json_merge_patch({merged}, {patch})"
    return f"CASE WHEN {own} IS NULL OR {_is_object(own)} THEN {merged}::VARCHAR END" if own else f"{merged}::VARCHAR"


def _is_object(text: str) -> str:
    """Whether a text is a JSON object by RFC 8259; DuckDB alone would also take NaN, Infinity and a comma before a bracket."""
    lenient = r"(?i)nan|inf|,\s*[}\]]"
    bare = f"regexp_replace({text}, {literal(chr(34) + '([^' + chr(34) + chr(92) * 2 + ']|' + chr(92) * 2 + '.)*' + chr(34))}, '0', 'g')"
    strict = f"(NOT regexp_matches({text}, {literal(lenient)}) OR NOT regexp_matches({bare}, {literal(lenient)}))"
    return f"(json_valid({text}) AND CASE WHEN json_valid({text}) THEN json_type({text}) = 'OBJECT' AND {strict} END)"


def _value(column: Column, source: SourceSpec) -> str:
    name, unit = identifier(column.name), source.units.get(column.name)
    if column.type == "timestamp":
        if unit:
            micros = f"round(try_cast({name} AS DOUBLE) * {SECONDS[unit] * 1e6})"
            return f"make_timestamp(CASE WHEN {micros} BETWEEN {FIRST_US} AND {LAST_US} THEN try_cast({micros} AS BIGINT) END)"
        instant = f"(try_cast({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        return f"CASE WHEN {instant} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN {instant} END"
    cast = f"try_cast({name} AS {SQL_TYPES[column.type]})"
    if column.type == "int64":  # DuckDB would round 3.7 to 4
        return f"CASE WHEN regexp_full_match({name}, '[+-]?[0-9]+([.]0*)?') THEN {cast} END"
    if unit and column.name.endswith("_ms"):
        return f"{cast} * {SECONDS[unit] * 1e3}"
    if unit and column.name.endswith("_seconds"):
        return f"{cast} * {SECONDS[unit]}"
    return cast


def _rules(column: Column, source: SourceSpec) -> list[str]:
    """The WHEN arms of one column, most basic first."""
    name, value = identifier(column.name), identifier("v_" + column.name)
    shown = f"left({name}, 60)"
    arms = []
    if column.required:
        arms.append(f"WHEN {name} IS NULL THEN {literal(column.name + ' is missing')}")
    if column.type in ("timestamp", "float64", "int64", "boolean"):
        arms.append(
            f"WHEN {name} IS NOT NULL AND {value} IS NULL THEN {literal(column.name + ': ')} || {shown} || {literal(' is not ' + KIND_WORDS[column.type])}"
        )
    if column.type == "timestamp" and source.timezone != "UTC" and column.name not in source.units:
        zone = literal(source.timezone)
        local = f"try_cast({name} AS TIMESTAMP)"
        states_none = f"NOT regexp_matches({name}, '[0-9]:[0-9].*([Zz]|[+-][0-9:]+|[A-Za-z/_]+)$')"
        skipped = f"{states_none} AND ({value} AT TIME ZONE 'UTC') AT TIME ZONE {zone} <> {local}"
        arms.append(
            f"WHEN {skipped} THEN {literal(column.name + ': ')} || {shown} || {literal(f' does not exist in {source.timezone} (clocks go forward)')}"
        )
    if column.type == "float64":
        arms.append(f"WHEN isnan({value}) OR isinf({value}) THEN {literal(column.name + ' is not a finite number')}")
    if column.type == "json":
        arms.append(f"WHEN {name} IS NULL THEN 'properties is not a JSON object'")
    for sign, bound, word in (("<", column.minimum, "under"), (">", column.maximum, "over")):
        if bound is not None:
            arms.append(
                f"WHEN {value} {sign} {bound} THEN {literal(column.name + ': ')} || {shown} || {literal(f' is {word} {bound:g}')}"
            )
    if column.name == TABLES[source.table].time_column:
        for sign, limit, word in (("<", source.valid_from, "before"), (">=", source.valid_until, "not before")):
            if limit is not None:
                instant = limit if limit.tzinfo is None else limit.astimezone(UTC)
                arms.append(
                    f"WHEN {value} {sign} TIMESTAMP {literal(instant.replace(tzinfo=None))} THEN {literal(f'{column.name} is {word} {limit}')}"
                )
    return arms
