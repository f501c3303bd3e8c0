"""Records of a person taken out of a spool: their bytes become spaces, so that no position in a segment moves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.event import read_object
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.contract.event.rules import SPACES
from launchpad_lib.contract.people import mentions_person
from launchpad_lib.spool.layout import DAMAGED_SUFFIX, FORWARDER_LOCK, lock_path, segment_of
from launchpad_lib.spool.locks import is_held
from launchpad_lib.spool.records import opened

DRAFT = ".erasing"


class FoundRecords(NamedTuple):
    """A file of a spool, and how many records of it go."""

    path: Path
    records: int


@contextmanager
def spool_alone(folder: Path) -> Iterator[None]:
    """The spool while nobody writes or forwards it.

    Raises:
        ValueError: there is no such folder, or somebody does.
    """
    if not folder.is_dir():
        raise ValueError(f"spool={str(folder)!r}: there is no such folder; correct the path")
    writers = {s.writer for name in os.listdir(folder) if (s := segment_of(name)) is not None}
    locks = {path.stem for path in folder.glob("*.lock") if not path.name.startswith(".")}
    for writer in sorted(writers | locks):
        if is_held(lock_path(folder, writer)):
            raise ValueError(
                f"spool={str(folder)!r}: {writer} writes there; stop the collector or the product, and start this again"
            )
    fd = os.open(folder / FORWARDER_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"spool={str(folder)!r}: launchpad forward is at work there; stop it, and start this again"
            ) from None
        yield
    finally:
        os.close(fd)


def find_records(folder: Path, ids: frozenset[str]) -> list[FoundRecords]:
    """The segments, and what was put aside as damaged, with records of the person, sent or not."""
    found = []
    for path in sorted(folder.iterdir()):
        is_draft = path.name.endswith(DRAFT)
        if (segment_of(path.name.removesuffix(DAMAGED_SUFFIX).removesuffix(DRAFT)) is None) or not path.is_file():
            continue
        with path.open("rb") as file:
            records = sum(_is_of(line, ids) for line in file)
        if records or is_draft:
            found.append(FoundRecords(path, records))
    return found


def erase_records(found: list[FoundRecords], ids: frozenset[str]) -> None:
    """Writes each file anew beside itself and puts it in its place; times of the file stay.

    Raises:
        OSError: the disk is full or cannot be written; the same again ends it.
    """
    for path, _ in found:
        if path.name.endswith(DRAFT):  # of one that was killed
            path.unlink(missing_ok=True)
            continue
        draft, before = path.with_name(f"{path.name}{DRAFT}"), path.stat()
        with path.open("rb") as source, draft.open("wb") as target:
            os.fchmod(target.fileno(), before.st_mode & 0o777)
            for line in source:
                target.write(_blank(line) if _is_of(line, ids) else line)
            target.flush()
            os.fsync(target.fileno())
        os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(draft, path)


def _blank(line: bytes) -> bytes:
    return b" " * (len(line) - 1) + b"\n" if line.endswith(b"\n") else b" " * len(line)


def _is_of(line: bytes, ids: frozenset[str]) -> bool:
    """By the event's `user_id`; a record that is damaged or torn by any word of it."""
    text = line.rstrip(b"\n")
    record = opened(text)
    if record is None:
        record = text
    if not record.strip():
        return False
    try:
        user = read_object(record).get("user_id")
    except NotAnObjectError:
        return mentions_person(record.decode("utf-8", "replace"), ids)
    return user is not None and str(user).strip(SPACES) in ids
