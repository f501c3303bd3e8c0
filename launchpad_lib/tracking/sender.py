"""The background thread: takes batches from the spools, sends them, backs off, and never gives an event up silently."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from launchpad_lib.spool.records import DAMAGED
from launchpad_lib.tracking.spool import Batch, Position, Spool
from launchpad_lib.tracking.transports import Outcome, Transport

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 60.0
ADOPTION_SECONDS = 15.0


def full_jitter(failures: int, *, rng: random.Random) -> float:
    """Seconds to wait after that many failures in a row: uniform from 0 to min(60, 0.5 · 2^failures)."""
    return rng.uniform(0.0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(failures, 30)))


class Sender:
    """Sends one process's own spool and the ones it adopted."""

    def __init__(
        self,
        transport: Transport,
        own: Spool,
        *,
        cap_bytes: int,
        interval_seconds: float,
        batch_events: int,
        batch_bytes: int,
        on_refused: Callable[[dict[str, Any], str], object],
        on_dropped: Callable[[int, str], object],
        on_error: Callable[[str], object],
    ) -> None:
        self._transport = transport
        self._own = own
        self._adopted: list[Spool] = []
        self._cap_bytes = cap_bytes
        self._interval_seconds = interval_seconds
        self._batch_events, self._batch_bytes = batch_events, batch_bytes
        self._on_refused, self._on_dropped, self._on_error = on_refused, on_dropped, on_error
        self._change = threading.Condition()
        self._is_closing = self._is_urgent = self._has_batch = self._wants_adoption = False
        self._next_adoption = 0.0
        self._rng = random.Random()
        self.delivered = self.retries = 0
        self._thread = threading.Thread(target=self._run, name="launchpad-tracking", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """A batch is full: the interval is cut short, a backoff is not."""
        with self._change:
            self._has_batch = True
            self._change.notify_all()

    def flush(self, target: Position, timeout_seconds: float) -> bool:
        """Waits until everything up to `target`, and everything left by dead processes, is settled.

        Cuts the jitter short once, a Retry-After never.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._change:
            self._is_urgent = self._wants_adoption = True
            self._change.notify_all()
            while not (self._own.is_settled_to(target) and not self._adopted and not self._wants_adoption):
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._change.wait(min(left, 0.5))
        return True

    def close(self, timeout_seconds: float) -> None:
        """Ends the thread; what is not sent stays in the spools."""
        with self._change:
            self._is_closing = True
            self._change.notify_all()
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._transport.close()
            for spool in self._adopted:
                spool.close()

    def abandon(self) -> None:
        """In a forked child: the thread does not exist here; descriptors of the parent's spools are let go."""
        for spool in self._adopted:
            spool.abandon()

    def _run(self) -> None:
        while True:
            with self._change:
                if not (self._is_closing or self._is_urgent or self._has_batch):
                    self._change.wait(self._interval_seconds)
                if self._is_closing:
                    return
                self._is_urgent = self._has_batch = False
            try:
                self._adopt()
                for spool in [*self._adopted, self._own]:
                    if not self._drain(spool):
                        return
                    if spool is not self._own:
                        self._adopted.remove(spool)
                        spool.close()
            except Exception as error:  # a thread that dies would lose everything from here on
                self._tell(self._on_error, f"{type(error).__name__}: {error}")
                self._pause(1.0, may_hurry=False)
            with self._change:
                self._change.notify_all()

    def _adopt(self) -> None:
        with self._change:
            is_due = self._wants_adoption or time.monotonic() >= self._next_adoption
        if not is_due:
            return
        self._next_adoption = time.monotonic() + ADOPTION_SECONDS
        found = Spool.adopt(self._own.folder)
        excess = sum(s.pending_bytes for s in found) - self._cap_bytes
        for spool in found:
            if excess > 0:
                before = spool.pending_bytes
                dropped = spool.trim(max(0, before - excess))
                excess -= before - spool.pending_bytes
                if dropped:
                    self._tell(self._on_dropped, dropped, "the spools of ended processes are over the cap")
        with self._change:
            self._adopted += found
            self._wants_adoption = False

    def _drain(self, spool: Spool) -> bool:
        """Sends everything of a spool; False when the thread shall end."""
        while True:
            batch = spool.read(max_events=self._batch_events, max_bytes=self._batch_bytes)
            if batch is None:
                return not self._is_closing
            for line in batch.damaged:
                self._refuse(line, DAMAGED)
            if batch.lines and not self._deliver(batch.lines):
                return False
            spool.settle(batch)
            with self._change:
                self._change.notify_all()

    def _deliver(self, lines: list[bytes]) -> bool:
        """Until every line is delivered or refused with a reason; False when the thread shall end before."""
        work: list[Batch] = [Batch(lines, Position(0, 0))]
        failures = 0
        while work:
            if self._is_closing:
                return False
            held = work[-1].lines
            outcome = self._send(held)
            if outcome.kind == "settled":
                work.pop()
                failures = 0
                self.delivered += len(held) - len(outcome.refused)
                for index, reason in outcome.refused:
                    if 0 <= index < len(held):
                        self._refuse(held[index], reason)
            elif outcome.kind == "split":
                work.pop()
                if len(held) == 1:
                    self._refuse(held[0], outcome.reason)
                else:
                    # The first half is sent first: order is kept.
                    work += [
                        Batch(held[len(held) // 2 :], Position(0, 0)),
                        Batch(held[: len(held) // 2], Position(0, 0)),
                    ]
            else:
                failures += 1
                self.retries += 1
                self._tell(self._on_error, outcome.reason)
                wait = max(full_jitter(failures, rng=self._rng), outcome.retry_after_seconds or 0.0)
                self._pause(wait, may_hurry=outcome.retry_after_seconds is None)
        return True

    def _send(self, lines: list[bytes]) -> Outcome:
        try:
            return self._transport.send(lines)
        except Exception as error:  # a transport of the product's own making; the events stay
            return Outcome("retry", reason=f"{type(error).__name__}: {error}")

    def _pause(self, seconds: float, *, may_hurry: bool) -> None:
        deadline = time.monotonic() + seconds
        with self._change:
            if may_hurry:
                self._is_urgent = False
            while not self._is_closing and not (may_hurry and self._is_urgent):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._change.wait(left)

    def _refuse(self, line: bytes, reason: str) -> None:
        try:
            event = msgspec.json.decode(line)
        except (msgspec.MsgspecError, ValueError):
            event = {"raw": line.decode("utf-8", "replace")}
        self._tell(self._on_refused, event, reason)

    @staticmethod
    def _tell(callback: Callable[..., object], *values: object) -> None:
        try:
            callback(*values)
        except Exception:  # the product's callback must not end our thread
            return
