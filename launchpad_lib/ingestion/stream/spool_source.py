"""A spool as a source: a folder of append-only segments `<writer>-<seq:012d>.ndjson`, one event a line.

A partition is a writer; its offset is seq x 2^32 + byte. A line counts once its newline is there; a torn last line is
left until it is completed, and is passed over when the writer has gone on to its next segment. Segments are never
changed by reading.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from launchpad_lib.ingestion.stream.decoding import Block
from launchpad_lib.ingestion.stream.sink import Gap
from launchpad_lib.ingestion.stream.worker import Poll, SourceError
from launchpad_lib.spool.layout import segment_name, segment_of
from launchpad_lib.spool.records import checked

BYTES = 1 << 32
CHUNK_BYTES = 1 << 20
MAX_CHUNKS_PER_POLL = 16
SHORTEST_NAP_SECONDS, LONGEST_NAP_SECONDS = 0.01, 0.08  # between looks; longer while nobody writes


class SpoolSource:
    """All writers of one folder."""

    def __init__(self, folder: str | Path) -> None:
        """Raises:
        SourceError: there is no such folder.
        """
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise SourceError(f"spool:{folder}: there is no such folder; create it, or correct the path")
        self.name = "spool"
        self._at: dict[str, tuple[int, int]] = {}
        self._segments: dict[str, list[int]] = {}
        self._turn = 0
        self._nap = SHORTEST_NAP_SECONDS

    def __repr__(self) -> str:
        return f"SpoolSource({str(self._folder)!r})"

    def identity(self) -> int | None:
        """None: writers' names are unique, so a folder has no identity of its own."""
        return None

    def partitions(self) -> list[str]:
        """Lists the folder.

        What is listed now is read up to its present size later, so a segment that has a successor is complete.
        """
        found: dict[str, list[int]] = {}
        try:
            for entry in os.scandir(self._folder):
                segment = segment_of(entry.name)
                if segment is not None:
                    found.setdefault(segment.writer, []).append(segment.number)
        except FileNotFoundError:
            raise SourceError(f"spool:{self._folder}: the folder is gone; put it back, or correct the path") from None
        self._segments = {writer: sorted(numbers) for writer, numbers in found.items()}
        return sorted(found | dict.fromkeys(self._at, []))

    def seek(self, partition: str, offset: int | None) -> None:
        numbers = self._segments.get(partition, [])
        number, byte = divmod(offset, BYTES) if offset is not None else (numbers[0] if numbers else 0, 0)
        if number in numbers and self._path(partition, number).stat().st_size < byte:
            name = self._path(partition, number).name
            raise SourceError(
                f"spool:{self._folder}: {name} is shorter than what was read of it ({byte:,} bytes); segments "
                "only grow, restore it"
            )
        self._at[partition] = (number, byte)

    def poll(self, *, timeout_seconds: float) -> Poll:
        until = time.monotonic() + timeout_seconds
        while True:
            found = self._look()
            if found.blocks or found.gaps:
                self._nap = SHORTEST_NAP_SECONDS
                return found
            left = until - time.monotonic()
            if left <= 0:
                return found
            time.sleep(min(self._nap, left))
            self._nap = min(2 * self._nap, LONGEST_NAP_SECONDS)

    def _look(self) -> Poll:
        self.partitions()
        blocks: list[Block] = []
        gaps: list[Gap] = []
        writers = list(self._at)
        self._turn += 1  # whoever comes first may fill the poll, so another is first each time
        for place in range(len(writers)):
            writer = writers[(place + self._turn) % len(writers)]
            for _ in range(MAX_CHUNKS_PER_POLL):
                if len(blocks) >= MAX_CHUNKS_PER_POLL or not self._step(writer, blocks, gaps):
                    break
        return Poll(blocks, gaps)

    def _step(self, writer: str, blocks: list[Block], gaps: list[Gap]) -> bool:
        """Reads one stretch of a writer; False when there is nothing more for now."""
        number, byte = self._at[writer]
        later = [n for n in self._segments.get(writer, ()) if n > number]
        try:
            file = open(self._path(writer, number), "rb", buffering=0)
        except FileNotFoundError:
            if not later:
                return False
            gaps.append(
                Gap(writer, number * BYTES + byte, later[0] * BYTES, "segment removed before it was read to its end")
            )
            return self._move(writer, later[0], blocks)
        with file:
            size = os.fstat(file.fileno()).st_size
            data = os.pread(file.fileno(), CHUNK_BYTES, byte)
            while data and b"\n" not in data and byte + len(data) < size:
                data += os.pread(file.fileno(), 4 * len(data), byte + len(data))
        end = data.rfind(b"\n") + 1
        if end == 0:
            if later and later[0] > number + 1:
                gaps.append(Gap(writer, (number + 1) * BYTES, later[0] * BYTES, "segment removed before it was read"))
            return self._move(writer, later[0], blocks) if later else False
        following = number * BYTES + byte + end
        self._at[writer] = (number, byte + end)
        lines, damaged = checked(data[:end])
        start = number * BYTES + byte
        places = {start + at: line for at, line in damaged.items()}
        blocks.append(Block(writer, following, [lines], [start], [True], None, is_bytewise=True, damaged=places))
        return True

    def _move(self, writer: str, number: int, blocks: list[Block]) -> bool:
        self._at[writer] = (number, 0)
        blocks.append(Block(writer, number * BYTES, [], [], [], None, is_bytewise=True))
        return True

    def lag(self) -> dict[str, int]:
        """Bytes not read yet, per writer."""
        result = {}
        for writer, (number, byte) in self._at.items():
            sizes = {n: self._size(writer, n) for n in self._segments.get(writer, ()) if n >= number}
            result[writer] = max(sum(sizes.values()) - (byte if number in sizes else 0), 0)
        return result

    def _size(self, writer: str, number: int) -> int:
        try:
            return self._path(writer, number).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, writer: str, number: int) -> Path:
        return self._folder / segment_name(writer, number)

    def close(self) -> None:
        """Nothing is held open."""
