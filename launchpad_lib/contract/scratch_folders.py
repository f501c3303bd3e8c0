"""Folders of this process in the temporary folder, which end with it, or are swept by a later one where it was killed.

Each holds a file that its owner, and what was forked from it, keeps locked: the system lets go of it whatever ends
them. A folder without that file is not ours, and one whose file is locked is in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import weakref
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal

Use = Literal["spill", "sql", "kernels", "run", "frame"]
MARK = ".launchpad-owner"
PREFIXES: dict[Use, str] = {use: f"launchpad-{use}-" for use in ("spill", "sql", "kernels", "run", "frame")}


class ScratchFolder:
    """A private folder; it goes with this object, with this process, or with the next that makes one.

    Raises:
        OSError: no folder can be made.

    >>> with ScratchFolder("sql") as name:
    ...     os.path.isdir(name)
    True
    >>> os.path.exists(name)
    False
    """

    def __init__(self, use: Use) -> None:
        place = Path(tempfile.gettempdir())
        _sweep_once(place)
        self.name = tempfile.mkdtemp(prefix=PREFIXES[use], dir=place)
        self._remove = weakref.finalize(self, _end, Path(self.name), _mark(Path(self.name)), os.getpid())

    def cleanup(self) -> None:
        """Removes the folder with what is in it; twice does no harm."""
        self._remove()

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cleanup()


def sweep(place: Path) -> int:
    """Removes this user's scratch folders whose owner is gone; returns how many. Several may sweep at once."""
    swept = 0
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(tuple(PREFIXES.values())):
                swept += _swept(Path(entry.path))
    return swept


def sweep_all() -> int:
    """Removes what killed processes of this user left in the temporary folder; returns how many folders."""
    return sweep(Path(tempfile.gettempdir()))


@cache
def _sweep_once(place: Path) -> None:
    sweep(place)


def _mark(folder: Path) -> int | None:
    """The locked mark's descriptor; None where a file system has no locks, or is full: then nobody sweeps the folder.

    It gets its name when it is locked, so that nobody takes a living owner for a dead one.
    """
    unnamed = folder / f"{MARK}.new"
    try:
        handle = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / MARK)
    except OSError:
        os.close(handle)
        return None
    return handle


def _swept(folder: Path) -> bool:
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        handle = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # not ours, or another one swept it meanwhile
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _removed(folder)
    except OSError:
        return False  # in use
    finally:
        os.close(handle)


def _removed(folder: Path) -> bool:
    """Removes the mark last: what a killed sweeper leaves can still be swept."""
    with contextlib.suppress(OSError):
        for entry in [e for e in folder.iterdir() if e.name != MARK]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        (folder / MARK).unlink(missing_ok=True)
        folder.rmdir()
        return True
    return False


def _end(folder: Path, handle: int | None, owner: int) -> None:
    if os.getpid() == owner:  # a forked process ends without taking the folder from the others
        _removed(folder)
    if handle is not None:
        os.close(handle)
