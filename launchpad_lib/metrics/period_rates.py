"""Completion and sharing by local day, and of two periods: of users, or of sessions whose users belong together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.metrics.compared_days import ComparedDays
from launchpad_lib.metrics.kernels.local_days import local_days
from launchpad_lib.metrics.kernels.named_events import is_named, number_by_name
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.session_facts import sessions_of, user_numbers
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import python_period_number

BEGIN, END = 1, 2


class PeriodRates(NamedTuple):
    """What came of one pair of events.

    `days`: one row per local day on which a mature unit began: day (number from 1969-12-29), began, finished.
    `clusters`: one row per user who began in one of two periods: began and finished units before and after
    (began_before, finished_before, began_after, finished_after); None where no periods are compared.
    """

    days: pd.DataFrame
    clusters: np.ndarray | None


def period_rates(
    events: ir.Table,
    *,
    pairs: Sequence[tuple[str, str]],
    window: str,
    observed_through: datetime,
    compared: ComparedDays | None,
    report_timezone: str = "UTC",
    by: str = "user_id",
) -> list[PeriodRates]:
    """Of each pair (begin, end): units by the local day, and by the period, in which they began; in one reading.

    The base is that of `completions`, within the period: a user counts in every day and period in which they begin, and
    has finished where an end follows one of those begins within the window; a session counts on the day of its first
    begin, with any of its begins. Begins whose window is not over are in no count. At one instant the begin comes
    first; where both have one name, an end is another event.

    Args:
        by: user_id, or session_key, whose sessions are clustered by user.

    >>> from datetime import date
    >>> import ibis
    >>> rows = [("a", "go", 1), ("a", "done", 1), ("a", "go", 8), ("b", "go", 8)]
    >>> log = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in rows])
    >>> days = ComparedDays(date(2026, 1, 1), date(2026, 1, 8), 3)
    >>> asked = {"window": "1d", "observed_through": datetime(2026, 1, 20), "compared": days}
    >>> period_rates(log, pairs=[("go", "done")], **asked)[0].clusters.tolist()
    [[1, 1, 1, 0], [0, 0, 1, 0]]
    """
    by_session = by != "user_id"
    log, unit = sessions_of(events) if by_session else (events, by)
    length = parse_window(window)
    limits = int(length.total_seconds() * 1_000_000), micros_of(utc_instant(observed_through) - length)
    bits: dict[str, int] = {}
    for k, (begin, end) in enumerate(pairs):
        bits[begin] = bits.get(begin, 0) | BEGIN << 2 * k
        bits[end] = bits.get(end, 0) | END << 2 * k
    columns: dict[str, ir.Value] = {"at": log.event_at, "bits": number_by_name(log, bits)}
    if by_session:
        columns["user"] = user_numbers(log).cast("int64")
    where = is_named(log, bits) & log.event_at.notnull() & log.user_id.notnull()
    edges = None if compared is None else _edges(compared)
    found = [_Counts(edges, by_session=by_session) for _ in pairs]
    users = 0
    for part in unit_rows(log, columns, unit=unit, where=where):
        units = np.repeat(np.arange(part.units), np.diff(part.starts))
        at, own = part.columns["at"], part.columns["bits"]
        for k, counts in enumerate(found):
            begun, rows, done = _begins(units, at, (own >> 2 * k) & (BEGIN | END), limits)
            who = part.columns["user"][rows] if by_session else begun + users
            counts.add(begun, who, local_days(at[rows], report_timezone), done)
        users += part.units
    return [counts.result() for counts in found]


def _edges(compared: ComparedDays) -> tuple[int, int, int]:
    """The first day of both periods, and how many days they have."""
    before, after = (python_period_number(on, "day") for on in (compared.before_on, compared.after_on))
    return before, after, compared.days


class _Counts:
    """Units by day, and by user in two periods, added up part by part."""

    def __init__(self, edges: tuple[int, int, int] | None, *, by_session: bool) -> None:
        self.edges, self.by_session = edges, by_session
        self._days: dict[int, np.ndarray] = {}
        self._clusters: list[np.ndarray] = [np.zeros((0, 5), np.int64)]  # user, and the columns of `clusters`

    def add(self, unit: np.ndarray, user: np.ndarray, day: np.ndarray, done: np.ndarray) -> None:
        """Begins in the order of their units and instants."""
        if not len(unit):
            return
        # A session is one unit, of the day of its first begin; a user is one on each day.
        is_new = np.diff(unit, prepend=unit[0] - 1) != 0
        is_first = is_new if self.by_session else is_new | (np.diff(day, prepend=day[0]) != 0)
        first = np.flatnonzero(is_first)
        finished = np.maximum.reduceat(done, first)
        of_day, low = day[first], int(day.min())
        began = np.bincount(of_day - low)
        ended = np.bincount(of_day - low, weights=finished).astype(np.int64)
        for place in np.flatnonzero(began):
            held = self._days.setdefault(low + int(place), np.zeros(2, np.int64))
            held += (began[place], ended[place])
        if self.edges is not None:
            before, after, length = self.edges
            is_before, is_after = (((of_day >= on) & (of_day < on + length)) for on in (before, after))
            kept = is_before | is_after
            self._clusters.append(self._of_users(user[first][kept], is_after[kept].astype(np.int64), finished[kept]))

    def result(self) -> PeriodRates:
        days = sorted(self._days)
        counts = np.array([self._days[day] for day in days], np.int64).reshape(-1, 2)
        table = pd.DataFrame({"day": days, "began": counts[:, 0], "finished": counts[:, 1]})
        return PeriodRates(table, None if self.edges is None else _added(np.concatenate(self._clusters)))

    def _of_users(self, user: np.ndarray, side: np.ndarray, finished: np.ndarray) -> np.ndarray:
        """Units of both periods as rows of `_clusters`, a part's own: what every session did is not kept."""
        order = np.lexsort((side, user))
        user, side, finished = user[order], side[order], finished[order]
        first = np.flatnonzero((np.diff(user, prepend=-1) != 0) | (np.diff(side, prepend=-1) != 0))
        if not len(first):
            return np.zeros((0, 5), np.int64)
        # Of a user any of the days of a period is one unit; sessions are as many as there are.
        began = np.diff(np.append(first, len(user))) if self.by_session else np.ones(len(first), np.int64)
        done = (np.add if self.by_session else np.maximum).reduceat(finished, first)
        is_new = np.diff(user[first], prepend=-1) != 0
        place = np.cumsum(is_new) - 1
        found = np.zeros((int(place[-1]) + 1, 5), np.int64)
        found[:, 0] = user[first][is_new]
        found[place, 1 + 2 * side[first]] = began
        found[place, 2 + 2 * side[first]] = done
        return found


def _added(clusters: np.ndarray) -> np.ndarray:
    """One row per user in the order of their numbers; a user's sessions may have come in several parts."""
    users, place = np.unique(clusters[:, 0], return_inverse=True)
    found = np.zeros((len(users), 4), np.int64)
    np.add.at(found, place, clusters[:, 1:])
    return found


def _begins(
    units: np.ndarray, at: np.ndarray, roles: np.ndarray, limits: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mature begins: their units, their rows, and whether an end follows within the window."""
    window, mature_until = limits
    rows = np.flatnonzero(roles)
    # At one instant the begin comes first, whatever the order of arrival; all else is in order already.
    instant = np.cumsum((np.diff(units[rows], prepend=-1) != 0) | (np.diff(at[rows], prepend=0) != 0))
    rows = rows[np.argsort(2 * instant + ((roles[rows] & END) > 0), kind="stable")]
    ends = np.flatnonzero(roles[rows] & END)
    begins = np.flatnonzero((roles[rows] & BEGIN > 0) & (at[rows] <= mature_until))
    following = np.searchsorted(ends, begins, side="right")
    there = following < len(ends)
    follower = rows[ends[np.where(there, following, 0)]] if len(ends) else np.zeros(len(begins), np.int64)
    mine = rows[begins]
    done = there & (units[follower] == units[mine]) & (at[follower] - at[mine] <= window) if len(ends) else there
    return units[mine], mine, done.astype(np.int64)
