"""Holds each event of a request against the contract: events for the spool on one side, a reason per refused event on
the other.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec

from launchpad_lib.collector.framing import frame
from launchpad_lib.contract.event import Event, RefusedEvent, instant, judge, read_object
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.contract.event.judging import check_ahead, check_properties
from launchpad_lib.contract.event.rules import ID_CHARACTERS, NAME_CHARACTERS, PLACEHOLDER_USERS, SPACES, TOO_DEEP

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS)]
MAX_REASON_CHARS = 240


class PlainEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An event that is stored as it was sent, apart from `received_at`.

    Fields as of `Event`, a test holds the two together.
    """

    event_id: _Id
    event_name: _Name
    user_id: _Id
    event_at: str
    received_at: datetime | None = None
    session_id: _Id | None = None
    feature_id: _Name | None = None
    properties: dict[str, Any] | None = None
    platform: _Name | None = None
    app_version: _Name | None = None
    country: _Name | None = None


class Refusal(NamedTuple):
    """One refused event: its place in the request, its id where it could be read, the rule's class, and the reason in
    words.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls on it
    event_id: str | None
    rule: str
    reason: str


class Admission(NamedTuple):
    """`events` are good; `refused` are not; `is_unreadable` when no event could be found in the body at all."""

    events: list[Event | PlainEvent]
    refused: list[Refusal]
    is_unreadable: bool = False


class TooManyEventsError(ValueError):
    """A request holds more events than one may."""


_array = msgspec.json.Decoder(list[PlainEvent])
_encoder = msgspec.json.Encoder()


def admit(body: bytes, *, is_lines: bool, received_at: datetime, max_events: int) -> Admission:
    """Judges every event of a body by itself; a bad one never refuses its neighbours.

    Raises:
        TooManyEventsError: more than `max_events` events.
    """
    if not is_lines and body[:1] == b"[":
        # The common case in one call: an array in which every event is good as it stands.
        try:
            events = _array.decode(body)
            if len(events) <= max_events and all(_is_plain(event, received_at) for event in events):
                return Admission(list(events), [])
        except (ValueError, msgspec.MsgspecError, RecursionError):
            pass
    framed = frame(body, is_lines=is_lines)
    if len(framed.pieces) > max_events:
        raise TooManyEventsError(
            f"{len(framed.pieces)} events in one request: at most {max_events} may be; send smaller batches"
        )
    admitted: list[Event | PlainEvent] = []
    refused: list[Refusal] = []
    for index, piece in enumerate(framed.pieces):
        try:
            admitted.append(_judged(piece, received_at))
        except RefusedEvent as error:
            refused.append(Refusal(index, _event_id(piece), error.rule, str(error)[:MAX_REASON_CHARS]))
    if framed.broken is not None:
        refused.append(Refusal(len(framed.pieces), None, "malformed", framed.broken))
    return Admission(admitted, refused, is_unreadable=framed.broken is not None and not framed.pieces)


def lines_of(events: list[Event | PlainEvent]) -> bytes:
    """The events as the spool keeps them: one JSON object a line."""
    return _encoder.encode_lines(events)


def _judged(piece: bytes, received_at: datetime) -> Event:
    try:
        fields = read_object(piece)
    except NotAnObjectError as error:
        raise RefusedEvent(str(error), rule="too_deep" if str(error) == TOO_DEEP else "malformed") from None
    return judge(fields, moment=received_at, received_at=received_at)


def _is_plain(event: PlainEvent, received_at: datetime) -> bool:
    """Whether the judge would keep it as it stands; what is in doubt goes before him.

    Receives `received_at` on the way.
    """
    user, event_id = event.user_id, event.event_id
    if "+" in user or "+" in event_id or "+" in (event.session_id or ""):  # perhaps a number that was shortened
        return False
    if user.strip(SPACES) != user or event_id.strip(SPACES) != event_id or user.lower() in PLACEHOLDER_USERS:
        return False
    for name in (
        event.event_name,
        event.session_id,
        event.feature_id,
        event.platform,
        event.app_version,
        event.country,
    ):
        if name is not None and not _is_trimmed(name):
            return False
    if event.event_at[-1:] != "Z":
        return False
    try:
        check_ahead(instant("event_at", event.event_at), received_at, received_at)
        check_properties(event.event_name, event.properties)
    except (NotAnInstantError, RefusedEvent):
        return False
    event.received_at = received_at
    return True


@lru_cache(maxsize=4096)
def _is_trimmed(name: str) -> bool:
    """Remembered: the names of a product are few."""
    return name.strip(SPACES) == name


class _Named(msgspec.Struct):
    event_id: str


_named_decoder = msgspec.json.Decoder(_Named)


def _event_id(piece: bytes) -> str | None:
    try:
        return _named_decoder.decode(piece).event_id[:ID_CHARACTERS]
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
