"""What goes into the properties of rows: the event's own, their fields that fill no column of ours, and what the
mapping states.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.event import RefusedEvent
from launchpad_lib.contract.event.columns import canonical
from launchpad_lib.contract.event.judging import own_properties
from launchpad_lib.ingestion.files.fields import Kind, property_constants, reach, used_fields
from launchpad_lib.ingestion.files.json_scan import canonical_objects
from launchpad_lib.ingestion.files.known_columns import EXTRA
from launchpad_lib.ingestion.files.null_values import NullValues
from launchpad_lib.ingestion.files.source import SourceSpec

# Numbers that DuckDB and the contract may write differently.
_UNUSUAL_NUMBER = r"[0-9][eE][-+0-9]|[0-9.]{16}|[.][0-9]*0[^0-9.]"
decode = msgspec.json.Decoder(dict[str, Any]).decode
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


class Properties:
    """What goes into `properties`: the event's own, their fields that fill no column of ours, and what the mapping
    states.

    `column` is canonical text, NULL where the own properties are no JSON object.
    """

    def __init__(self, asked: EventRows, source: SourceSpec) -> None:
        self._own = asked.mapping["properties"]
        self._used = used_fields(source)
        self._stated = property_constants(source)
        self._named = source.properties
        self._nulls = {name: nulls for name, nulls in source.nulls.items() if name in source.properties}
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
        doubtful = np.asarray(known.is_null()) | has_extra | bool(self._nulls)
        mask = pa.array(doubtful)
        pairs = zip(own.filter(mask).to_pylist(), extra.filter(mask).to_pylist(), strict=True)
        anew = [_canonical_or_null([self._joined(o, e) for o, e in pairs])] if doubtful.any() else []
        return _filled(known, doubtful, anew)

    def of(self, index: int) -> Any:
        """Those of one row; a text where they are no JSON object."""
        text = self.column[index].as_py()
        return "no object" if text is None else decode(text)

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
                while name in found or name in self._stated or name in self._named:
                    name = f"event.{name}"
                found[name] = value
        found.update(self._stated)
        for name, theirs in self._named.items():
            value = self._asked.value(record, theirs)
            if value is not None:
                found[name] = value if isinstance(value, str) else _encode(value).decode()
        return _without_nulls(found, self._nulls)

    def _joined(self, own: str | None, extra: str) -> dict[str, Any] | None:
        try:
            found = own_properties(own)
        except RefusedEvent:
            return None
        found = dict(found) if found else {}
        for name, value in decode(extra).items():
            is_stated = name in self._stated or name in self._named
            while name in found and not is_stated:
                name = f"event.{name}"
            found[name] = value
        return _without_nulls(found, self._nulls)


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


def _without_nulls(properties: dict[str, Any], nulls: dict[str, NullValues]) -> dict[str, Any]:
    """What the mapping says is missing is left out, also where the event's own properties have it under that name."""
    for name, values in nulls.items():
        if properties.get(name) in values:
            del properties[name]
    return properties


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
    anew = canonical([decode(text) for text in column.filter(pa.array(doubtful)).to_pylist()])
    return pc.replace_with_mask(column.combine_chunks(), pa.array(doubtful), anew)
