"""`launchpad app` leaves no process behind, however it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from test_run import gone, notebook
from test_stopping import PROGRAM

from tests.live_app import address_of, message, opened_kernel, socket_of

# Every visit starts a kernel that writes the mark anew: whole, or a reader meets an empty file.
BUSY = (
    "import os, pathlib, time\npart = pathlib.Path({mark!r} + str(os.getpid()))\n"
    "part.write_text(str(os.getpid()))\npart.replace({mark!r})\ntime.sleep(120)"
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_an_app_ends_with_its_server_and_the_kernels_that_it_serves(tmp_path, how):
    """A visitor's kernel is at work when the signal comes; a killed process cannot clean up, and still nothing stays."""
    mark = tmp_path / "kernel"
    notebook(tmp_path / "notebooks", "funnels", BUSY.format(mark=str(mark)))
    scratch = Path(tempfile.mkdtemp(prefix="ends-"))  # a path of a socket is short
    app = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "app", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    try:
        asyncio.run(visited(address_of(app), mark))
        family = psutil.Process(app.pid).children(recursive=True)
        assert int(mark.read_text()) in [p.pid for p in family]
        app.send_signal(how)
        assert app.wait(120) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
        assert all(gone(p.pid) for p in family)
        left = sorted(path.name for path in scratch.iterdir())
        assert left == [] or how == signal.SIGKILL, "what a killed one leaves is swept by the next"
    finally:
        app.kill()
        app.stdout.close()
        shutil.rmtree(scratch)


async def visited(address: str, mark: Path) -> None:
    """A page is opened, and its kernel is at work."""
    socket = await socket_of(address, opened_kernel(address), Origin=address.rstrip("/"))
    data = {"name": "funnels", "query": ""}
    await socket.write_message(message("comm_open", {"comm_id": "c", "target_name": "launchpad", "data": data}))
    while not (mark.exists() and mark.read_text()):
        await asyncio.sleep(0.1)
