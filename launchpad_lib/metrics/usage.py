"""Who uses a feature, how often, and what else: adoption, stickiness, frequency, overlap."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import fsum
from typing import NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.arguments import whole_number
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import (
    NO_EVENTS,
    because,
    counted_table,
    known_table,
    never_empty,
    refused_table,
    unknown_names,
)
from launchpad_lib.metrics.kernels.local_days import dates_of, local_days
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.kernels.user_days import (
    NOBODYS,
    UserDays,
    user_days,
    users_by_active_days,
    users_by_period,
    users_of_both,
    users_with_one,
)
from launchpad_lib.metrics.windows import (
    Weekday,
    is_one_of,
    last_complete_period,
    last_day_seen,
    weekday_number,
    wilson_limits,
)

ONE_DAY = "one day is observed, and of one day all users are users of that day; stickiness takes two days or more"
FREQUENCY_BUCKETS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 9), (10, 19), (20, 49), (50, None))


def daily_active_users(events: ir.Table, *, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date with an event. Columns: active_on, dau (distinct users)."""
    daily = _daily(_timed(events, report_timezone), NOBODYS)
    return counted_table({"active_on": dt.date, "dau": dt.int64}, active_on=daily.active_on, dau=daily.active)


class _Daily(NamedTuple):
    """Local dates with an event: distinct users, and of them those of a feature."""

    active_on: np.ndarray
    active: np.ndarray
    users: np.ndarray


def _timed(events: ir.Table, zone: str, *more: str) -> UserDays:
    return user_days(known_table(events, needs=("user_id", "event_at", *more)), report_timezone=zone)


def _daily(found: UserDays, feature: int) -> _Daily:
    first, active, users = users_by_period(found, feature, length=1, shift=0)
    there = np.flatnonzero(active)
    return _Daily(dates_of(first + there), active[there], users[there])


def adoption(events: ir.Table, *, feature_id: str, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date with an event.

    Columns: active_on, users (distinct, of the feature), active_users (distinct, of anything), adoption_rate (users /
    active_users, fraction), ci_low, ci_high (Wilson), refused_because (NULL where the row stands). A feature that does
    not occur in the log is one row without numbers, never 0 %.
    """
    found = _timed(events, report_timezone, "feature_id")
    daily = _daily(found, found.code(feature_id))
    kinds = {"active_on": dt.date, "users": dt.int64, "active_users": dt.int64}
    counts = counted_table(kinds, active_on=daily.active_on, users=daily.users, active_users=daily.active)
    rows = counts.mutate(
        adoption_rate=counts.users / counts.active_users.nullif(0), **wilson_limits(counts.users, counts.active_users)
    )
    unknown = unknown_names(events, feature_ids=[feature_id])
    return never_empty(rows, NO_EVENTS) if unknown is None else refused_table(rows, unknown)


def adoption_weekly(
    events: ir.Table,
    *,
    feature_id: str,
    observed_through: datetime,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> ir.Table:
    """Weekly adoption both ways. Grain: one row per local week with an event.

    `adoption_rate`: distinct users of the feature in the week / WAU of the week, with Wilson limits. `daily_mean_rate`:
    mean over the week's days with data of the daily adoption rates. The first is usually the larger: a week gives more
    chances. Columns: week_on (its first date), users, active_users, adoption_rate (fraction), ci_low, ci_high,
    daily_mean_rate (fraction), days (with data), is_complete, refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 5, "quiz"), ("b", 5, "home"), ("b", 6, "home"), ("a", 6, "home")]
    >>> events = ibis.memtable([{"user_id": u, "feature_id": f, "event_at": datetime(2026, 1, d)} for u, d, f in log])
    >>> week = adoption_weekly(events, feature_id="quiz", observed_through=datetime(2026, 1, 13)).to_pandas().iloc[0]
    >>> float(week["adoption_rate"]), float(week["daily_mean_rate"])
    (0.5, 0.25)
    """
    last = last_complete_period(utc_instant(observed_through), report_timezone, "week", week_starts_on)
    found, shift = _timed(events, report_timezone, "feature_id"), weekday_number(week_starts_on)
    feature = found.code(feature_id)
    first, active, users = users_by_period(found, feature, length=7, shift=shift)
    day, active_of_day, users_of_day = users_by_period(found, feature, length=1, shift=0)
    weeks = np.flatnonzero(active)
    rates: list[list[float]] = [[] for _ in active]
    for place in np.flatnonzero(active_of_day):
        rates[(day + int(place) - shift) // 7 - first].append(users_of_day[place] / active_of_day[place])
    counts = counted_table(
        {
            "week_on": dt.date,
            "users": dt.int64,
            "active_users": dt.int64,
            "daily_mean_rate": dt.float64,
            "days": dt.int64,
        }
        | {"is_complete": dt.boolean},
        week_on=dates_of((first + weeks) * 7 + shift),
        users=users[weeks],
        active_users=active[weeks],
        daily_mean_rate=[fsum(rates[week]) / len(rates[week]) for week in weeks],
        days=[len(rates[week]) for week in weeks],
        is_complete=first + weeks <= last,
    )
    rows = counts.select(
        "week_on",
        "users",
        "active_users",
        adoption_rate=counts.users / counts.active_users.nullif(0),
        **wilson_limits(counts.users, counts.active_users),
        daily_mean_rate=counts.daily_mean_rate,
        days=counts.days,
        is_complete=counts.is_complete,
    )
    unknown = unknown_names(events, feature_ids=[feature_id])
    return never_empty(rows, NO_EVENTS) if unknown is None else refused_table(rows, unknown)


def stickiness(events: ir.Table, *, observed_through: datetime, report_timezone: str = "UTC") -> ir.Table:
    """One row over the trailing 28 local days that end with the day of `observed_through`: mean_dau (over days with
    data), mau, days (with data), days_observed (since the log begins, at most 28), stickiness = mean_dau / mau
    (fraction), refused_because (NULL where the row stands).

    Of one observed day every user is a user of that day, so there is no stickiness yet.

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_at": datetime(2026, 1, d)} for u, d in [("a", 1), ("a", 2), ("b", 2)]]
    ... )
    >>> float(stickiness(events, observed_through=datetime(2026, 1, 2)).to_pandas()["stickiness"][0])
    0.75
    """
    through, found = utc_instant(observed_through), _timed(events, report_timezone)
    # An event at the very midnight that ends the data has begun its day.
    begun = min(found.span()[1], last_complete_period(through, report_timezone, "day") + 1)
    last = max(last_day_seen(through, report_timezone), begun)
    first, active, _ = users_by_period(found, NOBODYS, length=1, shift=0)
    dau = active[max(last - 27 - first, 0) : max(last + 1 - first, 0)]
    dau, users = dau[dau > 0], users_by_active_days(found, after=last - 28, through=last)
    rows = counted_table(
        {"mean_dau": dt.float64, "mau": dt.int64, "days": dt.int64, "days_observed": dt.int64},
        mean_dau=[int(dau.sum()) / len(dau) if len(dau) else None],
        mau=[int(users[1:].sum())],
        days=[len(dau)],
        days_observed=[min(max(last - first + 1, 0), 28) if len(active) else 0],
    )
    nobody = because(rows.mau == 0, "no known user was active in the 28 days before the data end")
    told = rows.mutate(
        stickiness=ibis.ifelse(rows.days_observed > 1, rows.mean_dau / rows.mau.nullif(0), ibis.null(dt.float64)),
        refused_because=nobody.fill_null(because(rows.days_observed == 1, ONE_DAY)),
    )
    return told.select("mean_dau", "mau", "days", "days_observed", "stickiness", "refused_because")


def frequency(
    events: ir.Table,
    *,
    event_name: str,
    observed_through: datetime,
    window_days: int = 28,
    report_timezone: str = "UTC",
) -> ir.Table:
    """How often users do something.

    Grain: one row per bucket of times within the last complete local days, zeros included.
    Columns: place, times ("1", "5-9", "50+"), users, n (users who did it at all in the window), share (fraction of n),
    refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, 1)} for u in "aab"])
    >>> frequency(events, event_name="x", observed_through=datetime(2026, 1, 3)).order_by("place").to_pandas()[
    ...     "users"
    ... ].tolist()[:3]
    [1, 1, 0]
    """
    window_days = whole_number(window_days, argument="window_days")
    through = utc_instant(observed_through)
    last = last_complete_period(through, report_timezone, "day")
    log = known_table(events, needs=("user_id", "event_name", "event_at"))
    # Two days wider than the window: which local day an instant is of is told below.
    around = log.event_at.between(
        *(ibis.literal(through + timedelta(days=d), dt.timestamp) for d in (-window_days - 2, 2))
    )
    users = np.zeros(len(FREQUENCY_BUCKETS) + 1, np.int64)
    for part in unit_rows(log, {"at": log.event_at}, where=around & is_one_of(log.event_name, [event_name])):
        day = local_days(part.columns["at"], report_timezone)
        inside = ((day <= last) & (day > last - window_days)).astype(np.int64)
        times = np.add.reduceat(inside, part.starts[:-1]) if part.units else inside
        lows = [low for low, _ in FREQUENCY_BUCKETS]
        users += np.bincount(np.searchsorted(lows, times, side="right"), minlength=len(users))
    names = [str(low) if low == high else f"{low}-{high}" if high else f"{low}+" for low, high in FREQUENCY_BUCKETS]
    places = list(range(len(names)))
    kinds = {"place": dt.int64, "times": dt.string, "users": dt.int64, "n": dt.int64}
    total = int(users[1:].sum())
    rows = counted_table(kinds, place=places, times=names, users=users[1:], n=[total] * len(names))
    nobody = f"nobody did {quoted(event_name)} in the last {window_days} complete days"
    found = rows.mutate(share=rows.users / rows.n.nullif(0), refused_because=because(rows.n == 0, nobody))
    unknown = unknown_names(events, event_names=[event_name])
    return found if unknown is None else refused_table(found, unknown, place=places, times=names)


def feature_overlap(events: ir.Table, *, feature_id: str | None = None) -> ir.Table:
    """Who uses both of two features.

    Grain: one row per ordered pair of different features, pairs without users included; only those whose feature_a is
    `feature_id`, where one is named.

    share_of_a = users_both / users_a with Wilson limits: of those who use a, how many use b. jaccard = both / either.
    overlap_lift = users_both * active / (users_a * users_b): 1 where the use of one tells nothing about the other; like
    any association it is no effect. Cost: pairs of features per user (of one named feature: its pairs).

    Columns: feature_a, feature_b, users_a, users_b, users_both, share_of_a, ci_low, ci_high, jaccard, overlap_lift,
    refused_because (NULL where the row stands).

    >>> import ibis
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "feature_id": f} for u, f in [("a", "quiz"), ("a", "search"), ("b", "quiz"), ("c", "home")]]
    ... )
    >>> pair = (
    ...     feature_overlap(events).filter(ibis._.feature_a == "quiz", ibis._.feature_b == "search").to_pandas().iloc[0]
    ... )
    >>> int(pair["users_both"]), float(pair["share_of_a"]), float(pair["overlap_lift"])
    (1, 0.5, 1.5)
    """
    known_table(events, needs=("user_id", "feature_id"))
    days = user_days(events)
    order = sorted(range(len(days.features)), key=days.features.__getitem__)  # codes have an order of their own
    names = np.array(days.features, dtype=object)[order]
    codes = np.array(order, np.int64)
    if feature_id is None:
        active, pairs = users_of_both(days)
        both_of, users = pairs[np.ix_(codes, codes)].astype(np.int64), pairs.diagonal()[codes].astype(np.int64)
        a, b = np.nonzero(~np.eye(len(codes), dtype=bool))
        both = both_of[a, b]
    else:
        a = np.flatnonzero(names == feature_id)
        b = np.flatnonzero(names != feature_id) if len(a) else a
        active, users, with_it = users_with_one(days, int(codes[a[0]]) if len(a) else -1)
        a, users, both = np.resize(a, len(b)), users[codes], with_it[codes][b]
    kinds = {
        "feature_a": dt.string,
        "feature_b": dt.string,
        "users_a": dt.int64,
        "users_b": dt.int64,
        "users_both": dt.int64,
    }
    rows = counted_table(
        kinds,
        feature_a=names[a],
        feature_b=names[b],
        users_a=users[a],
        users_b=users[b],
        users_both=both,
    )
    n = rows.users_both
    found = rows.select(
        *kinds,
        share_of_a=n / rows.users_a.nullif(0),
        **wilson_limits(n, rows.users_a),
        jaccard=n / (rows.users_a + rows.users_b - n).nullif(0),
        overlap_lift=n * active / (rows.users_a * rows.users_b).nullif(0),
    )
    return never_empty(found, "fewer than two features have users, so there is nothing to overlap")
