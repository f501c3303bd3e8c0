"""Who a user is to the outside, and which session an event belongs to."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from typing import Literal

SESSION_GAP_SECONDS = 30 * 60
Identity = Literal["plain", "hashed", "anonymous"]


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits. Sorts by time of making."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76) | 0x7 << 76) & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Sessions:
    """The running session of each user: a new one after more than 30 minutes between two of his events.

    The least recent are forgotten.
    """

    def __init__(self, *, gap_seconds: float = SESSION_GAP_SECONDS, capacity: int = 100_000) -> None:
        self._gap_seconds = gap_seconds
        self._capacity = capacity
        self._running: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def session_of(self, user: str, at_seconds: float) -> str:
        """The session of an event at that time. A clock that jumps back goes on with the session."""
        with self._lock:
            session_id, last = self._running.get(user, ("", float("-inf")))
            if not session_id or at_seconds - last > self._gap_seconds:
                session_id = new_id()
            self._running[user] = (session_id, max(last, at_seconds))
            self._running.move_to_end(user)
            if len(self._running) > self._capacity:
                self._running.popitem(last=False)
            return session_id

    def forked(self) -> Sessions:
        """The same sessions for a forked child, with a lock of its own."""
        child = Sessions(gap_seconds=self._gap_seconds, capacity=self._capacity)
        child._running = self._running
        return child


class Pseudonyms:
    """What leaves the process as user_id.

    `hashed`: HMAC-SHA256 under a key, the same for ever. `anonymous`: a name that lives as long as a session.
    """

    def __init__(self, identity: Identity, key: bytes | None) -> None:
        self._identity = identity
        self._key = key or b""

    def name(self, user: str, session_id: str) -> str:
        """The user's outward name in this session."""
        if self._identity == "hashed":
            return hmac.new(self._key, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
        if self._identity == "anonymous":
            return f"anon-{session_id}"
        return user
