"""Who may write, and how much: write keys compared in constant time, a token bucket per key or client."""

from __future__ import annotations

import hashlib
import hmac
import math
import time

MAX_BUCKETS = 50_000


class WriteKeys:
    """The keys that may write; only their digests are kept."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admits(self, key: bytes) -> bool:
        """Whether the key is one of them. Every stored key is compared, so that the time tells nothing."""
        digest = hashlib.sha256(key).digest()
        found = False
        for stored in self._digests:
            found |= hmac.compare_digest(stored, digest)
        return found


class RateLimit:
    """A token bucket per name: `rate_per_second` events flow in, at most `burst_events` are saved up.

    A rate of 0 is no limit.
    """

    def __init__(self, rate_per_second: float, burst_events: float) -> None:
        self.rate_per_second = rate_per_second
        self.burst_events = burst_events or max(rate_per_second, 1.0)
        self._buckets: dict[object, tuple[float, float]] = {}

    def wait_seconds(self, name: object, events: int, *, now: float | None = None) -> int:
        """Takes `events` tokens and gives 0, or takes none and gives the whole seconds to wait.

        A batch larger than the burst passes when the bucket is full, and leaves it in debt: no batch is refused for
        ever.
        """
        if not self.rate_per_second:
            return 0
        now = time.monotonic() if now is None else now
        tokens, at = self._buckets.get(name, (self.burst_events, now))
        tokens = min(self.burst_events, tokens + (now - at) * self.rate_per_second)
        needed = min(events, self.burst_events)
        if tokens < needed:
            self._buckets[name] = (tokens, now)
            return max(1, math.ceil((needed - tokens) / self.rate_per_second))
        if name not in self._buckets and len(self._buckets) >= MAX_BUCKETS:
            self._forget(now)
        self._buckets[name] = (tokens - events, now)
        return 0

    def _forget(self, now: float) -> None:
        """Buckets that are full again carry no memory; if none is, the older half goes."""
        self._buckets = {
            n: (t, at)
            for n, (t, at) in self._buckets.items()
            if t + (now - at) * self.rate_per_second < self.burst_events
        }
        if len(self._buckets) >= MAX_BUCKETS:
            self._buckets = dict(list(self._buckets.items())[MAX_BUCKETS // 2 :])


class RecentIds:
    """The ids of the last `capacity` to twice `capacity` durable events, so that a retry whose first answer was lost is
    not kept twice.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: set[str] = set()
        self._old: set[str] = set()

    def has_any(self, ids: list[str]) -> bool:
        """Whether one of the ids has been seen; the cheap question for the common answer."""
        return not (self._young.isdisjoint(ids) and self._old.isdisjoint(ids))

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._young or event_id in self._old

    def add(self, ids: list[str]) -> None:
        """Remembers ids; the oldest are forgotten."""
        self._young.update(ids)
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, set()
