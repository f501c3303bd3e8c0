"""Which complete local days are compared with which: a week with the week before, or as much of it as there is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.windows import last_complete_period

FEWEST_DAYS = 3


class ComparedDays(NamedTuple):
    """`days` local days from `after_on`, against as many from `before_on`, a week earlier: the same weekdays."""

    before_on: date
    after_on: date
    days: int

    @property
    def later(self) -> str:
        """The later days as they are read."""
        return days_words(self.after_on, self.days)

    @property
    def earlier(self) -> str:
        """The earlier days as they are read."""
        return days_words(self.before_on, self.days)


def compared_days(first: date, last: date) -> ComparedDays | None:
    """The last week up to `last`, against the week before; of a log that begins later, those days of it whose weekday
    a week earlier is in the log. None where these are fewer than 3.

    >>> (
    ...     compared_days(date(2026, 1, 1), date(2026, 1, 18)).later,
    ...     compared_days(date(2026, 1, 5), date(2026, 1, 17)).later,
    ... )
    ('12 to 18 Jan', '12 to 17 Jan')
    >>> compared_days(date(2026, 1, 5), date(2026, 1, 13)) is None
    True
    """
    days = min(7, (last - first).days + 1 - 7)
    if days < FEWEST_DAYS:
        return None
    after_on = last - timedelta(days=days - 1)
    return ComparedDays(after_on - timedelta(days=7), after_on, days)


def last_complete_day(through: datetime, report_timezone: str = "UTC") -> date:
    """The last local day that is over.

    >>> last_complete_day(datetime(2026, 1, 18, 23)), last_complete_day(datetime(2026, 1, 19))
    (datetime.date(2026, 1, 17), datetime.date(2026, 1, 18))
    """
    return date(1969, 12, 29) + timedelta(days=last_complete_period(utc_instant(through), report_timezone, "day"))


def too_short(first: date, last: date) -> str:
    """Why nothing is compared."""
    held = max((last - first).days + 1, 0)
    return (
        f"the log begins on {first:%Y-%m-%d}, so it holds {held} complete {'day' if held == 1 else 'days'} up to "
        f"{last:%Y-%m-%d}; a comparison needs {7 + FEWEST_DAYS}"
    )


def days_words(first: date, days: int) -> str:
    """Days in a row as they are read.

    >>> days_words(date(2026, 1, 5), 7), days_words(date(2025, 12, 29), 7), days_words(date(2026, 1, 5), 1)
    ('5 to 11 Jan', '29 Dec to 4 Jan', '5 Jan')
    """
    last = first + timedelta(days=days - 1)
    if days == 1:
        return f"{first.day} {first:%b}"
    begin = f"{first.day}" if first.month == last.month else f"{first.day} {first:%b}"
    return f"{begin} to {last.day} {last:%b}"
