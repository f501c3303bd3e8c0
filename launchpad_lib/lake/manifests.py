"""What an index holds for each version of a table: manifests that are whole or not there, and the files that they name.

The files are named by what is in them and shared by versions, so a version is one small manifest beside the others. A
manifest that is damaged, of another layout, or names a file that is not as it was written, does not count: what it
stood for is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from launchpad_lib.contract.private import file_mode, inner_folder
from launchpad_lib.contract.whole_files import write_whole

LAYOUT = 2
VERSIONS, LOCK, PINNED = "versions", ".lock", "pinned.json"
NOTED = ".read.json"  # of files whose content was read and found intact
KEPT_VERSIONS = 2


class Manifests:
    """The manifests of one table's index. Folder: `versions/<version>.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, version: int) -> dict[str, Any] | None:
        """The manifest of a version; None where there is none that counts."""
        return read_body(self._path(version))

    def newest_written(self) -> list[int]:
        """Versions that have a manifest, the one that was written last first."""
        found = []
        for path in (self.folder / VERSIONS).glob("*.json"):
            with suppress(OSError, ValueError):
                found.append((path.stat().st_mtime_ns, int(path.stem)))
        return [version for _, version in sorted(found, reverse=True)]

    def bodies(self) -> Iterator[dict[str, Any]]:
        """Every manifest that counts, the one that was written last first."""
        for version in self.newest_written():
            body = self.read(version)
            if body is not None:
                yield body

    def write(self, version: int, body: dict[str, Any]) -> None:
        """Puts the manifest of a version in its place."""
        inner_folder(self.folder / VERSIONS)
        write_body(self._path(version), body)

    def hold(self, version: int) -> IO[str] | None:
        """The manifest opened and held: as long as the file is open nobody forgets the files it names.

        None where there is no such manifest any more.
        """
        path = self._path(version)
        try:
            file = path.open(encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except OSError:
            return None
        file.close()
        return None

    def pin(self, versions: Iterable[int]) -> None:
        """Versions that nobody forgets until others are pinned, though no process holds them."""
        write_body(self.folder / PINNED, {"versions": sorted(set(versions))})

    def pinned(self) -> list[int]:
        """The versions that are pinned."""
        return (read_body(self.folder / PINNED) or {"versions": []})["versions"]

    def forget(self, *, keep: Iterable[int]) -> list[dict[str, Any]]:
        """Drops manifests beside `keep`, the last two written, the pinned and those that a reader holds; those that
        stay.

        To be called by the one builder.
        """
        stay = {*keep, *self.pinned(), *self.newest_written()[:KEPT_VERSIONS]}
        for version in self.newest_written():
            if version not in stay:
                _drop_unless_held(self._path(version))
        return list(self.bodies())

    def _path(self, version: int) -> Path:
        return self.folder / VERSIONS / f"{version:020d}.json"


def read_body(path: Path) -> dict[str, Any] | None:
    """What `write_body` wrote; None where it is absent, damaged or of another layout."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        body = found["body"] if found["layout"] == LAYOUT else None
        return body if isinstance(body, dict) and found["sha256"] == _sum(body) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_body(path: Path, body: dict[str, Any]) -> None:
    """A mapping with its checksum as one file, whole or not there."""
    write_whole(path, json.dumps({"layout": LAYOUT, "sha256": _sum(body), "body": body}, sort_keys=True))


def _sum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _drop_unless_held(path: Path) -> None:
    with suppress(OSError), path.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def described(path: Path, **more: Any) -> dict[str, Any]:
    """A file as it was written: its name, size, content and times, by which a later change of it is noticed."""
    with path.open("rb") as written:
        content = hashlib.file_digest(written, "sha256").hexdigest()
    held = path.stat()
    return {"file": path.name, "content_hash": content, "size": held.st_size, "stamp": _stamp(held), **more}


def is_intact(folder: Path, entry: dict[str, Any]) -> bool:
    """Whether a file is as it was written: by size and times; its content is read only where the times are others.

    A copy of a lake has other times: that its files were read and found intact is noted beside their folder, with
    their times, so that they are read once.
    """
    path = os.path.join(folder, entry["file"])  # asked of every file of an index: a Path costs five times as much
    try:
        held = os.stat(path)
        if held.st_size != entry["size"]:
            return False
        stamp = _stamp(held)
        if stamp == entry["stamp"] or _noted(folder).get(entry["file"]) == [entry["content_hash"], *stamp]:
            return True
        with open(path, "rb") as file:
            is_same = hashlib.file_digest(file, "sha256").hexdigest() == entry["content_hash"]
    except OSError:
        return False
    if is_same:
        with suppress(OSError):  # a lake that cannot be written is read again the next time
            write_body(_note(folder), {**_noted(folder), entry["file"]: [entry["content_hash"], *stamp]})
            _read_note.cache_clear()
    return is_same


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{NOTED}")


def _noted(folder: Path) -> dict[str, Any]:
    """Files of a folder whose content was read: name to content hash and times."""
    try:
        found = _note(folder).stat()
    except OSError:
        return {}
    return _read_note(_note(folder), found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=16)
def _read_note(path: Path, changed: int, number: int) -> dict[str, Any]:
    return read_body(path) or {}


def _stamp(held: os.stat_result) -> list[int]:
    return [held.st_mtime_ns, held.st_ctime_ns]


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """One builder at a time; a second one waits."""
    inner_folder(folder)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, file_mode(folder))
    with os.fdopen(handle, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
