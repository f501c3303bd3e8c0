"""A live app in a process of its own, and a page's side of its socket."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

LONG = 300


@contextmanager
def live_app(*arguments: str, cwd: Path) -> Iterator[str]:
    """Its address as it printed it, at a port that the system chose."""
    command = [sys.executable, "-m", "launchpad_lib.cli.main", "app", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True)
    try:
        yield address_of(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LONG)
        process.stdout.close()


def address_of(process: subprocess.Popen) -> str:
    """The address that an app prints when it listens."""
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    return found[0]


def opened_kernel(address: str) -> str:
    """A kernel as a page of the app asks for it."""
    asked = urllib.request.Request(f"{address}kernels", method="POST", headers={"Origin": address.rstrip("/")})
    with urllib.request.urlopen(asked, timeout=LONG) as reply:
        return json.load(reply)["kernel"]


async def socket_of(address: str, kernel: str, **headers: str) -> Any:
    """The socket of a kernel."""
    there = f"{address.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?session_id=test"
    return await websocket_connect(HTTPRequest(there, headers=headers, request_timeout=LONG, connect_timeout=LONG))


def message(kind: str, content: dict) -> str:
    """A message as a page sends it."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "test", "username": "page", "version": "5.3"}
    header["date"] = "2026-01-01T00:00:00Z"
    return json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content})


async def said(socket: Any, kind: str) -> dict:
    """What the comm says next of that kind."""
    while True:
        heard = json.loads(await asyncio.wait_for(socket.read_message(), LONG))
        data = heard["content"].get("data") or {}
        if heard["msg_type"] == "comm_msg" and data.get("kind") in (kind, "fault"):
            return data
