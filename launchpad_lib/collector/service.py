"""The HTTP service: `POST /v1/events`, `/healthz`, `/metrics`, `/docs`, and the configurator at `/`.

Answers of `POST /v1/events`: 202 when every event was judged and the accepted ones are on the disk; 400 no event could
be found in the body; 401 write key; 403 origin; 413 too large; 415 encoding; 421 a host that is not served here; 429
rate, with Retry-After; 503 the disk refuses or the spool is full, with Retry-After. Only a 202 acknowledges events.
`connections` turns away what is no request yet.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from launchpad_lib.collector.admission import Admission, TooManyEventsError, admit, lines_of
from launchpad_lib.collector.body import BodyEncodingError, BodyTooLargeError, read_body
from launchpad_lib.collector.docs_page import docs_page
from launchpad_lib.collector.limits import RateLimit, RecentIds, WriteKeys
from launchpad_lib.collector.monitor import Monitor
from launchpad_lib.collector.settings import Settings
from launchpad_lib.collector.spool import SpoolUnavailableError, SpoolWriter, recent_ids
from launchpad_lib.contract.tables import NDJSON

_PORT = re.compile(rb":\d*$")
STATIC = Path(__file__).parent / "static"
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class _Collector(FastAPI):
    """A FastAPI app whose hot route is reached before the middleware: routing and exception layers cost a third of a
    request.

    A request with an Origin goes the long way, through CORS. The route is declared as well, so that it stands in the
    OpenAPI document.
    """

    door: _Door
    monitor: Monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.door.is_addressed(scope["headers"]):
            await self.door.misdirected()(scope, receive, send)
        elif (
            scope["type"] == "http"
            and scope["path"] == "/v1/events"
            and scope["method"] == "POST"
            and not any(h[0] == b"origin" for h in scope["headers"])
        ):
            response = await self.door.take(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _Pages(StaticFiles):
    """The configurator's files, with a strict content security policy."""

    def file_response(self, *args, **kwargs):  # noqa: ANN002, ANN003
        response = super().file_response(*args, **kwargs)
        response.headers.update(SECURITY_HEADERS)
        return response


def create_app(settings: Settings) -> _Collector:
    """The collector as an ASGI app.

    Raises:
        CollectorError: a setting makes no sense.
    """
    settings = settings.checked()
    monitor = Monitor()
    monitor.spool_limit_bytes.set(settings.max_spool_bytes)
    spool = SpoolWriter(
        settings.spool, segment_bytes=settings.segment_bytes, max_bytes=settings.max_spool_bytes, on_group=monitor.group
    )
    door = _Door(settings, monitor, spool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        spool.start(asyncio.get_running_loop())
        door.remember(await asyncio.to_thread(recent_ids, settings.spool))
        yield
        await asyncio.to_thread(spool.close)

    app = _Collector(title="Feature Launchpad collector", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.door, app.monitor = door, monitor
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["POST"],
            allow_headers=["content-type", "content-encoding", "authorization", "x-write-key"],
            expose_headers=["retry-after"],
            max_age=7200,
        )

    @app.post("/v1/events", status_code=202, summary="Send events", openapi_extra=_BODY)
    async def events(request: Request) -> Response:
        """A JSON array of events, {"events": [...]}, or one event a line; gzip is accepted.

        Every event is judged by itself.
        """
        return await door.take(request)

    @app.get("/healthz", summary="Can events be kept?")
    async def healthz() -> Response:
        reason = await asyncio.to_thread(spool.probe)
        monitor.is_writable.set(0 if reason else 1)
        if reason is None:
            return _json(200, {"status": "ok"})
        response = _json(503, {"status": "the spool cannot be written", "reason": reason})
        response.headers["retry-after"] = "5"
        return response

    @app.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        monitor.is_writable.set(0 if spool.failure else 1)
        monitor.spool_bytes.set(spool.size_bytes())
        return Response(generate_latest(monitor.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(
            docs_page(settings),
            media_type="text/html",
            headers={**SECURITY_HEADERS, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    app.mount("/", _Pages(directory=STATIC, html=True), name="configurator")
    return app


class _Door:
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

    async def take(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins and origin.rpartition(b"://")[2] != headers.get(b"host"):
            return self._refuse(
                403,
                "forbidden_origin",
                "this origin may not send events; start the collector with --allow-origin for it",
            )
        key = self._key(headers, request.scope["query_string"])
        if self._keys and not self._keys.admits(key):
            return self._refuse(
                401, "unauthorised", "the write key is missing or wrong; send it as `Authorization: Bearer ...`"
            )
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
        client = request.scope.get("client")
        wait = self._rate.wait_seconds(key if self._keys else client and client[0], max(1, len(admission.events)))
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
        response = _json(status, {"error": reason})
        if retry_after is not None:
            response.headers["retry-after"] = str(retry_after)
        return response


def _answer(status: int, admission: Admission, *, kept: int, duplicates: int) -> Response:
    refused = [
        {"index": r.index, **({"event_id": r.event_id} if r.event_id else {}), "reason": r.reason}
        for r in admission.refused
    ]
    return _json(status, {"accepted": kept, **({"duplicates": duplicates} if duplicates else {}), "refused": refused})


def _json(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


_EVENTS_SCHEMA = {
    "type": "array",
    "items": {"type": "object", "required": ["event_id", "event_name", "user_id", "event_at"]},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _EVENTS_SCHEMA}, NDJSON: {"schema": {"type": "string"}}},
    }
}
