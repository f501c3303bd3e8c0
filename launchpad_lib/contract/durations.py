"""Durations with a unit, and the names of time zones."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import available_timezones

from launchpad_lib.contract.names import nearest

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
            f"window={text!r}: must be a whole number above 0 with a unit s, m, h or d; write for example '7d' or '30m'"
        )
    try:
        return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"window={text!r}: is longer than any log; write for example '30d'") from None


def window_us(text: str | None) -> int | None:
    """The window in microseconds; None is unbounded."""
    return None if text is None else int(parse_window(text) / timedelta(microseconds=1))


def check_timezone(report_timezone: str) -> None:
    """Raises ValueError, with the nearest names, unless it is an IANA time zone."""
    if report_timezone not in available_timezones():
        raise ValueError(
            f"report_timezone={report_timezone!r}: is no IANA time zone; {nearest(report_timezone, available_timezones())}"
        )
