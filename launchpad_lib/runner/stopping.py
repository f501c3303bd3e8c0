"""Stopping a run: its kernels end at once, so that nobody waits for a cell that nobody wants any more."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Any

STOP_WITHIN_SECONDS = 2.5


class Stopped(Exception):
    """The run was stopped before or while this notebook was executed."""


class Kernels:
    """The kernels of one run and the server that forks them; the threads that execute notebooks tell of theirs."""

    def __init__(self, server: subprocess.Popen | None) -> None:
        self._server = server
        self._lock = Lock()
        self._managers: set[Any] = set()
        self.is_stopped = False

    def begin(self, manager: Any) -> None:
        """Called before a kernel is started.

        Raises:
            Stopped: the run was stopped; start none.
        """
        with self._lock:
            if self.is_stopped:
                raise Stopped
            self._managers.add(manager)

    def started(self, manager: Any) -> None:
        """Called after a kernel was started.

        Raises:
            Stopped: the run was stopped meanwhile; the kernel is killed.
        """
        if self.is_stopped:
            _kill(manager)
            raise Stopped

    def end(self, manager: Any) -> None:
        """Called when it has ended."""
        with self._lock:
            self._managers.discard(manager)

    def stop(self, jobs: list[Future]) -> None:
        """Kills every kernel, also one that starts meanwhile, until the jobs have ended or the time is over."""
        with self._lock:
            self.is_stopped = True
        for job in jobs:
            job.cancel()
        if self._server is not None:
            self._server.kill()  # who waits for a fork of it waits no longer
        limit = time.monotonic() + STOP_WITHIN_SECONDS
        while not all(job.done() for job in jobs) and time.monotonic() < limit:
            with self._lock:
                managers = list(self._managers)
            for manager in managers:
                _kill(manager)
            time.sleep(0.05)


def _kill(manager: Any) -> None:
    process = getattr(getattr(manager, "provisioner", None), "process", None)
    if process is not None:
        with suppress(OSError):
            process.kill()
