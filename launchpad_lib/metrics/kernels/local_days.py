"""Local calendar days of instants, as numbers: the offsets of a zone of the locked tzdata, compiled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numba import njit

from launchpad_lib.contract.durations import check_timezone
from launchpad_lib.contract.zones import zone

MICROS_A_DAY = 86_400_000_000
# Days are numbered as `windows.period_number` numbers them: from 1969-12-29, which was a Monday.
DAYS_BEFORE_1970 = 3


@njit(cache=True, nogil=True)
def _days(at, begins, offsets, days):  # pragma: no cover (compiled)
    place = 0
    for i in range(len(at)):
        while place + 1 < len(begins) and at[i] >= begins[place + 1]:
            place += 1
        while place > 0 and at[i] < begins[place]:
            place -= 1
        days[i] = (at[i] + offsets[place]) // MICROS_A_DAY + DAYS_BEFORE_1970


def local_days(at: np.ndarray, report_timezone: str) -> np.ndarray:
    """Number of the local calendar day of each instant (microseconds since 1970, int64), as `windows.period_number`
    numbers days.

    Fast where most instants lie near the one before, as they do in a log.

    Raises:
        ValueError: no time zone.

    >>> late = np.array([datetime(2026, 1, 5, 23, 30, tzinfo=UTC).timestamp() * 1_000_000], np.int64)
    >>> (local_days(late, "Europe/Berlin") - local_days(late, "UTC")).tolist()
    [1]
    """
    days = np.empty(len(at), np.int32)
    if not len(at):
        return days
    if report_timezone == "UTC":
        begins, offsets = np.zeros(1, np.int64), np.zeros(1, np.int64)
    else:
        check_timezone(report_timezone)
        first, last = (
            int(np.datetime64(int(t), "us").astype("datetime64[Y]").astype(int)) for t in (at.min(), at.max())
        )
        begins, offsets = offsets_between(report_timezone, first + 1970, last + 1970)
    _days(at, begins, offsets, days)
    return days


def dates_of(days: np.ndarray) -> np.ndarray:
    """The dates of numbered days.

    >>> dates_of(np.array([0])).tolist()
    [datetime.date(1969, 12, 29)]
    """
    return (days.astype(np.int64) - DAYS_BEFORE_1970).astype("datetime64[D]")


@lru_cache(maxsize=64)
def offsets_between(report_timezone: str, first_year: int, last_year: int) -> tuple[np.ndarray, np.ndarray]:
    """`(begins, offsets)`: from which instant (microseconds since 1970) which offset of UTC (microseconds) is in force
    in the UTC years named, both inside. The first begins before all of them.
    """
    parts = [_offsets_of_year(report_timezone, year) for year in range(max(first_year, 2), min(last_year, 9998) + 1)]
    steps = [step for part in parts for step in part] or _offsets_of_year(report_timezone, 9998)[-1:]
    changed = [step for place, step in enumerate(steps) if place == 0 or step[1] != steps[place - 1][1]]
    begins = np.array([at for at, _ in changed], np.int64)
    begins[0] = np.iinfo(np.int64).min
    return begins, np.array([offset for _, offset in changed], np.int64)


@lru_cache(maxsize=4096)
def _offsets_of_year(report_timezone: str, year: int) -> list[tuple[int, int]]:
    """(begin, offset) of each stretch of a UTC year. A day has at most one change, which tzdata's zones hold to."""
    found = []
    day = datetime(year, 1, 1, tzinfo=UTC)
    before = None
    while day.year == year:
        offset = _offset(day, report_timezone)
        if before is None:
            found.append((_micros(day), offset))
        elif offset != before:
            found.append((_micros(_change(day - timedelta(days=1), day, report_timezone)), offset))
        before, day = offset, day + timedelta(days=1)
    return found


def _change(low: datetime, high: datetime, report_timezone: str) -> datetime:
    """The first second in (low, high] with the offset of `high`."""
    wanted = _offset(high, report_timezone)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (low, middle) if _offset(middle, report_timezone) == wanted else (middle, high)
    return high


def _offset(at: datetime, report_timezone: str) -> int:
    offset = at.astimezone(zone(report_timezone)).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
