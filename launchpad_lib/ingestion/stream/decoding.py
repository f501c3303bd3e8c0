"""JSON events from a stream into columns: a whole block at once when it is clean, event by event, with a reason each, when not.

Both ways judge an event alike, whatever stands beside it: a replay with other batch ends accepts and refuses the same events.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.tables import EVENTS

MAX_EVENT_BYTES = 1_048_576
MAX_RAW_CHARACTERS = 65_536
EARLIEST_EVENT_AT = datetime(2000, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=1)

_Needed = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
_Optional = Annotated[str, msgspec.Meta(max_length=1024)] | None


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event_id: _Needed
    event_name: _Needed
    user_id: _Needed
    event_at: _Needed
    session_id: _Optional = None
    received_at: _Optional = None
    feature_id: _Optional = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    platform: _Optional = None
    app_version: _Optional = None
    country: _Optional = None


_NAMES = tuple(c.name for c in EVENTS.columns)
_GETTERS = {name: operator.attrgetter(name) for name in _NAMES}
_DECODER = msgspec.json.Decoder(_Event)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INSTANT = pa.timestamp("us", "UTC")
_EARLIEST_US = int(EARLIEST_EVENT_AT.timestamp() * 1e6)
_AHEAD_US = int(MAX_AHEAD.total_seconds() * 1e6)


class Block(NamedTuple):
    """What a source read of one partition, in order; `next_offset` is where to read on.

    A payload is one event (`envelope` False) or several, one a line. `offsets` are those of the payloads; in a spool, where
    one payload is a stretch of a file, an event's own place is its payload's offset plus its bytes before (`is_bytewise`).
    `received_us`: microseconds since 1970 when a payload reached the source, used where an event has no received_at.
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
    """`rows` has the columns of `schema.EVENTS` (instants in UTC without a zone)."""

    rows: pa.Table
    refused: list[Refused]


def decode(block: Block) -> Decoded:
    """Every event of the block: a row, or a reason."""
    envelopes = block.envelopes.count(True)
    fast = _decode_clean(block, is_envelope=envelopes > 0) if envelopes in (0, len(block.envelopes)) else None
    return fast if fast is not None else _decode_each(block)


def _decode_clean(block: Block, *, is_envelope: bool) -> Decoded | None:
    """All events of the block in one call; None when any of them needs a closer look."""
    if not block.payloads:
        return Decoded(ROWS_SCHEMA.empty_table(), [])
    payloads = [p.removesuffix(b"\n") for p in block.payloads] if is_envelope else block.payloads
    joined = payloads[0] if len(payloads) == 1 else b"\n".join(payloads)
    if not joined.startswith(b"{") or joined.endswith(b"\n") or len(joined) > 64 * MAX_EVENT_BYTES:
        return None
    text = np.frombuffer(joined, dtype=np.uint8)
    breaks = np.flatnonzero(text == 10)
    count = breaks.size + 1 if is_envelope else len(payloads)
    # One line and one opening brace per event: so two objects on one line cannot stand in for an empty one.
    if breaks.size != count - 1 or (text[breaks + 1] != 123).any():
        return None
    if np.diff(breaks, prepend=-1, append=text.size).max() > MAX_EVENT_BYTES:
        return None
    try:
        events = _DECODER.decode_lines(joined)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(events) != count:
        return None

    def received() -> np.ndarray | None:
        if block.received_us is None:
            return None
        times = np.asarray(block.received_us, dtype=np.int64)
        return np.repeat(times, [p.count(b"\n") + 1 for p in payloads]) if is_envelope else times

    try:
        rows = _columns(events, received)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return None if _broken_rule(rows) is not None else Decoded(rows, [])


def _columns(events: list[_Event], received_us: Callable[[], np.ndarray | None]) -> pa.Table:
    """Rows of the events; raises ArrowInvalid when an instant or the UTF-8 of `properties` is bad."""
    arrays: list[pa.Array] = []
    for column in EVENTS.columns:
        values = map(_GETTERS[column.name], events)
        if column.name == "properties":
            array = pa.array(list(map(bytes, values)), pa.binary()).cast(pa.string())
            nulls = pc.equal(array, "null")
            array = pc.if_else(nulls, "{}", array) if pc.any(nulls).as_py() else array
        else:
            array = pa.array(list(values), pa.string())
            if not column.required and array.null_count < len(array):
                empty = pc.equal(array, "")
                array = pc.if_else(empty, pa.scalar(None, pa.string()), array) if pc.any(empty).as_py() else array
            if column.type == "timestamp":
                array = array.cast(_INSTANT).cast(pa.timestamp("us"))
        arrays.append(array)
    rows = pa.Table.from_arrays(arrays, names=list(_NAMES))
    place = _NAMES.index("received_at")
    if arrays[place].null_count:
        times = received_us()
        other = rows["event_at"] if times is None else pa.array(times).cast(pa.timestamp("us"))
        rows = rows.set_column(place, "received_at", pc.coalesce(rows["received_at"], other))
    return rows


def _broken_rule(rows: pa.Table) -> str | None:
    """The rule that a row of these breaks; None when there is none."""
    event_at, received_at = rows["event_at"].cast(pa.int64()), rows["received_at"].cast(pa.int64())
    if len(rows) and pc.min(event_at).as_py() < _EARLIEST_US:
        return f"event_at is before {EARLIEST_EVENT_AT:%Y-%m-%d}"
    if pc.any(pc.greater(pc.subtract(event_at, received_at), _AHEAD_US)).as_py():
        return "event_at is more than a day after received_at"
    if pc.any(pc.invert(pc.starts_with(rows["properties"], "{"))).as_py():
        return "properties is not a JSON object"
    return None


class _Candidate(NamedTuple):
    event: _Event
    line: bytes
    offset: int
    prefix: str
    received_us: int | None


def _decode_each(block: Block) -> Decoded:
    candidates: list[_Candidate] = []
    refused: list[Refused] = []
    for number, payload in enumerate(block.payloads):
        received_us = block.received_us[number] if block.received_us is not None else None
        place, is_envelope = block.offsets[number], block.envelopes[number]
        for nth, line in enumerate(_lines(payload, is_envelope=is_envelope)):
            prefix = f"event {nth + 1} of the record: " if is_envelope and not block.is_bytewise else ""
            event = _event(line) if line.strip() or not is_envelope else None
            if isinstance(event, str):
                refused.append(_refusal(block.partition, place, prefix + event, line))
            elif event is not None:
                candidates.append(_Candidate(event, line, place, prefix, received_us))
            place += len(line) + 1 if block.is_bytewise else 0
    tables = list(_settle(candidates, partition=block.partition, refused=refused))
    return Decoded(pa.concat_tables(tables) if tables else ROWS_SCHEMA.empty_table(), sorted(refused))


def _refusal(partition: str, offset: int, reason: str, line: bytes) -> Refused:
    return Refused(partition, offset, reason, line[:MAX_RAW_CHARACTERS].decode("utf-8", "backslashreplace"))


def _settle(candidates: list[_Candidate], *, partition: str, refused: list[Refused]) -> Iterator[pa.Table]:
    """Columns of the candidates; where a whole stretch breaks a rule it is halved until the offenders stand alone."""
    if not candidates:
        return
    has_times = candidates[0].received_us is not None
    try:
        rows = _columns(
            [c.event for c in candidates],
            lambda: np.asarray([c.received_us for c in candidates], dtype=np.int64) if has_times else None,
        )
        reason = _broken_rule(rows)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0][:200]
    if reason is None:
        yield rows
    elif len(candidates) == 1:
        only = candidates[0]
        refused.append(_refusal(partition, only.offset, only.prefix + (_plain_reason(only.event) or reason), only.line))
    elif len(candidates) <= 64:
        bad = {id(c): r for c in candidates if (r := _plain_reason(c.event)) is not None}
        refused += [_refusal(partition, c.offset, c.prefix + bad[id(c)], c.line) for c in candidates if id(c) in bad]
        rest = [c for c in candidates if id(c) not in bad]
        for part in (rest,) if bad else (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            yield from _settle(part, partition=partition, refused=refused)
    else:
        middle = len(candidates) // 2
        yield from _settle(candidates[:middle], partition=partition, refused=refused)
        yield from _settle(candidates[middle:], partition=partition, refused=refused)


def _plain_reason(event: _Event) -> str | None:
    """The rules that need no other field, in words."""
    for name in ("event_at", "received_at"):
        text = getattr(event, name)
        if text:
            try:
                pa.scalar(text, pa.string()).cast(_INSTANT)
            except pa.ArrowInvalid:
                return f"{name}: {text[:60]} is not an ISO-8601 instant with a time zone and at most 6 decimals"
    try:
        properties = bytes(event.properties).decode()
    except UnicodeDecodeError:
        return "the text is not UTF-8"
    return None if properties.startswith("{") or properties == "null" else "properties is not a JSON object"


def _lines(payload: bytes, *, is_envelope: bool) -> list[bytes]:
    return payload.removesuffix(b"\n").split(b"\n") if is_envelope else [payload]


def _event(line: bytes) -> _Event | str:
    """One event, or the reason why it is none; keys that are no column of ours move into `properties`."""
    if len(line) > MAX_EVENT_BYTES:
        return f"the event has {len(line):,} bytes, more than {MAX_EVENT_BYTES:,}"
    if not line.strip():
        return "the record is empty"
    try:
        try:
            return _DECODER.decode(line)
        except msgspec.ValidationError:
            moved = _with_unknown_keys_moved(line)
            if moved is None:
                raise
            return _DECODER.decode(moved)
    except RecursionError:
        return "the JSON is nested too deeply"
    except UnicodeDecodeError:
        return "the text is not UTF-8"
    except msgspec.MsgspecError as error:
        return str(error)


def _with_unknown_keys_moved(line: bytes) -> bytes | None:
    """The event with its unknown keys inside `properties` (they win over equal ones); None when there are none to move."""
    fields = _FIELDS.decode(line)
    unknown = {k: v for k, v in fields.items() if k not in _GETTERS}
    own = bytes(fields.get("properties", b"null"))
    if not unknown:
        return None
    if own != b"null" and not own.startswith(b"{"):
        raise msgspec.ValidationError("properties is not a JSON object")
    merged = (_FIELDS.decode(own) if own != b"null" else {}) | unknown
    known = {k: v for k, v in fields.items() if k in _GETTERS}
    return msgspec.json.encode(known | {"properties": merged})
