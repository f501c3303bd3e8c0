"""The window that a log covers: from where it begins in earnest to the instant through which it was observed.

`observed_through` is a statement, not the newest row. Where nobody states it, it is derived from how many rows each
minute has, by this rule (a hole is the time from one minute with rows to the next):

1. Rows beside the log. Rows at an end that lie beyond a hole of at least 30 days, 10 times as long as the span of all
   other rows, are outside where they are at most a twentieth of the rows; beyond a hole of ten years and more, where
   they are less than a quarter (1970 and 0001 are what a missing date becomes).
2. Width. Rows are counted in buckets of a day; of a week, 30 days or a year where days are too thin; of an hour or a
   minute where fewer than three days are dense. The usual level is what 95 % of the rows have around them: that many
   rows lie within one width before, or after, each. A width will do when its level is at least 40. Where none will do,
   there are too few rows to tell: all are inside.
3. Dense stretch. A bucket with at least a twentieth of the level is dense. The window spans from the first dense bucket
   to the last: what lies between is inside, however thin.
4. Ends. The usual hole is the longest within the window that is not over 7 days, or the second longest where that is
   longer. Past the last dense bucket rows belong to the window as long as no hole is over 40 times the usual one and
   they begin not later than the usual distance between dense buckets (at least a day): a week-end, a night, a day that
   has just begun. Before the first dense bucket rows belong to it as long as no hole is over 40 times the usual one or
   two buckets: a log may begin slowly.

So no more than one row in twenty can be outside at an end by rules 2 to 4. What is outside stays in the lake, is
counted and is told. A log that has dates only (every row at midnight, or at the one time of day that midnight of
another zone is) was observed through the end of its last date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

import numpy as np

MINUTES_A_DAY = 1440
MINUTES_A_YEAR = 365 * MINUTES_A_DAY
# From the width that is tried first; hours and minutes are for logs of fewer than three dense days.
WIDTHS_MINUTES = (MINUTES_A_DAY, 7 * MINUTES_A_DAY, 30 * MINUTES_A_DAY, MINUTES_A_YEAR)
FINE_WIDTHS_MINUTES = (60, 1)
LEAST_LEVEL_ROWS = 40
SHARE_AT_LEVEL = 0.95
THIN = 20
FAR_HOLES = 40
FAR_SPANS = 10
TIMED_TABLES = ("events", "telemetry")


class Outside(NamedTuple):
    """Rows of a table that no metric counts. Grain: one per table and side of its window; instants are UTC."""

    table: str
    where: Literal["before", "after"]
    rows: int
    first_at: datetime
    last_at: datetime


class Window(NamedTuple):
    """Both minutes are inside; numbered from 1970-01-01 00:00 UTC."""

    first_minute: int
    last_minute: int


def covered_window(minutes: np.ndarray, rows: np.ndarray) -> Window | None:
    """The window that a log covers, by the rule above.

    Args:
        minutes: numbers of the minutes that have rows, rising.
        rows: how many each has, above 0.

    >>> covered_window(np.array([0, 1, 2]), np.array([1, 1, 1]))
    Window(first_minute=0, last_minute=2)
    """
    if not len(minutes):
        return None
    first, last = _without_rows_beside(minutes, rows)
    minutes, rows = minutes[first:last], rows[first:last]
    # Buckets begin with the day of the first row: a log of 30 days is one bucket of 30 days, not halves of two.
    origin = int(minutes[0]) // MINUTES_A_DAY * MINUTES_A_DAY
    found = _dense_stretch(minutes - origin, rows)
    return Window(found.first_minute + origin, found.last_minute + origin)


def _dense_stretch(minutes: np.ndarray, rows: np.ndarray) -> Window:
    """Rules 2 to 4."""
    width = _width(minutes, rows)
    if width is None:
        return Window(int(minutes[0]), int(minutes[-1]))
    buckets, counts = _counted(minutes, rows, width)
    dense = buckets[counts * THIN >= _level(minutes, rows, width)]
    first = int(np.searchsorted(minutes, dense[0] * width))
    last = int(np.searchsorted(minutes, (dense[-1] + 1) * width)) - 1
    usual_hole = _usual(np.diff(minutes[first : last + 1]), least=1)
    reach = _usual(np.diff(dense) * width, least=MINUTES_A_DAY)
    limit = (int(dense[-1]) + 1) * width + reach
    while (
        last + 1 < len(minutes)
        and minutes[last + 1] - minutes[last] <= FAR_HOLES * usual_hole
        and minutes[last + 1] < limit
    ):
        last += 1
    while first > 0 and minutes[first] - minutes[first - 1] <= max(FAR_HOLES * usual_hole, 2 * width):
        first -= 1
    return Window(int(minutes[first]), int(minutes[last]))


def _without_rows_beside(minutes: np.ndarray, rows: np.ndarray) -> tuple[int, int]:
    """Rule 1: places [first, last) of the minutes that are left."""
    first, last = 0, len(minutes)
    while last - first > 1:
        holes = np.diff(minutes[first:last])
        before = np.cumsum(rows[first:last])
        for place in np.argsort(holes)[::-1][:2]:  # an end with such a hole has the longest, or the longest but one
            split, hole, all_rows = first + int(place) + 1, int(holes[place]), int(before[-1])
            head = int(before[place])
            is_head = head <= all_rows - head
            beside = head if is_head else all_rows - head
            span = int(minutes[last - 1] - minutes[split]) if is_head else int(minutes[split - 1] - minutes[first])
            is_default = hole >= 10 * MINUTES_A_YEAR and beside * 4 < all_rows
            is_stray = hole >= 30 * MINUTES_A_DAY and beside * THIN <= all_rows
            if hole >= FAR_SPANS * span and (is_default or is_stray):
                first, last = (split, last) if is_head else (first, split)
                break
        else:
            break
    return first, last


def _width(minutes: np.ndarray, rows: np.ndarray) -> int | None:
    """Rule 2."""
    coarse = next((w for w in WIDTHS_MINUTES if _level(minutes, rows, w) >= LEAST_LEVEL_ROWS), None)
    if coarse != MINUTES_A_DAY or _dense_buckets(minutes, rows, MINUTES_A_DAY) >= 3:
        return coarse
    width = coarse
    for finer in FINE_WIDTHS_MINUTES:
        if _level(minutes, rows, finer) < LEAST_LEVEL_ROWS:
            break
        width = finer
        if _dense_buckets(minutes, rows, width) >= 3:
            break
    return width


def _counted(minutes: np.ndarray, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Buckets that have rows, rising, and how many."""
    buckets, place = np.unique(minutes // width, return_inverse=True)
    return buckets, np.bincount(place, weights=rows)


def _level(minutes: np.ndarray, rows: np.ndarray, width: int) -> float:
    """How many rows the fuller of the two stretches of this width before and after a row has, at least for 95 % of the
    rows.
    """
    total = np.concatenate([[0], np.cumsum(rows)])
    places = np.arange(len(minutes))
    before = total[places + 1] - total[np.searchsorted(minutes, minutes - width, side="right")]
    after = total[np.searchsorted(minutes, minutes + width, side="left")] - total[places]
    fuller = np.maximum(before, after)
    falling = np.argsort(-fuller, kind="stable")
    return float(fuller[falling][np.searchsorted(np.cumsum(rows[falling]), SHARE_AT_LEVEL * total[-1])])


def _dense_buckets(minutes: np.ndarray, rows: np.ndarray, width: int) -> int:
    counts = _counted(minutes, rows, width)[1]
    return int((counts * THIN >= _level(minutes, rows, width)).sum())


def _usual(holes: np.ndarray, *, least: int) -> int:
    """The longest hole that is not over a week, or the second longest where that is longer: one long hole
    is no habit.
    """
    if not len(holes):
        return least
    falling = np.sort(holes)[::-1]
    short = falling[falling <= 7 * MINUTES_A_DAY]
    second = int(falling[1]) if len(falling) > 1 else 0
    return max(least, second, int(short[0]) if len(short) else 0)


def end_of_dates(last_at: datetime, times_of_day: Sequence[timedelta], *, dates: int) -> datetime | None:
    """The end of the last date of a log that has dates only; None for a log that has times.

    Args:
        times_of_day: since midnight UTC, each once; those of more than two need not be given.
        dates: on how many dates there are rows.

    >>> end_of_dates(datetime(2026, 1, 3), [timedelta(0)], dates=2)
    datetime.datetime(2026, 1, 3, 23, 59, 59, 999999)
    """
    # Midnight of another zone: one time of day on a quarter of an hour, two an hour apart where clocks changed.
    is_one_time = (
        len(times_of_day) == 1
        or len(times_of_day) == 2
        and abs(times_of_day[0] - times_of_day[1]) == timedelta(hours=1)
    )
    is_quarter = all(t % timedelta(minutes=15) == timedelta(0) for t in times_of_day)
    if list(times_of_day) != [timedelta(0)] and not (dates >= 3 and is_one_time and is_quarter):
        return None
    return last_at + timedelta(days=1) - timedelta(microseconds=1)


def named_instants(value: str | Mapping[str, str] | None) -> dict[str, datetime]:
    """`observed_through` as somebody names it, by table, in UTC without a zone; a date means its end.

    Raises:
        ValueError: no such table, or no date or instant.

    >>> named_instants("2026-01-14")["telemetry"], named_instants({"events": "2026-01-14T12:00:00+02:00"})
    (datetime.datetime(2026, 1, 14, 23, 59, 59, 999999), {'events': datetime.datetime(2026, 1, 14, 10, 0)})
    """
    by_table = dict.fromkeys(TIMED_TABLES, value) if isinstance(value, str) else dict(value or {})
    unknown = sorted(set(by_table) - set(TIMED_TABLES))
    if unknown:
        raise ValueError(
            f"observed_through.{unknown[0]}: no such table with instants; there are {', '.join(TIMED_TABLES)}"
        )
    return {table: _instant(text) for table, text in by_table.items()}


def _instant(text: str) -> datetime:
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time.max)
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"observed_through={text!r}: must be a date or an instant of ISO 8601; write for example "
            "'2026-01-14' or '2026-01-14T18:00:00Z'"
        ) from error
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
