"""Moves a spool on to Kafka, at least once: lines are sent, awaited, and only then is the position written down.

After a crash the lines since the last written position are sent again; the lake keeps one row per event_id. The
position file lies in the spool and is replaced atomically.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from launchpad_lib.collector.kafka_target import KafkaTarget, TargetUnavailableError
from launchpad_lib.collector.settings import CollectorError
from launchpad_lib.spool.layout import DAMAGED_SUFFIX, FORWARDER_LOCK, Segment, lock_path, segment_of, whole_lines
from launchpad_lib.spool.locks import is_held
from launchpad_lib.spool.records import DAMAGED, opened

__all__ = ["Forwarder", "KafkaTarget", "Target", "run"]

CHUNK_BYTES = 4 << 20  # sent before the acknowledgements are awaited and the position is written
SHORTEST_NAP_SECONDS, LONGEST_NAP_SECONDS = 0.01, 0.1  # between looks; longer while nothing comes
POSITIONS = ".forwarded.json"


class Target(Protocol):
    """Where lines go."""

    def send(self, lines: list[bytes]) -> None:
        """Returns when all the lines are safe there; raises TargetUnavailableError when that is not sure."""

    def close(self) -> None:
        """Lets go of connections."""


class Step(NamedTuple):
    """What one round moved, and a sentence for each record that is not as it was written."""

    lines: int
    size_bytes: int
    damaged: tuple[str, ...] = ()


class Forwarder:
    """One forwarder of one spool; a second one on the same spool is refused by a lock.

    `keep` "all" leaves segments where they are; "unsent" removes a finished segment once every whole line of it is safe
    in the target.
    """

    def __init__(self, spool: Path, target: Target, *, keep: Literal["all", "unsent"] = "all") -> None:
        if not spool.is_dir():
            raise CollectorError(f"spool={str(spool)!r}: is no folder; name the collector's --spool")
        self.spool = spool
        self._target = target
        self._keep = keep
        self._lock_fd = os.open(spool / FORWARDER_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_fd)
            raise CollectorError(f"spool={str(spool)!r}: another forwarder is at work there; stop it first") from None
        self._done = self._read_positions()

    def close(self) -> None:
        """Closes the target and lets go of the spool."""
        self._target.close()
        os.close(self._lock_fd)

    def step(self) -> Step:
        """Forwards up to one chunk of every segment.

        Raises:
            TargetUnavailableError: the target does not take lines now; the position stays.
        """
        lines = size_bytes = 0
        damaged: list[str] = []
        segments = self._segments()
        newest = {segment.writer: path.name for path, segment in segments}
        for path, segment in segments:
            done = self._done.get(path.name, 0)
            # Asked before reading: what a writer appends after this is left for the next round.
            is_finished = newest[segment.writer] != path.name or not is_held(lock_path(self.spool, segment.writer))
            chunk = whole_lines(path, done, max_bytes=CHUNK_BYTES)
            if chunk:
                told = chunk[:-1].split(b"\n")
                records = [opened(line) for line in told]
                if None in records:
                    damaged += self._put_aside(path, done, told, records)
                if sent := [one for one in records if one]:  # an erased one is empty
                    self._target.send(sent)
                self._done[path.name] = done + len(chunk)
                self._write_positions()
                lines += chunk.count(b"\n")
                size_bytes += len(chunk)
            elif is_finished and self._keep == "unsent":
                path.unlink()
                self._done.pop(path.name, None)
                self._write_positions()
        return Step(lines, size_bytes, tuple(damaged))

    def _put_aside(self, path: Path, begin: int, told: list[bytes], records: list[bytes | None]) -> list[str]:
        """Keeps damaged records in a file beside their segment, before the position moves past them; what to say."""
        aside = path.with_name(f"{path.name}{DAMAGED_SUFFIX}")
        with path.open("rb") as file:
            before = file.read(begin).count(b"\n")
        numbers = [n for n, record in enumerate(records) if record is None]
        with os.fdopen(os.open(aside, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(b"".join(told[n] + b"\n" for n in numbers))
            file.flush()
            os.fsync(file.fileno())
        return [f"{path}: line {before + n + 1}: {DAMAGED}; it is not sent and lies in {aside.name}" for n in numbers]

    def _segments(self) -> list[tuple[Path, Segment]]:
        named = [(path, segment_of(path.name)) for path in sorted(self.spool.iterdir())]
        return [(path, segment) for path, segment in named if segment is not None]

    def _read_positions(self) -> dict[str, int]:
        path = self.spool / POSITIONS
        if not path.exists():
            return {}
        try:
            read = json.loads(path.read_text())
            return {str(name): int(at) for name, at in read["segments"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CollectorError(
                f"{path}: is not a position file; remove it to forward the whole spool again (the lake keeps "
                "each event once)"
            ) from None

    def _write_positions(self) -> None:
        path = self.spool / POSITIONS
        draft = path.with_suffix(".draft")
        with draft.open("w") as file:
            json.dump({"segments": self._done}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def run(
    forwarder: Forwarder,
    *,
    until: Literal["stopped", "empty"],
    say: Callable[[str], object],
) -> int:
    """Forwards until SIGINT or SIGTERM, or until everything is forwarded.

    Waits with full jitter while the target is away.
    """
    stopping = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
    failures = total = 0
    nap = SHORTEST_NAP_SECONDS
    try:
        while not stopping.is_set():
            try:
                moved = forwarder.step()
            except TargetUnavailableError as error:
                failures += 1
                wait = random.uniform(0, min(30.0, 0.2 * 2**failures))
                say(f"launchpad forward: {error}; again in {wait:.1f} s")
                stopping.wait(wait)
                continue
            failures = 0
            for sentence in moved.damaged:
                say(f"launchpad forward: {sentence}")
            total += moved.lines
            if not moved.lines:
                if until == "empty":
                    break
                stopping.wait(nap)
            nap = SHORTEST_NAP_SECONDS if moved.lines else min(2 * nap, LONGEST_NAP_SECONDS)
    finally:
        forwarder.close()
    say(f"launchpad forward: {total} events forwarded")
    return 0
