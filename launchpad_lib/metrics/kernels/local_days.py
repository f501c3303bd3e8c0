"""Local days, weeks and months of instants inside compiled kernels: a table of the instants at which the clocks change.

The engine's own conversion costs more than the rest of a retention; a table of offsets costs one comparison a row.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numba import njit

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import check_timezone
from launchpad_lib.contract.zones import zone
from launchpad_lib.metrics.windows import Period, Weekday, weekday_number

DAY_US = 86_400_000_000
LONG_AGO, FAR_AHEAD = -(2**62), 2**62
KINDS: tuple[Period, ...] = ("day", "week", "month")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's calendar; instants beside it keep the offset of its ends.
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
TO_MONDAY = 3  # 1969-12-29, the Monday from which days are numbered, is three days before 1970


class Clock(NamedTuple):
    """The offsets of a zone: from `edges[k]` on, local time is UTC + `offsets[k]` (microseconds)."""

    edges: np.ndarray
    offsets: np.ndarray


class Calendar(NamedTuple):
    """Which local periods are counted, as a kernel takes it: day 0, week 1, month 2; the first weekday."""

    kind: int
    weekday: int


def calendar_of(period: Period, week_starts_on: Weekday = "monday") -> Calendar:
    """The calendar of a period.

    Raises:
        ValueError: no such period, no such weekday.
    """
    if period not in KINDS:
        raise ValueError(f"period={shown(period)}: must be 'day', 'week' or 'month'; choose one")
    return Calendar(KINDS.index(period), weekday_number(week_starts_on))


def clock_of(report_timezone: str, low: int, high: int) -> Clock:
    """The clock of a zone for the instants low to high (microseconds since 1970).

    Raises:
        ValueError: no IANA time zone.
    """
    check_timezone(report_timezone)
    return _clock(report_timezone, low // DAY_US - 1, high // DAY_US + 2)


@functools.lru_cache(maxsize=64)
def _clock(name: str, first_day: int, last_day: int) -> Clock:
    rules = zone(name)

    def offset(second: int) -> int:
        at = min(max(_EPOCH + timedelta(seconds=second), _FIRST), _LAST)
        return (at.astimezone(rules).utcoffset() or timedelta(0)) // timedelta(microseconds=1)

    bounds = [(at - _EPOCH).days for at in (_FIRST, _LAST)]
    days = range(min(max(first_day, bounds[0]), bounds[1]), min(max(last_day, bounds[0]), bounds[1]) + 1)
    before = offset(days[0] * 86_400)
    edges, offsets = [LONG_AGO], [before]
    if name == "UTC":
        days = range(0)
    for day in days:
        # Two changes within a day that cancel out would be missed; no zone of the database has such a day.
        after = offset((day + 1) * 86_400)
        if after != before:
            low, high = day * 86_400, (day + 1) * 86_400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == before else (low, middle)
            edges.append(high * 1_000_000)
            offsets.append(after)
            before = after
    return Clock(np.array(edges, np.int64), np.array(offsets, np.int64))


@njit(cache=True, nogil=True)
def offset_at(at, edges, offsets):  # pragma: no cover (compiled)
    """(offset, since when, until when): the clock's offset at an instant, and the stretch in which it is the same."""
    low, high = 0, len(edges) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if edges[middle] <= at:
            low = middle
        else:
            high = middle - 1
    return offsets[low], edges[low], edges[low + 1] if low + 1 < len(edges) else FAR_AHEAD


@njit(cache=True, nogil=True)
def local_day(at, edges, offsets):  # pragma: no cover (compiled)
    """The number of the local day of an instant, from Monday 1969-12-29."""
    return (at + offset_at(at, edges, offsets)[0]) // DAY_US + TO_MONDAY


@njit(cache=True, nogil=True)
def period_of(day, kind, weekday):  # pragma: no cover (compiled)
    """As `windows.python_period_number` numbers the day, week or month of a local day."""
    if kind == 0:
        return day
    if kind == 1:
        return (day - weekday) // 7
    # Days to a civil month (Howard Hinnant, chrono-compatible low-level date algorithms).
    shifted = day - TO_MONDAY + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    year = year_of_era + era * 400
    if month >= 10:
        return (year + 1) * 12 + month - 10
    return year * 12 + month + 2


@njit(cache=True, nogil=True)
def active_periods(at, start, end, edges, offsets, kind, weekday, found):  # pragma: no cover (compiled)
    """Writes the distinct local periods of rows in time order to `found`, ascending; returns how many there are."""
    count, ends = 0, LONG_AGO
    offset, since, until = np.int64(0), FAR_AHEAD, FAR_AHEAD
    for i in range(start, end):
        t = at[i]
        if t < ends:
            continue
        if t < since or t >= until:
            offset, since, until = offset_at(t, edges, offsets)
        day = (t + offset) // DAY_US
        ends = min((day + 1) * DAY_US - offset, until)
        period = period_of(day + TO_MONDAY, kind, weekday)
        if count == 0 or period > found[count - 1]:
            found[count] = period
            count += 1
        elif period < found[count - 1]:  # clocks that go back over midnight
            spot = count - 1
            while spot >= 0 and found[spot] > period:
                spot -= 1
            if spot < 0 or found[spot] != period:
                for k in range(count, spot + 1, -1):
                    found[k] = found[k - 1]
                found[spot + 1] = period
                count += 1
    return count


@njit(cache=True, nogil=True)
def _days(at, edges, offsets, days):  # pragma: no cover (compiled)
    day, ends, begins = np.int64(0), LONG_AGO, LONG_AGO
    offset, since, until = np.int64(0), FAR_AHEAD, FAR_AHEAD
    for i in range(len(at)):
        t = at[i]
        if t >= ends or t < begins:
            if t < since or t >= until:
                offset, since, until = offset_at(t, edges, offsets)
            day = (t + offset) // DAY_US
            begins = max(day * DAY_US - offset, since)
            ends = min((day + 1) * DAY_US - offset, until)
        days[i] = day + TO_MONDAY


def local_days(at: np.ndarray, report_timezone: str) -> np.ndarray:
    """Number of the local calendar day of each instant (microseconds since 1970, int64), as
    `windows.python_period_number` numbers days.

    Fast where most instants lie near the one before, as they do in a log.

    Raises:
        ValueError: no time zone.

    >>> late = np.array([datetime(2026, 1, 5, 23, 30, tzinfo=UTC).timestamp() * 1_000_000], np.int64)
    >>> (local_days(late, "Europe/Berlin") - local_days(late, "UTC")).tolist()
    [1]
    """
    days = np.empty(len(at), np.int32)
    if len(at):
        clock = clock_of(report_timezone, int(at.min()), int(at.max()))
        _days(at, clock.edges, clock.offsets, days)
    return days


def local_times(at: np.ndarray, report_timezone: str) -> np.ndarray:
    """The local wall-clock time of each instant, both in microseconds since 1970.

    Raises:
        ValueError: no time zone.

    >>> (local_times(np.array([0]), "Asia/Tokyo") // 3_600_000_000).tolist()
    [9]
    """
    if not len(at):
        return at
    clock = clock_of(report_timezone, int(at.min()), int(at.max()))
    return at + clock.offsets[np.searchsorted(clock.edges, at, side="right") - 1]


def dates_of(days: np.ndarray) -> np.ndarray:
    """The dates of numbered days.

    >>> dates_of(np.array([0])).tolist()
    [datetime.date(1969, 12, 29)]
    """
    return (days.astype(np.int64) - TO_MONDAY).astype("datetime64[D]")
