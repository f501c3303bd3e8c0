"""Holds each event of a request against the contract: typed events on one side, a reason per refused event on the other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from launchpad_lib.collector.framing import MAX_DEPTH, frame
from launchpad_lib.contract.tables import EVENT_PROPERTIES, EVENTS

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Label = Annotated[str, msgspec.Meta(max_length=256)]
MAX_REASON_CHARS = 240


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One event as it lies in the spool. Fields are the columns of `schema.EVENTS`; a test holds the two together."""

    event_id: Identifier
    event_name: Identifier
    user_id: Identifier
    event_at: Annotated[datetime, msgspec.Meta(tz=True)]
    received_at: datetime | None = None
    session_id: Label | None = None
    feature_id: Label | None = None
    properties: dict[str, Any] | None = None
    platform: Label | None = None
    app_version: Label | None = None
    country: Label | None = None


class Refusal(NamedTuple):
    """One refused event: its place in the request, its id where it could be read, the rule's class, and the reason in words."""

    index: int
    event_id: str | None
    rule: str
    reason: str


class Admission(NamedTuple):
    """`events` are good; `refused` are not; `is_unreadable` when no event could be found in the body at all."""

    events: list[Event]
    refused: list[Refusal]
    is_unreadable: bool = False


class RefusedError(ValueError):
    """An event breaks a rule."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


class TooManyEventsError(ValueError):
    """A request holds more events than one may."""


_KNOWN = {c.name for c in EVENTS.columns}
_REQUIRED = [c.name for c in EVENTS.columns if c.required]
_array = msgspec.json.Decoder(list[Event])
_one = msgspec.json.Decoder(Event)
_loose = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()
_TYPED = {
    name: {
        p.name: {"string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,)}[p.type]
        for p in properties
    }
    for name, properties in EVENT_PROPERTIES.items()
}


def admit(body: bytes, *, is_lines: bool, received_at: datetime, max_event_bytes: int, max_events: int) -> Admission:
    """Judges every event of a body by itself; a bad one never refuses its neighbours.

    Raises:
        TooManyEventsError: more than `max_events` events.
    """
    if not is_lines and body[:1] == b"[" and len(body) <= max_event_bytes:
        # The common case in one call: a small array in which every event is good.
        try:
            events = _array.decode(body)
            if len(events) <= max_events:
                for event in events:
                    _settle(event, received_at)
                return Admission(events, [])
        except (ValueError, msgspec.MsgspecError, RecursionError):
            pass
    framed = frame(body, is_lines=is_lines)
    if len(framed.pieces) > max_events:
        raise TooManyEventsError(
            f"{len(framed.pieces)} events in one request: at most {max_events} may be; send smaller batches"
        )
    events, refused = [], []
    for index, piece in enumerate(framed.pieces):
        try:
            event = _judge(piece, max_event_bytes)
            _settle(event, received_at)
            events.append(event)
        except RefusedError as error:
            refused.append(Refusal(index, _event_id(piece), error.rule, str(error)[:MAX_REASON_CHARS]))
    if framed.broken is not None:
        refused.append(Refusal(len(framed.pieces), None, "malformed", framed.broken))
    return Admission(events, refused, is_unreadable=framed.broken is not None and not framed.pieces)


def lines_of(events: list[Event]) -> bytes:
    """The events as the spool keeps them: one JSON object a line."""
    return _encoder.encode_lines(events)


def _judge(piece: bytes, max_event_bytes: int) -> Event:
    if len(piece) > max_event_bytes:
        raise RefusedError(
            "too_large",
            f"the event has {len(piece)} bytes: at most {max_event_bytes} are taken; send less in properties",
        )
    try:
        return _one.decode(piece)
    except msgspec.ValidationError:
        return _convert(piece)
    except msgspec.DecodeError as error:
        raise RefusedError("malformed", f"not valid JSON: {str(error).removeprefix('JSON is malformed: ')}") from None
    except UnicodeDecodeError as error:
        raise RefusedError(
            "malformed", f"not valid UTF-8: byte 0x{error.object[error.start]:02x} ({error.reason})"
        ) from None
    except RecursionError:
        raise RefusedError("too_deep", f"nests deeper than {MAX_DEPTH} levels; flatten properties") from None


def _convert(piece: bytes) -> Event:
    """The slow way: unknown keys go into properties, and what is then still wrong is named."""
    try:
        fields = _loose.decode(piece)
    except RecursionError:
        raise RefusedError("too_deep", f"nests deeper than {MAX_DEPTH} levels; flatten properties") from None
    except UnicodeDecodeError as error:
        raise RefusedError(
            "malformed", f"not valid UTF-8: byte 0x{error.object[error.start]:02x} ({error.reason})"
        ) from None
    except msgspec.MsgspecError as error:
        raise RefusedError("invalid", _worded(str(error))) from None
    missing = [name for name in _REQUIRED if fields.get(name) is None]
    if missing:
        raise RefusedError("invalid", f"{missing[0]} is missing; every event needs {', '.join(_REQUIRED)}")
    unknown = [name for name in fields if name not in _KNOWN]
    if unknown:
        properties = fields.get("properties") or {}
        if not isinstance(properties, dict):
            raise RefusedError("invalid", "properties is not an object; send {...}")
        properties = dict(properties)
        for name in unknown:
            # A property of that name stays; the unknown key is kept beside it rather than lost.
            properties[name if name not in properties else f"event.{name}"] = fields.pop(name)
        fields["properties"] = properties
    try:
        return msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid", _worded(str(error))) from None


def _worded(message: str) -> str:
    reason, _, place = message.partition(" - at ")
    field = place.strip("`").removeprefix("$").removeprefix(".")
    if reason == "Expected `datetime`, got `str`" or reason.startswith("Invalid RFC3339"):
        reason = "not an ISO-8601 instant such as 2026-01-31T09:30:00Z"
    elif "timezone" in reason:
        reason = "has no time zone; end it in Z"
    return f"{field}: {reason}" if field else reason


def _settle(event: Event, received_at: datetime) -> None:
    """What the decoder cannot check; `received_at` is always the collector's clock."""
    event.received_at = received_at
    if event.event_at.tzinfo is not UTC:
        try:
            event.event_at = event.event_at.astimezone(UTC)
        except OverflowError:
            raise RefusedError("invalid", "event_at: is outside the years 1 to 9999 in UTC") from None
    properties = event.properties
    if properties:
        for value in properties.values():
            if value.__class__ is dict or value.__class__ is list:
                _check_depth(value)
    typed = _TYPED.get(event.event_name)
    if typed is not None:
        _check_typed(event, typed, properties or {})


def _check_depth(value: object) -> None:
    depth, level = 2, [value]
    while level:
        if depth > MAX_DEPTH:
            raise RefusedError("too_deep", f"nests deeper than {MAX_DEPTH} levels; flatten properties")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        depth += 1


def _check_typed(event: Event, typed: dict[str, tuple[type, ...]], properties: dict[str, Any]) -> None:
    """Types only: an event that lacks a property is worth more than no event."""
    for name, value in properties.items():
        kinds = typed.get(name)
        # bool is an int to Python, not to the contract.
        if kinds is not None and (not isinstance(value, kinds) or (value.__class__ is bool and bool not in kinds)):
            raise RefusedError(
                "invalid", f"properties.{name} of {event.event_name}: a {_named(value)} is not a {_kind(kinds)}"
            )


def _named(value: object) -> str:
    return {
        "str": "string",
        "int": "number",
        "float": "number",
        "bool": "boolean",
        "dict": "object",
        "list": "list",
    }.get(type(value).__name__, "null")


def _kind(kinds: tuple[type, ...]) -> str:
    return {(str,): "string", (int, float): "number", (int,): "whole number", (bool,): "boolean"}[kinds]


class _Named(msgspec.Struct):
    event_id: str


_named_decoder = msgspec.json.Decoder(_Named)


def _event_id(piece: bytes) -> str | None:
    try:
        return _named_decoder.decode(piece).event_id[:256]
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
