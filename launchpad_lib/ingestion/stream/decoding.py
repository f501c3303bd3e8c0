"""JSON events from a stream into columns: a whole block at once, and each event in doubt by itself, with a reason where
it is refused.

Both ways judge an event alike, whatever stands beside it: a replay with other batch ends accepts and refuses the same
events.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, overload

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.event import RefusedEvent, instant, judge, read_object
from launchpad_lib.contract.event.columns import canonical, is_plain, rows_of
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS
from launchpad_lib.contract.tables import EVENTS

MAX_BLOCK_BYTES = 64 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event_id: str
    event_name: str
    user_id: str
    event_at: str
    session_id: str | None = None
    received_at: str | None = None
    feature_id: str | None = None
    properties: dict[str, Any] | None = None
    platform: str | None = None
    app_version: str | None = None
    country: str | None = None


# Written out: a comprehension over a known slot costs half of what a getter by name does.
_VALUES: dict[str, Callable[[list[_Event]], list]] = {
    "event_id": lambda events: [e.event_id for e in events],
    "event_name": lambda events: [e.event_name for e in events],
    "user_id": lambda events: [e.user_id for e in events],
    "session_id": lambda events: [e.session_id for e in events],
    "event_at": lambda events: [e.event_at for e in events],
    "received_at": lambda events: [e.received_at for e in events],
    "feature_id": lambda events: [e.feature_id for e in events],
    "properties": lambda events: [e.properties or {} for e in events],
    "platform": lambda events: [e.platform for e in events],
    "app_version": lambda events: [e.app_version for e in events],
    "country": lambda events: [e.country for e in events],
}
_DECODER = msgspec.json.Decoder(_Event)
_INSTANT = pa.timestamp("us", "UTC")
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Block(NamedTuple):
    """What a source read of one partition, in order; `next_offset` is where to read on.

    A payload is one event (`envelope` False) or several, one a line. `offsets` are those of the payloads; in a spool,
    where one payload is a stretch of a file, an event's own place is its payload's offset plus its bytes before
    (`is_bytewise`). `received_us`: microseconds since 1970 when a payload reached the source, used where an event has
    no received_at.
    """

    partition: str
    next_offset: int
    payloads: list[bytes]
    offsets: list[int]
    envelopes: list[bool]
    received_us: list[int] | None
    is_bytewise: bool = False


class Refused(NamedTuple):
    """One event that broke a rule; `offset` is its place in the partition."""

    partition: str
    offset: int
    reason: str
    raw: str


class Decoded(NamedTuple):
    """`rows` has the columns of `tables.EVENTS` (instants in UTC without a zone); `offsets()` is each row's place in
    the partition.
    """

    partition: str
    rows: pa.Table
    offsets: Callable[[], np.ndarray]
    refused: list[Refused]


class _Line(NamedTuple):
    """The text of one event, its place, and what is put before a reason to find it."""

    text: bytes
    offset: int
    prefix: str
    received_us: int | None


class _Whole(NamedTuple):
    """A block decoded in one call; `breaks` are the line feeds between its events, `ends` where each payload ends."""

    events: list[_Event]
    breaks: np.ndarray
    ends: np.ndarray


def decode(block: Block, *, moment: datetime) -> Decoded:
    """Every event of the block: a row, or a reason. `moment` is the judge's clock."""
    if not block.payloads:
        return Decoded(block.partition, ROWS_SCHEMA.empty_table(), lambda: np.zeros(0, dtype=np.int64), [])
    whole = _decoded_at_once(block)
    if whole is not None:
        received_us = block.received_us
        rows = _columns(whole.events, lambda: None if received_us is None else _per_event(block, whole, received_us))
        if rows is not None and is_plain(rows, moment=moment).all():
            return Decoded(block.partition, rows, lambda: _offsets(block, whole), [])
    return _decode_each(block, _lines_of(block), moment=moment)


def _decoded_at_once(block: Block) -> _Whole | None:
    """All events of the block in one call; None when a line of it needs a closer look."""
    if block.envelopes.count(block.envelopes[0]) < len(block.envelopes):
        return None
    is_envelope = block.envelopes[0]
    payloads = [p.removesuffix(b"\n") for p in block.payloads] if is_envelope else block.payloads
    joined = payloads[0] if len(payloads) == 1 else b"\n".join(payloads)
    if not joined.startswith(b"{") or joined.endswith(b"\n") or len(joined) > MAX_BLOCK_BYTES:
        return None
    text = np.frombuffer(joined, dtype=np.uint8)
    breaks = np.flatnonzero(text == 10)
    count = breaks.size + 1 if is_envelope else len(payloads)
    # One line and one opening brace per event: so two objects on one line cannot stand in for an empty one.
    if breaks.size != count - 1 or (text[breaks + 1] != 123).any():
        return None
    try:
        events = _DECODER.decode_lines(joined)
    except _FAULTS:
        return None
    ends = np.cumsum([len(p) + 1 for p in payloads]) if is_envelope else breaks
    return _Whole(events, breaks, ends) if len(events) == count else None


def _decode_each(block: Block, lines: list[_Line], *, moment: datetime) -> Decoded:
    """Line by line; what is in doubt goes before the judge."""
    events, places, doubtful = [], [], []
    for number, line in enumerate(lines):
        try:
            events.append(_DECODER.decode(line.text))
            places.append(number)
        except _FAULTS:
            doubtful.append(number)
    times = None if block.received_us is None else np.array([lines[n].received_us for n in places], dtype=np.int64)
    rows = _columns(events, lambda: times, is_patient=True)
    plain = is_plain(rows, moment=moment)
    doubtful += [n for n, good in zip(places, plain, strict=True) if not good]
    kept = [n for n, good in zip(places, plain, strict=True) if good]
    judged, refused = [], []
    for number in sorted(doubtful):
        try:
            judged.append(_judged(lines[number], moment))
            kept.append(number)
        except RefusedEvent as error:
            refused.append(_refusal(block.partition, lines[number], str(error)))
    order = np.argsort(np.array(kept, dtype=np.int64), kind="stable")
    rows = pa.concat_tables([rows.filter(pa.array(plain)), rows_of(judged)]).take(pa.array(order))
    offsets = np.array([lines[n].offset for n in kept], dtype=np.int64)[order]
    return Decoded(block.partition, rows, lambda: offsets, refused)


def _judged(line: _Line, moment: datetime) -> Any:
    if not line.text.strip():
        raise RefusedEvent("the record is empty")
    try:
        fields = read_object(line.text)
    except NotAnObjectError as error:
        raise RefusedEvent(str(error)) from None
    if line.received_us is not None and not fields.get("received_at"):
        fields["received_at"] = _EPOCH + timedelta(microseconds=line.received_us)
    event = judge(fields, moment=moment)
    event.received_at = event.received_at or event.event_at
    return event


def _refusal(partition: str, line: _Line, reason: str) -> Refused:
    raw = line.text[:MAX_RAW_CHARACTERS].decode("utf-8", "backslashreplace")
    return Refused(partition, line.offset, line.prefix + reason, raw)


@overload
def _columns(
    events: list[_Event], received_us: Callable[[], np.ndarray | None], *, is_patient: Literal[True]
) -> pa.Table: ...


@overload
def _columns(events: list[_Event], received_us: Callable[[], np.ndarray | None]) -> pa.Table | None: ...


def _columns(
    events: list[_Event], received_us: Callable[[], np.ndarray | None], *, is_patient: bool = False
) -> pa.Table | None:
    """Rows of the events.

    An instant that Arrow does not read makes it None or, when patient, NULL: it is for the judge then.
    """
    arrays: list[pa.Array] = []
    for column in EVENTS.columns:
        values = _VALUES[column.name](events)
        if column.name == "properties":
            arrays.append(canonical(values))
            continue
        array = pa.array(values, pa.string())
        if not column.required and array.null_count < len(array):
            empty = pc.equal(array, "")
            array = pc.if_else(empty, pa.scalar(None, pa.string()), array) if pc.any(empty).as_py() else array
        if column.type == "timestamp":
            try:
                array = array.cast(_INSTANT).cast(pa.timestamp("us"))
            except pa.ArrowInvalid:
                if not is_patient:
                    return None
                array = _patiently(column.name, array)
        arrays.append(array)
    rows = pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)
    place = ROWS_SCHEMA.get_field_index("received_at")
    if arrays[place].null_count:
        times = received_us()
        other = rows["event_at"] if times is None else pa.array(times).cast(pa.timestamp("us"))
        rows = rows.set_column(place, "received_at", pc.coalesce(rows["received_at"], other))
    return rows


def _patiently(name: str, texts: pa.Array) -> pa.Array:
    """One by one. A received_at that is none makes the row doubtful by way of its length: it is out of every range."""
    found = []
    for text in texts.to_pylist():
        try:
            found.append(None if text is None else instant(name, text).replace(tzinfo=None))
        except NotAnInstantError:
            found.append(datetime.min if name == "received_at" else None)
    return pa.array(found, pa.timestamp("us"))


def _per_event(block: Block, whole: _Whole, values: list[int]) -> np.ndarray:
    """A value of each payload, once for each of its events."""
    array = np.asarray(values, dtype=np.int64)
    if not block.envelopes[0]:
        return array
    starts = np.concatenate([[0], whole.breaks + 1])
    return array[np.searchsorted(whole.ends, starts, side="right")]


def _offsets(block: Block, whole: _Whole) -> np.ndarray:
    """The place of each event of a block that was decoded at once."""
    places = _per_event(block, whole, block.offsets)
    if not block.is_bytewise:
        return places
    starts = np.concatenate([[0], whole.breaks + 1])
    firsts = np.concatenate([[0], whole.ends[:-1]])
    return places + starts - firsts[np.searchsorted(whole.ends, starts, side="right")]


def _lines_of(block: Block) -> list[_Line]:
    """The texts of the block's events; an empty line of an envelope is none."""
    lines = []
    for number, payload in enumerate(block.payloads):
        received_us = block.received_us[number] if block.received_us is not None else None
        place, is_envelope = block.offsets[number], block.envelopes[number]
        for nth, text in enumerate(payload.removesuffix(b"\n").split(b"\n") if is_envelope else [payload]):
            if text.strip() or not is_envelope:
                prefix = f"event {nth + 1} of the record: " if is_envelope and not block.is_bytewise else ""
                lines.append(_Line(text, place, prefix, received_us))
            place += len(text) + 1 if block.is_bytewise else 0
    return lines
