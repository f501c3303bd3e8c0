"""Retention as a fold: the start and one bit a day for 64 days are all that is kept of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.metrics.checks import nobody_counted, refused_table
from launchpad_lib.metrics.kernels.funnel import SavedStates
from launchpad_lib.metrics.kernels.local_days import DAY_US, FAR_AHEAD, clock_of, offset_at
from launchpad_lib.metrics.kernels.prefetch import ROWS_AHEAD, prefetch_row
from launchpad_lib.metrics.kernels.reading import (
    EventLog,
    codes_of,
    fold_files,
    grown,
    micros_of,
    unknown_code,
    utc_date_of_file,
)
from launchpad_lib.metrics.windows import wilson_limits

HORIZON_DAYS = 64
SHIFT = 2**62  # a start is kept as start + SHIFT, so that 0 means that there is none
IS_START, IS_RETURN = 1, 2


@njit(cache=True, nogil=True)
def _fold_rolling(users, at, state):  # pragma: no cover (compiled)
    """Every event starts and returns. state[u] = (first instant + SHIFT, mask of days of 24 hours since).

    Rows of the same user on the same day of 24 hours change nothing: they cost one comparison.
    """
    rows = len(users)
    user, day_ends = np.int64(-1), np.int64(0)
    for i in range(rows):
        prefetch_row(state, users[min(i + ROWS_AHEAD, rows - 1)])
        u = users[i]
        t = at[i] + SHIFT
        if u == user and t < day_ends:
            continue
        user = np.int64(u)
        begun = state[u, 0]
        if begun == 0:
            begun = t
            state[u, 0] = t
        day = (t - begun) // DAY_US
        day_ends = begun + (day + 1) * DAY_US
        if day < HORIZON_DAYS:
            state[u, 1] |= np.int64(1) << day


@njit(cache=True, nogil=True)
def _fold_dates(users, date, state):  # pragma: no cover (compiled)
    """Every event starts and returns, all on one date (number + SHIFT): who was there is all there is to know."""
    rows = len(users)
    user = np.int64(-1)
    for i in range(rows):
        prefetch_row(state, users[min(i + ROWS_AHEAD, rows - 1)])
        u = users[i]
        if u == user:
            continue
        user = np.int64(u)
        if state[u, 0] == 0:
            state[u, 0] = date
        day = date - state[u, 0]
        if day < HORIZON_DAYS:
            state[u, 1] |= np.int64(1) << day


@njit(cache=True, nogil=True)
def _fold_coded(users, at, codes, start, end, roles, edges, offsets, state, carry):  # pragma: no cover (compiled)
    """As `_fold_rolling` with start and return events; with a clock (`edges`, `offsets`) by local date.

    `carry` keeps the last user and instant and whether a return was met at it: a start at the same instant that comes
    later in the file has that return on its day 0.
    """
    user, now, returned = carry[0], carry[1], carry[2]
    offset, since, until = np.int64(0), FAR_AHEAD, FAR_AHEAD
    for i in range(start, end):
        role = roles[codes[i]]
        if role == 0:
            continue
        u = np.int64(users[i])
        t = at[i]
        if u != user or t != now:
            user, now, returned = u, t, 0
        returned |= role & IS_RETURN
        when = t + SHIFT
        if len(edges):
            if t < since or t >= until:
                offset, since, until = offset_at(t, edges, offsets)
            when = (t + offset) // DAY_US + SHIFT
        if state[u, 0] == 0:
            if role & IS_START:
                state[u, 0] = when
                state[u, 1] = 1 if returned else 0
        elif role & IS_RETURN:
            day = when - state[u, 0]
            if len(edges) == 0:
                day //= DAY_US
            if day < HORIZON_DAYS:
                state[u, 1] |= np.int64(1) << day
    carry[0], carry[1], carry[2] = user, now, returned


@njit(cache=True, nogil=True)
def _count(state, observed, unit):  # pragma: no cover (compiled)
    """By number of days observed: users; by day: users seen again among those whose day is over; entrants."""
    observed_days = np.zeros(HORIZON_DAYS + 1, np.int64)
    retained = np.zeros(HORIZON_DAYS, np.int64)
    block = np.zeros(4096, np.uint64)
    for begin in range(0, len(state), len(block)):
        size = min(len(block), len(state) - begin)
        any_bits = np.uint64(0)
        for i in range(size):
            block[i] = 0
            if state[begin + i, 0] != 0:
                days = min(max((observed + SHIFT - state[begin + i, 0]) // unit, 0), HORIZON_DAYS)
                observed_days[days] += 1
                mask = np.uint64(state[begin + i, 1])
                if days < HORIZON_DAYS:
                    mask &= (np.uint64(1) << np.uint64(days)) - np.uint64(1)
                block[i] = mask
                any_bits |= mask
        # Bit by bit over a block in the cache: such a loop runs on several users at once.
        for day in range(HORIZON_DAYS):
            if (any_bits >> np.uint64(day)) & np.uint64(1):
                found = np.uint64(0)
                for i in range(size):
                    found += (block[i] >> np.uint64(day)) & np.uint64(1)
                retained[day] += np.int64(found)
    return observed_days, retained


class RetentionFold:
    """Per-user start and return mask; a later day folds onto it. Grain: one row of state per user number, 16 bytes.

    State: `state` (users x 2 int64): start + 2**62 (microseconds, or the local date's number for calendar days; 0 = no
    start), and the mask of days 0 ... 63 with a return.
    """

    def __init__(
        self,
        *,
        start_code: int | None,
        return_code: int | None,
        days: Literal["rolling", "calendar"] = "rolling",
        report_timezone: str = "UTC",
        threads: int = 2,
    ) -> None:
        if days not in ("rolling", "calendar"):
            raise ValueError(f"days={days!r}: must be 'rolling' (24 hours from the start) or 'calendar' (local dates)")
        self.start_code, self.return_code, self.days, self.threads = start_code, return_code, days, threads
        self.report_timezone = report_timezone
        self.restore({})

    @property
    def spec(self) -> dict[str, Any]:
        """What the state depends on beside the days."""
        zone = self.report_timezone if self.days == "calendar" else None
        return {
            "kind": "retention",
            "revision": 1,
            "start": self.start_code,
            "return": self.return_code,
            "days": self.days,
            "timezone": zone,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The state, to be saved."""
        return {"state": self.state}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up a saved state; no arrays is the empty state."""
        self.state = arrays.get("state", np.zeros((0, 2), np.int64))

    def fold(self, paths: Sequence[str], *, users: int) -> None:
        """Folds further day files, in day order, all of them later than those folded before."""
        self.state = grown(self.state, users)
        if self.start_code is None and self.return_code is None and self.days == "rolling":

            def every_event(thread: int, path: str, columns: list[np.ndarray], start: int, end: int) -> None:
                _fold_rolling(*(c[start:end] for c in columns), self.state)  # type: ignore[call-arg]  # numba's stub

            fold_files(
                paths, columns=("user_number", "event_at"), users=users, kernel=every_event, threads=self.threads
            )
            return
        if self.start_code is None and self.return_code is None and self.report_timezone == "UTC":
            # A day file is one UTC date, so its instants need not be read.
            dates = {path: utc_date_of_file(path) + SHIFT for path in paths}

            def every_date(thread: int, path: str, columns: list[np.ndarray], start: int, end: int) -> None:
                _fold_dates(columns[0][start:end], dates[path], self.state)

            fold_files(paths, columns=("user_number",), users=users, kernel=every_date, threads=self.threads)
            return
        roles = np.zeros(65_536, np.int64)
        for code, role in ((self.start_code, IS_START), (self.return_code, IS_RETURN)):
            roles[slice(None) if code is None else code] |= role
        carry = np.array([[-1, 0, 0]] * max(self.threads, 1), np.int64)
        nothing = np.zeros(0, np.int64)

        def chosen_events(thread: int, path: str, columns: list[np.ndarray], start: int, end: int) -> None:
            at = columns[1][start:end]
            edges, offsets = (
                (nothing, nothing)
                if self.days == "rolling" or not len(at)
                else clock_of(self.report_timezone, int(at.min()), int(at.max()))
            )
            place = (start, end, roles, edges, offsets, self.state, carry[thread])
            _fold_coded(*columns, *place)  # type: ignore[call-arg]  # numba's stub

        fold_files(
            paths,
            columns=("user_number", "event_at", "event_code"),
            users=users,
            kernel=chosen_events,
            threads=self.threads,
        )

    def counts(self, *, observed_through: datetime) -> tuple[np.ndarray, np.ndarray, int]:
        """Per day 0 ... 63: mature users, retained users; and the number of users who started."""
        observed, unit = micros_of(observed_through), DAY_US
        if self.days == "calendar":
            clock = clock_of(self.report_timezone, observed, observed)
            observed, unit = (observed + int(offset_at(observed, *clock)[0])) // DAY_US, 1
        by_days, retained = _count(self.state, observed, unit)
        return np.cumsum(by_days[::-1])[::-1][1:], retained, int(by_days.sum())


def fast_retention(
    log: EventLog,
    *,
    days: Sequence[int],
    observed_through: datetime,
    start_event: str | None = None,
    return_event: str | None = None,
    period: Literal["rolling", "calendar"] = "rolling",
    report_timezone: str = "UTC",
    states: SavedStates | None = None,
    threads: int = 2,
) -> ir.Table:
    """Day-N retention by a compiled fold over day files.

    Grain: one row per day N; answers as `metrics.retention_curve`.

    Rolling: a return in [t0 + 24 N h, t0 + 24 (N + 1) h), t0 the user's first start event. Calendar: the local date of
    a return is N dates after that of t0, not before t0. Only users whose day N is over at `observed_through` are
    counted. Columns: day, users, retained, users_immature, retention_rate, ci_low, ci_high, refused_because (NULL where
    the row stands; an event that the log has never seen: one row per day without numbers). 16 bytes a user.

    Raises:
        ValueError: a day not in 0 ... 63.
    """
    wrong = [d for d in days if not 0 <= d < HORIZON_DAYS]
    if wrong or not days:
        raise ValueError(
            f"days={list(days)!r}: must name days from 0 to {HORIZON_DAYS - 1}; later days need metrics.retention_curve"
        )
    unknown = unknown_code((start_event, return_event), log=log)
    if unknown is not None:
        return refused_table(
            _table(days, [0] * HORIZON_DAYS, [0] * HORIZON_DAYS, 0, observed_through), unknown, day=list(days)
        )
    start, back = (
        None if e is None else codes_of([e], log=log, argument=a)[0]
        for a, e in (("start_event", start_event), ("return_event", return_event))
    )
    fold = RetentionFold(
        start_code=start, return_code=back, days=period, report_timezone=report_timezone, threads=threads
    )
    if states is None:
        fold.fold(log.paths, users=log.users)
    else:
        states.advance(fold, log)
    users, retained, started = fold.counts(observed_through=observed_through)
    return _table(days, users, retained, started, observed_through)


def _table(
    days: Sequence[int],
    users: Sequence[int] | np.ndarray,
    retained: Sequence[int] | np.ndarray,
    started: int,
    observed_through: datetime,
) -> ir.Table:
    rows = ibis.memtable(
        {
            "day": list(days),
            "users": [int(users[d]) for d in days],
            "retained": [int(retained[d]) for d in days],
            "users_immature": [started - int(users[d]) for d in days],
        },
        schema={"day": "int64", "users": "int64", "retained": "int64", "users_immature": "int64"},
    )
    nobody = nobody_counted(
        rows.users, immature=rows.users_immature, what="retention", observed_through=observed_through
    )
    return rows.mutate(
        retention_rate=rows.retained / rows.users.nullif(0),
        **wilson_limits(rows.retained, rows.users),
        refused_because=ibis.literal("day ") + rows.day.cast("string") + ": " + nobody,
    )
