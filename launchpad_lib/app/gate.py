"""Who may speak to the app at all: the Host that is asked, the page that asks, and how."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import tornado.web
from tornado.httputil import HTTPServerRequest

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
METHODS = frozenset({"GET", "HEAD", "POST"})


def refusal(request: HTTPServerRequest, *, hosts: Collection[str], any_address: bool) -> str | None:
    """Why a request is not answered, in one sentence; None where it is.

    A name that somebody else's DNS points here is no Host of ours, whatever address it leads to; an address cannot be
    pointed elsewhere. A browser says which page asks: only our own may do more than follow a link.

    Args:
        hosts: names and addresses that are ours, in small letters.
        any_address: whether every IP address is, where the app listens on all of them.
    """
    asked = request.headers.get("Host", "")
    if len(request.headers.get_list("Host")) != 1 or not is_ours(asked, hosts=hosts, any_address=any_address):
        return "This app is not asked for by this name; open the address that it printed when it was started."
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != asked.lower():
        return "Another site asked for this; open the page itself."
    site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
    is_link = request.method == "GET" and mode == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
    if site in ("cross-site", "same-site") and not is_link:
        return "Another site asked for this; open the page itself."
    if request.method not in METHODS:
        return "Only GET, HEAD and POST are answered."
    if request.method == "POST" and origin is None:
        return "A page of this app asks with its Origin; this request has none."
    return None


def is_ours(asked: str, *, hosts: Collection[str], any_address: bool) -> bool:
    """Whether a Host header names us.

    >>> (
    ...     is_ours("localhost:8866", hosts=LOOPBACK, any_address=False),
    ...     is_ours("[::1]:80", hosts=LOOPBACK, any_address=False),
    ... )
    (True, True)
    >>> is_ours("evil.example:8866", hosts=LOOPBACK, any_address=True), is_ours("10.0.0.7", hosts=(), any_address=True)
    (False, True)
    """
    try:
        name = (urlsplit(f"//{asked}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return any_address


class Gated(tornado.web.Application):
    """An application that looks at every request before any handler does."""

    def __init__(self, *args: Any, hosts: Collection[str], any_address: bool, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._hosts, self._any_address = hosts, any_address

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """The handler that the address names, or the one that says no."""
        because = refusal(request, hosts=self._hosts, any_address=self._any_address)
        if because is not None:
            return self.get_handler_delegate(request, Refusing, {"because": because})
        return super().find_handler(request, **kwargs)


class Refusing(tornado.web.RequestHandler):
    """Says no in one sentence."""

    def initialize(self, because: str) -> None:
        self._because = because

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(f"{self._because}\n")

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here."""
