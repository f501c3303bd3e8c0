"""Receivers of messages on this machine: an HTTP server with an answer for each request, and a real SMTP server."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Http:
    """Answers as told, the last answer again and again, and keeps what came."""

    def __init__(self, *answers: int | tuple[int, dict[str, str]], tls: ssl.SSLContext | None = None) -> None:
        self.answers, self.came = list(answers) or [200], []
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                keeper.came.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                said = keeper.answers.pop(0) if len(keeper.answers) > 1 else keeper.answers[0]
                status, headers = said if isinstance(said, tuple) else (said, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.came]

    def __enter__(self) -> Http:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def hanging() -> Iterator[int]:
    """A port at which somebody takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def dripping(text: bytes) -> Iterator[int]:
    """A port at which somebody says one letter of a text at a time and never comes to its end."""
    is_over = threading.Event()

    def speak(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                while not is_over.wait(0.02):
                    connection.sendall(text)

    with socket.create_server(("127.0.0.1", 0)) as server:
        speaker = threading.Thread(target=speak, args=(server,), daemon=True)
        speaker.start()
        yield server.getsockname()[1]
        is_over.set()


class _AnyPort(Controller):
    """Knocks at the port that it was given."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Mails:
    """An SMTP server that keeps the mails it takes; the first `busy` of them it asks to come again."""

    def __init__(self, *, busy: int = 0, refuse: str = "", **more: Any) -> None:
        self.came: list[Any] = []
        self._busy, self._refuse = busy, refuse
        self._controller = _AnyPort(self, hostname="127.0.0.1", port=0, **more)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: ANN001, ANN201, N802
        if address == self._refuse:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: ANN001, ANN201, N802
        if self._busy:
            self._busy -= 1
            return "451 come again"
        self.came.append((envelope.mail_from, envelope.rcpt_tos, envelope.content, session.ssl is not None))
        return "250 OK"

    def __enter__(self) -> Mails:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        return self._controller.server.sockets[0].getsockname()[1]
