"""One HTTP POST with a deadline: no proxy, no redirect, and no word of where it went in what can be read afterwards."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import NamedTuple

import httpx

for _name in ("httpx", "httpcore"):  # they write whole addresses into the log, and an address may be a secret
    logging.getLogger(_name).setLevel(logging.WARNING)


class Answer(NamedTuple):
    """What came of one try.

    `fault` is None where the receiver took the message. `is_final`: no further try would change it. `wait_seconds`:
    what the receiver asks to wait (Retry-After).
    """

    fault: str | None
    is_final: bool = False
    wait_seconds: float | None = None


TAKEN = Answer(None)


def post(url: str, body: bytes, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
    """Sends a body; the whole exchange ends within the time, however slowly the other side speaks."""
    return asyncio.run(_post(url, body, headers, timeout_seconds))


async def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            # trust_env=False: no proxy of the environment sees a secret, and no .netrc adds one.
            httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=ssl.create_default_context()) as client,
            client.stream("POST", url, content=body, headers=dict(headers), timeout=timeout_seconds) as answer,
        ):
            return _judged(answer)
    except (TimeoutError, httpx.TimeoutException):
        return Answer(f"no answer within {timeout_seconds:g} s")
    except httpx.ConnectError as error:
        return Answer("its certificate is not trusted", True) if _is_untrusted(error) else Answer("cannot be reached")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(f"the connection failed ({type(error).__name__})")


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate stands behind an error, however often it was wrapped."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _judged(answer: httpx.Response) -> Answer:
    status = answer.status_code
    if 200 <= status < 300:
        return TAKEN
    if 300 <= status < 400:
        return Answer(f"answered {status}: it leads elsewhere, and what is secret is not carried there", True)
    if status in (408, 425, 429) or status >= 500:
        return Answer(f"answered {status}", wait_seconds=_seconds(answer.headers.get("retry-after")))
    return Answer(f"answered {status}: it does not take the message", True)


def _seconds(said: str | None) -> float | None:
    return float(said) if said and said.isascii() and said.isdigit() and len(said) < 7 else None
