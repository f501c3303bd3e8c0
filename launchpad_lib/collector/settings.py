"""What a collector is told at its start, and the server that runs it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any, NamedTuple

from launchpad_lib.contract.tables import SPOOL_SEGMENT_BYTES

WRITE_KEYS_VARIABLE = "LAUNCHPAD_WRITE_KEYS"


class CollectorError(ValueError):
    """A setting of the collector or the forwarder is wrong."""


class Settings(NamedTuple):
    """Settings of one collector process. Sizes in bytes, rates in events a second.

    `write_keys` empty means that anybody may write; `allowed_origins` are the web origins besides the collector's own that may send.
    """

    spool: Path
    write_keys: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    rate_per_second: float = 0.0
    burst_events: float = 0.0
    max_body_bytes: int = 1024 * 1024
    max_event_bytes: int = 64 * 1024
    max_events: int = 5000
    segment_bytes: int = SPOOL_SEGMENT_BYTES
    recent_ids: int = 200_000

    def checked(self) -> Settings:
        """These settings, when they make sense.

        Raises:
            CollectorError: one of them does not.
        """
        for name in ("max_body_bytes", "max_event_bytes", "max_events", "segment_bytes"):
            if getattr(self, name) < 1:
                raise CollectorError(f"{name}={getattr(self, name)}: must be at least 1; raise it")
        if self.rate_per_second < 0 or self.burst_events < 0:
            raise CollectorError(
                f"rate_per_second={self.rate_per_second:g}, burst_events={self.burst_events:g}: must not be negative; 0 means no limit"
            )
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise CollectorError(
                    f"allowed origin {origin!r}: must be scheme and host such as https://shop.example; name each one"
                )
        for key in self.write_keys:
            if len(key) < 16 or not key.isascii() or not key.isprintable():
                raise CollectorError(
                    "a write key has fewer than 16 printable ASCII characters; use a longer random one"
                )
        return self


def write_keys_from(file: Path | None) -> tuple[str, ...]:
    """Write keys: one a line of the file (# starts a comment line), else comma-separated in LAUNCHPAD_WRITE_KEYS. Never printed."""
    if file is not None:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        keys = tuple(line for line in lines if line and not line.startswith("#"))
        if not keys:
            raise CollectorError(f"{file}: holds no write key; put one on each line")
        return keys
    return tuple(key.strip() for key in os.environ.get(WRITE_KEYS_VARIABLE, "").split(",") if key.strip())


def serve(settings: Settings, *, host: str, port: int) -> int:
    """Runs a collector until SIGINT or SIGTERM; prints its address when it listens. Port 0 takes a free one."""
    import socket

    import uvicorn

    from launchpad_lib.collector.service import create_app

    if not 0 <= port <= 65535:
        raise CollectorError(f"port={port}: must be 0 to 65535; choose another")
    app = create_app(settings)
    try:
        settings.spool.mkdir(parents=True, exist_ok=True)
        (settings.spool / ".writable").touch()
        (settings.spool / ".writable").unlink()
    except OSError as error:
        raise CollectorError(
            f"spool={str(settings.spool)!r}: cannot be written ({error.strerror}); name a folder this process may write"
        ) from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CollectorError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from None
    listener.listen(1024)
    shown = f"[{host}]" if ":" in host else host
    print(f"launchpad collector: http://{shown}:{listener.getsockname()[1]}/ -> {settings.spool}", flush=True)
    try:
        import uvloop  # noqa: F401

        loop = "uvloop"
    except ImportError:
        loop = "asyncio"
    config = uvicorn.Config(
        _untroubled(app),
        loop=loop,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
        limit_concurrency=2000,
    )

    class Server(uvicorn.Server):
        """Stops at a signal without raising it once more afterwards: a collector that was told to end ended well."""

        def handle_exit(self, sig: int, frame: object) -> None:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    server = Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _untroubled(app: Any) -> Any:
    """The app, for which a client that hangs up before its answer is no error to be logged."""

    async def serve_one(scope: Any, receive: Any, send: Any) -> None:
        async def send_if_there(message: Any) -> None:
            try:
                await send(message)
            except (RuntimeError, OSError):
                return

        await app(scope, receive, send_if_there if scope["type"] == "http" else send)

    return serve_one
