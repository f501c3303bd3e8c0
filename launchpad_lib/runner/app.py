"""The notebooks as live apps: Voila on loopback, its kernels forked with the imports done; nothing of it outlives this
process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launchpad_lib.runner.forked_kernels import kernel_server

END_SECONDS = 3


class _Terminated(Exception):
    """SIGTERM."""


def serve_app(notebooks: Path, *, port: int) -> int:
    """Serves every notebook of the folder until it is stopped; returns Voila's exit status, 0 when it was stopped.

    Raises:
        ValueError: there is no notebook.
    """
    if not any(notebooks.glob("*.ipynb")):
        raise ValueError(f"notebooks={str(notebooks)!r}: holds no .ipynb file; give the folder of the notebooks")
    options = [
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
        "--VoilaConfiguration.show_tracebacks=True",
        "--MappingKernelManager.cull_idle_timeout=600",
    ]
    with kernel_server():
        try:
            with _sigterm_raised(), _voila([str(notebooks), *options]) as voila:
                return voila.wait()
        except (KeyboardInterrupt, _Terminated):
            return 0


@contextmanager
def _voila(arguments: list[str]) -> Iterator[subprocess.Popen]:
    """Voila in a session of its own, so that Ctrl-C comes to us alone; it ends with this block, and with
    this process.
    """
    lifeline, ours = os.pipe()
    try:
        voila = subprocess.Popen(
            [sys.executable, "-m", __name__, str(lifeline), *arguments], pass_fds=[lifeline], start_new_session=True
        )
    finally:
        os.close(lifeline)
    try:
        yield voila
    finally:
        voila.terminate()
        try:
            voila.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            voila.kill()
            voila.wait()
        os.close(ours)


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    """SIGTERM as an exception, so that what was started is ended; by default Python would simply be gone."""

    def raise_it(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, raise_it)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_voila(lifeline: int, arguments: list[str]) -> None:
    """The other process: Voila, until the lifeline ends, which it does however its parent ends."""
    from voila.app import main

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
    sys.argv = ["voila", *arguments]
    main()


if __name__ == "__main__":
    _run_voila(int(sys.argv[1]), sys.argv[2:])
