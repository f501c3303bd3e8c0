"""What is sent: one alert that begins or is over, or the digest of a run; the same for every channel."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, NamedTuple

from launchpad_lib.contract.legible import visible

Kind = Literal["trigger", "resolve", "digest"]
AlertSeverity = Literal["critical", "error", "warning", "info"]
TITLE_CHARACTERS = 240


class Picture(NamedTuple):
    """A PNG of a digest; its HTML names it as `cid:NAME`."""

    name: str
    png: bytes


class Member(NamedTuple):
    """One of several alerts that one message tells of."""

    key: str
    title: str
    feature_id: str | None
    page: str | None


class Message(NamedTuple):
    """One message.

    `key` names what it is about: a receiver that knows keys (PagerDuty, the webhook's `webhook-id`) shows one thing for
    all messages of one key. `message_id` names this message: the same when it is sent once more. `members` are the
    alerts that it tells of where they are several.
    """

    kind: Kind
    key: str
    message_id: str
    severity: AlertSeverity
    title: str
    lines: tuple[str, ...]
    at: datetime
    run: str
    rule: str = ""
    feature_id: str | None = None
    page: str | None = None
    link: str | None = None
    html: str | None = None
    pictures: tuple[Picture, ...] = ()
    members: tuple[Member, ...] = ()


def one_line(text: str, *, most: int = TITLE_CHARACTERS) -> str:
    """Text for a title or the head of a mail: on one line, nothing unseen in it, cut at its end.

    >>> one_line("Search\\r\\nBcc: x@example.com"), one_line("a" * 9, most=4)
    ('Search Bcc: x@example.com', 'aaa…')
    """
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def key_of(*parts: str) -> str:
    """A short name for something that is told by these parts, the same wherever it is made.

    >>> key_of("a", "bc") == key_of("ab", "c"), len(key_of("x"))
    (False, 32)
    """
    told = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:32]
