"""What a tracker may be told, and the refusal of what makes no sense."""

from __future__ import annotations

import os

from launchpad_lib.tracking.sessions import Identity

HASH_KEY_VARIABLE = "LAUNCHPAD_HASH_KEY"
DEFAULT_CAP_BYTES = 256 * 1024 * 1024
SMALLEST_CAP_BYTES = 128 * 1024


class TrackingError(ValueError):
    """A tracker cannot be made with these settings."""


def checked_key(identity: Identity, hash_key: bytes | str | None) -> bytes | None:
    """The key of pseudonyms: the one given, else that of the environment.

    Raises:
        TrackingError: no such identity, or hashed without a key of at least 16 bytes.
    """
    if identity not in ("plain", "hashed", "anonymous"):
        raise TrackingError(f"identity={identity!r}: must be plain, hashed or anonymous; choose one")
    key = hash_key if hash_key is not None else os.environ.get(HASH_KEY_VARIABLE)
    key = key.encode() if isinstance(key, str) else key
    if identity == "hashed" and (key is None or len(key) < 16):
        raise TrackingError(
            f"identity='hashed' needs a key of at least 16 bytes; give hash_key or set {HASH_KEY_VARIABLE}"
        )
    return key


def check_limits(*, cap_bytes: int | None, interval_seconds: float, batch_events: int, batch_bytes: int) -> None:
    """Refuses sizes and times with which nothing could be kept or sent.

    Raises:
        TrackingError: the cap is too small, or another is not positive.
    """
    if cap_bytes is not None and cap_bytes < SMALLEST_CAP_BYTES:
        raise TrackingError(f"cap_bytes={cap_bytes}: must be at least {SMALLEST_CAP_BYTES}; raise it")
    if interval_seconds <= 0 or batch_events < 1 or batch_bytes < 1:
        raise TrackingError(
            f"interval_seconds={interval_seconds}, batch_events={batch_events}, batch_bytes={batch_bytes}: "
            "must be positive; raise them"
        )
