"""Durations with a unit, instants in UTC, and the names of time zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import overload

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.zones import zone_names

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_window(text: str) -> timedelta:
    """A duration with its unit: s, m, h or d.

    Raises:
        ValueError: no unit, or not above 0.

    >>> parse_window("30m")
    datetime.timedelta(seconds=1800)
    """
    match = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", str(text))
    if not match or int(match[1]) == 0:
        raise ValueError(
            f"window={shown(text)}: must be a whole number above 0 with a unit s, m, h or d; "
            "write for example '7d' or '30m'"
        )
    try:
        return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"window={shown(text)}: is longer than any log; write for example '30d'") from None


@overload
def window_us(text: str) -> int: ...


@overload
def window_us(text: None) -> None: ...


@overload
def window_us(text: str | None) -> int | None: ...


def window_us(text: str | None) -> int | None:
    """The window in microseconds; None is unbounded."""
    return None if text is None else int(parse_window(text) / timedelta(microseconds=1))


def utc_instant(value: object, *, argument: str = "observed_through") -> datetime:
    """A given instant in UTC without a zone; one with a zone is converted.

    Raises:
        ValueError: text, a date without a time, or no instant at all.

    >>> utc_instant(datetime(2026, 1, 1, 12))
    datetime.datetime(2026, 1, 1, 12, 0)
    """
    if not isinstance(value, datetime) or value != value:  # NaT is a datetime that equals nothing
        raise ValueError(
            f"{argument}={shown(value)}: must be a datetime in UTC; write for example datetime(2026, 3, 1) for the "
            "end of February"
        )
    plain = value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value  # an instant of pandas
    if not 1 < plain.year < 9999:  # days before and after it have to exist, too
        raise ValueError(f"{argument}={shown(value)}: lies beyond any log; give the end of the data")
    return plain if plain.tzinfo is None else plain.astimezone(UTC).replace(tzinfo=None)


def check_timezone(report_timezone: str) -> None:
    """Raises ValueError, with the nearest names, unless it is an IANA time zone."""
    if not isinstance(report_timezone, str) or report_timezone not in zone_names():
        raise ValueError(
            f"report_timezone={shown(report_timezone)}: is no IANA time zone; {nearest(report_timezone, zone_names())}"
        )
