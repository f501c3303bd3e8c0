"""How a batch leaves the process: to a collector over HTTP, or to Kafka.

A transport is used by one thread at a time.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.kafka.settings import producer

WRITE_KEY_VARIABLE = "LAUNCHPAD_WRITE_KEY"
MAX_RETRY_AFTER_SECONDS = 3600.0


class Outcome(NamedTuple):
    """What became of a batch.

    `settled`: delivered, but for the `refused` ones (index and reason). `split`: too much or not readable as a whole,
    try in halves. `retry`: not delivered, and not before `retry_after_seconds` where that is given.
    """

    kind: Literal["settled", "split", "retry"]
    refused: tuple[tuple[int, str], ...] = ()
    reason: str = ""
    retry_after_seconds: float | None = None


class Transport(Protocol):
    """Sends lines (one event as JSON each); never raises for what the network does."""

    def send(self, lines: list[bytes]) -> Outcome: ...

    def close(self) -> None: ...


class CollectorTransport:
    """HTTP to `launchpad collect` at `url`.

    The write key comes from the argument or LAUNCHPAD_WRITE_KEY and is never shown.
    """

    def __init__(
        self,
        url: str,
        *,
        write_key: str | None = None,
        timeout_seconds: float = 10.0,
        encoding: Literal["gzip", "identity"] = "gzip",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url={url!r}: must be http(s)://host[:port]; mend it")
        self._parts = parts
        self._path = parts.path.rstrip("/") + "/v1/events"
        self._timeout_seconds = timeout_seconds
        self._encoding = encoding
        key = write_key or os.environ.get(WRITE_KEY_VARIABLE)
        self._headers = {"content-type": "application/json", "user-agent": "launchpad-tracking"} | (
            {"authorization": f"Bearer {key}"} if key else {}
        )
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"CollectorTransport({self._parts.scheme}://{self._parts.hostname})"

    def send(self, lines: list[bytes]) -> Outcome:
        """One request.

        Only a 202 with the collector's own answer counts as delivered: a captive portal's 200 does not.
        """
        body, headers = b"[" + b",".join(lines) + b"]", self._headers
        if self._encoding == "gzip" and len(body) > 1024:
            body, headers = gzip.compress(body, 1), headers | {"content-encoding": "gzip"}
        for is_last in (False, True):
            is_reused = self._connection is not None
            try:
                status, retry_after, answer = self._exchange(body, headers)
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept-alive connection may have been closed by the other side meanwhile: once more on a new one.
                if is_last or not is_reused:
                    return Outcome("retry", reason=f"{type(error).__name__}: {error}")
        return self._judge(status, retry_after, answer)

    def close(self) -> None:
        """Closes the connection; the next send opens one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None, bytes]:
        if self._connection is None:
            host, port = self._parts.hostname or "", self._parts.port  # the constructor refuses a URL without one
            if self._parts.scheme == "https":
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=self._timeout_seconds, context=ssl.create_default_context()
                )
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        self._connection.request("POST", self._path, body=body, headers=headers)
        response = self._connection.getresponse()
        answer = response.read(4 * 1024 * 1024)
        if response.will_close or not response.isclosed():
            self.close()
        return response.status, response.headers.get("retry-after"), answer

    def _judge(self, status: int, retry_after: str | None, answer: bytes) -> Outcome:
        if status == 202:
            try:
                said = json.loads(answer)
                refused = tuple((int(r["index"]), str(r["reason"])) for r in said["refused"])
                int(said["accepted"])
                return Outcome("settled", refused)
            except (ValueError, KeyError, TypeError):
                return Outcome("retry", reason="the answer is not a collector's")
        if status in (400, 413, 415, 422):
            return Outcome("split", reason=f"HTTP {status}: {_said(answer)}")
        return Outcome("retry", reason=f"HTTP {status}: {_said(answer)}", retry_after_seconds=_seconds(retry_after))


def _said(answer: bytes) -> str:
    try:
        said = json.loads(answer)
        return str(said.get("error") or said["refused"][0]["reason"])[:200]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "no reason given"


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds from now: a number, or an HTTP date."""
    if retry_after is None:
        return None
    try:
        seconds = (
            float(retry_after)
            if retry_after.strip().isdigit()
            else parsedate_to_datetime(retry_after).timestamp() - time.time()
        )
    except (ValueError, TypeError, IndexError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


class _Keyed(msgspec.Struct):
    user_id: str


_keyed = msgspec.json.Decoder(_Keyed)


class KafkaTransport:
    """Kafka by kafka-python, imported when first used: one record per event, keyed by user_id, or one envelope per user
    of a batch.

    `settings` are further kafka-python producer settings (TLS, SASL).
    """

    def __init__(
        self,
        servers: str | list[str],
        topic: str,
        *,
        form: Literal["single", "envelope"] = "envelope",
        timeout_seconds: float = 30.0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._servers = servers
        self._topic = topic
        self._form = form
        self._timeout_seconds = timeout_seconds
        self._settings = dict(settings or {})
        self._producer: Any = None

    def __repr__(self) -> str:
        return f"KafkaTransport({self._topic})"

    def send(self, lines: list[bytes]) -> Outcome:
        """Sends and waits for the acknowledgement of every replica in sync."""
        from kafka.errors import KafkaError, MessageSizeTooLargeError

        groups: dict[str, list[bytes]] = {}
        for line in lines:
            groups.setdefault(_keyed.decode(line).user_id, []).append(line)
        try:
            if self._producer is None:
                self._producer = producer(self._servers, settings=self._settings, bootstrap_timeout_ms=5000)
            futures = []
            for user, held in groups.items():
                key = user.encode()
                if self._form == "envelope" and len(held) > 1:
                    futures.append(
                        self._producer.send(
                            self._topic, key=key, value=b"\n".join(held), headers=[("content-type", NDJSON.encode())]
                        )
                    )
                else:
                    futures += [self._producer.send(self._topic, key=key, value=line) for line in held]
            self._producer.flush(timeout=self._timeout_seconds)
            for future in futures:
                future.get(timeout=self._timeout_seconds)
        except MessageSizeTooLargeError as error:
            return Outcome("split", reason=f"{type(error).__name__}")
        except KafkaError as error:
            self.close()
            return Outcome("retry", reason=f"Kafka did not confirm ({type(error).__name__})")
        return Outcome("settled")

    def close(self) -> None:
        """Closes the producer; the next send opens one."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None

    def forked(self) -> None:
        """In a forked child: kafka-python is not fork-safe, so the parent's producer is neither used nor closed here,
        only kept from being collected.
        """
        self._parents = self._producer
        self._producer = None
