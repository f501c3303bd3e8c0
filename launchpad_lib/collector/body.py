"""Reads a request's body: bounded in size before and after unpacking, and in time."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import ClientDisconnect, Request

BODY_SECONDS = 20.0


class BodyTooLargeError(ValueError):
    """A body is over the limit."""


class BodyEncodingError(ValueError):
    """A body's content-encoding is unknown or broken."""


async def read_body(request: Request, headers: dict[bytes, bytes], *, limit_bytes: int) -> bytes:
    """The body, unpacked.

    Raises:
        BodyTooLargeError: more than `limit_bytes`, as sent or unpacked.
        BodyEncodingError: neither plain nor whole gzip.
        ClientDisconnect: the client went away, or took longer than `BODY_SECONDS`.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise BodyTooLargeError(
            f"the body has {int(declared)} bytes: at most {limit_bytes} are taken; send smaller batches"
        )
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in (b"", b"identity", b"gzip"):
        raise BodyEncodingError("content-encoding: only gzip or none is taken")
    body, is_whole = await _piece(request)
    if not is_whole:
        body = await _rest(request, bytearray(body), limit_bytes)
    if len(body) > limit_bytes:
        raise BodyTooLargeError(f"the body has more than {limit_bytes} bytes; send smaller batches")
    return unpacked(body, limit_bytes=limit_bytes) if encoding == b"gzip" else body


async def _rest(request: Request, pieces: bytearray, limit_bytes: int) -> bytes:
    """A body that does not come in one piece has a time limit: a trickle must not hold its place for ever."""
    is_whole = False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while not is_whole and len(pieces) <= limit_bytes:
                piece, is_whole = await _piece(request)
                pieces += piece
    except TimeoutError:
        raise ClientDisconnect from None
    return bytes(pieces)


async def _piece(request: Request) -> tuple[bytes, bool]:
    """The next piece of a body, and whether it is the last."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


def unpacked(packed: bytes, *, limit_bytes: int) -> bytes:
    """A gzip body, all its members, never unpacked further than the limit."""
    plain = bytearray()
    while packed:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            plain += unpacker.decompress(packed, limit_bytes + 1 - len(plain))
        except zlib.error:
            raise BodyEncodingError("content-encoding says gzip, but the body is not gzip") from None
        if len(plain) > limit_bytes:
            raise BodyTooLargeError(f"the body unpacks to more than {limit_bytes} bytes; send smaller batches")
        if not unpacker.eof:
            raise BodyEncodingError("the gzip body is cut off")
        packed = unpacker.unused_data
    return bytes(plain)
