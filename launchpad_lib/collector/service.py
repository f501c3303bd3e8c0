"""The HTTP service: `POST /v1/events` and `/v1/annotations`, `/healthz`, `/metrics`, `/docs`, the configurator at `/`.

Answers of `POST /v1/events`: 202 when every event was judged and the accepted ones are on the disk; 400 no event could
be found in the body; 401 write key; 403 origin; 413 too large; 415 encoding; 421 a host that is not served here; 429
rate, with Retry-After; 503 the disk refuses or the spool is full, with Retry-After. Only a 202 acknowledges events.
`connections` turns away what is no request yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from launchpad_lib.collector.annotation_door import OPENAPI as MARKS
from launchpad_lib.collector.annotation_door import AnnotationDoor
from launchpad_lib.collector.docs_page import docs_page
from launchpad_lib.collector.door import Door, json_response
from launchpad_lib.collector.monitor import Monitor
from launchpad_lib.collector.settings import Settings
from launchpad_lib.collector.spool import SpoolWriter, recent_ids
from launchpad_lib.contract.tables import NDJSON

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

    door: Door
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
    door = Door(settings, monitor, spool)

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

    marks = AnnotationDoor(door, settings.annotations)

    @app.post("/v1/annotations", status_code=202, summary="Tell of deployments and incidents", openapi_extra=MARKS)
    async def annotations(request: Request) -> Response:
        """One annotation as a JSON object, or an array of them; the same one twice is one."""
        return await marks.take(request)

    @app.get("/healthz", summary="Can events be kept?")
    async def healthz() -> Response:
        reason = await asyncio.to_thread(spool.probe)
        monitor.is_writable.set(0 if reason else 1)
        if reason is None:
            return json_response(200, {"status": "ok"})
        response = json_response(503, {"status": "the spool cannot be written", "reason": reason})
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
