"""Instants of a whole file: the usual forms by DuckDB, every other text by the contract's own reader, with its reason
where it is none.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from launchpad_lib.contract.event import instant, shown
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.event.rules import skipped_by_clocks
from launchpad_lib.contract.sql import identifier, literal
from launchpad_lib.contract.tables import Column
from launchpad_lib.ingestion.files.fields import quoted
from launchpad_lib.ingestion.files.source import SECONDS, SourceSpec

FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999
# The forms on which DuckDB and the contract's reader agree; a test holds them together.
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.]\d{1,9})?)?"
_USUAL = rf"\d{{4}}-\d\d-\d\d(?:[T ]{_CLOCK}(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?"
_STATES_NO_ZONE = rf"\d{{4}}-\d\d-\d\d(?:[T ]{_CLOCK})?"


def instant_sql(column: Column, source: SourceSpec) -> str:
    """SQL of a text column's instant in UTC; NULL where it is none, or is for the patient reader."""
    name, unit, form = identifier(column.name), source.units.get(column.name), source.formats.get(column.name)
    if unit:
        micros = f"round(try_cast({name} AS DOUBLE) * {SECONDS[unit] * 1e6!r})"
        if unit == "ns":  # more digits than a 64-bit float holds
            whole = f"try_cast(left({name}, -3) AS BIGINT)"
            micros = f"CASE WHEN regexp_full_match({name}, '[0-9]{{4,21}}') THEN {whole} ELSE {micros} END"
        return (
            f"make_timestamp(CASE WHEN {micros} BETWEEN {FIRST_US} AND {LAST_US} THEN try_cast({micros} AS BIGINT) END)"
        )
    if form:
        read = f"try_strptime({name}, {literal(form)})"
        if not _says_zone(form):
            read = f"({read} AT TIME ZONE {literal(source.timezone)})"
        at = f"({read}::TIMESTAMPTZ AT TIME ZONE 'UTC')"
    else:
        at = (
            f"(CASE WHEN regexp_full_match({name}, {literal(_USUAL)}) THEN try_cast({name} AS TIMESTAMPTZ) END AT "
            "TIME ZONE 'UTC')"
        )
    return f"CASE WHEN {at} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN {at} END"


def _says_zone(form: str) -> bool:
    return "%z" in form or "%Z" in form


def read_patiently(con: duckdb.DuckDBPyConnection, column: Column, source: SourceSpec) -> dict[int, str]:
    """Fills the instants that DuckDB did not read into the table `judged`; line -> reason for those that are none."""
    name, value = identifier(column.name), quoted(column.name)
    unit, form = source.units.get(column.name), source.formats.get(column.name)
    doubt = f"{name} IS NOT NULL AND {value} IS NULL"
    if source.timezone != "UTC" and not unit and not (form and _says_zone(form)):
        local = f"try_strptime({name}, {literal(form)})" if form else f"try_cast({name} AS TIMESTAMP)"
        states_none = "true" if form else f"regexp_full_match({name}, {literal(_STATES_NO_ZONE)})"
        # DuckDB moves a local time that the clocks jump over, so it does not come back as it went in.
        back = f"({value} AT TIME ZONE 'UTC') AT TIME ZONE {literal(source.timezone)}"
        doubt += f" OR ({name} IS NOT NULL AND {states_none} AND {back} IS DISTINCT FROM {local})"
    found = con.execute(f"SELECT __line, {name}, {value} IS NULL FROM judged WHERE {doubt}").fetchall()
    if unit or form:
        stated = f"in the unit {unit}" if unit else f"of the format {shown(form)}"
        return {
            line: f"{column.name}: {shown(text)} is not a timestamp {stated}"
            if is_none
            else skipped_by_clocks(column.name, text, source.timezone)
            for line, text, is_none in found
        }
    declared = ZoneInfo(source.timezone)
    known: dict[int, datetime] = {}
    reasons: dict[int, str] = {}
    for line, text, _ in found:
        try:
            known[line] = instant(column.name, text, zone=declared).replace(tzinfo=None)
        except NotAnInstantError as error:
            reasons[line] = str(error)
    if known:
        patch = pa.table(
            {"line": pa.array(list(known), pa.int64()), "at": pa.array(list(known.values()), pa.timestamp("us"))}
        )
        con.register("patch", patch)
        con.execute(f"UPDATE judged SET {value} = patch.at FROM patch WHERE judged.__line = patch.line")
        con.unregister("patch")
    return reasons
