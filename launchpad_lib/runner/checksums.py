"""Checksums of a run's files: taken when it is published, and held against the folder afterwards."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.manifest import FileWritten
from launchpad_lib.runner.kept_runs import MANIFEST, manifest_of


class Verified(NamedTuple):
    """A run's folder against its manifest: paths relative to the folder, each in order."""

    files: int
    """How many the manifest lists."""
    changed: tuple[str, ...]
    """Other content, or no regular file any more."""
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def is_as_written(self) -> bool:
        """Whether nothing is changed, missing or added."""
        return not (self.changed or self.missing or self.added)


def checksums(folder: Path) -> tuple[FileWritten, ...]:
    """Every file under a run's folder but its manifest, by path.

    Raises:
        OSError: a file or folder cannot be read.
    """
    return tuple(
        FileWritten(path=path, sha256=_sha256(folder / path), size=(folder / path).stat().st_size)
        for path in _paths(folder)
    )


def verify(folder: Path) -> Verified:
    """Holds a run's folder against the checksums of its manifest. Nothing outside of the folder is read.

    Raises:
        ValueError: no run's folder, or a manifest that cannot be read or has no checksums (an older run).
        OSError: a file or folder cannot be read.
    """
    manifest = manifest_of(folder)
    if manifest.files is None:
        raise ValueError(
            f"run={str(folder)!r}: its {MANIFEST} has no checksums, as it was made before runs had them; make the run "
            "again where it must be verified"
        )
    listed = {file.path: file for file in manifest.files}
    found = set(_paths(folder))
    return Verified(
        len(listed),
        changed=tuple(p for p in sorted(found & set(listed)) if not _is_as_written(folder / p, listed[p])),
        missing=tuple(sorted(set(listed) - found)),
        added=tuple(sorted(found - set(listed))),
    )


def _paths(folder: Path) -> list[str]:
    """What is no folder, under a folder: links are named, not followed."""

    def unreadable(error: OSError) -> None:
        raise error

    found = []
    for place, folders, files in os.walk(folder, onerror=unreadable):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name).relative_to(folder).as_posix() for name in files + links]
    return sorted(path for path in found if path != MANIFEST)


def _is_as_written(path: Path, written: FileWritten) -> bool:
    now = path.lstat()
    # A link or a pipe in a file's place may lead anywhere, or never end.
    return stat.S_ISREG(now.st_mode) and now.st_size == written.size and _sha256(path) == written.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
