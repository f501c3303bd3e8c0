"""Small versions of the chaos runs: acknowledged events against the lake, malformed ones against the refused, both by ledger."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launchpad_lib.lake import delta_log
from tests.streaming.test_spool_to_lake import drain, event, ids, rejects


def chaos(*arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.chaos.chaos", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_twenty_kills_of_the_worker_lose_and_double_nothing():
    verdict = chaos("--source", "spool", "--events", "20000", "--kills", "20", "--rate", "2500")
    assert (verdict["acknowledged"], verdict["in_lake"], verdict["lost"], verdict["doubled"], verdict["kills"]) == (
        20000,
        20000,
        0,
        0,
        20,
    )
    assert verdict["malformed"] == verdict["refused"] > 50


def test_kills_over_a_real_broker_and_of_one_of_two_workers_lose_and_double_nothing(broker):
    verdict = chaos("--source", "kafka", "--events", "4000", "--kills", "5", "--rate", "2000", "--workers", "2")
    assert (verdict["in_lake"], verdict["lost"], verdict["doubled"]) == (4000, 0, 0)
    assert verdict["malformed"] == verdict["refused"]


def test_a_disk_that_takes_nothing_for_a_while_is_waited_for(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text(event(0))
    drain(spool, lake)
    log = open(tmp_path / "log", "w")
    worker = subprocess.Popen([sys.executable, "-m", "launchpad_lib.cli.main", "stream", "--from", f"spool:{spool}", "--lake", str(lake)], stdout=log, stderr=log,
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, cwd=tmp_path)  # fmt: skip
    try:
        _wait(lambda: "streaming spool" in (tmp_path / "log").read_text())
        # Every write of the worker fails from now on, as on a full disk (EFBIG instead of ENOSPC, so that no mount is needed).
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with open(spool / "w-000000000000.ndjson", "a") as file:
            file.write(event(1) + "{}\n")
        time.sleep(1.0)
        assert ids(lake) == ["e0"]
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        _wait(lambda: ids(lake) == ["e0", "e1"])
    finally:
        worker.terminate()
        assert worker.wait(120) == 0
        log.close()
    assert len(rejects(lake)) == 1


def _wait(is_done, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_done():
        threading.Event().wait(0.05)
    assert is_done()


@pytest.mark.parametrize("jump_seconds", [-86_400 * 400, 86_400 * 400])
def test_a_clock_that_jumps_moves_no_offset(tmp_path, monkeypatch, jump_seconds):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    segment = spool / "w-000000000000.ndjson"
    segment.write_text(event(1))
    drain(spool, lake)
    real = time.time
    monkeypatch.setattr(delta_log.time, "time", lambda: real() + jump_seconds)
    with open(segment, "a") as file:
        file.write(event(2) + event(1) + "{}\n")
    drain(spool, lake)
    monkeypatch.undo()
    with open(segment, "a") as file:
        file.write(event(3))
    drain(spool, lake)
    assert ids(lake) == ["e1", "e2", "e3"]
    assert len(rejects(lake)) == 1
