"""Rows of a file as events: beyond doubt as a set, in doubt one by one before the judge that stream, collector and SDK
have too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.event import Event, RefusedEvent, judge, rules
from launchpad_lib.contract.event.columns import canonical, is_plain, rows_of
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.event.judging import own_properties
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.ingestion.files.fields import Kind, property_constants, reach, used_fields
from launchpad_lib.ingestion.files.json_scan import canonical_objects
from launchpad_lib.ingestion.files.known_columns import EXTRA
from launchpad_lib.ingestion.files.source import SourceSpec

# Of the text of a JSON value: it may have been a number, a boolean, an object or a list.
_MAY_BE_NO_TEXT = r"^(?:-?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|[\[{].*)$"
_WHOLE_NUMBER = r"^-?[0-9]+$"
# Numbers that DuckDB and the contract may write differently.
_UNUSUAL_NUMBER = r"[0-9][eE][-+0-9]|[0-9.]{16}|[.][0-9]*0[^0-9.]"
_FLOAT_ID = re.compile(r"-?[0-9]+[.]0", re.ASCII)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_lines = msgspec.json.Decoder(dict[str, Any]).decode_lines
OBJECTS_AT_ONCE = 5_000
_encode = msgspec.json.Encoder().encode


class EventRows(NamedTuple):
    """`given`: their fields; `read`: ours as texts and instants, and `__extra` where there are other fields, both in
    order of lines; `reasons`: column -> line -> why it is no instant.
    """

    given: pa.Table
    read: dict[str, pa.Array | pa.ChunkedArray]
    reasons: dict[str, dict[int, str]]
    mapping: dict[str, str | None]
    kind: Kind

    def value(self, record: dict[str, Any], theirs: str) -> Any:
        """A field of one row; where the file has a field of that very name it is no path."""
        return record.get(theirs) if theirs in self.given.column_names else reach(record, theirs)


def judge_events(asked: EventRows, *, source: SourceSpec, moment: datetime) -> tuple[pa.Table, pa.Table]:
    """The rows (with `__line`), and `line, reason` of those that are refused."""
    lines = asked.given["__line"].to_numpy()
    properties = _Properties(asked, source)
    read = {**asked.read, "properties": properties.column}
    rows = pa.table([read[f.name].cast(f.type) for f in ROWS_SCHEMA], schema=ROWS_SCHEMA)
    plain = is_plain(rows, moment=moment) & _has_instants(asked, lines)
    plain &= ~_of_other_types(asked)
    judged, kept, refused = [], [], []
    for index in np.flatnonzero(~plain):
        line = int(lines[index])
        try:
            judged.append(_judged(asked, int(index), line, properties, source, moment))
            kept.append(line)
        except RefusedEvent as error:
            refused.append((line, str(error)))
    if plain.all():
        whole = rows.append_column("__line", pa.array(lines))
    else:
        whole = pa.concat_tables([rows.filter(pa.array(plain)), rows_of(judged)])
        whole = whole.append_column("__line", pa.array(np.concatenate([lines[plain], np.array(kept, dtype=np.int64)])))
        whole = whole.sort_by("__line") if kept else whole
    whole, outside = _within(whole, source)
    refused = sorted(refused + outside)
    columns = [pa.array([r[i] for r in refused], t) for i, t in enumerate((pa.int64(), pa.string()))]
    return whole, pa.table(columns, names=["line", "reason"])


def _has_instants(asked: EventRows, lines: np.ndarray) -> np.ndarray:
    """False where a time is there and is no instant: it is not the same as none."""
    bad = [line for found in asked.reasons.values() for line in found]
    return ~np.isin(lines, np.array(bad, dtype=np.int64)) if bad else np.ones(len(lines), dtype=np.bool_)


def _may_be_no_texts(asked: EventRows) -> np.ndarray:
    """True where an id or name that a path leads to looks like another JSON value than a text or a whole number."""
    found = np.zeros(asked.given.num_rows, dtype=np.bool_)
    for name in rules.TEXTS:
        theirs = asked.mapping[name]
        if theirs is not None and theirs not in asked.given.column_names:
            looks = pc.match_substring_regex(asked.read[name], _MAY_BE_NO_TEXT)
            is_whole = pc.match_substring_regex(asked.read[name], _WHOLE_NUMBER)
            found |= np.asarray(pc.fill_null(pc.and_(looks, pc.invert(is_whole)), False))
    return found


def _of_other_types(asked: EventRows) -> np.ndarray:
    """True where an id or name came from a value that is neither a text nor a whole number."""
    if asked.kind == "json":
        return np.asarray(asked.given["__odd"]) | _may_be_no_texts(asked)
    found = np.zeros(asked.given.num_rows, dtype=np.bool_)
    for name in rules.TEXTS:
        theirs = asked.mapping[name]
        if theirs is not None and theirs in asked.given.column_names:
            kind = asked.given.schema.field(theirs).type
            if pa.types.is_floating(kind):
                values = asked.given[theirs]
                is_whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 9e15))
                found |= ~np.asarray(pc.fill_null(is_whole, True))
            elif asked.kind == "csv" and name in rules.IDS:
                found |= np.asarray(pc.fill_null(pc.ends_with(asked.read[name], ".0"), False))
            elif pa.types.is_boolean(kind) or pa.types.is_nested(kind):
                found |= np.asarray(asked.given[theirs].is_valid())
    return found


def _judged(
    asked: EventRows, index: int, line: int, properties: _Properties, source: SourceSpec, moment: datetime
) -> Event:
    if asked.kind == "json":
        record = _decode(asked.given["__object"][index].as_py())
    else:
        record = asked.given.slice(index, 1).to_pylist()[0]
    fields: dict[str, Any] = {"properties": properties.of(index)}
    for name in rules.COLUMNS:
        theirs = asked.mapping[name]
        if name == "properties":
            continue
        if EVENTS.column(name).type == "timestamp":
            fields[name] = asked.reasons.get(name, {}).get(line) or asked.read[name][index].as_py()
        elif name in source.constants or theirs is None:
            fields[name] = asked.read[name][index].as_py()
        else:
            fields[name] = _as_json(asked.value(record, theirs), name, asked.kind)
    if source.event_names and isinstance(fields["event_name"], str):
        name = fields["event_name"].strip(rules.SPACES)
        fields["event_name"] = source.event_names.get(name, name)
    if isinstance(fields["properties"], dict):
        fields["properties"] = _typed(fields, asked.kind, source)

    def known(field: str, value: object) -> datetime:
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC)
        raise NotAnInstantError(str(value))

    return judge(fields, moment=moment, read_instant=known)


def _as_json(value: Any, name: str, kind: Kind) -> Any:
    """A value of a file as JSON would have it."""
    if (
        kind == "csv"
        and isinstance(value, str)
        and name in rules.IDS
        and _FLOAT_ID.fullmatch(value.strip(rules.SPACES))
    ):
        return value.strip(rules.SPACES)[:-2]
    if isinstance(value, float) and value != value:
        return None
    return value if value is None or isinstance(value, (str, int, float, bool, dict, list)) else str(value)


def _typed(fields: dict[str, Any], kind: Kind, source: SourceSpec) -> dict[str, Any]:
    """Where a file has only text, the typed properties of known events are read from it."""
    typed = rules.TYPED.get(fields["event_name"] if isinstance(fields["event_name"], str) else "", {})
    readable = {n: t for n, t in typed.items() if kind == "csv" or n in source.properties}
    found = dict(fields["properties"])
    for name, wanted in readable.items():
        value = found.get(name)
        if isinstance(value, str) and wanted != "string":
            try:
                read = msgspec.json.decode(value.strip(rules.SPACES))
            except msgspec.MsgspecError:
                continue
            found[name] = read if isinstance(read, (int, float, bool)) else value
    return found


def _within(rows: pa.Table, source: SourceSpec) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Without the rows outside `valid_from` and `valid_until`, and those."""
    refused = []
    for compare, limit, word in (
        (pc.less, source.valid_from, "before"),
        (pc.greater_equal, source.valid_until, "not before"),
    ):
        if limit is not None:
            instant = (limit if limit.tzinfo is None else limit.astimezone(UTC)).replace(tzinfo=None)
            is_out = compare(rows["event_at"], pa.scalar(instant, pa.timestamp("us")))
            refused += [(n, f"event_at is {word} {limit}") for n in rows.filter(is_out)["__line"].to_pylist()]
            rows = rows.filter(pc.invert(is_out))
    return rows, refused


class _Properties:
    """What goes into `properties`: the event's own, their fields that fill no column of ours, and what the mapping
    states.

    `column` is canonical text, NULL where the own properties are no JSON object.
    """

    def __init__(self, asked: EventRows, source: SourceSpec) -> None:
        self._own = asked.mapping["properties"]
        self._used = used_fields(source)
        self._stated = property_constants(source)
        self._named = source.properties
        self._asked = asked
        if asked.kind == "json":
            self.column = self._of_objects()
        elif self._own is not None and self._own in asked.given.column_names:
            self.column = self._of_texts(asked.read.get("properties", asked.given[self._own]))
        elif EXTRA in asked.read:
            self.column = pa.chunked_array([asked.read[EXTRA]])
        elif "__extra" in asked.read:
            self.column = _recanonical(asked.read["__extra"])
        else:
            self.column = pa.repeat("{}", asked.given.num_rows)

    def _of_objects(self) -> pa.ChunkedArray:
        """As the reader found them; each is written anew where that was in doubt or the mapping states more."""
        known, objects = self._asked.given["__properties"], self._asked.given["__object"]
        if self._stated or self._named or "." in (self._own or ""):
            known = pa.chunked_array([pa.nulls(len(objects), pa.string())])
        doubtful = np.asarray(known.is_null())
        anew = [
            _canonical_or_null([self._merged(record) for record in records])
            for records in _records(
                objects.filter(pa.array(doubtful)) if doubtful.any() else pa.chunked_array([[]], pa.string())
            )
        ]
        return _filled(known, doubtful, anew)

    def _of_texts(self, own: pa.ChunkedArray) -> pa.ChunkedArray:
        extra = self._asked.read.get(EXTRA, self._asked.read.get("__extra", pa.repeat("{}", len(own))))
        known = pa.chunked_array([canonical_objects(chunk) for chunk in own.chunks], pa.string())
        has_extra = np.asarray(pc.not_equal(extra, "{}"))
        doubtful = np.asarray(known.is_null()) | has_extra
        mask = pa.array(doubtful)
        pairs = zip(own.filter(mask).to_pylist(), extra.filter(mask).to_pylist(), strict=True)
        anew = [_canonical_or_null([_joined(o, e) for o, e in pairs])] if doubtful.any() else []
        return _filled(known, doubtful, anew)

    def of(self, index: int) -> Any:
        """Those of one row; a text where they are no JSON object."""
        text = self.column[index].as_py()
        return "no object" if text is None else _decode(text)

    def _merged(self, record: dict[str, Any]) -> dict[str, Any] | None:
        own = self._asked.value(record, self._own) if self._own else None
        if own is not None and own.__class__ is not dict:
            try:
                own = own_properties(own)
            except RefusedEvent:
                return None
        found = own if own else {}
        for name, value in record.items():
            if name not in self._used and value is not None:
                while name in found:
                    name = f"event.{name}"
                found[name] = value
        found.update(self._stated)
        for name, theirs in self._named.items():
            value = self._asked.value(record, theirs)
            if value is not None:
                found[name] = value if isinstance(value, str) else _encode(value).decode()
        return found


def _filled(known: pa.ChunkedArray, doubtful: np.ndarray, anew: list[pa.Array]) -> pa.ChunkedArray:
    """With the texts that were made anew where there was doubt."""
    if not doubtful.any():
        return known
    values = pa.concat_arrays(anew)
    return pa.chunked_array([pc.replace_with_mask(known.combine_chunks(), pa.array(doubtful), values)], pa.string())


def _records(objects: pa.ChunkedArray) -> Iterator[list[dict[str, Any]]]:
    """The objects of a file; a line is one, so a stretch of lines is read in one call."""
    for chunk in objects.chunks:
        for start in range(0, len(chunk), OBJECTS_AT_ONCE):
            part = chunk.slice(start, OBJECTS_AT_ONCE)
            listed = pa.ListArray.from_arrays(pa.array([0, len(part)], pa.int32()), part)
            yield _decode_lines(pc.binary_join(listed, "\n")[0].as_buffer())


def _joined(own: str | None, extra: str) -> dict[str, Any] | None:
    try:
        found = own_properties(own)
    except RefusedEvent:
        return None
    found = dict(found) if found else {}
    for name, value in _decode(extra).items():
        while name in found:
            name = f"event.{name}"
        found[name] = value
    return found


def _canonical_or_null(properties: list[dict[str, Any] | None]) -> pa.Array:
    column = canonical([p or {} for p in properties])
    bad = [p is None for p in properties]
    return pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), column) if any(bad) else column


def _recanonical(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts that DuckDB made, of which those with unusual numbers are written anew."""
    column = column.cast(pa.string())
    doubtful = np.asarray(pc.fill_null(pc.match_substring_regex(column, _UNUSUAL_NUMBER), False))
    if not doubtful.any():
        return column
    anew = canonical([_decode(text) for text in column.filter(pa.array(doubtful)).to_pylist()])
    return pc.replace_with_mask(column.combine_chunks(), pa.array(doubtful), anew)
