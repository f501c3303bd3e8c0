"""The notebooks as apps: a real Voila, a real Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def app():
    if not (ROOT / "data" / "lake" / "simulated").is_dir():
        subprocess.run(
            [sys.executable, "-m", "launchpad_lib.cli.main", "ingest", "params/weekly.yaml"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "launchpad_lib.cli.main", "app", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=2).read()
            break
        except OSError:
            time.sleep(0.25)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(120)


def test_an_app_runs_its_notebook_and_shows_the_answer(browser, app):
    page = browser.new_page()
    page.goto(f"{app}/voila/render/experiments.ipynb", timeout=180_000)
    page.get_by_text("were first exposed").first.wait_for(timeout=180_000)
    assert page.get_by_role("heading", name="Experiments: did the variant win?").is_visible()
    page.close()
