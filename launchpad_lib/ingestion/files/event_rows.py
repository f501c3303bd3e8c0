"""Rows of a file as events: beyond doubt as a set, in doubt one by one before the judge that stream, collector and SDK
have too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.event import Event, RefusedEvent, judge, rules
from launchpad_lib.contract.event.columns import is_plain, rows_of
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.ingestion.files.fields import Kind
from launchpad_lib.ingestion.files.properties import EventRows, Properties, decode
from launchpad_lib.ingestion.files.source import SourceSpec

# Of the text of a JSON value: it may have been a number, a boolean, an object or a list.
_MAY_BE_NO_TEXT = r"^(?:-?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|[\[{].*)$"
_WHOLE_NUMBER = r"^-?[0-9]+$"
_FLOAT_ID = re.compile(r"-?[0-9]+[.]0", re.ASCII)


def judge_events(asked: EventRows, *, source: SourceSpec, moment: datetime) -> tuple[pa.Table, pa.Table]:
    """The rows (with `__line`), and `line, reason` of those that are refused."""
    lines = asked.given["__line"].to_numpy()
    properties = Properties(asked, source)
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
    asked: EventRows, index: int, line: int, properties: Properties, source: SourceSpec, moment: datetime
) -> Event:
    if asked.kind == "json":
        record = decode(asked.given["__object"][index].as_py())
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
            value = asked.value(record, theirs)
            fields[name] = None if value in source.nulls.get(name, ()) else _as_json(value, name, asked.kind)
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
