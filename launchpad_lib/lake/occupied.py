"""Who is at work in a lake: writers and builders of the index share it, an erasure has it alone.

The lock is on the lake's folder itself, so nothing lies about, and the system lets go of it whatever ends its holder.
Commits need no lock: they are compare and swap. What an erasure must not meet is rows that somebody holds in memory,
or has put aside, and commits or indexes after it has looked.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Share:
    """A share of a lake, held until it is closed or the process ends. Where a file system has no locks nobody has one.

    Raises:
        ValueError: an erasure is at work there.
    """

    def __init__(self, lake: Path) -> None:
        self._fd = _locked(lake, fcntl.LOCK_SH)
        if self._fd is None:
            raise ValueError(
                f"lake={str(lake)!r}: launchpad forget or retain is at work there; start this again when it has ended"
            )

    def close(self) -> None:
        """Lets go; twice does no harm."""
        fd, self._fd = self._fd, -1
        if fd is not None and fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@contextmanager
def shared(lake: Path) -> Iterator[None]:
    """A share of a lake for as long as the block runs.

    Raises:
        ValueError: an erasure is at work there.
    """
    share = Share(lake)
    try:
        yield
    finally:
        share.close()


@contextmanager
def alone(lake: Path) -> Iterator[None]:
    """The lake for nobody else.

    Raises:
        ValueError: somebody writes to it, or builds its index.
    """
    fd = _locked(lake, fcntl.LOCK_EX)
    if fd is None:
        raise ValueError(
            f"lake={str(lake)!r}: another process is writing there (ingest, stream, compact, a report that builds the "
            "index, or another erasure); stop it, or wait for its end, and start this again"
        )
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _locked(lake: Path, kind: int) -> int | None:
    """The descriptor of the locked folder; -1 where there are no locks, None where somebody else has it."""
    try:
        fd = os.open(lake, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        return -1
    return fd
