"""The collector's spool: lines are appended by one thread that writes and syncs for all waiting requests together.

A request is answered only after the `fdatasync` that covers its lines. While one sync runs, the next group gathers, so
the cost of syncing is shared and the spool stays durable at a high rate. The layout of the folder is declared in
`spool.layout`.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from launchpad_lib.contract.private import file_mode, private_folder
from launchpad_lib.spool import locks
from launchpad_lib.spool.layout import SEGMENT_BYTES, lock_path, segment_name, segment_of
from launchpad_lib.spool.records import opened, sealed_lines

MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_GROUP_BYTES = 4 * 1024 * 1024
RECALLED_BYTES = 32 * 1024 * 1024
PREFIX = "collector-"


class SpoolUnavailableError(OSError):
    """The spool cannot take lines now; nothing of them was acknowledged."""


class SpoolWriter:
    """One process's writer into a spool.

    `append` is awaited by requests; `on_group(lines_bytes, seconds)` hears of each synced group.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int | None = None,
        on_group: Callable[[int, float], None] | None = None,
    ) -> None:
        self.folder = folder
        self.writer = f"{PREFIX}{uuid.uuid4().hex[:16]}"
        self.failure: str | None = None
        self._segment_bytes = segment_bytes
        self._on_group = on_group
        self._max_bytes = max_bytes
        self._measured = self._since_measured = 0
        self._measured_at = -math.inf
        self._seq = 0
        self._fd = -1
        self._size = 0
        self._is_named = False
        self._lock_fd = -1
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._waiting_bytes = 0
        self._wake = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes the folder, takes the writer's lock and starts the writing thread.

        Raises:
            OSError: the folder cannot be made or written.
        """
        private_folder(self.folder)
        self._sweep()
        self._lock_fd = locks.hold(lock_path(self.folder, self.writer))
        self._loop = loop
        self._thread = threading.Thread(target=self._run, args=(loop,), name="spool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, then closes; the segments stay."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._lock_fd >= 0:
            lock_path(self.folder, self.writer).unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = -1

    async def append(self, lines: bytes) -> None:
        """Returns when the lines are on the disk.

        Raises:
            SpoolUnavailableError: they are not, and must not be acknowledged.
        """
        if self._loop is None:
            raise SpoolUnavailableError("the spool is not started")
        future = self._loop.create_future()
        with self._wake:
            if self._is_closing:
                raise SpoolUnavailableError("the collector is stopping")
            if self._max_bytes is not None and self.size_bytes() + len(lines) > self._max_bytes:
                raise SpoolUnavailableError(
                    f"the spool is full ({self._max_bytes:,} bytes); forward it with --keep unsent, or raise "
                    "--max-spool-bytes"
                )
            if self._waiting_bytes + len(lines) > MAX_PENDING_BYTES:
                raise SpoolUnavailableError("the disk is slower than the requests")
            self._waiting.append((lines, future))
            self._waiting_bytes += len(lines)
            self._since_measured += len(lines)
            if len(self._waiting) == 1:
                self._wake.notify()
        await future

    def size_bytes(self) -> int:
        """Size of all segments of the folder and of what waits for the disk; measured at most once a second, since a
        forwarder may remove segments.
        """
        now = time.monotonic()
        if now - self._measured_at >= 1.0:
            self._measured_at, self._since_measured = now, self._waiting_bytes
            self._measured = sum(_size_of(entry) for entry in os.scandir(self.folder) if segment_of(entry.name))
        return self._measured + self._since_measured

    def probe(self) -> str | None:
        """None when the folder can be written and synced, else why not. Tries only after a failure."""
        if self.failure is None:
            return None
        path = self.folder / f".probe-{self.writer}"
        try:
            fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                if os.write(fd, b"\n" * 4096) < 4096:
                    raise OSError("short write")
                os.fdatasync(fd)
            finally:
                os.close(fd)
                path.unlink(missing_ok=True)
        except OSError as error:
            return error.strerror or str(error)
        self.failure = None
        return None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._is_closing:
                    self._wake.wait()
                if not self._waiting:
                    return
                group: list[tuple[bytes, asyncio.Future[None]]] = []
                taken = 0
                while len(group) < len(self._waiting) and (
                    not group or taken + len(self._waiting[len(group)][0]) <= MAX_GROUP_BYTES
                ):
                    taken += len(self._waiting[len(group)][0])
                    group.append(self._waiting[len(group)])
                del self._waiting[: len(group)]
                self._waiting_bytes -= taken
            failure = self._commit(sealed_lines(b"".join([lines for lines, _ in group])))
            try:
                loop.call_soon_threadsafe(_settle, [future for _, future in group], failure)
            except RuntimeError:
                return  # the loop is gone, and with it everybody who waited

    def _commit(self, lines: bytes) -> OSError | None:
        """Writes and syncs one group.

        A failed segment is left as it is: readers may have read it, so it is never cut back.
        """
        started = time.perf_counter()
        written = 0
        try:
            if self._fd >= 0 and self._size and self._size + len(lines) > self._segment_bytes:
                os.close(self._fd)
                self._fd = -1
            if self._fd < 0:
                self._open_segment()
            if not self._is_named:
                self._sync_name()
            while written < len(lines):
                written += os.write(self._fd, lines[written:] if written else lines)
            self._size += written
            os.fdatasync(self._fd)
        except OSError as error:
            # After a torn write, or a sync of which nobody knows what it kept, the segment is given up. An untouched
            # one serves again.
            if written and self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self.failure = error.strerror or str(error)
            return error
        self.failure = None
        if self._on_group is not None:
            self._on_group(len(lines), time.perf_counter() - started)
        return None

    def _open_segment(self) -> None:
        path = self.folder / segment_name(self.writer, self._seq)
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, file_mode(self.folder))
        self._fd, self._size = fd, 0
        self._seq += 1
        self._is_named = False

    def _sync_name(self) -> None:
        """The segment's name must survive a power cut too."""
        folder_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
        self._is_named = True

    def _sweep(self) -> None:
        """Removes the locks of dead collectors; their segments are finished by that."""
        for path in self.folder.glob(f"{PREFIX}*.lock"):
            fd = locks.take_over(path)
            if fd is not None:
                path.unlink(missing_ok=True)
                os.close(fd)


def _size_of(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0  # a forwarder removed it meanwhile


def _settle(futures: list[asyncio.Future[None]], failure: OSError | None) -> None:
    for future in futures:
        if future.done():
            continue  # the client went away; its lines are kept all the same
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(SpoolUnavailableError(failure.strerror or str(failure)))


class _Identified(msgspec.Struct):
    event_id: str


_identified = msgspec.json.Decoder(_Identified)


def recent_ids(folder: Path, *, max_bytes: int = RECALLED_BYTES) -> list[str]:
    """The ids of the events that earlier collectors wrote last, oldest first, synced by now.

    A collector killed between the write and its answer leaves events that will be sent again; the next one knows them
    by this.
    """
    segments = []
    for path in folder.glob(f"{PREFIX}*.ndjson"):
        try:
            segments.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            continue  # a forwarder removed it meanwhile
    tails: list[list[str]] = []
    for _, path in sorted(segments, reverse=True):
        if max_bytes <= 0:
            break
        try:
            with path.open("rb") as file:
                # Whoever is told "already kept" may forget the event: so it must be on the disk, not only in the
                # kernel's cache.
                os.fdatasync(file.fileno())
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - max_bytes)
                file.seek(start)
                lines = file.read().split(b"\n")[1 if start else 0 : -1]
        except OSError:
            continue
        max_bytes -= size
        tails.append([found for found in map(_id_of, lines) if found is not None])
    return [found for tail in reversed(tails) for found in tail]


def _id_of(line: bytes) -> str | None:
    try:
        return _identified.decode(opened(line) or b"").event_id
    except (msgspec.MsgspecError, ValueError):
        return None
