"""Columns that several result tables of the product pages share."""

from __future__ import annotations

from launchpad_lib.contract.tables import Column, ColumnType


def columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


LIMITS = columns("float64", ci_low="lower 95 % limit", ci_high="upper 95 % limit")
WHY = columns("string", refused_because="why the row has no numbers; empty where it stands")


def rate(name: str, text: str) -> tuple[Column, ...]:
    return (*columns("float64", **{name: text}), *LIMITS)


EVENT_COUNTS = (
    *columns("string", event_name="the event"),
    *columns("int64", events="rows", users="distinct users", sessions="distinct sessions"),
    *columns("string", first_at="first instant, UTC", last_at="last instant, UTC"),
)
