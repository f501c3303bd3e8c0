"""The stream worker: one source read, decoded and committed, each event once, until it is told to stop.

Reading and decoding happen in the caller's thread, committing in another, so that a commit's disk time is not lost for
reading. A batch is whatever came in while the last commit ran, so commits grow with the load and latency stays low
without it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from launchpad_lib.contract.pseudonyms import Pseudonyms
from launchpad_lib.ingestion.stream.decoding import Block, Decoded, decode, pseudonymised
from launchpad_lib.ingestion.stream.sink import Gap, Prepared, StreamSink, Written
from launchpad_lib.lake.delta_log import Fenced, Unsure

IDLE_SECONDS = 0.1  # of one look at a source that is silent
ASK_SECONDS = 1.0  # between questions about partitions and lag; each commit asks, too


class SourceError(ValueError):
    """The source cannot be read on without losing or doubling events; the message says what to do."""


class Unreachable(Exception):
    """The source does not answer for the moment; try again."""


class Poll(NamedTuple):
    """What one look at the source brought: blocks in order per partition, and stretches that are gone."""

    blocks: list[Block]
    gaps: list[Gap]


class Source(Protocol):
    """Where events come from: partitions with offsets that only grow."""

    name: str

    def identity(self) -> int | None:
        """A fingerprint (63 bits) that differs when the source was deleted and made anew; None where there is no such
        thing.
        """
        ...

    def partitions(self) -> list[str]:
        """The partitions there are now.

        Raises Unreachable, or SourceError when the source is no longer the one it was.
        """
        ...

    def seek(self, partition: str, offset: int | None) -> None:
        """Goes on from `offset`, from the beginning when None. Raises SourceError when the source ends before it."""
        ...

    def poll(self, *, timeout_seconds: float) -> Poll:
        """Waits up to the timeout for events."""
        ...

    def lag(self) -> dict[str, int]:
        """Per partition how much is not read yet (records, or bytes of a spool)."""
        ...

    def close(self) -> None:
        """Lets go of connections and files."""
        ...


class Observer(Protocol):
    """Is told what happens; every method is called from the worker's own thread."""

    def committed(self, written: Written, prepared: Prepared, *, seconds: float) -> None: ...

    def waiting(self, *, lag: dict[str, int]) -> None: ...

    def fenced(self, reason: str) -> None: ...

    def failed(self, reason: str) -> None: ...


@dataclass
class Pending:
    """Events decoded and not yet handed to the sink."""

    decoded: list[Decoded] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    offsets: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    events: int = 0
    since: float = 0.0


class _Done(NamedTuple):
    written: Written
    prepared: Prepared
    seconds: float
    partitions: list[str]


@dataclass(frozen=True)
class StreamSettings:
    """How the worker batches.

    `commit_every_seconds`: the least time between commits; `max_batch_events`: rows of one commit at most.
    `pseudonyms`: of users, kept in their place.
    """

    commit_every_seconds: float = 0.05
    max_batch_events: int = 100_000
    max_fences: int = 5
    idle_exit_seconds: float | None = None
    pseudonyms: Pseudonyms | None = None


class StreamWorker:
    """Moves events from a source to a sink."""

    def __init__(
        self, source: Source, sink: StreamSink, *, observer: Observer, settings: StreamSettings | None = None
    ) -> None:
        self._source, self._sink, self._observer = source, sink, observer
        self._settings = settings or StreamSettings()
        self._at: dict[str, int | None] = {}
        self._random = random.Random()
        # What is compiled at its first use is compiled now, not at the first event.
        decode(Block("", 0, [b"{}"], [0], [True], None), moment=datetime.now(UTC))

    def run(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`; what was read by then is committed first.

        Raises:
            SourceError: the source was made anew or ends before the offset read last, or another worker keeps
            committing.
        """
        fences = 0
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit") as pool:
            while not stop():
                try:
                    self._start(stop)
                    self._work(stop, pool)
                    return
                except (Fenced, Unsure) as error:
                    fences += 1
                    self._observer.fenced(str(error))
                    if fences > self._settings.max_fences:
                        raise SourceError(
                            f"{self._source.name}: another worker commits for the same partitions ({error}); "
                            "stop one of them"
                        ) from error
                    self._sleep(self._random.uniform(0.1, 0.2 * 2**fences), stop)
                    self._sink.reopen()
                except Unreachable as error:
                    self._observer.failed(str(error))
                    self._sleep(0.5, stop)

    def _start(self, stop: Callable[[], bool]) -> None:
        identity, known = self._source.identity(), self._sink.identity()
        if identity is not None and known is None:
            self._sink.record_identity(identity)
        elif identity is not None and identity != known:
            raise SourceError(
                f"{self._source.name}: it was deleted and made anew since it was read last; give the new one "
                "another name, or start a new lake"
            )
        self._at = {}
        self._adopt(self._source.partitions())

    def _adopt(self, partitions: list[str]) -> None:
        for partition in partitions:
            if partition not in self._at:
                self._at[partition] = self._sink.offset(partition)
                self._source.seek(partition, self._at[partition])

    def _work(self, stop: Callable[[], bool], pool: ThreadPoolExecutor) -> None:
        pending, idle_since, looked_at = Pending(), time.monotonic(), time.monotonic()
        job: Future[_Done] | None = None
        every = self._settings.commit_every_seconds
        while True:
            is_stopping = stop()
            now = time.monotonic()
            if job is not None and job.done():
                self._finish(job)
                job = None
            is_due = pending.offsets and (
                now - pending.since >= every or pending.events >= self._settings.max_batch_events or is_stopping
            )
            if is_due and job is None:
                job = pool.submit(self._commit, pending, stop)
                pending = Pending()
            if is_stopping:
                if job is not None:
                    self._finish(job)
                    job = None
                    continue
                return
            if pending.events >= self._settings.max_batch_events:
                if job is not None:
                    self._finish(job)
                    job = None
                continue
            wait = IDLE_SECONDS  # and no longer, however rare the commits: a stop is met between two waits
            if pending.offsets:
                wait = min(max(every - (now - pending.since), 0.002), wait)
            before = pending.events
            self._read(pending, timeout_seconds=wait if job is None else 0.02)
            now = time.monotonic()
            idle_since = now if pending.events > before or job is not None or pending.offsets else idle_since
            if now - looked_at > ASK_SECONDS:
                looked_at = now
                self._observer.waiting(lag=self._source.lag())
                if job is None:  # else the commit asks
                    self._adopt(self._source.partitions())
            if self._settings.idle_exit_seconds is not None and now - idle_since > self._settings.idle_exit_seconds:
                return

    def _read(self, pending: Pending, *, timeout_seconds: float) -> None:
        found = self._source.poll(timeout_seconds=timeout_seconds)
        pending.gaps += found.gaps
        for block in found.blocks:
            if not pending.offsets:
                pending.since = time.monotonic()
            decoded = decode(block, moment=datetime.now(UTC))
            if self._settings.pseudonyms is not None:
                decoded = pseudonymised(decoded, self._settings.pseudonyms)
            pending.decoded.append(decoded)
            pending.events += decoded.rows.num_rows + len(decoded.refused)
            start = (
                pending.offsets[block.partition][0] if block.partition in pending.offsets else self._at[block.partition]
            )
            pending.offsets[block.partition] = (start, block.next_offset)
            self._at[block.partition] = block.next_offset

    def _commit(self, pending: Pending, stop: Callable[[], bool]) -> _Done:
        """In the commit thread.

        Asks the source once more whether it is still the same, after everything of the batch was read.
        """
        started = time.monotonic()
        while True:
            try:
                partitions = self._source.partitions()
                break
            except Unreachable:
                if stop():
                    raise
                time.sleep(0.2)
        prepared = self._sink.prepare(pending.decoded, gaps=pending.gaps, offsets=pending.offsets)
        delay = 0.1
        while True:
            try:
                return _Done(self._sink.commit(prepared), prepared, time.monotonic() - started, partitions)
            except OSError as error:
                self._observer.failed(f"the lake cannot be written ({error}); trying again")
                if stop():
                    raise
                time.sleep(delay)
                delay = min(delay * 2, 5.0)

    def _finish(self, job: Future[_Done]) -> None:
        done = job.result()
        self._observer.committed(done.written, done.prepared, seconds=done.seconds)
        self._adopt(done.partitions)

    @staticmethod
    def _sleep(seconds: float, stop: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not stop():
            threading.Event().wait(0.02)
