"""Durations with a unit, Wilson limits as an expression, and the time arithmetic all metrics share."""

from __future__ import annotations

import re
from datetime import timedelta

import ibis
import ibis.expr.types as ir

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Z95 = 1.959963984540054


def parse_window(text: str) -> timedelta:
    """A duration with its unit: s, m, h or d.

    Raises:
        ValueError: no unit, or not above 0.

    >>> parse_window("30m")
    datetime.timedelta(seconds=1800)
    """
    match = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", str(text))
    if not match or int(match[1]) == 0:
        raise ValueError(f"window={text!r}: must be a whole number above 0 with a unit s, m, h or d; write for example '7d' or '30m'")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def window_us(text: str | None) -> int | None:
    """The window in microseconds; None is unbounded."""
    return None if text is None else int(parse_window(text) / timedelta(microseconds=1))


def wilson_limits(successes: ir.NumericValue, n: ir.NumericValue) -> dict[str, ir.NumericValue]:
    """`ci_low, ci_high`: Wilson (1927) 95 % limits of successes / n; NULL where n is 0."""
    total = n.cast("float64").nullif(0.0)
    p = successes.cast("float64") / total
    centre = (p + Z95**2 / (2 * total)) / (1 + Z95**2 / total)
    half = Z95 / (1 + Z95**2 / total) * (p * (1 - p) / total + Z95**2 / (4 * total * total)).sqrt()
    return {"ci_low": ibis.greatest(centre - half, 0.0), "ci_high": ibis.least(centre + half, 1.0)}


def local_date(at: ir.TimestampValue, report_timezone: str) -> ir.DateValue:
    """The calendar date of a UTC instant in the report time zone."""
    if report_timezone == "UTC":
        return at.date()
    return at.cast("timestamp('UTC')").cast(f"timestamp('{report_timezone}')").date()


def micros(at: ir.TimestampValue) -> ir.IntegerValue:
    """Microseconds since 1970 of an instant."""
    return at.epoch_seconds() * 1_000_000 + at.microsecond().cast("int64") % 1_000_000
