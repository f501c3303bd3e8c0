"""Finds the events inside a request body: a JSON array, {"events": [...]}, one object, or a line each.

A well-formed body is cut by msgspec. A broken array is cut here by its brackets and strings, so that one bad event does
not cost its neighbours their place: cutting is linear in the size of the body, and gives up at the first bracket that
does not match.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from launchpad_lib.contract.event.rules import MAX_DEPTH

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_CLOSES = {0x5D: 0x5B, 0x7D: 0x7B}
_one_value = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_array = msgspec.json.Decoder(list[msgspec.Raw])


class _Wrapped(msgspec.Struct):
    events: msgspec.Raw


_wrapped = msgspec.json.Decoder(_Wrapped)


class Framed(NamedTuple):
    """`pieces` are the texts of the events in order; `broken` says why the rest of the body could not be read, or is
    None.
    """

    pieces: list[bytes]
    broken: str | None


def frame(body: bytes, *, is_lines: bool) -> Framed:
    """Cuts a body into the texts of its events. `is_lines` when the content type says ndjson."""
    text = body.strip(b" \t\r\n")
    if not text:
        return Framed([], 'the body is empty; send a JSON array, {"events": [...]} or one event a line')
    if is_lines:
        return _lines(text)
    if text[:1] == b"[":
        return _array(text)
    if text[:1] == b"{":
        wrapped = _wrapped_events(text)
        if wrapped is not None:
            return _array(wrapped)
        return _lines(text) if b"\n" in text and not _is_one_value(text) else Framed([text], None)
    return Framed([], "the body is neither a JSON array nor an object nor lines of objects; send one of them")


def _is_one_value(text: bytes) -> bool:
    """Whether it is one object over several lines, as people and some tools write them."""
    try:
        _one_value.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _lines(text: bytes) -> Framed:
    return Framed([line for line in (piece.strip(b" \t\r") for piece in text.split(b"\n")) if line], None)


def _wrapped_events(text: bytes) -> bytes | None:
    try:
        events = bytes(_wrapped.decode(text).events).strip(b" \t\r\n")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        match = re.match(rb'\{\s*"events"\s*:\s*(?=\[)', text)
        if not match:
            return None
        events = text[match.end() :].rstrip(b" \t\r\n").removesuffix(b"}").rstrip(b" \t\r\n")
    return events if events[:1] == b"[" else None


def _array(text: bytes) -> Framed:
    try:
        return Framed([bytes(piece) for piece in _raw_array.decode(text)], None)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return cut_array(text)


def cut_array(text: bytes) -> Framed:
    """The elements of a broken array that stand between matching brackets; the last, unfinished one comes as it is."""
    pieces: list[bytes] = []
    open_brackets = bytearray()
    start = 1
    for token in _TOKEN.finditer(text):
        byte = text[token.start()]
        if byte in b"[{":
            open_brackets.append(byte)
            if len(open_brackets) > MAX_DEPTH + 3:
                return Framed(
                    pieces,
                    f"event {len(pieces)} nests deeper than {MAX_DEPTH} levels; it and what follows were not read",
                )
        elif byte in b"]}":
            if not open_brackets or open_brackets[-1] != _CLOSES[byte]:
                return Framed(
                    pieces, f"event {len(pieces)} has brackets that do not match; it and what follows were not read"
                )
            open_brackets.pop()
            if not open_brackets:
                last = text[start : token.start()].strip(b" \t\r\n")
                rest = text[token.end() :].strip(b" \t\r\n")
                if rest:
                    return Framed(
                        pieces, f"event {len(pieces)} is followed by text after the end of the array; it was not read"
                    )
                return Framed([*pieces, last] if last or pieces else pieces, None)
        elif byte == 0x2C and len(open_brackets) == 1:
            pieces.append(text[start : token.start()].strip(b" \t\r\n"))
            start = token.end()
    return Framed(pieces, f"event {len(pieces)} does not end; it and what follows were not read")
