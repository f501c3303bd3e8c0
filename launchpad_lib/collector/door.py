"""The hot route of the collector: who may send, what of it is kept, and the answer."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from launchpad_lib.collector.admission import Admission, TooManyEventsError, admit, lines_of
from launchpad_lib.collector.body import BodyEncodingError, BodyTooLargeError, read_body
from launchpad_lib.collector.limits import RateLimit, RecentIds, WriteKeys
from launchpad_lib.collector.monitor import Monitor
from launchpad_lib.collector.settings import Settings
from launchpad_lib.collector.spool import SpoolUnavailableError, SpoolWriter
from launchpad_lib.contract.tables import NDJSON

_PORT = re.compile(rb":\d*$")


class Door:
    """The hot route: reads, judges, keeps, answers."""

    def __init__(self, settings: Settings, monitor: Monitor, spool: SpoolWriter) -> None:
        self._settings = settings
        self._monitor = monitor
        self._spool = spool
        self._keys = WriteKeys(settings.write_keys)
        self._rate = RateLimit(settings.rate_per_second, settings.burst_events)
        self._recent = RecentIds(settings.recent_ids)
        self._writing: set[str] = set()
        self._hosts = {host.lower().encode() for host in settings.allowed_hosts}
        self._origins = {origin.encode() for origin in settings.allowed_origins}

    def remember(self, ids: list[str]) -> None:
        """Events that are kept already."""
        for start in range(0, len(ids), 1000):
            self._recent.add(ids[start : start + 1000])

    def is_addressed(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether the request names this collector: a page elsewhere can make a browser send here under a name of its
        own (DNS rebinding).
        """
        if not self._hosts:
            return True
        host = next((value for name, value in headers if name == b"host"), b"").lower()
        return (host if host.endswith(b"]") else _PORT.sub(b"", host)) in self._hosts

    def misdirected(self) -> Response:
        return self._refuse(
            421, "misdirected", "this host is not served here; start the collector with --allow-host for it"
        )

    def turned_away(self, headers: dict[bytes, bytes], query: bytes) -> Response | None:
        """The refusal of who may not write here: another web origin, or no write key; None for who may."""
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins and origin.rpartition(b"://")[2] != headers.get(b"host"):
            return self._refuse(
                403,
                "forbidden_origin",
                "this origin may not send events; start the collector with --allow-origin for it",
            )
        if self._keys and not self._keys.admits(self._key(headers, query)):
            return self._refuse(
                401, "unauthorised", "the write key is missing or wrong; send it as `Authorization: Bearer ...`"
            )
        return None

    def wait_seconds(self, request: Request, headers: dict[bytes, bytes], events: int) -> int:
        """How long this key or client has to wait before it may send so many; 0 where it may now."""
        client = request.scope.get("client")
        name = self._key(headers, request.scope["query_string"]) if self._keys else client and client[0]
        return self._rate.wait_seconds(name, events)

    async def take(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        turned_away = self.turned_away(headers, request.scope["query_string"])
        if turned_away is not None:
            return turned_away
        try:
            body = await read_body(request, headers, limit_bytes=self._settings.max_body_bytes)
        except BodyTooLargeError as error:
            return self._refuse(413, "too_large", str(error))
        except BodyEncodingError as error:
            return self._refuse(415, "refused", str(error))
        except ClientDisconnect:
            return Response(status_code=408, headers={"connection": "close"})
        started = time.perf_counter()
        try:
            admission = admit(
                body,
                is_lines=headers.get(b"content-type", b"").startswith(NDJSON.encode()),
                received_at=datetime.now(UTC),
                max_events=self._settings.max_events,
            )
        except TooManyEventsError as error:
            return self._refuse(413, "too_large", str(error))
        if admission.is_unreadable:
            self._monitor.requests["refused"].inc()
            return _answer(400, admission, kept=0, duplicates=0)
        wait = self.wait_seconds(request, headers, max(1, len(admission.events)))
        if wait:
            return self._refuse(429, "rate_limited", f"too many events; come again in {wait} s", retry_after=wait)
        response = await self._keep(admission)
        self._monitor.request_seconds.observe(time.perf_counter() - started)
        return response

    async def _keep(self, admission: Admission) -> Response:
        ids = [event.event_id for event in admission.events]
        while not self._writing.isdisjoint(ids):
            # The same event in two requests at once (a beacon beside a fetch): the second waits for the first one's
            # fate.
            await asyncio.sleep(0.002)
        fresh = admission.events
        if self._recent.has_any(ids) or len(set(ids)) < len(ids):
            fresh = list(
                {e.event_id: e for e in reversed(admission.events) if e.event_id not in self._recent}.values()
            )[::-1]
        if fresh:
            self._writing.update(ids)
            try:
                await self._spool.append(lines_of(fresh))
            except SpoolUnavailableError as error:
                return self._refuse(
                    503, "unavailable", f"the events were not kept ({error}); send them again", retry_after=5
                )
            finally:
                self._writing.difference_update(ids)
            # Only what is durable counts as seen.
            self._recent.add(ids)
            self._monitor.last_event_at.set(time.time())
        duplicates = len(ids) - len(fresh)
        self._monitor.accepted.inc(len(fresh))
        if duplicates:
            self._monitor.duplicates.inc(duplicates)
        if not admission.refused:
            self._monitor.requests["accepted"].inc()
        else:
            self._monitor.requests["partial" if ids else "refused"].inc()
            self._monitor.refused.inc(len(admission.refused))
            for refusal in admission.refused:
                self._monitor.refusals[refusal.rule].inc()
        return _answer(202, admission, kept=len(ids), duplicates=duplicates)

    def _key(self, headers: dict[bytes, bytes], query: bytes) -> bytes:
        bearer = headers.get(b"authorization", b"")
        if bearer[:7].lower() == b"bearer ":
            return bearer[7:].strip()
        if b"x-write-key" in headers:
            return headers[b"x-write-key"]
        # navigator.sendBeacon can set no header.
        values = parse_qs(query).get(b"write_key") if b"write_key" in query else None
        return values[0] if values else b""

    def _refuse(self, status: int, outcome: str, reason: str, *, retry_after: int | None = None) -> Response:
        self._monitor.requests[outcome].inc()
        response = json_response(status, {"error": reason})
        if retry_after is not None:
            response.headers["retry-after"] = str(retry_after)
        return response


def _answer(status: int, admission: Admission, *, kept: int, duplicates: int) -> Response:
    refused = [
        {"index": r.index, **({"event_id": r.event_id} if r.event_id else {}), "reason": r.reason}
        for r in admission.refused
    ]
    return json_response(
        status, {"accepted": kept, **({"duplicates": duplicates} if duplicates else {}), "refused": refused}
    )


def json_response(status: int, value: object) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
