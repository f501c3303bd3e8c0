"""Holds text rows against the contract of a table: typed rows on one side, a reason per refused row on the other."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

import duckdb
import pyarrow as pa

from launchpad_lib.contract.event.rules import missing
from launchpad_lib.contract.sql import SQL_TYPES, identifier, literal
from launchpad_lib.contract.tables import TABLES, Column
from launchpad_lib.ingestion.files.event_rows import judge_events
from launchpad_lib.ingestion.files.fields import (
    Fields,
    extra_properties_sql,
    fields_of,
    mapping_of,
    quoted,
    text_sql,
    whole_row_sql,
)
from launchpad_lib.ingestion.files.instant_columns import instant_sql, read_patiently
from launchpad_lib.ingestion.files.known_columns import EXTRA, known_columns, known_extra
from launchpad_lib.ingestion.files.occurrences import PartOccurrences
from launchpad_lib.ingestion.files.properties import EventRows
from launchpad_lib.ingestion.files.source import OWN, SECONDS, IngestError, SourceSpec
from launchpad_lib.ingestion.files.text_rows import TextRows

KIND_WORDS = {"float64": "a number", "int64": "a whole number", "boolean": "true or false"}


class Checked(NamedTuple):
    """`rows` has the table's columns and `__line`; `refused` has `line, reason, raw`."""

    rows: pa.Table
    refused: pa.Table


def check(rows: TextRows, *, source: SourceSpec, file: str, moment: datetime, ids: PartOccurrences | None) -> Checked:
    """Casts the mapped columns, keeps the unmapped ones of events in `properties`, and gives each bad row its reason.

    Args:
        rows: their fields, `__line`, and where there is one the row as a JSON object (`__object`).
        moment: the judge's clock: a row from more than a day after it is refused.
        ids: where rows are given ids, how often each row stood in the file before.

    Raises:
        IngestError: the columns cannot be read.
    """
    table, text_rows = TABLES[source.table], rows.table
    fields = fields_of(text_rows.schema, kind=rows.kind)
    mapping = mapping_of(fields, rows.names, source=source)
    known = known_columns(text_rows, mapping, source) if source.table == "events" else {}
    if source.table == "events" and not fields.has_object:
        known |= known_extra(text_rows, source)
    asked = _sql_columns(source, mapping, fields, known, has_made_ids=ids is not None)
    if source.table == "events" and not asked:
        return Checked(*judge_events(EventRows(text_rows, known, {}, mapping, rows.kind), source=source, moment=moment))
    con = duckdb.connect(config={"threads": 1})
    try:
        con.execute("SET TimeZone = " + literal(source.timezone))
        positions = {n: f"c{i}" for i, n in enumerate(n for n in text_rows.column_names if n not in OWN)}
        con.register("text_rows", text_rows.rename_columns([positions.get(n, n) for n in text_rows.column_names]))
        _read(con, source, fields, asked, ids)
        times = [c for c in table.columns if c.type == "timestamp" and c.name in asked]
        reasons = {c.name: read_patiently(con, c, source) for c in times}
        if source.table != "events":
            return _judged(con, table.columns, source, reasons)
        columns = [quoted(n) if n in reasons else identifier(n) for n in asked]
        found = con.sql(f"SELECT {', '.join(columns)} FROM judged ORDER BY __line").to_arrow_table()
        read = known | {n: found.column(i) for i, n in enumerate(asked)}
        return Checked(
            *judge_events(EventRows(text_rows, read, reasons, mapping, rows.kind), source=source, moment=moment)
        )
    except duckdb.Error as error:
        raise IngestError(
            f"{file}: cannot be held against the contract ({str(error).splitlines()[0][:160]}); export the "
            "column as text"
        ) from error
    finally:
        con.close()


def _sql_columns(
    source: SourceSpec, mapping: dict[str, str | None], fields: Fields, known: Collection[str], *, has_made_ids: bool
) -> dict[str, str]:
    """Of each of our columns that is not known already the SQL of its text; of events also of the other fields."""
    columns = TABLES[source.table].columns
    texts = {
        c.name: text_sql(c, mapping[c.name], source, fields, has_made_ids=has_made_ids)
        for c in columns
        if c.type != "json" and c.name not in known
    }
    if source.table == "events" and not fields.has_object:
        extra = extra_properties_sql(source, fields) if EXTRA not in known else "'{}'"
        texts |= {"__extra": extra} if extra != "'{}'" else {}
        own = mapping["properties"]
        if own is not None and own in fields.text and not fields.is_text[own]:
            texts["properties"] = fields.text[own]
    return texts


def _read(
    con: duckdb.DuckDBPyConnection,
    source: SourceSpec,
    fields: Fields,
    texts: dict[str, str],
    ids: PartOccurrences | None,
) -> None:
    """Makes the table `judged`: of each of our columns its text and, under `v_`, its value (NULL where it is none)."""
    given = "text_rows"
    if ids is not None and not source.natural_key:
        whole = ", ".join(whole_row_sql(fields))
        con.execute(
            f"CREATE TABLE numbered AS SELECT *, hash({whole}) AS __hash, row_number() OVER (PARTITION BY {whole} "
            "ORDER BY __line) AS __here FROM text_rows"
        )
        here = con.execute("SELECT __line, __hash FROM numbered ORDER BY __line").fetchnumpy()
        earlier = pa.table({"line": here["__line"], "earlier": ids.before(here["__hash"])})
        con.register("earlier", earlier)
        given = "(SELECT numbered.*, __here + earlier AS __nth FROM numbered JOIN earlier ON __line = line)"
    values = [
        f"{_value(c, source)} AS {quoted(c.name)}"
        for c in TABLES[source.table].columns
        if c.type not in ("string", "json") and c.name in texts
    ]
    as_texts = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in texts.items())
    con.execute(
        f"CREATE TABLE judged AS SELECT {', '.join(['*', *values])} FROM (SELECT __line, {as_texts} FROM {given})"
    )


def _value(column: Column, source: SourceSpec) -> str:
    name, unit = identifier(column.name), source.units.get(column.name)
    if column.type == "timestamp":
        return instant_sql(column, source)
    cast = f"try_cast({name} AS {SQL_TYPES[column.type]})"
    if column.type == "int64":  # DuckDB would round 3.7 to 4
        return f"CASE WHEN regexp_full_match({name}, '[+-]?[0-9]+([.]0*)?') THEN {cast} END"
    if unit and column.name.endswith("_ms"):
        return f"{cast} * {SECONDS[unit] * 1e3}"
    if unit and column.name.endswith("_seconds"):
        return f"{cast} * {SECONDS[unit]}"
    return cast


def _judged(
    con: duckdb.DuckDBPyConnection, columns: tuple[Column, ...], source: SourceSpec, reasons: dict[str, dict[int, str]]
) -> Checked:
    """Every table but the events: rules of one column each."""
    for name, found in reasons.items():
        lines, words = pa.array(list(found), pa.int64()), pa.array(list(found.values()), pa.string())
        con.register(f"why_{name}", pa.table({"line": lines, "reason": words}))
    arms = " ".join(arm for c in columns for arm in _rules(c, source, has_reasons=bool(reasons.get(c.name))))
    joins = " ".join(
        f"LEFT JOIN {identifier('why_' + n)} ON {identifier('why_' + n)}.line = judged.__line"
        for n in reasons
        if reasons[n]
    )
    con.execute(f"CREATE TABLE verdicts AS SELECT judged.*, CASE {arms} END AS __reason FROM judged {joins}")
    ours = ", ".join(
        f"{identifier(c.name) if c.type == 'string' else quoted(c.name)} AS {identifier(c.name)}" for c in columns
    )
    rows = con.sql(f"SELECT __line, {ours} FROM verdicts WHERE __reason IS NULL ORDER BY __line").to_arrow_table()
    refused = con.sql(
        "SELECT __line AS line, __reason AS reason FROM verdicts WHERE __reason IS NOT NULL ORDER BY 1"
    ).to_arrow_table()
    return Checked(rows, refused)


def _rules(column: Column, source: SourceSpec, *, has_reasons: bool) -> list[str]:
    """The WHEN arms of one column, most basic first."""
    name, value = identifier(column.name), quoted(column.name)
    shown = f"left({name}, 60)"
    arms = []
    if column.required:
        arms.append(f"WHEN {name} IS NULL THEN {literal(missing(column.name))}")
    if column.type == "timestamp" and has_reasons:
        why = f"{identifier('why_' + column.name)}.reason"
        arms.append(f"WHEN {why} IS NOT NULL THEN {why}")
    if column.type in KIND_WORDS:
        arms.append(
            f"WHEN {name} IS NOT NULL AND {value} IS NULL THEN {literal(column.name + ': ')} || {shown} || "
            f"{literal(' is not ' + KIND_WORDS[column.type])}"
        )
    if column.type == "float64":
        arms.append(f"WHEN isnan({value}) OR isinf({value}) THEN {literal(column.name + ' is not a finite number')}")
    for sign, bound, word in (("<", column.minimum, "under"), (">", column.maximum, "over")):
        if bound is not None:
            arms.append(
                f"WHEN {value} {sign} {bound} THEN {literal(column.name + ': ')} || {shown} || "
                f"{literal(f' is {word} {bound:g}')}"
            )
    if column.name == TABLES[source.table].time_column:
        for sign, limit, word in (("<", source.valid_from, "before"), (">=", source.valid_until, "not before")):
            if limit is not None:
                instant = limit if limit.tzinfo is None else limit.astimezone(UTC)
                arms.append(
                    f"WHEN {value} {sign} TIMESTAMP {literal(instant.replace(tzinfo=None))} THEN "
                    f"{literal(f'{column.name} is {word} {limit}')}"
                )
    return arms
