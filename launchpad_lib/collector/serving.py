"""The server that runs a collector."""

from __future__ import annotations

import signal
from typing import Any

from launchpad_lib.collector.connections import MAX_CONNECTIONS, guarded
from launchpad_lib.collector.service import create_app
from launchpad_lib.collector.settings import CollectorError, Settings
from launchpad_lib.contract.private import private_folder

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")


def serve(settings: Settings, *, host: str, port: int) -> int:
    """Runs a collector until SIGINT or SIGTERM; prints its address when it listens. Port 0 takes a free one."""
    import socket

    import uvicorn

    if not 0 <= port <= 65535:
        raise CollectorError(f"port={port}: must be 0 to 65535; choose another")
    if not settings.allowed_hosts and host in LOOPBACK:
        settings = settings._replace(allowed_hosts=LOOPBACK)
    elif settings.allowed_hosts:
        settings = settings._replace(allowed_hosts=(*settings.allowed_hosts, *LOOPBACK))
    app = create_app(settings)
    try:
        private_folder(settings.spool)
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
        http=guarded(app.monitor, max_connections=_open_files() - 100, trusted_proxies=settings.trusted_proxies),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )

    class Server(uvicorn.Server):
        """Stops at a signal without raising it once more afterwards: a collector that was told to end ended well."""

        def handle_exit(self, sig: int, frame: object) -> None:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    server = Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _open_files() -> int:
    """How many files this process may have open, raised as far as it may and is needed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + 100
    if soft < wanted:
        soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(soft, wanted)


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
