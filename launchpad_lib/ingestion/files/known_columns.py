"""Columns of events that need no reading: texts that stand as they are, and instants of the one form that all write."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.ingestion.files.extra_texts import objects_of
from launchpad_lib.ingestion.files.fields import property_constants, used_fields
from launchpad_lib.ingestion.files.source import OWN, SourceSpec
from launchpad_lib.ingestion.files.text_arrays import buffers_of

EXTRA = "__canonical"


def known_columns(
    rows: pa.Table, mapping: dict[str, str | None], source: SourceSpec
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Our column -> its values, of those that need no SQL; texts are not trimmed: the judge looks at what has white
    space around it.
    """
    found: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in EVENTS.columns:
        theirs = mapping[column.name]
        if column.type == "json" or column.name in source.constants:
            continue
        if theirs is None:
            if column.name != "event_id":
                found[column.name] = pa.nulls(rows.num_rows, pa.string() if column.type == "string" else _AT)
            continue
        if theirs not in rows.column_names or column.name in source.null_values:
            continue
        values = rows[theirs]
        if column.type == "string" and not (column.name == "event_name" and source.event_names):
            known = _texts(values)
        elif column.type == "timestamp" and column.name not in source.units and column.name not in source.formats:
            known = _instants(values, is_utc=source.timezone == "UTC")
        else:
            known = None
        if known is not None:
            found[column.name] = known
    return found


def known_extra(rows: pa.Table, source: SourceSpec) -> dict[str, pa.Array]:
    """`EXTRA` -> the fields that fill no column of ours as JSON, as `extra_properties_sql` has them; empty where there
    are none, or one is for the engine.
    """
    used, constants = used_fields(source), property_constants(source)
    taken = {*constants, *source.properties}
    theirs = [n for n in rows.column_names if n not in OWN]
    fields: dict[str, pa.ChunkedArray | str] = {
        n if n not in taken else f"event.{n}": rows[n] for n in theirs if n not in used
    }
    fields |= constants
    for name, field in source.properties.items():
        if name in source.null_values or field not in theirs or not pa.types.is_string(rows.schema.field(field).type):
            return {}
        fields[name] = rows[field]
    if not fields or "" in constants.values():
        return {}
    objects = objects_of(list(fields.items()), rows=rows.num_rows)
    return {} if objects is None else {EXTRA: objects}


_AT = pa.timestamp("us")


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    if not pa.types.is_string(values.type):
        return None
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values) if _has_empty(values) else values


def _has_empty(values: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.equal(pc.binary_length(values), 0)).as_py())


def _instants(values: pa.ChunkedArray, *, is_utc: bool) -> pa.Array | None:
    """Instants in UTC; None where one of them is for a reader of other forms."""
    if pa.types.is_timestamp(values.type):
        if not is_utc and values.type.tz is None:
            return None
        try:
            return values.cast(pa.timestamp("us", values.type.tz)).cast(pa.int64()).cast(_AT)
        except pa.ArrowInvalid:  # parts of a microsecond, or beyond what microseconds hold
            return None
    if not pa.types.is_string(values.type):
        return None
    text = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(text, pa.ChunkedArray):
        text = text.chunk(0) if text.num_chunks else pa.array([], pa.string())
    offsets, data = buffers_of(text)
    at, is_there = np.zeros(len(text), np.int64), np.zeros(len(text), np.bool_)
    if not _read_instants(data, offsets, np.asarray(text.is_valid()), is_utc, at, is_there):
        return None
    return pa.array(at, pa.int64(), mask=~is_there).cast(_AT)


@njit(cache=True, nogil=True)
def _digits(data, p, count):  # noqa: ANN001, ANN202
    """Their number, or -1."""
    found = 0
    for k in range(p, p + count):
        if data[k] < 48 or data[k] > 57:
            return -1
        found = 10 * found + data[k] - 48
    return found


@njit(cache=True, nogil=True)
def _read_instants(data, offsets, is_valid, is_utc, at, is_there):  # noqa: ANN001, ANN202
    """Of texts such as 2026-01-31T09:30:00.125Z; False where one that is not empty has another form."""
    for i in range(len(at)):
        p, end = offsets[i], offsets[i + 1]
        if not is_valid[i] or p == end:
            continue
        if end - p < 19 or end - p > 27 or data[p + 4] != 45 or data[p + 7] != 45:
            return False
        if (data[p + 10] != 84 and data[p + 10] != 32) or data[p + 13] != 58 or data[p + 16] != 58:
            return False
        year, month, day = _digits(data, p, 4), _digits(data, p + 5, 2), _digits(data, p + 8, 2)
        hour, minute, second = _digits(data, p + 11, 2), _digits(data, p + 14, 2), _digits(data, p + 17, 2)
        if year < 1 or month < 1 or month > 12 or day < 1 or hour < 0 or minute < 0 or second < 0:
            return False
        is_leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
        last = 31 - (month == 4 or month == 6 or month == 9 or month == 11)
        if month == 2:
            last = 28 + is_leap
        if day > last or hour > 23 or minute > 59 or second > 59:
            return False
        p += 19
        micros, scale = 0, 100_000
        if p < end and data[p] == 46:
            p += 1
            first = p
            while p < end and 48 <= data[p] <= 57:
                micros += scale * (data[p] - 48)
                scale //= 10
                p += 1
            if p == first or p - first > 6:
                return False
        if not (p == end and is_utc) and not (p + 1 == end and data[p] == 90):
            return False
        # Days since 1970 of the proleptic Gregorian calendar, years from March.
        y, m = year - (month <= 2), (month + 9) % 12
        days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 1 - 719468
        at[i] = ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + micros
        is_there[i] = True
    return True
