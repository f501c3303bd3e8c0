"""The rules over columns of many events: which rows are beyond doubt.

Every other row is for `judge`, which alone refuses and gives reasons.

A row in doubt costs time, never a verdict; a row passed here is one that `judge` would take as it stands. A test holds
the two together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.event import rules
from launchpad_lib.contract.event.judging import Event
from launchpad_lib.contract.event.typed_properties import may_be_of_other_types

EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_799_999_999
AHEAD_US = int(rules.MAX_AHEAD.total_seconds() * 1e6)
_PLACEHOLDERS = pa.array(sorted(rules.PLACEHOLDER_USERS))
_SHORTENED = f"^{rules.SHORTENED_NUMBER.pattern}$"
_lines = msgspec.json.Encoder().encode_lines


def is_plain(rows: pa.Table, *, moment: datetime) -> np.ndarray:
    """True for each row that breaks no rule for sure; the columns are those of `ROWS_SCHEMA`, `properties` canonical or
    NULL.
    """
    plain = np.ones(rows.num_rows, dtype=np.bool_)
    if not rows.num_rows:
        return plain
    for rule in rules.TEXTS.values():
        plain &= _is_plain_text(_one(rows[rule.name]), rule)
    plain &= _names_somebody(_one(rows["user_id"]))
    event_at = rows["event_at"].cast(pa.int64())
    latest = pc.min_element_wise(rows["received_at"].cast(pa.int64()), pa.scalar(_us(moment), pa.int64()))
    in_time = pc.and_(pc.greater_equal(event_at, EARLIEST_US), pc.less_equal(event_at, LATEST_US))
    in_time = pc.and_(in_time, pc.less_equal(pc.subtract(event_at, latest), AHEAD_US))
    plain &= np.asarray(pc.fill_null(in_time, False))
    return plain & _are_plain_properties(_one(rows["event_name"]), _one(rows["properties"]))


def canonical(properties: list[dict[str, Any]]) -> pa.Array:
    """Each object as the one text that it is stored as: no spaces, the last of equal keys, fractions as
    64-bit floats.
    """
    text = _lines(properties)
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 10)
    # A text's line feed is dropped by giving each its own length: one buffer without them.
    body = pa.py_buffer(text.replace(b"\n", b""))
    offsets = np.zeros(len(ends) + 1, dtype=np.int64)
    offsets[1:] = ends - np.arange(len(ends))
    return pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), body).cast(pa.string())


def rows_of(events: list[Event]) -> pa.Table:
    """Events as rows; one without `received_at` has none yet."""
    columns = []
    for field in ROWS_SCHEMA:
        values = [getattr(event, field.name) for event in events]
        if field.name == "properties":
            columns.append(canonical([v or {} for v in values]))
        elif pa.types.is_timestamp(field.type):
            columns.append(pa.array([v and v.replace(tzinfo=None) for v in values], field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=ROWS_SCHEMA)


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_plain_text(column: pa.Array, rule: rules.Text) -> np.ndarray:
    """Of the right length, and with neither white space nor anything beyond ASCII at its ends (such ones are looked at
    again).
    """
    column = column.cast(pa.string()) if column.type != pa.string() else column
    if column.null_count == len(column):
        return np.full(len(column), not rule.is_required)
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(data_buffer or b"\0", dtype=np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    is_filled = lengths > 0
    firsts = data[np.where(is_filled, starts, 0)]
    lasts = data[np.where(is_filled, offsets[1:] - 1, 0)]
    has_ascii_ends = (firsts > 32) & (firsts < 127) & (lasts > 32) & (lasts < 127)
    plain = is_filled & (lengths <= rule.max_characters) & has_ascii_ends
    if column.null_count:
        nulls = np.asarray(column.is_null())
        plain = np.where(nulls, not rule.is_required, plain)
    if not plain.all():
        # Texts of other scripts: the exact rule, for these only.
        asked = np.flatnonzero(~plain & is_filled & (lengths <= 4 * rule.max_characters))
        texts = column.take(pa.array(asked))
        is_trimmed = np.asarray(pc.fill_null(pc.equal(pc.utf8_trim(texts, characters=rules.SPACES), texts), False))
        characters = np.asarray(pc.fill_null(pc.utf8_length(texts), 0))
        plain[asked] = is_trimmed & (characters <= rule.max_characters)
    if rule.name in rules.IDS and (data[offsets[0] : offsets[-1]] == ord("+")).any():
        plain &= ~np.asarray(pc.fill_null(pc.match_substring_regex(column, _SHORTENED), False))
    return plain


def _names_somebody(users: pa.Array) -> np.ndarray:
    return ~np.asarray(pc.is_in(pc.utf8_lower(users), _PLACEHOLDERS))


def _are_plain_properties(names: pa.Array, properties: pa.Array) -> np.ndarray:
    plain = np.asarray(properties.is_valid())
    sizes = np.asarray(pc.fill_null(pc.binary_length(properties), 0))
    plain &= sizes <= rules.MAX_PROPERTIES_BYTES
    # What nests deeper has a bracket at each end of each level.
    if (sizes >= 2 * rules.MAX_DEPTH).any():
        opened = pc.add(pc.count_substring(properties, "{"), pc.count_substring(properties, "["))
        plain &= np.asarray(pc.fill_null(opened, 0)) <= rules.MAX_DEPTH
    return plain & ~may_be_of_other_types(names, properties)
