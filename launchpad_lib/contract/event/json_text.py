"""One JSON object, read by RFC 8259; where it is none, why."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from launchpad_lib.contract.event.rules import TOO_DEEP

_DECODER = msgspec.json.Decoder(dict[str, Any])


class NotAnObjectError(ValueError):
    """The text is no JSON object; the message is the reason."""


def read_object(text: bytes) -> dict[str, Any]:
    """The object; of a key that stands twice the last value wins, a whole number keeps its digits.

    Raises:
        NotAnObjectError: it is none.
    """
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnObjectError(_reason(text, error)) from None


def _reason(text: bytes, error: Exception) -> str:
    """In the words of Python's strict reader, which are the same whatever library found the fault."""
    try:
        strict = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_whole)
        value = strict.decode(text.decode().strip())
        json.dumps(value, ensure_ascii=False).encode()
        if not isinstance(value, dict):
            return "not valid: not a JSON object"
    except RecursionError:
        return TOO_DEEP
    except UnicodeDecodeError:
        return "not valid: not UTF-8"
    except UnicodeEncodeError:
        return "not valid: half of a surrogate pair"
    except ValueError as found:
        if "integer string conversion" in str(found):
            return "not valid: a number of more than 4,300 digits"
        return f"not valid: {str(found).split(': line')[0]}"
    return TOO_DEEP if isinstance(error, RecursionError) else f"not valid: {error}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose overridden values are looked at, too."""
    json.dumps(pairs, ensure_ascii=False).encode()
    return dict(pairs)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value
