"""`launchpad app` leaves no process behind, however it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from test_run import gone, notebook
from test_stopping import PROGRAM, bare_process, until

# Every visit starts a kernel that writes the mark anew: whole, or a reader meets an empty file.
BUSY = (
    "import os, pathlib, time\npart = pathlib.Path({mark!r} + str(os.getpid()))\n"
    "part.write_text(str(os.getpid()))\npart.replace({mark!r})\ntime.sleep(120)"
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_an_app_ends_with_voila_and_the_kernels_that_it_serves(tmp_path, how):
    """A visitor's kernel is at work when the signal comes; a killed process cannot clean up, and still nothing stays."""
    mark = tmp_path / "kernel"
    notebook(tmp_path / "notebooks", "funnels", BUSY.format(mark=str(mark)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "app", "--port", str(port)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )  # fmt: skip
    try:
        visit(f"http://127.0.0.1:{port}/voila/render/funnels.ipynb", until_written=mark)
        family = psutil.Process(app.pid).children(recursive=True)
        assert int(mark.read_text()) in [p.pid for p in family]
        started = time.monotonic()
        app.send_signal(how)
        assert app.wait(120) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
        assert all(gone(p.pid) for p in family)
        assert time.monotonic() - started < max(8, 160 * bare_process())
    finally:
        app.kill()
        app.stderr.close()


def visit(address: str, *, until_written: Path) -> None:
    """Asks for the page until a kernel works at it; the page itself is not waited for."""

    def is_at_work() -> bool:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        return until_written.exists() and bool(until_written.read_text())

    until(is_at_work, seconds=240)
