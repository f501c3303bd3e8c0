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
from typing import Any, NamedTuple

import msgspec

from launchpad_lib.contract.event import RefusedEvent, judge
from launchpad_lib.tracking.configurator import ConfiguratorEvents
from launchpad_lib.tracking.sender import Sender
from launchpad_lib.tracking.sessions import SESSION_GAP_SECONDS, Identity, Pseudonyms, Sessions, new_id
from launchpad_lib.tracking.spool import Spool
from launchpad_lib.tracking.transports import Transport

HASH_KEY_VARIABLE = "LAUNCHPAD_HASH_KEY"
DEFAULT_CAP_BYTES = 256 * 1024 * 1024
SMALLEST_CAP_BYTES = 128 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_living: weakref.WeakSet[Tracker] = weakref.WeakSet()


class TrackingError(ValueError):
    """A tracker cannot be made with these settings."""


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
        if identity not in ("plain", "hashed", "anonymous"):
            raise TrackingError(f"identity={identity!r}: must be plain, hashed or anonymous; choose one")
        key = hash_key if hash_key is not None else os.environ.get(HASH_KEY_VARIABLE)
        key = key.encode() if isinstance(key, str) else key
        if identity == "hashed" and (key is None or len(key) < 16):
            raise TrackingError(
                f"identity='hashed' needs a key of at least 16 bytes; give hash_key or set {HASH_KEY_VARIABLE}"
            )
        if cap_bytes is not None and cap_bytes < SMALLEST_CAP_BYTES:
            raise TrackingError(f"cap_bytes={cap_bytes}: must be at least {SMALLEST_CAP_BYTES}; raise it")
        if interval_seconds <= 0 or batch_events < 1 or batch_bytes < 1:
            raise TrackingError(
                f"interval_seconds={interval_seconds}, batch_events={batch_events}, batch_bytes={batch_bytes}: "
                "must be positive; raise them"
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
        self._callbacks = (on_refused, on_dropped, on_error)
        self._hurry_bytes = batch_bytes
        self._counting = threading.Lock()
        self._starting = threading.Lock()
        self._tracked = self._refused = self._dropped = self._unhurried = 0
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
            self._refuse(
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
        sender, spool = self._sender, self._spool
        return Counts(
            self._tracked,
            sender.delivered if sender else 0,
            self._refused,
            self._dropped,
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
        with self._counting:
            self._tracked += 1
            self._dropped += dropped
            self._unhurried += len(line)
            is_full = self._unhurried >= self._hurry_bytes
            if is_full:
                self._unhurried = 0
        if self._transport is not None:
            sender = self._sender or self._started(self._transport)
            if is_full:
                sender.hurry()
        if dropped:
            self._tell_dropped(dropped, "the spool is over its cap", is_counted=True)

    def _started(self, transport: Transport) -> Sender:
        with self._starting:
            if self._sender is None:
                _, _, on_error = self._callbacks
                self._sender = Sender(
                    transport,
                    self._spool or self._after_fork_spool(),
                    cap_bytes=self._cap_bytes or DEFAULT_CAP_BYTES,
                    on_refused=self._refuse,
                    on_dropped=self._tell_dropped,
                    on_error=on_error,
                    interval_seconds=self._interval_seconds,
                    batch_events=self._batch_events,
                    batch_bytes=self._batch_bytes,
                )
            return self._sender

    def _refuse(self, event: dict[str, Any], reason: str) -> None:
        with self._counting:
            self._refused += 1
        try:
            self._callbacks[0](event, reason)
        except Exception:  # a broken callback is the product's; tracking goes on
            return

    def _tell_dropped(self, count: int, reason: str, *, is_counted: bool = False) -> None:
        if not is_counted:
            with self._counting:
                self._dropped += count
        try:
            self._callbacks[1](count, reason)
        except Exception:  # a broken callback is the product's; tracking goes on
            return

    def _after_fork_spool(self) -> Spool:
        """The child's own spool, made when it first tracks: most children never do."""
        with self._counting:
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
        self._counting, self._starting = threading.Lock(), threading.Lock()
        self._tracked = self._refused = self._dropped = self._unhurried = 0


def _close_all() -> None:
    for tracker in list(_living):
        tracker.close()


def _fork_all() -> None:
    for tracker in list(_living):
        tracker._forked()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_fork_all)
