"""Who uses a feature, how often, and what else: adoption, stickiness, frequency, overlap."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import NO_EVENTS, because, known_table, never_empty, refused_table, unknown_names
from launchpad_lib.metrics.windows import (
    Weekday,
    is_one_of,
    last_complete_period,
    local_date,
    period_number,
    period_start,
    wilson_limits,
)

FREQUENCY_BUCKETS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 9), (10, 19), (20, 49), (50, None))


def daily_active_users(events: ir.Table, *, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date with an event. Columns: active_on, dau (distinct users)."""
    dated = _dated(events, report_timezone)
    return dated.group_by("active_on").agg(dau=dated.user_id.nunique())


def _dated(events: ir.Table, zone: str, *more: str) -> ir.Table:
    """Grain: one row per event of a known user: user_id, active_on (local date), and further columns as they are."""
    known = known_table(events, needs=("user_id", "event_at", *more))
    known = known.filter(known.user_id.notnull() & known.event_at.notnull())
    return known.select("user_id", *more, active_on=local_date(known.event_at, zone))


def adoption(events: ir.Table, *, feature_id: str, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date with an event.

    Columns: active_on, users (distinct, of the feature), active_users (distinct, of anything), adoption_rate (users /
    active_users, fraction), ci_low, ci_high (Wilson), refused_because (NULL where the row stands). A feature that does
    not occur in the log is one row without numbers, never 0 %.
    """
    dated = _dated(events, report_timezone, "feature_id")
    counts = dated.group_by("active_on").agg(
        users=dated.user_id.nunique(where=is_one_of(dated.feature_id, [feature_id]).fill_null(False)),
        active_users=dated.user_id.nunique(),
    )
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
    dated = _dated(events, report_timezone, "feature_id")
    is_of_feature = is_one_of(dated.feature_id, [feature_id]).fill_null(False)
    daily = dated.group_by("active_on").agg(
        rate=dated.user_id.nunique(where=is_of_feature) / dated.user_id.nunique().nullif(0)
    )
    daily = daily.select(daily.rate, week=period_number(daily.active_on, "week", week_starts_on))
    means = daily.group_by("week").agg(daily_mean_rate=daily.rate.mean(), days=daily.count())
    log = dated.select("user_id", is_hit=is_of_feature, week=period_number(dated.active_on, "week", week_starts_on))
    counts = log.group_by("week").agg(users=log.user_id.nunique(where=log.is_hit), active_users=log.user_id.nunique())
    rows = counts.join(means, "week")
    found = rows.select(
        week_on=period_start(rows.week, "week", week_starts_on),
        users=rows.users,
        active_users=rows.active_users,
        adoption_rate=rows.users / rows.active_users.nullif(0),
        **wilson_limits(rows.users, rows.active_users),
        daily_mean_rate=rows.daily_mean_rate,
        days=rows.days,
        is_complete=rows.week <= last,
    )
    unknown = unknown_names(events, feature_ids=[feature_id])
    return never_empty(found, NO_EVENTS) if unknown is None else refused_table(found, unknown)


def stickiness(events: ir.Table, *, observed_through: datetime, report_timezone: str = "UTC") -> ir.Table:
    """One row over the trailing 28 local days that end with the day of `observed_through`: mean_dau (over days with
    data), mau, days (with data), stickiness = mean_dau / mau (fraction), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_at": datetime(2026, 1, d)} for u, d in [("a", 1), ("a", 2), ("b", 2)]]
    ... )
    >>> float(stickiness(events, observed_through=datetime(2026, 1, 2)).to_pandas()["stickiness"][0])
    0.75
    """
    last = last_complete_period(utc_instant(observed_through), report_timezone, "day") + 1
    dated = _dated(events, report_timezone)
    dated = dated.select("user_id", day=period_number(dated.active_on, "day"))
    recent = dated.filter((dated.day > last - 28) & (dated.day <= last))
    daily = recent.group_by("day").agg(dau=recent.user_id.nunique())
    found = recent.agg(mean_dau=daily.dau.mean().as_scalar(), mau=recent.user_id.nunique(), days=recent.day.nunique())
    return found.mutate(
        stickiness=found.mean_dau / found.mau.nullif(0),
        refused_because=because(found.mau == 0, "no known user was active in the 28 days before the data end"),
    )


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
    if window_days < 1:
        raise ValueError(f"window_days={window_days}: must be at least 1; raise it")
    last = last_complete_period(utc_instant(observed_through), report_timezone, "day")
    dated = _dated(events, report_timezone, "event_name")
    day = period_number(dated.active_on, "day")
    chosen = dated.filter(is_one_of(dated.event_name, [event_name]) & (day <= last) & (day > last - window_days))
    own = chosen.group_by("user_id").agg(n=chosen.count())
    within = [(own.n >= low) & (own.n <= high if high else ibis.literal(True)) for low, high in FREQUENCY_BUCKETS]
    sums = own.agg(
        total=own.count(), **{f"users_{k}": w.sum().fill_null(0).cast("int64") for k, w in enumerate(within)}
    )
    places = range(len(FREQUENCY_BUCKETS))
    long = sums.mutate(place=ibis.array([ibis.literal(k, "int64") for k in places]).unnest())
    names = [str(low) if low == high else f"{low}-{high}" if high else f"{low}+" for low, high in FREQUENCY_BUCKETS]
    users = ibis.cases(*((long.place == k, long[f"users_{k}"]) for k in places))
    nobody = f"nobody did {quoted(event_name)} in the last {window_days} complete days"
    found = long.select(
        place=long.place,
        times=ibis.cases(*((long.place == k, names[k]) for k in places)),
        users=users,
        n=long.total,
        share=users / long.total.nullif(0),
        refused_because=because(long.total == 0, nobody),
    )
    unknown = unknown_names(events, event_names=[event_name])
    return found if unknown is None else refused_table(found, unknown, place=list(places), times=names)


def feature_overlap(events: ir.Table) -> ir.Table:
    """Who uses both of two features.

    Grain: one row per ordered pair of different features, pairs without users included.

    share_of_a = users_both / users_a with Wilson limits: of those who use a, how many use b. jaccard = both / either.
    overlap_lift = users_both * active / (users_a * users_b): 1 where the use of one tells nothing about the other; like
    any association it is no effect. Cost: pairs of features per user, whatever the events.
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
    known = known_table(events, needs=("user_id", "feature_id"))
    known = known.filter(known.user_id.notnull() & known.feature_id.notnull())
    use = known.select("user_id", "feature_id").distinct()
    totals = use.group_by("feature_id").agg(users=use.count())
    active = use.agg(active=use.user_id.nunique())
    a = totals.select(feature_a=totals.feature_id, users_a=totals.users)
    b = totals.select(feature_b=totals.feature_id, users_b=totals.users)
    pairs = a.cross_join(b)
    pairs = pairs.filter(pairs.feature_a != pairs.feature_b).cross_join(active)
    left = use.select(user_id=use.user_id, feature_a=use.feature_id)
    right = use.select(user_id=use.user_id, feature_b=use.feature_id)
    together = left.join(right, "user_id")
    both = together.group_by(["feature_a", "feature_b"]).agg(n=together.count())
    rows = pairs.left_join(both, ["feature_a", "feature_b"])
    n = rows.n.fill_null(0)
    found = rows.select(
        feature_a=rows.feature_a,
        feature_b=rows.feature_b,
        users_a=rows.users_a,
        users_b=rows.users_b,
        users_both=n,
        share_of_a=n / rows.users_a.nullif(0),
        **wilson_limits(n, rows.users_a),
        jaccard=n / (rows.users_a + rows.users_b - n).nullif(0),
        overlap_lift=n * rows.active / (rows.users_a * rows.users_b).nullif(0),
    )
    return never_empty(found, "fewer than two features have users, so there is nothing to overlap")
