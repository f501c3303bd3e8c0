"""The door for annotations: deployments, incidents and campaigns that other programs tell of, kept as lines of JSON.

The folder is a source of the table `annotations`; ingestion takes each mark once, however often it was sent.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from launchpad_lib.collector.body import BodyEncodingError, BodyTooLargeError, read_body
from launchpad_lib.collector.door import Door, json_response
from launchpad_lib.contract.annotations import KINDS, LABEL_CHARACTERS, Annotation, AnnotationError, annotation
from launchpad_lib.contract.private import file_mode, private_folder

MOST_BYTES, MOST = 256 * 1024, 1000


class AnnotationDoor:
    """Judges annotations and keeps the good ones in a folder, a file a day; they are on the disk before a 202."""

    def __init__(self, door: Door, folder: Path | None) -> None:
        self._door, self._folder, self._lock = door, folder, asyncio.Lock()

    async def take(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        turned_away = self._door.turned_away(headers, request.scope["query_string"])
        if turned_away is not None:
            return turned_away
        if self._folder is None:
            return json_response(
                404, {"error": "annotations are not kept here; start the collector with --annotations"}
            )
        try:
            body = await read_body(request, headers, limit_bytes=MOST_BYTES)
            said = msgspec.json.decode(body)
        except BodyTooLargeError as error:
            return json_response(413, {"error": str(error)})
        except BodyEncodingError as error:
            return json_response(415, {"error": str(error)})
        except ClientDisconnect:
            return Response(status_code=408, headers={"connection": "close"})
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return json_response(400, {"error": "the body is no JSON; send an object, or an array of objects"})
        rows = said if isinstance(said, list) else [said]
        if len(rows) > MOST:
            return json_response(
                413, {"error": f"{len(rows)} annotations: at most {MOST} are taken; send smaller batches"}
            )
        wait = self._door.wait_seconds(request, headers, max(1, len(rows)))
        if wait:
            response = json_response(429, {"error": f"too many requests; come again in {wait} s"})
            response.headers["retry-after"] = str(wait)
            return response
        return await self._keep(rows)

    async def _keep(self, rows: list[Any]) -> Response:
        now, good, refused = datetime.now(UTC), [], []
        for index, row in enumerate(rows):
            try:
                if not isinstance(row, dict):
                    raise AnnotationError("is no JSON object; send at, kind, feature_id and label")
                good.append(annotation(row, now=now))
            except AnnotationError as error:
                refused.append({"index": index, "reason": str(error)})
        if good:
            try:
                async with self._lock:
                    await asyncio.to_thread(self._append, good, now)
            except OSError as error:
                told = f"the annotations were not kept ({error.strerror}); send them again"
                response = json_response(503, {"error": told})
                response.headers["retry-after"] = "5"
                return response
        return json_response(202 if good else 400, {"accepted": len(good), "refused": refused})

    def _append(self, rows: list[Annotation], now: datetime) -> None:
        folder = private_folder(self._folder or Path())
        path = folder / f"annotations-{now:%Y-%m-%d}.jsonl"
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, file_mode(folder))
        try:
            size = os.fstat(handle).st_size
            content = "".join(f"{row.line()}\n" for row in rows).encode()
            try:
                written = os.write(handle, content)
                if written < len(content):
                    raise OSError(28, "No space left on device")
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)  # half a line would be refused by ingestion
                raise
        finally:
            os.close(handle)


_ONE = {
    "type": "object",
    "required": ["kind", "label"],
    "additionalProperties": False,
    "properties": {
        "at": {"type": "string", "format": "date-time", "description": "with its zone; now where it is left out"},
        "kind": {"type": "string", "enum": list(KINDS)},
        "feature_id": {"type": "string", "minLength": 1, "description": "left out: it concerns every feature"},
        "label": {"type": "string", "minLength": 1, "maxLength": LABEL_CHARACTERS},
    },
}
OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_ONE, {"type": "array", "items": _ONE, "maxItems": MOST}]}}
        },
    },
    "responses": {
        "202": {"description": "kept, but for those under `refused`"},
        "400": {"description": "no JSON, or none of them is an annotation"},
        "401": {"description": "the write key is missing or wrong"},
        "403": {"description": "the origin may not write"},
        "404": {"description": "this collector keeps no annotations"},
        "413": {"description": "too large"},
        "415": {"description": "packed in another way than gzip"},
        "429": {"description": "too many; Retry-After says when"},
        "503": {"description": "the disk refuses; send them again"},
    },
}
