"""A real collector process for tests, and the reading of spools."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from launchpad_lib.spool.records import opened

ROOT = Path(__file__).resolve().parents[1]
CLIENT = httpx.Client(trust_env=False)
WRITE_KEYS = "LAUNCHPAD_WRITE_KEYS"


class Collector(NamedTuple):
    """A running `launchpad collect`."""

    url: str
    spool: Path
    process: subprocess.Popen

    def post(self, body: bytes | str | list | dict, **headers: str) -> httpx.Response:
        content = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        names = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return CLIENT.post(f"{self.url}/v1/events", content=content, headers=names, timeout=120)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(
    spool: Path,
    *options: str,
    port: int = 0,
    environment: dict[str, str] | None = None,
    max_file_bytes: int | None = None,
) -> Collector:
    command = [
        sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "collect",
        "--spool",
        str(spool),
        "--port",
        str(port),
        *options,
    ]
    env = {k: v for k, v in os.environ.items() if k != WRITE_KEYS} | {"PYTHONPATH": str(ROOT)} | (environment or {})
    limit = (
        None
        if max_file_bytes is None
        else (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes)))
    )
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, preexec_fn=limit)
    said = process.stdout.readline()
    if "http://" not in said:
        process.kill()
        raise RuntimeError(f"the collector did not start: {said}")
    url = said.split("http://")[1].split("/")[0]
    return Collector(f"http://{url}", spool, process)


def stop(collector: Collector) -> None:
    if collector.process.poll() is None:
        collector.process.send_signal(signal.SIGTERM)
    collector.process.wait(timeout=120)
    collector.process.stdout.close()


@contextmanager
def running(spool: Path, *options: str, **how: object) -> Iterator[Collector]:
    collector = start(spool, *options, **how)
    try:
        yield collector
    finally:
        stop(collector)


def read_spool(folder: Path) -> Iterator[dict]:
    """Every whole line of a spool, segment by segment; a torn last line is left out."""
    for segment in sorted(folder.glob("*.ndjson")):
        with segment.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield json.loads(opened(line[:-1]) or b"damaged")


def spooled(folder: Path) -> list[dict]:
    """The spool as a list."""
    return list(read_spool(folder))


def event(number: int = 0, **changes: object) -> dict:
    """A good event."""
    return {
        "event_id": f"e{number:06d}",
        "event_name": "page_viewed",
        "user_id": f"u{number % 7}",
        "event_at": "2026-01-31T09:30:00.123Z",
        "properties": {"page": "home"},
    } | changes
