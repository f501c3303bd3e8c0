"""What one connection may cost: the server's protocol with limits on the head of a request, on the time until it is
whole, and on the connections of one client and of all together.

Uvicorn with httptools has none of these. Who is turned away gets one sentence, and where coming again helps
`Retry-After`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from launchpad_lib.collector.monitor import Monitor

MAX_HEAD_BYTES = 16_384
HEAD_SECONDS = 10.0
MAX_CONNECTIONS = 2_000
MAX_CONNECTIONS_OF_A_CLIENT = 500
RETRY_SECONDS = 5


def guarded(
    monitor: Monitor, *, max_connections: int = MAX_CONNECTIONS, trusted_proxies: tuple[str, ...] = ()
) -> type[HttpToolsProtocol]:
    """A protocol class for uvicorn; a named proxy speaks for many clients, so only the total binds it."""
    of_clients: Counter[str] = Counter()

    class Guarded(HttpToolsProtocol):
        """One connection."""

        _is_turned_away = False
        _is_in_head = True
        _head_bytes = _said_bytes = _messages = 0
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._client_name = self.client[0] if self.client else ""
            of_clients[self._client_name] += 1
            is_proxy = self._client_name in trusted_proxies
            if len(self.connections) > max_connections:
                self._turn_away(503, "connections", "too many connections are open; come again later")
            elif of_clients[self._client_name] > MAX_CONNECTIONS_OF_A_CLIENT and not is_proxy:
                self._turn_away(503, "connections", "this client has too many connections open; use fewer")
            else:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._is_late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_deadline()
            of_clients[self._client_name] -= 1
            if of_clients[self._client_name] <= 0:
                del of_clients[self._client_name]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._is_turned_away:
                return
            was_in_head, messages = self._is_in_head, self._messages
            if was_in_head and self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._is_late)
            super().data_received(data)
            # A header without an end is told to nobody: only what came in tells of it.
            is_all_head = was_in_head and self._is_in_head and messages == self._messages
            self._head_bytes = self._head_bytes + len(data) if is_all_head else 0
            if self._head_bytes > MAX_HEAD_BYTES and not self._is_turned_away:
                self._head_is_large()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._is_in_head, self._said_bytes = True, 0

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            self._said(len(url))

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._said(len(name) + len(value) + 4)  # colon, space, line end

        def on_headers_complete(self) -> None:
            self._is_in_head = False
            self._end_deadline()
            if not self._is_turned_away:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._is_turned_away:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._is_in_head, self._messages = True, self._messages + 1
            if not self._is_turned_away:
                super().on_message_complete()

        def _said(self, size_bytes: int) -> None:
            self._said_bytes += size_bytes
            if self._said_bytes > MAX_HEAD_BYTES and not self._is_turned_away:
                self._head_is_large()

        def _head_is_large(self) -> None:
            self._turn_away(431, "head", f"address and headers have more than {MAX_HEAD_BYTES:,} bytes; send fewer")

        def _is_late(self) -> None:
            self._deadline = None
            if self._messages or self.transport.is_closing():
                self.transport.close()  # between requests nobody waits for an answer
            else:
                self._turn_away(408, "slow", f"no whole request within {HEAD_SECONDS:.0f} seconds; send it at once")

        def _end_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _turn_away(self, status: int, why: str, reason: str) -> None:
            self._is_turned_away = True
            self._end_deadline()
            monitor.turned_away[why].inc()
            body = msgspec.json.encode({"error": reason})
            again = f"retry-after: {RETRY_SECONDS}\r\n" if status == 503 else ""
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n{again}"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

    return Guarded
