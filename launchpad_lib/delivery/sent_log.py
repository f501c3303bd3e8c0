"""What was sent, as JSON lines that only grow: what is under way, what came of it, and so which alerts are open.

A line that a kill cut off is passed over. A message that was under way when its process died may have arrived: it is
sent again under the same id.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from launchpad_lib.delivery.message import Member, Message

SENT_LOG = "alerts.jsonl"


class Open(NamedTuple):
    """An alert that a channel was told of and that is not over."""

    key: str
    rule: str
    title: str
    feature_id: str | None
    page: str | None


class SentLog:
    """The log of a reports folder, held by one process at a time."""

    def __init__(self, path: Path, lines: list[dict[str, Any]], handle: int) -> None:
        self._path, self._handle = path, handle
        self._lines = lines

    def open_alerts(self, run: str, channel: str) -> dict[str, Open]:
        """By key, the alerts of a run's name that the channel was told begin, and not that they are over."""
        found: dict[str, Open] = {}
        for line in self._taken(channel):
            if line.get("run") != run:
                continue
            for one in _alerts_of(line):
                if line.get("kind") == "trigger":
                    found[one.key] = Open(one.key, str(line.get("rule")), one.title, one.feature_id, one.page)
                elif line.get("kind") == "resolve":
                    found.pop(one.key, None)
        return found

    def was_taken(self, channel: str, message_id: str) -> bool:
        """Whether the channel has taken this message already."""
        return any(line.get("message_id") == message_id for line in self._taken(channel))

    def is_in_doubt(self, channel: str, message_id: str) -> bool:
        """Whether a try of this message was begun and nobody wrote down its end: it may have arrived."""
        told = [
            line["outcome"]
            for line in self._lines
            if line.get("channel") == channel and line.get("message_id") == message_id and "outcome" in line
        ]
        return bool(told) and told[-1] == "sending"

    def occurrences(self, key: str, channel: str) -> int:
        """How often the channel was told that this alert is over: each time after it is a new one."""
        over = (line for line in self._taken(channel) if line.get("kind") == "resolve")
        return sum(one.key == key for line in over for one in _alerts_of(line))

    def newest_run(self, run: str) -> str | None:
        """When the newest run of that name began whose alerts were sent or looked at."""
        told = [str(line["started_at"]) for line in self._lines if line.get("run") == run and line.get("started_at")]
        return max(told, default=None)

    def looked_at(self, run: str, started_at: str, *, now: datetime) -> None:
        """Writes down that the alerts of a run were judged."""
        self._append({"at": now.isoformat(), "run": run, "started_at": started_at, "outcome": "judged"})

    def write(self, message: Message, channel: str, *, outcome: str, now: datetime, **more: Any) -> None:
        """One line: `sending` before a message leaves, then `sent` or `failed`; on the disk when this returns."""
        told: dict[str, Any] = {
            "at": now.isoformat(),
            "run": message.run,
            "channel": channel,
            "kind": message.kind,
            "key": message.key,
            "message_id": message.message_id,
            "rule": message.rule,
            "feature_id": message.feature_id,
            "page": message.page,
            "severity": message.severity,
            "title": message.title,
        }
        if message.members:
            told["members"] = [one._asdict() for one in message.members]
        self._append(told | {"outcome": outcome} | more)

    def _taken(self, channel: str) -> Iterator[dict[str, Any]]:
        return (one for one in self._lines if one.get("channel") == channel and one.get("outcome") == "sent")

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line) + "\n"
        os.write(self._handle, text.encode())
        os.fsync(self._handle)
        self._lines.append(line)


@contextmanager
def sent_log(reports: Path, *, is_dry: bool = False) -> Iterator[SentLog]:
    """The log of a reports folder; another process that sends waits for this one.

    Args:
        is_dry: only read; nothing is made and nobody waits.
    """
    path = reports / SENT_LOG
    if is_dry:
        yield SentLog(path, _lines(path.read_bytes() if path.exists() else b""), -1)
        return
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):  # a kill within a line: the next one begins on its own
            os.write(handle, b"\n")
        yield SentLog(path, _lines(content), handle)
    finally:
        os.close(handle)


def _alerts_of(line: dict[str, Any]) -> list[Member]:
    """The alerts that a line tells of: its own, or each of several."""
    told = line.get("members") or [line]
    return [Member(str(m.get("key")), str(m.get("title")), m.get("feature_id"), m.get("page")) for m in told]


def _lines(content: bytes) -> list[dict[str, Any]]:
    found = []
    for line in content.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            found.append(said)
    return found
