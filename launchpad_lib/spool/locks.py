"""Locks of writers: held as long as the process lives, whatever ends it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: Path) -> int:
    """Makes the lock's file and locks it; gives the descriptor, whose closing lets go.

    Somebody who sweeps may take the new file for a dead one's in the instant before it is locked: then once more.
    """
    while True:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _is_there(path, fd):
            return fd
        os.close(fd)


def take_over(path: Path) -> int | None:
    """The lock of a dead writer as ours; None where its writer lives or the file is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    if _is_there(path, fd):
        return fd
    os.close(fd)
    return None


def is_held(path: Path) -> bool:
    """Whether a writer lives. Asked with a shared lock, which disturbs nobody who waits for his own file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_there(path: Path, fd: int) -> bool:
    """Whether the descriptor's file is still the one under that name."""
    try:
        return os.stat(path).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
