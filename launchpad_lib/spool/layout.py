"""How a spool lies on the disk; the only place that knows it.

A SPOOL is a folder of append-only segments `<writer>-<number:012d>.ndjson`, where `writer` matches [a-z0-9-]+ and is
unique per process. A segment holds one JSON event object per line, UTF-8, each line newline terminated. After the
object stands its checksum (`spool.records`); lines of other writers need none. Segments roll at `SEGMENT_BYTES`; a
finished segment is never changed, but for records that `launchpad forget` turns into spaces. A torn last line (no
newline) of a dead writer is ignored, never an error. The keys of an event are the columns of EVENTS: `event_at` and
`received_at` are ISO-8601 in UTC ending in Z, `properties` is an object; unknown keys belong into `properties`. A
living writer holds an exclusive flock on `<writer>.lock`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

SEGMENT_BYTES = 64 * 1024 * 1024
DAMAGED_SUFFIX = ".damaged"  # after a segment's name: records that a forwarder put aside
FORWARDER_LOCK = ".forwarder.lock"  # held by the one forwarder
_NAME = re.compile(r"(?P<writer>[a-z0-9-]+)-(?P<number>[0-9]{12})\.ndjson")


class Segment(NamedTuple):
    """A segment by its name: whose, and the how-manieth."""

    writer: str
    number: int


def segment_name(writer: str, number: int) -> str:
    """The file name of a segment.

    >>> segment_name("sdk-1", 3)
    'sdk-1-000000000003.ndjson'
    """
    return f"{writer}-{number:012d}.ndjson"


def segment_of(name: str) -> Segment | None:
    """The segment that a file is, by its name; None for any other file.

    >>> segment_of("sdk-1-000000000003.ndjson")
    Segment(writer='sdk-1', number=3)
    >>> segment_of("sdk-1.lock") is None
    True
    """
    match = _NAME.fullmatch(name)
    return None if match is None else Segment(match["writer"], int(match["number"]))


def lock_path(folder: Path, writer: str) -> Path:
    """The file on which a living writer holds a lock."""
    return folder / f"{writer}.lock"


def whole_lines(path: Path, start: int, *, max_bytes: int) -> bytes:
    """Whole lines from a byte on, about `max_bytes` of them; a line longer than that comes alone.

    Empty where there are none.
    """
    with path.open("rb") as file:
        file.seek(start)
        chunk = file.read(max_bytes)
        if chunk and b"\n" not in chunk and len(chunk) == max_bytes:
            chunk += file.readline()
    return chunk[: chunk.rfind(b"\n") + 1]
