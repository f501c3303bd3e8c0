"""What happened to the events of one tracker: counted, and told to the product that embeds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple


class Counts(NamedTuple):
    """Events since this process made the tracker: kept by `track`, delivered, refused (here or there), dropped at the
    cap, and failed attempts to send. `pending_bytes` wait in the spool.
    """

    tracked: int
    delivered: int
    refused: int
    dropped: int
    retries: int
    pending_bytes: int


class Tally:
    """Counts events, from any thread, and calls `on_refused(event, reason)` and `on_dropped(count, reason)`.

    A callback that raises is the product's own fault: tracking goes on.
    """

    def __init__(
        self,
        *,
        on_refused: Callable[[dict[str, Any], str], object],
        on_dropped: Callable[[int, str], object],
        batch_bytes: int,
    ) -> None:
        self._on_refused, self._on_dropped, self._batch_bytes = on_refused, on_dropped, batch_bytes
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing happened yet; the child of a fork says so too, where a thread that is not there may hold the lock."""
        self._lock = threading.Lock()
        self.tracked = self.refused = self.dropped = self._unsent_bytes = 0

    def keep(self, size: int, dropped: int) -> bool:
        """An event of `size` bytes was kept, and so many older ones had to go; True when a batch is full."""
        with self._lock:
            self.tracked += 1
            self.dropped += dropped
            self._unsent_bytes += size
            is_full = self._unsent_bytes >= self._batch_bytes
            if is_full:
                self._unsent_bytes = 0
        return is_full

    def refuse(self, event: dict[str, Any], reason: str) -> None:
        """An event cannot be kept, or the collector refuses it."""
        with self._lock:
            self.refused += 1
        try:
            self._on_refused(event, reason)
        except Exception:
            return

    def drop(self, count: int, reason: str) -> None:
        """Events were dropped that `keep` did not hear of."""
        with self._lock:
            self.dropped += count
        self.tell_dropped(count, reason)

    def tell_dropped(self, count: int, reason: str) -> None:
        """Tells the product of events that are counted already."""
        try:
            self._on_dropped(count, reason)
        except Exception:
            return
