"""The notebooks as live pages: a server whose kernels are forked with the imports done, and end with this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launchpad_lib.app.gate import LOOPBACK
from launchpad_lib.contract.scratch_folders import ScratchFolder
from launchpad_lib.runner.forked_kernels import kernel_server
from launchpad_lib.runner.parameters import load_run

END_SECONDS = 5
MOST_KERNELS, WARM_KERNELS = 8, 1


class _Terminated(Exception):
    """SIGTERM."""


def serve_app(
    notebooks: Path,
    *,
    port: int,
    ip: str = "127.0.0.1",
    params: Path | None = None,
    reports: Path | None = None,
    hosts: Sequence[str] = (),
    has_token: bool = False,
    most_kernels: int = MOST_KERNELS,
    warm_kernels: int = WARM_KERNELS,
) -> int:
    """Serves every notebook of the folder until it is stopped; the server's exit status, 0 when it was stopped.

    Args:
        params: whose lake and parameters the pages have; without it those of the notebooks' own cells.
        reports: where the runs are whose newest is the landing page.
        hosts: further names by which the app is asked for.
        has_token: also on loopback, where there is none otherwise.
        most_kernels: pages that are open at once.
        warm_kernels: kernels that wait for the next pages.

    Raises:
        ValueError: there is no notebook, or the params file cannot be used.
    """
    if not any(notebooks.glob("*.ipynb")):
        raise ValueError(f"notebooks={str(notebooks)!r}: holds no .ipynb file; give the folder of the notebooks")
    run = load_run(params) if params else None
    with kernel_server("launchpad_lib.app.session"), ScratchFolder("run") as scratch:
        serving = {
            "notebooks": str(notebooks.resolve()),
            "params": str(params.resolve()) if params else None,
            "reports": str((reports or notebooks.parent / (run.reports if run else "reports")).resolve()),
            "run_name": run.name if run else None,
            "ip": ip,
            "port": port,
            "hosts": list(hosts),
            "has_token": has_token or ip not in LOOPBACK,
            "most_kernels": most_kernels,
            "warm_kernels": warm_kernels,
            "scratch": scratch,
        }
        try:
            with _sigterm_raised(), _server(json.dumps(serving)) as server:
                return server.wait()
        except (KeyboardInterrupt, _Terminated):
            return 0


@contextmanager
def _server(serving: str) -> Iterator[subprocess.Popen]:
    """The server in a session of its own, so that Ctrl-C comes to us alone; it ends with this block, and with
    this process.
    """
    lifeline, ours = os.pipe()
    try:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(lifeline), serving], pass_fds=[lifeline], start_new_session=True
        )
    finally:
        os.close(lifeline)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
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


def _run_server(lifeline: int, serving: str) -> None:
    """The other process: the server, until the lifeline ends, which it does however its parent ends."""
    from launchpad_lib.app.server import main

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
    main(serving)


if __name__ == "__main__":
    _run_server(int(sys.argv[1]), sys.argv[2])
