"""Live traffic with known truth, for Kafka, a spool or the collector: what was sent is counted, so that what arrived
can be held against it.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from launchpad_lib.contract.private import private_folder
from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.kafka.settings import producer
from launchpad_lib.simulation.truth import TRUTH
from launchpad_lib.spool.layout import SEGMENT_BYTES, segment_name

DUPLICATE_SHARE, MALFORMED_SHARE, LATE_SHARE = 0.01, 0.005, 0.02


class Line(NamedTuple):
    """One event to send; `event_id` is None where it breaks the contract on purpose."""

    event_id: str | None
    user_id: str
    text: bytes


class TrafficResult(NamedTuple):
    """What the receiver acknowledged. `unique` events must be in the lake once each, `malformed` in `rejected`."""

    sent: int
    unique: int
    duplicates: int
    malformed: int
    late: int
    started_quizzes: int
    completed_quizzes: int
    seconds: float


class Sender(Protocol):
    """Hands lines over; `send` returns how many were acknowledged when all of them are durable at the receiver."""

    def send(self, lines: list[Line]) -> None: ...

    def close(self) -> None: ...


def traffic(*, seed: int, now: Callable[[], datetime], name: str = "") -> Iterator[tuple[Line, str, bool]]:
    """Endless events of quiz sessions: (line, kind, is late). Kinds: the event's name, `duplicate`, `malformed`.

    Sessions complete with the declared rate; the stated shares are duplicates, malformed and up to two days late.
    """
    rng = random.Random(seed)
    recent: list[Line] = []
    number = 0
    while True:
        user, session = f"u{rng.randrange(5000):05d}", f"s{seed}-{number}"
        names = ["quiz_started"] + [
            rng.choice(("slider_adjusted", "option_selected"))
            for _ in range(rng.randint(TRUTH.interactions_low, TRUTH.interactions_high))
        ]
        if rng.random() < TRUTH.completion_rate:
            names += ["quiz_completed", "result_viewed"]
        for event_name in names:
            draw = rng.random()
            if draw < MALFORMED_SHARE:
                yield (
                    Line(None, user, b'{"event_name":"quiz_started","user_id":"%s","n":%d}' % (user.encode(), number)),
                    "malformed",
                    False,
                )
            if MALFORMED_SHARE <= draw < MALFORMED_SHARE + DUPLICATE_SHARE and recent:
                yield rng.choice(recent), "duplicate", False
            is_late = draw > 1 - LATE_SHARE
            received_at = now()
            event_at = received_at - (timedelta(hours=rng.uniform(1, 48)) if is_late else timedelta(0))
            event_id = f"{name}{seed}-{number:09d}"
            event = {
                "event_id": event_id,
                "event_name": event_name,
                "user_id": user,
                "session_id": session,
                "event_at": _text(event_at),
                "received_at": _text(received_at),
                "feature_id": "configurator",
                "platform": "web",
                "app_version": "2.1.0",
                "country": "DE",
                "properties": PROPERTIES[event_name],
            }
            line = Line(event_id, user, json.dumps(event, separators=(",", ":")).encode())
            recent.append(line)
            if len(recent) > 500:
                del recent[:250]
            number += 1
            yield line, event_name, is_late


PROPERTIES: dict[str, dict] = {
    "quiz_started": {"quiz_id": "laptop"},
    "slider_adjusted": {"quiz_id": "laptop", "slider": "budget", "value": 40},
    "option_selected": {"quiz_id": "laptop", "option": "light"},
    "quiz_completed": {"quiz_id": "laptop"},
    "result_viewed": {"quiz_id": "laptop", "result": "A"},
}


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def send_traffic(
    sender: Sender,
    *,
    events: int,
    rate_per_second: float | None,
    batch: int = 50,
    seed: int,
    name: str = "",
    ledger: Path | None = None,
) -> TrafficResult:
    """Sends until `events` unique events are acknowledged; `ledger` gets the id of each, one a line, after its
    acknowledgement.

    Raises:
        ValueError: `events` or `rate_per_second` out of range.
    """
    if events < 1:
        raise ValueError(f"events={events}: must be at least 1; raise it")
    if rate_per_second is not None and rate_per_second <= 0:
        raise ValueError(
            f"rate={rate_per_second}: events per second must be above 0; leave it out for as fast as possible"
        )
    counts = dict.fromkeys(("sent", "unique", "duplicate", "malformed", "late", "quiz_started", "quiz_completed"), 0)
    source = traffic(seed=seed, now=lambda: datetime.now(UTC), name=name)
    started = time.monotonic()
    book = open(ledger, "a", encoding="utf-8") if ledger is not None else None
    try:
        while counts["unique"] < events:
            lines: list[Line] = []
            fresh: list[str] = []
            while len(lines) < batch and counts["unique"] < events:
                line, kind, is_late = next(source)
                lines.append(line)
                counts["sent"] += 1
                if kind in ("duplicate", "malformed"):
                    counts[kind] += 1
                else:
                    counts["unique"] += 1
                    counts["late"] += is_late
                    fresh.append(str(line.event_id))
                    if kind in counts:
                        counts[kind] += 1
            sender.send(lines)
            if book is not None:
                book.write("".join(f"{i}\n" for i in fresh))
                book.flush()
            if rate_per_second is not None:
                ahead = counts["sent"] / rate_per_second - (time.monotonic() - started)
                if ahead > 0:
                    time.sleep(ahead)
    finally:
        if book is not None:
            book.close()
        sender.close()
    seconds = time.monotonic() - started
    return TrafficResult(
        counts["sent"],
        counts["unique"],
        counts["duplicate"],
        counts["malformed"],
        counts["late"],
        counts["quiz_started"],
        counts["quiz_completed"],
        seconds,
    )


class SpoolSender:
    """Appends to a spool; on disk when `send` returns."""

    def __init__(self, folder: Path, *, writer: str | None = None) -> None:
        private_folder(folder)
        self._folder, self._writer, self._number = folder, writer or f"simulate-{uuid.uuid4().hex[:12]}", 0
        self._file = self._open()

    def _open(self):  # noqa: ANN202
        return open(self._folder / segment_name(self._writer, self._number), "ab", buffering=0)

    def send(self, lines: list[Line]) -> None:
        if self._file.tell() >= SEGMENT_BYTES:
            self._file.close()
            self._number += 1
            self._file = self._open()
        self._file.write(b"".join(line.text + b"\n" for line in lines))
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class KafkaSender:
    """Produces to a topic; acknowledged by all replicas when `send` returns.

    `is_envelope`: a batch is one record, else one record an event.
    """

    def __init__(self, address: str, topic: str, *, is_envelope: bool = False, settings: dict | None = None) -> None:
        self._topic, self._is_envelope = topic, is_envelope
        self._producer = producer(
            address.split(","),
            settings=settings or {},
            delivery_timeout_ms=120_000,
            request_timeout_ms=5000,
            reconnect_backoff_max_ms=500,
        )

    def send(self, lines: list[Line]) -> None:
        if self._is_envelope:
            value = b"\n".join(line.text for line in lines)
            sent = [
                self._producer.send(
                    self._topic,
                    value,
                    key=lines[0].user_id.encode(),
                    headers=[("content-type", NDJSON.encode())],
                )
            ]
        else:
            sent = [self._producer.send(self._topic, line.text, key=line.user_id.encode()) for line in lines]
        self._producer.flush()
        for one in sent:
            one.get(120)

    def close(self) -> None:
        self._producer.close()


class CollectorSender:
    """Posts to a collector, one event a line; durable there when it answers 202.

    Asks again until then, so copies may arrive.
    """

    def __init__(self, url: str, *, give_up_seconds: float = 60) -> None:
        import httpx

        self._client, self._url, self._give_up = (
            httpx.Client(timeout=5),
            url.rstrip("/") + "/v1/events",
            give_up_seconds,
        )

    def send(self, lines: list[Line]) -> None:
        import httpx

        body = b"\n".join(line.text for line in lines)
        until = time.monotonic() + self._give_up
        while True:
            try:
                answer = self._client.post(self._url, content=body, headers={"content-type": NDJSON})
                if answer.status_code == 202 or answer.status_code == 400:
                    return
                problem = f"it answers {answer.status_code}"
            except httpx.HTTPError as error:
                problem = type(error).__name__
            if time.monotonic() > until:
                raise ValueError(
                    f"to={self._url}: {problem} for {self._give_up:.0f} s; start the collector (`launchpad "
                    "collect`) or correct the address"
                )
            time.sleep(0.2)

    def close(self) -> None:
        self._client.close()
