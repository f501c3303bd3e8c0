"""The rules of an event and their reasons in words: the only place where they stand. Docs: decision 0014."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from launchpad_lib.contract.tables import EVENT_PROPERTIES, EVENTS

MAX_AHEAD = timedelta(days=1)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
MAX_PROPERTIES_BYTES = 65_536
MAX_DEPTH = 64
CONFLICT = " came with other content before; the copy received first is kept"
MAX_RAW_CHARACTERS = 65_536  # of a refused row, as it is kept
IDS = ("event_id", "user_id", "session_id")
ID_CHARACTERS = 256
NAME_CHARACTERS = 8_192
# A reason that shows the value it is about: what stands before and after it. The last such end is the rule's own, since
# a value may hold anything.
WITH_VALUE = (
    r"(?s)^((?:event \d+ of the record: )?\w+: ).* ("
    r"(?:is no id;|is a number whose last digits|is not (?:a timestamp|a number|a whole number|true or false)"
    r"|states no time zone;|does not exist in|is more than a day ahead|came with other content|is under|is over).*)$"
)
# Spreadsheets write a long number so, and floats hold no more digits: what was many ids is one.
SHORTENED_NUMBER = re.compile(r"-?\d(?:\.\d+)?[eE]\+\d+", re.ASCII)
EXACT_FLOATS = 2.0**53
# White space around a text is no part of it. Named one by one, because the engines disagree on what white space is.
SPACES = (
    " "
    "\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003"
    "\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
# What trackers write where they know no user; compared without regard to case. Mixpanel and PostHog refuse these as ids
# of people, too. "0" and "-1" are not among them: data sets number their users from 0, and trackers their sessions with
# -1.
PLACEHOLDER_USERS = frozenset({
    "undefined", "null", "none", "nil", "nan", "n/a", "#n/a", "(null)", "<null>", "(none)", "<none>", "<nil>",
    "not set", "(not set)", "unknown", "(unknown)", "anonymous", "anon", "guest", "not_authenticated",
    "[object object]", "{}", "[]",
    "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}",
    "00000000000000000000000000000000",
})  # fmt: skip


class Text(NamedTuple):
    """The rule of one text column."""

    name: str
    is_required: bool
    max_characters: int


TEXTS = {
    c.name: Text(c.name, c.required, ID_CHARACTERS if c.name in IDS else NAME_CHARACTERS)
    for c in EVENTS.columns
    if c.type == "string"
}
COLUMNS = tuple(c.name for c in EVENTS.columns)
REQUIRED = tuple(c.name for c in EVENTS.columns if c.required)
TYPED = {event: {p.name: p.type for p in properties} for event, properties in EVENT_PROPERTIES.items()}
TYPE_WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "boolean"}


def missing(field: str) -> str:
    """A needed field is absent, null or blank."""
    return f"{field} is missing"


def not_text(field: str, value: object) -> str:
    """An id or name is neither text nor number."""
    return f"{field}: {kind_of(value)} is not a text"


def not_whole(field: str, value: object) -> str:
    """An id is a number with a fraction."""
    return f"{field}: {shown(value)} is no id; an id is a text or a whole number"


def digits_lost(field: str, value: object) -> str:
    """An id is a number without its last digits, so that others look the same."""
    return f"{field}: {shown(value)} is a number whose last digits are lost; export the id as text"


def too_long(field: str, characters: int, limit: int) -> str:
    """A text has too many characters."""
    return f"{field} has {characters:,} characters: at most {limit:,} are taken"


def placeholder(user: str) -> str:
    """A user that stands for everybody whose id was not known."""
    return f"user_id: {shown(user)} stands for nobody known; send the user's id, or an own id per unknown user"


def not_a_timestamp(field: str, value: object) -> str:
    """An instant that is none."""
    return (
        f"{field}: {shown(value)} is not a timestamp such as 2026-01-31T09:30:00Z; "
        "a file's mapping may state `units` or `formats`"
    )


def no_zone(field: str, value: object) -> str:
    """An instant of an event in JSON must say its zone; a file's mapping has one."""
    return f"{field}: {shown(value)} states no time zone; end it in Z"


def skipped_by_clocks(field: str, value: object, zone: str) -> str:
    """A local time that clocks jump over."""
    return f"{field}: {shown(value)} does not exist in {zone} (clocks go forward)"


def ahead(event_at: datetime) -> str:
    """A clock that is wrong: one such event would make every window look over."""
    return f"event_at: {event_at:%Y-%m-%dT%H:%M:%SZ} is more than a day ahead of when it was received"


NOT_AN_OBJECT = "properties is not a JSON object"
TOO_DEEP = f"nests deeper than {MAX_DEPTH} levels; flatten properties"


def too_large(size: int) -> str:
    """The properties are too large."""
    return f"properties has {size:,} bytes: at most {MAX_PROPERTIES_BYTES:,} are taken; send less in properties"


def wrong_type(event_name: str, name: str, value: object, wanted: str) -> str:
    """A typed property of a known event has another type."""
    return f"properties.{shown(name)} of {shown(event_name)}: {kind_of(value)} is not a {TYPE_WORDS[wanted]}"


def conflicting(event_id: str) -> str:
    """Of two events with one id and different content one is kept; the other is told."""
    return f"event_id: {shown(event_id)}{CONFLICT}"


def kind_of(value: object) -> str:
    """A JSON value's type in words."""
    words = {"str": "a text", "int": "a number", "float": "a number", "bool": "a boolean", "dict": "an object"}
    return words.get(type(value).__name__, "a list")


def shown(value: object, *, characters: int = 60) -> str:
    r"""A value as people may see it: cut, with every character that cannot be printed written as an escape.

    >>> shown("a\x00b\ufffe")
    'a\\x00b\\ufffe'
    """
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:characters])
