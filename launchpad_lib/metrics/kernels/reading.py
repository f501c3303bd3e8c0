"""Instants as kernels read them."""

from __future__ import annotations

from datetime import UTC, datetime


def micros_of(instant: datetime) -> int:
    """Microseconds since 1970 of a UTC instant (with a zone or without)."""
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
