"""Durations with a unit, interval limits as expressions, and the time arithmetic all metrics share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Literal, get_args

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import check_timezone
from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.contract.sql import SESSION_KEY_ESCAPES
from launchpad_lib.contract.zones import zone

Z95 = 1.959963984540054
Period = Literal["day", "week", "month"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS = get_args(Weekday)


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')"))
def _as_zoned(zone, at): ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _as_local(zone, at): ...


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp",), "int64"))
def _epoch_us(at): ...


@ibis.udf.scalar.builtin(name="json_extract_string", signature=(("json", "string"), "string"))
def _json_text(document, place): ...


def wilson_limits(successes: ir.NumericValue, n: ir.NumericValue) -> dict[str, ir.NumericValue]:
    """`ci_low, ci_high`: Wilson (1927) 95 % limits of successes / n; NULL where n is 0."""
    total = n.cast(dt.float64).nullif(0.0)
    p = successes.cast(dt.float64) / total
    centre = (p + Z95**2 / (2 * total)) / (1 + Z95**2 / total)
    half = Z95 / (1 + Z95**2 / total) * (p * (1 - p) / total + Z95**2 / (4 * total * total)).sqrt()
    # `greatest` and `least` skip NULL in DuckDB, so an empty cell needs its NULL said.
    return {
        "ci_low": ibis.ifelse(total.isnull(), ibis.null(dt.float64), ibis.greatest(centre - half, 0.0)),
        "ci_high": ibis.ifelse(total.isnull(), ibis.null(dt.float64), ibis.least(centre + half, 1.0)),
    }


def ratio_limits(
    numerator: ir.NumericValue,
    denominator: ir.NumericValue,
    squares: tuple[ir.NumericValue, ir.NumericValue, ir.NumericValue],
    units: ir.NumericValue,
) -> dict[str, ir.NumericValue]:
    """`ci_low, ci_high`: 95 % limits of a ratio of sums over independent units, by the delta method.

    `squares` are the sums over units of numerator squared, numerator times denominator, denominator squared. With
    r = numerator / denominator the variance is units / (units - 1) * sum (y - r x)^2 / (sum x)^2. NULL under two units,
    and where all have the same ratio, as where all are 0: without spread it would claim certainty.
    Source: Deng, Knoblich and Lu (2018), Applying the delta method in metric analytics.
    """
    total = denominator.cast(dt.float64).nullif(0.0)
    n, ratio = units.cast(dt.float64), numerator.cast(dt.float64) / total
    spread = (
        squares[0].cast(dt.float64)
        - 2 * ratio * squares[1].cast(dt.float64)
        + ratio * ratio * squares[2].cast(dt.float64)
    )
    # Sums of many terms: what is nothing but rounding is no spread either.
    spread = ibis.ifelse(spread <= 1e-12 * squares[0].cast(dt.float64), ibis.null(dt.float64), spread)
    half = Z95 * (n / (n - 1).nullif(0.0) * spread).sqrt() / total
    return {"ci_low": ratio - half, "ci_high": ratio + half}


def local_time(at: ir.TimestampValue, report_timezone: str) -> ir.TimestampValue:
    """The wall-clock time of a UTC instant in the report time zone, without a zone.

    A cast to a zoned timestamp would be read in the zone of the database session, so DuckDB's `timezone` does it.
    """
    if report_timezone == "UTC":
        return at
    check_timezone(report_timezone)
    return _as_local(report_timezone, _as_zoned("UTC", at))


def local_date(at: ir.TimestampValue, report_timezone: str) -> ir.DateValue:
    """The calendar date of a UTC instant in the report time zone."""
    return local_time(at, report_timezone).date()


def weekday_number(week_starts_on: Weekday) -> int:
    """0 for Monday to 6 for Sunday.

    Raises:
        ValueError: no day of the week.
    """
    if week_starts_on not in WEEKDAYS:
        raise ValueError(
            f"week_starts_on={shown(week_starts_on)}: is no day of the week; {nearest(week_starts_on, WEEKDAYS)}"
        )
    return WEEKDAYS.index(week_starts_on)


def period_start(number: ir.IntegerValue, period: Period, week_starts_on: Weekday = "monday") -> ir.DateValue:
    """The first date of a period, from its number."""
    if period == "month":
        return ibis.date(
            (number / 12).floor().cast(dt.int64), (number % 12 + 1).cast(dt.int64), ibis.literal(1, dt.int64)
        )
    days = number * 7 + weekday_number(week_starts_on) if period == "week" else number
    return (ibis.literal(datetime(1969, 12, 29), dt.timestamp) + days.as_interval("D")).date()


def python_period_number(on: date, period: Period, week_starts_on: Weekday = "monday") -> int:
    """The number of a calendar day, week or month, so that the next period has the next number.

    >>> python_period_number(date(2026, 1, 5), "week") - python_period_number(date(2026, 1, 4), "week")
    1
    """
    days = (on - date(1969, 12, 29)).days
    if period == "week":
        return (days - weekday_number(week_starts_on)) // 7
    return days if period == "day" else on.year * 12 + on.month - 1


def last_complete_period(
    observed_through: datetime, report_timezone: str, period: Period, week_starts_on: Weekday = "monday"
) -> int:
    """The number of the last local period that `observed_through` (UTC, without a zone) has seen to its end."""
    check_timezone(report_timezone)
    local = (observed_through + timedelta(microseconds=1)).replace(tzinfo=UTC).astimezone(zone(report_timezone))
    return python_period_number(local.date(), period, week_starts_on) - 1


def last_day_seen(observed_through: datetime, report_timezone: str) -> int:
    """The number of the last local day of which `observed_through` (UTC, without a zone) has seen any time.

    Midnight begins a day and has seen nothing of it.

    >>> last_day_seen(datetime(1969, 12, 30), "UTC"), last_day_seen(datetime(1969, 12, 30, 0, 0, 1), "UTC")
    (0, 1)
    """
    return last_complete_period(observed_through - timedelta(microseconds=2), report_timezone, "day") + 1


def micros(at: ir.TimestampValue) -> ir.IntegerValue:
    """Microseconds since 1970 of an instant."""
    # Not epoch_seconds() and the fraction: DuckDB's seconds hold the fraction already, so it would count twice.
    return _epoch_us(at)


def unit_column(events: ir.Table, by: str) -> ir.StringValue:
    """The unit that is counted. A client's `session_id` is unique within its user only, so the pair is the unit.

    Raises:
        ValueError: no such column.
    """
    if by not in events.columns:
        raise ValueError(f"by={quoted(by)}: is no column of the table; {nearest(by, events.columns)}")
    if by == "session_id" and "user_id" in events.columns:
        return escaped_user(events) + "/" + events.session_id
    return events[by]


def escaped_user(events: ir.Table) -> ir.StringValue:
    """The user as it stands in a session's key, where a slash ends it."""
    return reduce(lambda text, pair: text.replace(*pair), SESSION_KEY_ESCAPES, events.user_id)


def property_value(events: ir.Table, name: str) -> ir.StringValue:
    """A property as text: a column of that name, else the key of `properties`. NULL where it is absent.

    The name is looked up literally, whatever characters it has. `properties` is JSON text, or a JSON, struct or map
    column. A JSON value is its canonical text: text without quotes; `0`, `0.0` and `1.5` as written, `true`; lists and
    objects as JSON without spaces; null is absent, and so is every key of a text that is no JSON object. Numbers and
    booleans in a column read the same way.

    Raises:
        ValueError: neither such a column nor a column `properties`.
    """
    if name in events.columns:
        return _column_text(events[name])
    if "properties" not in events.columns:
        raise ValueError(
            f"property={quoted(name)}: the table has neither this column nor `properties`; "
            f"{nearest(name, events.columns)}"
        )
    if not is_storable(name):
        return ibis.null(dt.string)
    held = events.properties
    return _json_text(held.try_cast("json") if held.type().is_string() else held.cast("json"), _json_place(name))


def is_one_of(text: ir.StringValue, values: Iterable[object]) -> ir.BooleanValue:
    """Whether a text of `property_value` is one of the values given in Python: text as it is, anything else as JSON has
    it.

    The engine writes both texts, so that 1e22 in a filter and in the data are the same.

    Raises:
        ValueError: a value is None, which is absent and so compares with nothing.
    """
    wanted = [_value_text(v) for v in values if not (isinstance(v, str) and not is_storable(v))]
    return text.isin(wanted) if wanted else ibis.literal(False)


def _value_text(value: object) -> ir.StringValue:
    if value is None:
        raise ValueError(
            "filters: the value None is absent in the data, so nothing equals it; give text, a number or a boolean"
        )
    if isinstance(value, str):
        return ibis.literal(value)
    plain = value.item() if hasattr(value, "item") else value  # a number of numpy
    return _json_text(ibis.literal(json.dumps(plain, default=str)).cast("json"), "")


def is_storable(text: str) -> bool:
    """Whether a text can stand in the data at all: half of a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _column_text(column: ir.Value) -> ir.StringValue:
    if column.type().is_numeric() or column.type().is_boolean():
        return _json_text(column.cast("json"), "")
    return column.cast(dt.string)


def _json_place(name: str) -> str:
    """The place of a key in a JSON object. A JSON pointer (RFC 6901) takes any name literally; a path would not.

    In an array a pointer takes a number for an index: there a path, whose quoted part is a key and nothing else.
    """
    if name == "-" or name.isdecimal():
        return f'$."{name}"'
    return "/" + name.replace("~", "~0").replace("/", "~1")
