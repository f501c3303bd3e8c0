"""Who was active on which local day, with which features: the log read once, and every count of users made of it.

Kernels go through the users one after another; within a user days rise. So a distinct user of a day, a week or a
trailing window is told by comparing with what was seen last, without a set.
"""

from __future__ import annotations

from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.metrics.checks import known_table
from launchpad_lib.metrics.kernels.local_days import local_days
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.remembered import remembered

NO_FEATURE = -1
NOBODYS = -2  # the code of a feature that no row has


class UserDays(NamedTuple):
    """Grain of `day` and `feature`: one row per user, local day and feature of an event on it, days rising in a user.

    Rows of user i are `starts[i] : starts[i + 1]`. `day` is the number of the local day
    (`windows.python_period_number`); `feature` a code into `features`, -1 of events without one.
    """

    starts: np.ndarray
    day: np.ndarray
    feature: np.ndarray
    features: list[str]

    @property
    def users(self) -> int:
        """How many users were active at all."""
        return len(self.starts) - 1

    def code(self, feature_id: str) -> int:
        """The code of a feature; of one that nobody used, a code that no row has."""
        return self.features.index(feature_id) if feature_id in self.features else NOBODYS

    def span(self) -> tuple[int, int]:
        """The first and the last day; (0, -1) without events."""
        return (int(self.day.min()), int(self.day.max())) if len(self.day) else (0, -1)


def user_days(events: ir.Table, *, report_timezone: str = "UTC") -> UserDays:
    """Reads the log once. Events of nobody or without an instant are left out.

    Args:
        events: user_id and, where there are such columns, event_at (without it everything is one day) and feature_id.
    """
    known_table(events, needs=("user_id",))
    return remembered(events, ("user_days", report_timezone), lambda: _read(events, report_timezone))


def _read(events: ir.Table, report_timezone: str) -> UserDays:
    columns: dict[str, ir.Value] = {}
    if "event_at" in events.columns:
        columns["at"] = events.event_at
    if "feature_id" in events.columns:
        columns["feature"] = events.feature_id.cast("string")
    if not columns:
        columns["nothing"] = ibis.literal(0, "int8")
    where = events.event_at.notnull() if "event_at" in events.columns else None
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    texts: list[str] = []
    sizes = [np.zeros(1, np.int64)]
    for part in unit_rows(events, columns, where=where):
        texts = part.texts.get("feature", texts)
        rows = int(part.starts[-1])
        days = local_days(part.columns["at"], report_timezone) if "at" in columns else np.zeros(rows, np.int32)
        features = part.columns["feature"] if "feature" in columns else np.full(rows, NO_FEATURE, np.int32)
        counts = np.empty(part.units, np.int64)
        seen = np.zeros(len(texts) + 1, np.int64)
        kept = _distinct(part.starts, days, features, seen, counts)
        parts.append((days[:kept].copy(), features[:kept].astype(np.int16 if len(texts) < 2**15 else np.int32)))
        sizes.append(counts)
    nothing = [np.zeros(0, np.int32)]
    day, feature = (np.concatenate([part[side] for part in parts] or nothing) for side in (0, 1))
    return UserDays(np.cumsum(np.concatenate(sizes)), day, feature, texts)


@njit(cache=True, nogil=True)
def _distinct(starts, days, features, seen, counts):  # pragma: no cover (compiled)
    """Keeps the first row of each user, day and feature, in place; counts[u] = rows kept of a user."""
    kept = 0
    date = 0
    for u in range(len(starts) - 1):
        begin, end = starts[u], starts[u + 1]
        for i in range(begin + 1, end):  # where a zone's clock goes back over midnight, a day can come again
            day, feature, j = days[i], features[i], i - 1
            while j >= begin and days[j] > day:
                days[j + 1], features[j + 1] = days[j], features[j]
                j -= 1
            if j + 1 != i:
                days[j + 1], features[j + 1] = day, feature
        before = kept
        for i in range(begin, end):
            if i == begin or days[i] != days[i - 1]:
                date += 1
            if seen[features[i] + 1] != date:
                seen[features[i] + 1] = date
                day = days[i]
                days[kept], features[kept] = day, features[i]
                kept += 1
        counts[u] = kept - before
    return kept


def users_by_period(found: UserDays, feature: int, *, length: int, shift: int) -> tuple[int, np.ndarray, np.ndarray]:
    """`(first, active, users)`: the first period with an event; and for it and each later one the distinct users, and
    of them those of the feature (its code).

    Period number n is the days `shift + n * length` and the `length - 1` after it.
    """
    low, high = ((day - shift) // length for day in found.span())
    active, users = (np.zeros(high - low + 1, np.int64) for _ in range(2))
    _by_period(found.starts, found.day, found.feature, feature, length, shift, low, active, users)
    return low, active, users


@njit(cache=True, nogil=True)
def _by_period(starts, days, features, wanted, length, shift, low, active, users):  # pragma: no cover (compiled)
    for u in range(len(starts) - 1):
        seen, used = -1, -1
        for i in range(starts[u], starts[u + 1]):
            period = (days[i] - shift) // length - low
            if period != seen:
                active[period] += 1
                seen = period
            if features[i] == wanted and period != used:
                users[period] += 1
                used = period


def trailing_users(found: UserDays, windows: tuple[int, ...], *, through: int) -> np.ndarray:
    """Distinct users of the trailing `windows[k]` days, for every day from the first to `through`, or to the last where
    that is later. Shape: windows, days.

    A user's active day counts until it leaves the window or the user's next active day takes over.
    """
    low, high = found.span()
    high = max(high, through) if len(found.day) else high
    changes = np.zeros((len(windows), high - low + 1 + max(windows)), np.int64)
    _trailing(found.starts, found.day, low, np.array(windows, np.int64), changes)
    return changes.cumsum(axis=1)[:, : high - low + 1]


@njit(cache=True, nogil=True)
def _trailing(starts, days, low, windows, changes):  # pragma: no cover (compiled)
    for u in range(len(starts) - 1):
        begin, end = starts[u], starts[u + 1]
        for i in range(begin, end):
            if i + 1 < end and days[i + 1] == days[i]:
                continue
            day = days[i] - low
            for k in range(len(windows)):
                leaves = day + windows[k]
                if i + 1 < end:
                    leaves = min(leaves, days[i + 1] - low)
                changes[k, day] += 1
                changes[k, leaves] -= 1


def users_by_active_days(found: UserDays, *, after: int, through: int) -> np.ndarray:
    """How many users were active on k of the days in (after, through], for k from 0 to all of them."""
    users = np.zeros(through - after + 1, np.int64)
    _active_days(found.starts, found.day, after, through, users)
    return users


@njit(cache=True, nogil=True)
def _active_days(starts, days, after, through, users):  # pragma: no cover (compiled)
    for u in range(len(starts) - 1):
        active = 0
        for i in range(starts[u], starts[u + 1]):
            if after < days[i] <= through and (i == starts[u] or days[i] != days[i - 1]):
                active += 1
        users[active] += 1


def users_of_both(found: UserDays) -> tuple[int, np.ndarray]:
    """Distinct users of any feature; and of both of two features by their codes, of each on the diagonal.

    Cost: pairs of features a user has.
    """
    size = len(found.features)
    both, scratch = np.zeros((size, size), np.int32), np.zeros((2, size), np.int64)
    return int(_both(found.starts, found.feature, scratch, both)), both


@njit(cache=True, nogil=True)
def _own_features(starts, features, u, seen, own):  # pragma: no cover (compiled)
    """Writes the features of user u into own, each once (seen[feature] = u + 1), and returns how many they are."""
    count = 0
    for i in range(starts[u], starts[u + 1]):
        feature = features[i]
        if feature >= 0 and seen[feature] != u + 1:
            seen[feature] = u + 1
            own[count] = feature
            count += 1
    return count


@njit(cache=True, nogil=True)
def _both(starts, features, scratch, both):  # pragma: no cover (compiled)
    seen, own = scratch
    active = 0
    for u in range(len(starts) - 1):
        count = _own_features(starts, features, u, seen, own)
        active += count > 0
        for a in range(count):
            for b in range(count):
                both[own[a], own[b]] += 1
    return active


def users_with_one(found: UserDays, code: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Distinct users of any feature; of each feature; and of each feature and the one of this code (-1: of none).

    Cost: features a user has; it does not grow with pairs of features, as `users_of_both` does.
    """
    size = len(found.features)
    users, both = np.zeros(size, np.int64), np.zeros(size, np.int64)
    active = _with_one(found.starts, found.feature, code, np.zeros((2, size), np.int64), users, both)
    return int(active), users, both


@njit(cache=True, nogil=True)
def _with_one(starts, features, code, scratch, users, both):  # pragma: no cover (compiled)
    seen, own = scratch
    active = 0
    for u in range(len(starts) - 1):
        count = _own_features(starts, features, u, seen, own)
        active += count > 0
        has_it = code >= 0 and seen[code] == u + 1
        for a in range(count):
            users[own[a]] += 1
            both[own[a]] += has_it
    return active


class TwoPeriods(NamedTuple):
    """Distinct users of a period and of the one before it. Shape of `used`: features, and before, after, both,
    before of those active in both, after of those.
    """

    before: int
    after: int
    both: int
    used: np.ndarray


def users_of_two_periods(found: UserDays, *, before: int, after: int, length: int) -> TwoPeriods:
    """The periods of `length` days from day `before` and from day `after`, which do not overlap."""
    active = np.zeros(3, np.int64)
    size = len(found.features)
    used, marks = np.zeros((size, 5), np.int64), np.zeros((size, 2), np.int64)
    spans = before, after, length
    _two_periods(found.starts, found.day, found.feature, spans, marks, np.zeros(size, np.int64), active, used)
    return TwoPeriods(int(active[0]), int(active[1]), int(active[2]), used)


@njit(cache=True, nogil=True)
def _two_periods(starts, days, features, spans, marks, own, active, used):  # pragma: no cover (compiled)
    begin_before, begin_after, length = spans
    for u in range(len(starts) - 1):
        mine, count, was_before, was_after = u + 1, 0, 0, 0
        for i in range(starts[u], starts[u + 1]):
            is_before = begin_before <= days[i] < begin_before + length
            if is_before or begin_after <= days[i] < begin_after + length:
                side = 0 if is_before else 1
                was_after |= side
                was_before |= 1 - side
                feature = features[i]
                if feature >= 0:
                    if marks[feature, 0] != mine and marks[feature, 1] != mine:
                        own[count] = feature
                        count += 1
                    marks[feature, side] = mine
        in_both = was_before * was_after
        active[0] += was_before
        active[1] += was_after
        active[2] += in_both
        for k in range(count):
            before, after = marks[own[k], 0] == mine, marks[own[k], 1] == mine
            used[own[k], 0] += before
            used[own[k], 1] += after
            used[own[k], 2] += before and after
            used[own[k], 3] += in_both * before
            used[own[k], 4] += in_both * after
