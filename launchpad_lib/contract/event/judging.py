"""One event held against the rules: a row, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

import launchpad_lib.contract.event.rules as rules
from launchpad_lib.contract.event.instants import NotAnInstantError, instant
from launchpad_lib.contract.event.json_text import NotAnObjectError, read_object
from launchpad_lib.contract.tables import EVENTS

encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """One event as it is stored, fields as in `tables.EVENTS`; instants are in UTC."""

    event_id: str
    event_name: str
    user_id: str
    event_at: datetime
    received_at: datetime | None = None
    session_id: str | None = None
    feature_id: str | None = None
    properties: dict[str, Any] | None = None
    platform: str | None = None
    app_version: str | None = None
    country: str | None = None


class RefusedEvent(ValueError):
    """An event breaks a rule; the message is the reason, `rule` its class."""

    def __init__(self, reason: str, *, rule: str = "invalid") -> None:
        super().__init__(reason)
        self.rule = rule


def judge(
    fields: Mapping[str, Any],
    *,
    moment: datetime,
    received_at: datetime | None = None,
    read_instant: Callable[[str, object], datetime] = instant,
) -> Event:
    """The event of these fields, JSON values as they came; fields that are no column of ours move into `properties`.

    Args:
        moment: the judge's clock: no event may be from more than a day after it, nor after its own `received_at`.
        received_at: when it reached us, known better than by the event itself.
        read_instant: field and value -> instant, or `NotAnInstantError`.

    Raises:
        RefusedEvent: the first rule it breaks, in the order of the columns.
    """
    values: dict[str, Any] = {}
    for column in EVENTS.columns:
        value = fields.get(column.name)
        if column.type == "string":
            values[column.name] = text_of(rules.TEXTS[column.name], value)
        elif column.type == "json":
            values[column.name] = properties_of(fields)
        elif column.name == "received_at" and received_at is not None:
            values[column.name] = received_at
        elif value is None or (isinstance(value, str) and not value.strip(rules.SPACES)):
            if column.required:
                raise RefusedEvent(rules.missing(column.name))
        else:
            values[column.name] = _instant(column.name, value, read_instant)
    if values["user_id"].lower() in rules.PLACEHOLDER_USERS:
        raise RefusedEvent(rules.placeholder(values["user_id"]))
    check_ahead(values["event_at"], values.get("received_at"), moment)
    check_properties(values["event_name"], values["properties"])
    return Event(**values)


def _instant(field: str, value: object, read_instant: Callable[[str, object], datetime]) -> datetime:
    try:
        return read_instant(field, value.strip(rules.SPACES) if isinstance(value, str) else value)
    except NotAnInstantError as error:
        raise RefusedEvent(str(error)) from None


def text_of(rule: rules.Text, value: object) -> str | None:
    """An id or a name; a number is its digits."""
    is_id = rule.max_characters == rules.ID_CHARACTERS
    if (
        value.__class__ is str
        and 0 < len(value) <= rule.max_characters
        and value.strip(rules.SPACES) == value
        and not (is_id and "+" in value)
    ):
        return value
    if value.__class__ is int:
        value = str(value)
    elif value.__class__ is float:
        if is_id and abs(value) >= rules.EXACT_FLOATS:
            raise RefusedEvent(rules.digits_lost(rule.name, value))
        if value.is_integer():
            value = str(int(value))
        elif is_id:
            raise RefusedEvent(rules.not_whole(rule.name, value))
        else:
            value = encode(value).decode()
    elif value is not None and value.__class__ is not str:
        raise RefusedEvent(rules.not_text(rule.name, value))
    text = value.strip(rules.SPACES) if value else None
    if not text:
        if rule.is_required:
            raise RefusedEvent(rules.missing(rule.name))
        return None
    if len(text) > rule.max_characters:
        raise RefusedEvent(rules.too_long(rule.name, len(text), rule.max_characters))
    if is_id and rules.SHORTENED_NUMBER.fullmatch(text):
        raise RefusedEvent(rules.digits_lost(rule.name, text))
    return text


def properties_of(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event's own properties and every field that is no column of ours; one that says nothing (null) is left out.

    A property of that name stays, and the field is kept beside it as `event.NAME`.
    """
    own = own_properties(fields.get("properties"))
    if len(fields) <= len(rules.COLUMNS) and all(name in _COLUMNS for name in fields):
        return own or None
    merged = dict(own or {})
    for name, value in fields.items():
        if name not in _COLUMNS and value is not None:
            while name in merged:
                name = f"event.{name}"
            merged[name] = value
    return merged or None


def own_properties(value: object) -> dict[str, Any] | None:
    """The event's own properties; a text that holds a JSON object is one (senders encode twice), a blank one says
    nothing.
    """
    if isinstance(value, str):
        text = value.strip(rules.SPACES)
        try:
            return read_object(text.encode("utf-8", "surrogatepass")) if text else None
        except NotAnObjectError:
            raise RefusedEvent(rules.NOT_AN_OBJECT) from None
    if value is not None and not isinstance(value, dict):
        raise RefusedEvent(rules.NOT_AN_OBJECT)
    return value


def check_ahead(event_at: datetime, received_at: datetime | None, moment: datetime) -> None:
    """Raises RefusedEvent where the clock that made the event is more than a day ahead."""
    if event_at > (moment if received_at is None else min(received_at, moment)) + rules.MAX_AHEAD:
        raise RefusedEvent(rules.ahead(event_at))


def check_properties(event_name: str, properties: dict[str, Any] | None) -> None:
    """Raises RefusedEvent where they are too deep, too large, or of a wrong type for a known event."""
    if not properties:
        return
    size = len(encode(properties))
    # What nests deeper has a bracket at each end of each level.
    if size > 2 * rules.MAX_DEPTH and is_deep(properties):
        raise RefusedEvent(rules.TOO_DEEP, rule="too_deep")
    if size > rules.MAX_PROPERTIES_BYTES:
        raise RefusedEvent(rules.too_large(size), rule="too_large")
    typed = rules.TYPED.get(event_name)
    if typed is not None:
        for name, value in properties.items():
            # Types only: an event that lacks a property is worth more than no event.
            if value is not None and name in typed and not _is_of(value, typed[name]):
                raise RefusedEvent(rules.wrong_type(event_name, name, value, typed[name]))


def is_deep(properties: dict[str, Any]) -> bool:
    """Whether objects and lists nest deeper than allowed; `properties` itself is the first level."""
    depth = 1
    level: list[dict[str, Any] | list[Any]] = [properties]
    while level:
        if depth > rules.MAX_DEPTH:
            return True
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        depth += 1
    return False


def _is_of(value: object, wanted: str) -> bool:
    if wanted == "string":
        return value.__class__ is str
    if wanted == "boolean":
        return value.__class__ is bool
    # bool is an int to Python, not to the contract; 3.0 is a whole number, whoever wrote it.
    return value.__class__ is int or (value.__class__ is float and (wanted == "number" or value.is_integer()))


_COLUMNS = frozenset(rules.COLUMNS)
