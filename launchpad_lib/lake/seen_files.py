"""What was read of a table's files and found intact: noted in the index, so that a file is read once only.

Of a file that states no checksum this is the only thing that a later change can be told by.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.lake.manifests import read_body, write_body
from launchpad_lib.lake.sealed import file_checksum

NOTES = "seen"


class SeenFiles:
    """The note of one table: file to checksum, size and times; and the newest version, with the table's id.

    Deleting it costs that everything is read once more, and forgets what files without a checksum were.
    """

    def __init__(self, index: Path, place: Path, *, reads_all: bool = False) -> None:
        """`reads_all`: what times say is not believed; every file is read."""
        self.place = place
        self.checked = self.unsealed = 0
        self._note = index / NOTES / f"{place.name}.json"
        told = read_body(self._note) or {}
        self.head: int | None = told.get("head")
        self.table: str | None = told.get("table")
        self._before: dict[str, list[int]] = told.get("files", {})
        self._now: dict[str, list[int]] = {}
        self._reads_all = reads_all

    def is_as_noted(self, name: str) -> bool:
        """Whether a file was found intact before, and its size and times are what they were then."""
        entry = self._before.get(name)
        if self._reads_all or entry is None or entry[1:] != _stamp(self.place / name):
            return False
        self._now[name] = entry
        self.checked += 1
        return True

    def wrong_with(
        self, name: str, *, stated: int | None, size: int | None = None, is_sealed: bool = False
    ) -> str | None:
        """Reads a file and holds it against the checksum that it states, or else that of when it was first read.

        What is wrong with it; None where nothing is, and then it is noted. `is_sealed`: it has a checksum within.
        """
        path = self.place / name
        stamp = _stamp(path)
        if stamp is None:
            return "is missing"
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return "is no regular file"
        if size is not None and stamp[0] != size:
            return f"has {stamp[0]:,} bytes, and was written with {size:,}"
        try:
            found = file_checksum(path)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        before = self._before.get(name)
        if stated is not None and found != stated:
            return "is not as it was written: its checksum is another"
        if stated is None and before is not None and found != before[0]:
            return "is not as it was when it was first read: its checksum is another"
        self.checked += 1
        self.unsealed += stated is None and not is_sealed
        self._now[name] = [found, *stamp]
        return None

    def start_anew(self) -> None:
        """Nothing that was noted counts: another table stands in this place."""
        self.head, self.table, self._before = None, None, {}

    def forget(self, name: str) -> None:
        """What was noted of a file does not count."""
        self._now.pop(name, None)

    def keep(self, *, head: int | None, table: str | None) -> None:
        """Notes what was found intact; a lake that cannot be written is read again the next time."""
        # What an older version alone names stays known as long as it is there.
        older = {n: e for n, e in self._before.items() if n not in self._now and (self.place / n).exists()}
        body = {"head": head, "table": table, "files": older | self._now}
        if body == {"head": self.head, "table": self.table, "files": self._before}:
            return
        with suppress(OSError):
            inner_folder(self._note.parent)
            write_body(self._note, body)


def _stamp(path: Path) -> list[int] | None:
    try:
        held = os.lstat(path)
    except OSError:
        return None
    return [held.st_size, held.st_mtime_ns, held.st_ctime_ns]
