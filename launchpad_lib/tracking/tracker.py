"""`Tracker`: what a product calls. Every event is on the disk when `track` returns; sending happens behind it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from launchpad_lib.contract.event import RefusedEvent, judge
from launchpad_lib.tracking.configurator import ConfiguratorEvents
from launchpad_lib.tracking.sender import Sender
from launchpad_lib.tracking.sessions import SESSION_GAP_SECONDS, Identity, Pseudonyms, Sessions, new_id
from launchpad_lib.tracking.settings import DEFAULT_CAP_BYTES, TrackingError, check_limits, checked_key
from launchpad_lib.tracking.spool import Spool
from launchpad_lib.tracking.tally import Counts, Tally
from launchpad_lib.tracking.transports import Transport

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_living: weakref.WeakSet[Tracker] = weakref.WeakSet()


class Tracker(ConfiguratorEvents):
    """One per process and spool folder.

    `transport` None leaves the events in the spool, for others to read. `identity` "hashed" replaces user ids by a
    keyed HMAC (key from `hash_key` or LAUNCHPAD_HASH_KEY), "anonymous" by a name that ends with the session.
    `cap_bytes` bounds what waits on the disk: beyond it the oldest events are dropped, counted and told to
    `on_dropped(count, reason)`. `on_refused(event, reason)` hears of each event that cannot be kept or that the
    collector refuses; `on_error(reason)` of failed attempts. Callbacks may come from the sending thread. An event
    survives the death of the process as soon as `track` returns; nothing is synced, so a power cut may cost the last
    seconds.

    Raises:
        TrackingError: a setting makes no sense, or the spool folder cannot be written.
    """

    def __init__(
        self,
        transport: Transport | None,
        *,
        spool: str | Path,
        user_id: str | None = None,
        feature_id: str | None = None,
        platform: str | None = None,
        app_version: str | None = None,
        country: str | None = None,
        identity: Identity = "plain",
        hash_key: bytes | str | None = None,
        session_gap_seconds: float = SESSION_GAP_SECONDS,
        cap_bytes: int | None = None,
        interval_seconds: float = 1.0,
        batch_events: int = 500,
        batch_bytes: int = 256 * 1024,
        exit_timeout_seconds: float = 5.0,
        on_refused: Callable[[dict[str, Any], str], object] = lambda event, reason: None,
        on_dropped: Callable[[int, str], object] = lambda count, reason: None,
        on_error: Callable[[str], object] = lambda reason: None,
    ) -> None:
        key = checked_key(identity, hash_key)
        check_limits(
            cap_bytes=cap_bytes,
            interval_seconds=interval_seconds,
            batch_events=batch_events,
            batch_bytes=batch_bytes,
        )
        self._transport = transport
        self._folder = Path(spool)
        self._user_id = user_id
        self._shared = {"feature_id": feature_id, "platform": platform, "app_version": app_version, "country": country}
        self._shared = {name: value for name, value in self._shared.items() if value is not None}
        self._cap_bytes = cap_bytes if cap_bytes is not None or transport is None else DEFAULT_CAP_BYTES
        self._pseudonyms = Pseudonyms(identity, key)
        self._sessions = Sessions(gap_seconds=session_gap_seconds)
        self._interval_seconds, self._batch_events, self._batch_bytes = interval_seconds, batch_events, batch_bytes
        self._exit_timeout_seconds = exit_timeout_seconds
        self._on_error = on_error
        self._tally = Tally(on_refused=on_refused, on_dropped=on_dropped, batch_bytes=batch_bytes)
        self._spooling, self._starting = threading.Lock(), threading.Lock()
        self._sender: Sender | None = None
        self._is_closed = False
        self._spool: Spool | None = None
        try:
            self._spool = Spool(self._folder, cap_bytes=self._cap_bytes, is_source=transport is None)
        except OSError as error:
            raise TrackingError(
                f"spool={str(spool)!r}: cannot be written ({error.strerror}); name a folder this process may write"
            ) from None
        _living.add(self)
        if transport is not None:
            self._started(transport)  # what an ended process left behind leaves now, not with the first event

    def track(
        self,
        event_name: str,
        *,
        user_id: str | None = None,
        feature_id: str | None = None,
        properties: dict[str, Any] | None = None,
        session_id: str | None = None,
        event_at: datetime | None = None,
    ) -> str | None:
        """Keeps one event and gives its id; None, and a call of `on_refused`, when it cannot be kept.

        Never raises, never waits for a network.

        `event_at` without a time zone is taken as UTC; NaN and infinite numbers become null.
        """
        at = event_at or datetime.now(UTC)
        event: dict[str, Any] = {"event_id": new_id(), "event_name": event_name}
        try:
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
            self._keep(self._line(event["event_id"], event_name, at, user_id, feature_id, properties, session_id))
        except Exception as error:
            # Whatever the product hands in or the disk says: the product goes on, and hears of it.
            self._tally.refuse(
                event,
                str(error)
                if isinstance(error, (TrackingError, RefusedEvent))
                else f"cannot be kept: {type(error).__name__}: {error}",
            )
            return None
        return event["event_id"]

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Sends now and waits; True when every event tracked before, and all that ended processes left, is delivered or
        refused with a reason.

        False when the time is over; the events stay in the spool. With no transport there is nothing to send: True.
        """
        if self._transport is None or self._spool is None:
            return True
        if self._is_closed:
            return not self._spool.pending_bytes
        return self._started(self._transport).flush(self._spool.end(), timeout_seconds)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Flushes, ends the thread and lets the spool go.

        What is not sent is sent by the next process on this folder.
        """
        if self._is_closed:
            return True
        limit = self._exit_timeout_seconds if timeout_seconds is None else timeout_seconds
        is_flushed = self.flush(limit)
        self._is_closed = True
        if self._sender is not None:
            self._sender.close(1.0)
        if self._spool is not None:
            self._spool.close()
        _living.discard(self)
        return is_flushed

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def counts(self) -> Counts:
        """What happened so far."""
        sender, spool, tally = self._sender, self._spool, self._tally
        return Counts(
            tally.tracked,
            sender.delivered if sender else 0,
            tally.refused,
            tally.dropped,
            sender.retries if sender else 0,
            spool.pending_bytes if spool else 0,
        )

    def flush_on_sigterm(self) -> None:
        """Opt in: SIGTERM ends the process in an orderly way (exit status 143), so that the flush at exit runs.

        A handler that is already there is left alone in what it does; it must end the process itself. Only from the
        main thread.
        """
        previous = signal.getsignal(signal.SIGTERM)

        def end(number: int, frame: FrameType | None) -> None:
            if callable(previous):
                previous(number, frame)
                return
            sys.exit(128 + number)

        if previous is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, end)

    def _line(
        self,
        event_id: str,
        event_name: str,
        at: datetime,
        user_id: str | None,
        feature_id: str | None,
        properties: dict[str, Any] | None,
        session_id: str | None,
    ) -> bytes:
        """The event as the spool keeps it, held against the contract here and now: what is refused anywhere later is
        refused here.
        """
        user = user_id if user_id is not None else self._user_id
        session = session_id or self._sessions.session_of(user or "", at.timestamp())
        fields = self._shared | {
            "event_id": event_id,
            "event_name": event_name,
            "user_id": f"anon-{session}" if user is None else user,
            "session_id": session,
            "event_at": at,
            # As JSON would have it: a date is a text, NaN is null.
            "properties": _decode(_encode(properties)),
        }
        if feature_id is not None:
            fields["feature_id"] = feature_id
        event = judge(fields, moment=datetime.now(UTC))
        event.user_id = self._pseudonyms.name(event.user_id, session)
        return _encode(event) + b"\n"

    def _keep(self, line: bytes) -> None:
        spool = self._spool
        if self._is_closed:
            raise TrackingError("the tracker is closed")
        if spool is None:
            spool = self._after_fork_spool()
        dropped = spool.append(line)
        is_full = self._tally.keep(len(line), dropped)
        if self._transport is not None:
            sender = self._sender or self._started(self._transport)
            if is_full:
                sender.hurry()
        if dropped:
            self._tally.tell_dropped(dropped, "the spool is over its cap")

    def _started(self, transport: Transport) -> Sender:
        with self._starting:
            if self._sender is None:
                self._sender = Sender(
                    transport,
                    self._spool or self._after_fork_spool(),
                    cap_bytes=self._cap_bytes or DEFAULT_CAP_BYTES,
                    on_refused=self._tally.refuse,
                    on_dropped=self._tally.drop,
                    on_error=self._on_error,
                    interval_seconds=self._interval_seconds,
                    batch_events=self._batch_events,
                    batch_bytes=self._batch_bytes,
                )
            return self._sender

    def _after_fork_spool(self) -> Spool:
        """The child's own spool, made when it first tracks: most children never do."""
        with self._spooling:
            if self._spool is None:
                self._spool = Spool(self._folder, cap_bytes=self._cap_bytes, is_source=self._transport is None)
            return self._spool

    def _forked(self) -> None:
        """In the child of a fork: the parent keeps its spool, its thread and its connection.

        Locks may be held by threads that do not exist here.
        """
        if self._spool is not None:
            self._spool.abandon()
        if self._sender is not None:
            self._sender.abandon()
        if self._transport is not None:
            getattr(self._transport, "forked", self._transport.close)()
        self._spool = self._sender = None
        self._sessions = self._sessions.forked()
        self._spooling, self._starting = threading.Lock(), threading.Lock()
        self._tally.begin_anew()


def _close_all() -> None:
    for tracker in list(_living):
        tracker.close()


def _fork_all() -> None:
    for tracker in list(_living):
        tracker._forked()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_fork_all)
