"""What a collector is told at its start."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.spool.layout import SEGMENT_BYTES

WRITE_KEYS_VARIABLE = "LAUNCHPAD_WRITE_KEYS"


class CollectorError(ValueError):
    """A setting of the collector or the forwarder is wrong."""


class Settings(NamedTuple):
    """Settings of one collector process. Sizes in bytes, rates in events a second.

    `write_keys` empty means that anybody may write; `allowed_origins` are the web origins besides the collector's own
    that may send. `max_spool_bytes`: events are answered 503 while the spool's segments are larger.
    `allowed_hosts`: names that requests may be addressed to (Host), any where none is named. `trusted_proxies`:
    addresses whose X-Forwarded-For is believed. `annotations`: folder that keeps annotations; None: they are not taken.
    """

    spool: Path
    write_keys: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    rate_per_second: float = 0.0
    burst_events: float = 0.0
    max_body_bytes: int = 1024 * 1024
    max_events: int = 5000
    segment_bytes: int = SEGMENT_BYTES
    recent_ids: int = 200_000
    max_spool_bytes: int = 64 << 30
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    annotations: Path | None = None

    def checked(self) -> Settings:
        """These settings, when they make sense.

        Raises:
            CollectorError: one of them does not.
        """
        for name in ("max_body_bytes", "max_events", "segment_bytes", "max_spool_bytes"):
            if getattr(self, name) < 1:
                raise CollectorError(f"{name}={getattr(self, name)}: must be at least 1; raise it")
        if self.rate_per_second < 0 or self.burst_events < 0:
            raise CollectorError(
                f"rate_per_second={self.rate_per_second:g}, burst_events={self.burst_events:g}: must not be "
                "negative; 0 means no limit"
            )
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise CollectorError(
                    f"allowed origin {origin!r}: must be scheme and host such as https://shop.example; name each one"
                )
        for key in self.write_keys:
            if len(key) < 16 or not key.isascii() or not key.isprintable():
                raise CollectorError(
                    "a write key has fewer than 16 printable ASCII characters; use a longer random one"
                )
        return self


def write_keys_from(file: Path | None) -> tuple[str, ...]:
    """Write keys: one a line of the file (# starts a comment line), else comma-separated in LAUNCHPAD_WRITE_KEYS. Never
    printed.
    """
    if file is not None:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        keys = tuple(line for line in lines if line and not line.startswith("#"))
        if not keys:
            raise CollectorError(f"{file}: holds no write key; put one on each line")
        return keys
    return tuple(key.strip() for key in os.environ.get(WRITE_KEYS_VARIABLE, "").split(",") if key.strip())
