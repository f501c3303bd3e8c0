"""The SDK's spool: events are lines of append-only segments on the disk before anything else happens to them.

One writer per process, known by the lock it holds; the layout is declared in `spool.layout`. A reader's position moves
on when a batch is settled and is kept in `<writer>.sent`, so a process killed between the two sends that batch again:
the event_id is the same.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.private import private_folder
from launchpad_lib.spool import locks
from launchpad_lib.spool.layout import SEGMENT_BYTES, lock_path, segment_name, segment_of, whole_lines
from launchpad_lib.spool.records import opened, sealed

PREFIX = "sdk-"


class Position(NamedTuple):
    """A place in a writer's segments: segment number and byte."""

    seq: int
    byte: int


class Batch(NamedTuple):
    """Records and the position after them; those that are not as they were written are beside them."""

    lines: list[bytes]
    end: Position
    damaged: tuple[bytes, ...] = ()


class Spool:
    """A writer's segments: our own, or those of a dead process (`adopt`). All methods may be called from any thread."""

    _lock_fd: int | None
    _cap_bytes: int | None

    def __init__(self, folder: Path, *, cap_bytes: int | None, is_source: bool) -> None:
        """`cap_bytes` bounds what waits; `is_source` means that others read the segments, so they stay."""
        self._setup(folder, f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}", is_source=is_source)
        self._cap_bytes = cap_bytes
        self._segment_bytes = SEGMENT_BYTES if cap_bytes is None else min(SEGMENT_BYTES, max(16 * 1024, cap_bytes // 8))
        private_folder(folder)
        self._lock_fd = locks.hold(lock_path(folder, self.writer))

    def _setup(self, folder: Path, writer: str, *, is_source: bool) -> None:
        self.folder, self.writer = folder, writer
        self._is_source = is_source
        self._sizes: dict[int, int] = {}
        self._next_seq = 0
        self._fd = -1
        self._lock_fd = None
        self._read = self._sent = Position(0, 0)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._cap_bytes = None
        self._segment_bytes = SEGMENT_BYTES

    @classmethod
    def adopt(cls, folder: Path) -> list[Spool]:
        """The spools of dead processes in the folder, oldest first; each is ours from now on."""
        adopted = []
        for lock in folder.glob(f"{PREFIX}*.lock"):
            lock_fd = locks.take_over(lock)
            if lock_fd is None:
                continue
            spool = cls.__new__(cls)
            spool._setup(folder, lock.stem, is_source=False)
            spool._lock_fd = lock_fd
            spool._find_segments()
            if spool._sizes:
                adopted.append(spool)
            else:
                spool.discard()
        return sorted(adopted, key=lambda s: min(s._path(q).stat().st_mtime for q in s._sizes))

    def append(self, line: bytes) -> int:
        """Appends one line, which ends in a line feed, with its checksum; the number of older events dropped for it.

        Raises:
            OSError: the disk does not take it.
        """
        line = sealed(line[:-1]) + b"\n"
        with self._lock:
            if self._fd < 0 or (size := self._sizes[self._next_seq - 1]) and size + len(line) > self._segment_bytes:
                self._roll()
            written = 0
            try:
                while written < len(line):
                    written += os.write(self._fd, line[written:] if written else line)
            except OSError:
                if written:
                    # The line is torn: the segment ends here, and readers pass over its tail.
                    os.close(self._fd)
                    self._fd = -1
                raise
            self._sizes[self._next_seq - 1] += written
            return self._drop_oldest() if self._cap_bytes is not None and self._pending() > self._cap_bytes else 0

    def read(self, *, max_events: int, max_bytes: int) -> Batch | None:
        """The next lines that were not read yet, or None. They stay until `settle`."""
        with self._lock:
            while self._sizes:
                seq = (
                    self._read.seq
                    if self._read.seq in self._sizes
                    else min((s for s in self._sizes if s > self._read.seq), default=-1)
                )
                if seq < 0:
                    return None
                start = self._read.byte if seq == self._read.seq else 0
                chunk = self._chunk(seq, start, max_bytes)
                if chunk:
                    lines = (
                        chunk.split(b"\n", max_events)[:max_events]
                        if chunk.count(b"\n") > max_events
                        else chunk[:-1].split(b"\n")
                    )
                    self._read = Position(seq, start + sum(map(len, lines)) + len(lines))
                    self._in_flight += 1
                    records = [opened(line) for line in lines]
                    damaged = tuple(line for line, one in zip(lines, records, strict=True) if one is None)
                    return Batch([one for one in records if one], self._read, damaged)  # an erased one is empty
                if seq == self._next_seq - 1 and self._fd >= 0:
                    return None
                # A finished segment is read to its end (a torn tail is no event).
                if self._read.seq != seq or self._sent == self._read:
                    self._sent = Position(seq + 1, 0)
                self._read = Position(seq + 1, 0)
                self._remove_sent()
            return None

    def settle(self, batch: Batch) -> None:
        """The batch is delivered, or refused for good: the position moves on, and segments that are through are
        removed.
        """
        with self._lock:
            self._in_flight -= 1
            self._sent = max(self._sent, batch.end)
            self._remove_sent()
            draft = self.folder / f"{self.writer}.sent.draft"
            draft.write_text(json.dumps({"segment": self._path(self._sent.seq).name, "byte": self._sent.byte}))
            draft.replace(self.folder / f"{self.writer}.sent")

    def end(self) -> Position:
        """The position after the last line."""
        with self._lock:
            return (
                Position(self._next_seq - 1, self._sizes.get(self._next_seq - 1, 0))
                if self._next_seq
                else Position(0, 0)
            )

    def is_settled_to(self, position: Position) -> bool:
        """Whether every line before the position was settled or dropped."""
        with self._lock:
            return not self._in_flight and self._read >= position

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait."""
        with self._lock:
            return self._pending()

    def trim(self, cap_bytes: int) -> int:
        """Drops oldest segments until at most `cap_bytes` wait; gives the number of events dropped."""
        with self._lock:
            self._cap_bytes = max(0, cap_bytes)
            return self._drop_oldest()

    def close(self) -> None:
        """Lets go. What was not sent stays for the next process; an empty spool leaves nothing behind."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            is_empty = not self._pending() and not self._is_source
        if is_empty:
            self.discard()
        elif self._lock_fd is not None:
            if self._is_source:
                lock_path(self.folder, self.writer).unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    def abandon(self) -> None:
        """In a forked child: the files and the lock are the parent's; only our copies of the descriptors are closed."""
        for fd in (self._fd, self._lock_fd):
            if fd is not None and fd >= 0:
                os.close(fd)
        self._fd, self._lock_fd = -1, None

    def discard(self) -> None:
        """Removes every file of the writer, the lock last."""
        for seq in list(self._sizes):
            self._path(seq).unlink(missing_ok=True)
        self._sizes.clear()
        (self.folder / f"{self.writer}.sent").unlink(missing_ok=True)
        lock_path(self.folder, self.writer).unlink(missing_ok=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _path(self, seq: int) -> Path:
        return self.folder / segment_name(self.writer, seq)

    def _pending(self) -> int:
        return sum(self._sizes.values()) - (self._sent.byte if self._sent.seq in self._sizes else 0)

    def _roll(self) -> None:
        fd = os.open(
            self._path(self._next_seq), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._sizes[self._next_seq] = 0
        self._next_seq += 1

    def _chunk(self, seq: int, start: int, max_bytes: int) -> bytes:
        """Whole lines from `start`, about `max_bytes` of them but at least one."""
        try:
            return whole_lines(self._path(seq), start, max_bytes=max_bytes)
        except FileNotFoundError:
            return b""

    def _remove_sent(self) -> None:
        if self._is_source:
            return
        for seq in [s for s in self._sizes if s < self._sent.seq and not (s == self._next_seq - 1 and self._fd >= 0)]:
            self._path(seq).unlink(missing_ok=True)
            del self._sizes[seq]

    def _drop_oldest(self) -> int:
        """Whole segments go, never the one being written.

        Lines in flight are in the sender's hands and not counted as dropped.
        """
        dropped = 0
        while self._cap_bytes is not None and self._pending() > self._cap_bytes:
            seq = min(self._sizes, default=-1)
            if seq < 0 or (seq == self._next_seq - 1 and self._fd >= 0):
                break
            start = self._read.byte if seq == self._read.seq else 0
            if seq >= self._read.seq:
                with self._path(seq).open("rb") as file:
                    file.seek(start)
                    dropped += file.read().count(b"\n")
                self._read = Position(seq + 1, 0)
            self._path(seq).unlink(missing_ok=True)
            del self._sizes[seq]
        return dropped

    def _find_segments(self) -> None:
        for path in self.folder.glob(f"{self.writer}-*.ndjson"):
            segment = segment_of(path.name)
            if segment is not None and segment.writer == self.writer:
                self._sizes[segment.number] = path.stat().st_size
        self._next_seq = max(self._sizes, default=-1) + 1
        first = Position(min(self._sizes, default=0), 0)
        try:
            sent = json.loads((self.folder / f"{self.writer}.sent").read_text())
            segment = segment_of(sent["segment"])
            if segment is not None:  # None: no name of ours, so everything is sent again
                first = max(first, Position(segment.number, int(sent["byte"])))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # not written yet, or torn: everything is sent again under the same ids
        self._read = self._sent = first
        self._remove_sent()
