"""Adoption, completion, depth, duration, sharing, stickiness, frequency and overlap of features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.funnel import funnel
from launchpad_lib.metrics.windows import (
    last_complete_period,
    local_date,
    period_number,
    period_start,
    ratio_limits,
    wilson_limits,
)

FREQUENCY_BUCKETS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 9), (10, 19), (20, 49), (50, None))


def daily_active_users(events: ir.Table, *, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date with an event. Columns: active_on, dau (distinct users)."""
    dated = events.mutate(active_on=local_date(events.event_at, report_timezone))
    return dated.group_by("active_on").agg(dau=dated.user_id.nunique())


def adoption(events: ir.Table, *, feature_id: str, report_timezone: str = "UTC") -> ir.Table:
    """Grain: one row per local date. adoption_rate = distinct users of the feature / distinct active users, Wilson limits."""
    dated = events.mutate(active_on=local_date(events.event_at, report_timezone))
    counts = dated.group_by("active_on").agg(
        users=dated.user_id.nunique(where=dated.feature_id == feature_id), active_users=dated.user_id.nunique()
    )
    return counts.mutate(
        adoption_rate=counts.users / counts.active_users.nullif(0), **wilson_limits(counts.users, counts.active_users)
    )


def adoption_weekly(
    events: ir.Table, *, feature_id: str, observed_through: datetime, report_timezone: str = "UTC"
) -> ir.Table:
    """Weekly adoption both ways. Grain: one row per local week (from Monday) with an event.

    `adoption_rate`: distinct users of the feature in the week / WAU of the week, with Wilson limits. `daily_mean_rate`:
    mean over the week's days with data of the daily adoption rates. The first is usually the larger: a week gives more chances.
    Columns: week_on, users, active_users, adoption_rate, ci_low, ci_high, daily_mean_rate, days, is_complete.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 5, "quiz"), ("b", 5, "home"), ("b", 6, "home"), ("a", 6, "home")]
    >>> events = ibis.memtable([{"user_id": u, "feature_id": f, "event_at": datetime(2026, 1, d)} for u, d, f in log])
    >>> week = adoption_weekly(events, feature_id="quiz", observed_through=datetime(2026, 1, 13)).to_pandas().iloc[0]
    >>> float(week["adoption_rate"]), float(week["daily_mean_rate"])
    (0.5, 0.25)
    """
    daily = adoption(events, feature_id=feature_id, report_timezone=report_timezone)
    daily = daily.mutate(week=period_number(daily.active_on, "week"))
    means = daily.group_by("week").agg(daily_mean_rate=daily.adoption_rate.mean(), days=daily.count())
    dated = events.mutate(week=period_number(local_date(events.event_at, report_timezone), "week"))
    counts = dated.group_by("week").agg(
        users=dated.user_id.nunique(where=(dated.feature_id == feature_id).fill_null(False)),
        active_users=dated.user_id.nunique(),
    )
    rows = counts.join(means, "week")
    last = last_complete_period(observed_through, report_timezone, "week")
    return rows.select(
        week_on=period_start(rows.week, "week"), users=rows.users, active_users=rows.active_users,
        adoption_rate=rows.users / rows.active_users.nullif(0), **wilson_limits(rows.users, rows.active_users),
        daily_mean_rate=rows.daily_mean_rate, days=rows.days, is_complete=rows.week <= last,
    )  # fmt: skip


def completion(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    window: str,
    observed_through: datetime,
    by: str = "user_id",
) -> ir.Table:
    """One row: starts (mature units that started), completed, completion_rate, ci_low, ci_high, immature."""
    steps = funnel(events, steps=[start_event, complete_event], window=window, observed_through=observed_through, by=by)
    wide = steps.agg(
        starts=steps.users.sum(where=steps.step == 1),
        completed=steps.users.sum(where=steps.step == 2),
        immature=steps.entrants_immature.max(),
    )
    return wide.mutate(
        completion_rate=wide.completed / wide.starts.nullif(0), **wilson_limits(wide.completed, wide.starts)
    )


def depth(events: ir.Table, *, start_event: str, interaction_events: Sequence[str]) -> ir.Table:
    """One row over started sessions, zeros included: sessions; mean, median and p90 of interactions and of distinct kinds.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("s1", "start"), ("s1", "slide"), ("s1", "slide"), ("s2", "start")]
    >>> events = ibis.memtable([{"user_id": "u", "session_key": s, "event_name": n, "event_at": datetime(2026, 1, 1)} for s, n in log])
    >>> float(depth(events, start_event="start", interaction_events=["slide", "pick"]).to_pandas()["mean_interactions"][0])
    1.0
    """
    is_interaction = events.event_name.isin(list(interaction_events))
    per = events.group_by(["user_id", "session_key"]).agg(
        starts=(events.event_name == start_event).sum(),
        interactions=is_interaction.sum(),
        kinds=events.event_name.nunique(where=is_interaction),
    )
    per = per.filter(per.starts > 0)
    return per.agg(
        sessions=per.count(),
        mean_interactions=per.interactions.mean(),
        median_interactions=per.interactions.quantile(0.5),
        p90_interactions=per.interactions.quantile(0.9),
        mean_kinds=per.kinds.mean(),
        median_kinds=per.kinds.quantile(0.5),
        p90_kinds=per.kinds.quantile(0.9),
    )


def session_duration(sessions: ir.Table) -> ir.Table:
    """One row: sessions, median_seconds, p90_seconds of last minus first event; a single-event session lasts 0."""
    return sessions.agg(
        sessions=sessions.count(),
        median_seconds=sessions.duration_seconds.quantile(0.5),
        p90_seconds=sessions.duration_seconds.quantile(0.9),
    )


def share_rate(
    events: ir.Table, *, view_event: str, share_event: str, window: str, observed_through: datetime
) -> ir.Table:
    """One row: viewers (mature), sharers, share_rate, ci_low, ci_high, immature."""
    done = completion(
        events, start_event=view_event, complete_event=share_event, window=window, observed_through=observed_through
    )
    return done.rename(viewers="starts", sharers="completed", share_rate="completion_rate")


def shares_per_viewer(
    events: ir.Table, *, view_event: str, share_event: str, window: str, observed_through: datetime
) -> ir.Table:
    """How often a result is passed on. One row over mature viewers (first view + window <= observed_through).

    Views and shares are those from a viewer's first view to the end of its window. shares_per_viewer = shares / viewers;
    shares_per_view = shares / views, a ratio of sums. Both with 95 % limits by the delta method over viewers, who are
    independent (their views are not). Columns: viewers, views, shares, shares_per_viewer, ci_low, ci_high,
    shares_per_view, per_view_ci_low, per_view_ci_high, immature.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "view"), ("a", "share"), ("a", "share"), ("b", "view"), ("b", "view")]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (u, n) in enumerate(log)])
    >>> row = shares_per_viewer(events, view_event="view", share_event="share", window="1d", observed_through=datetime(2026, 1, 9)).to_pandas().iloc[0]
    >>> float(row["shares_per_viewer"]), round(float(row["shares_per_view"]), 3)
    (1.0, 0.667)
    """
    length = parse_window(window)
    log = events.filter(events.user_id.notnull() & events.event_name.isin([view_event, share_event]))
    whole = ibis.window(group_by="user_id", preceding=None, following=None)
    log = log.select(
        user_id=log.user_id,
        at=log.event_at,
        is_view=log.event_name == view_event,
        is_share=log.event_name == share_event,
    )
    log = log.mutate(first_at=log.at.min(where=log.is_view).over(whole))
    log = log.filter(log.first_at.notnull())
    inside = (log.at >= log.first_at) & (log.at <= log.first_at + ibis.interval(seconds=int(length.total_seconds())))
    own = log.group_by("user_id").agg(
        first_at=log.first_at.min(),
        x=(inside & log.is_view).sum().cast("int64"),
        y=(inside & log.is_share).sum().cast("int64"),
    )
    own = own.mutate(is_mature=own.first_at <= ibis.literal(observed_through - length, "timestamp"))
    counted = own.is_mature
    sums = own.agg(
        viewers=counted.sum().fill_null(0).cast("int64"), views=own.x.sum(where=counted).fill_null(0), shares=own.y.sum(where=counted).fill_null(0),
        yy=(own.y * own.y).sum(where=counted), yx=(own.y * own.x).sum(where=counted), xx=(own.x * own.x).sum(where=counted),
        immature=(~counted).sum().fill_null(0).cast("int64"),
    )  # fmt: skip
    per_viewer = ratio_limits(sums.shares, sums.viewers, (sums.yy, sums.shares, sums.viewers), sums.viewers)
    per_view = ratio_limits(sums.shares, sums.views, (sums.yy, sums.yx, sums.xx), sums.viewers)
    return sums.select(
        viewers=sums.viewers, views=sums.views.cast("int64"), shares=sums.shares.cast("int64"),
        shares_per_viewer=sums.shares / sums.viewers.nullif(0), **_from_zero(per_viewer),
        shares_per_view=sums.shares / sums.views.nullif(0), **{f"per_view_{k}": v for k, v in _from_zero(per_view).items()}, immature=sums.immature,
    )  # fmt: skip


def _from_zero(limits: dict[str, ir.NumericValue]) -> dict[str, ir.NumericValue]:
    """Limits of a count per unit do not lie under 0; NULL stays NULL."""
    low = limits["ci_low"]
    return {
        "ci_low": ibis.ifelse(low.isnull(), ibis.null("float64"), ibis.greatest(low, 0.0)),
        "ci_high": limits["ci_high"],
    }


def stickiness(events: ir.Table, *, observed_through: datetime, report_timezone: str = "UTC") -> ir.Table:
    """One row over the trailing 28 local days that end with the day of `observed_through`: mean_dau (over days with data),
    mau, days (with data), stickiness = mean_dau / mau.

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable([{"user_id": u, "event_at": datetime(2026, 1, d)} for u, d in [("a", 1), ("a", 2), ("b", 2)]])
    >>> float(stickiness(events, observed_through=datetime(2026, 1, 2)).to_pandas()["stickiness"][0])
    0.75
    """
    last = last_complete_period(observed_through, report_timezone, "day") + 1
    dated = events.mutate(day=period_number(local_date(events.event_at, report_timezone), "day"))
    recent = dated.filter((dated.day > last - 28) & (dated.day <= last))
    daily = recent.group_by("day").agg(dau=recent.user_id.nunique())
    return recent.agg(
        mean_dau=daily.dau.mean().as_scalar(), mau=recent.user_id.nunique(), days=recent.day.nunique()
    ).mutate(stickiness=ibis._.mean_dau / ibis._.mau.nullif(0))


def frequency(
    events: ir.Table,
    *,
    event_name: str,
    observed_through: datetime,
    window_days: int = 28,
    report_timezone: str = "UTC",
) -> ir.Table:
    """How often users do something. Grain: one row per bucket of times within the last complete local days, zeros included.

    Columns: place, times ("1", "5-9", "50+"), users, share (of users who did it at all in the window).

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, 1)} for u in "aab"])
    >>> frequency(events, event_name="x", observed_through=datetime(2026, 1, 3)).order_by("place").to_pandas()["users"].tolist()[:3]
    [1, 1, 0]
    """
    if window_days < 1:
        raise ValueError(f"window_days={window_days}: must be at least 1; raise it")
    last = last_complete_period(observed_through, report_timezone, "day")
    day = period_number(local_date(events.event_at, report_timezone), "day")
    chosen = events.filter(
        (events.event_name == event_name) & events.user_id.notnull() & (day <= last) & (day > last - window_days)
    )
    own = chosen.group_by("user_id").agg(n=chosen.count())
    within = [(own.n >= low) & (own.n <= high if high else ibis.literal(True)) for low, high in FREQUENCY_BUCKETS]
    sums = own.agg(
        total=own.count(), **{f"users_{k}": w.sum().fill_null(0).cast("int64") for k, w in enumerate(within)}
    )
    places = range(len(FREQUENCY_BUCKETS))
    long = sums.mutate(place=ibis.array([ibis.literal(k, "int64") for k in places]).unnest())
    names = [str(low) if low == high else f"{low}-{high}" if high else f"{low}+" for low, high in FREQUENCY_BUCKETS]
    users = ibis.cases(*((long.place == k, long[f"users_{k}"]) for k in places))
    return long.select(
        place=long.place,
        times=ibis.cases(*((long.place == k, names[k]) for k in places)),
        users=users,
        share=users / long.total.nullif(0),
    )


def feature_overlap(events: ir.Table) -> ir.Table:
    """Who uses both of two features. Grain: one row per ordered pair of different features, pairs without users included.

    share_of_a = users_both / users_a with Wilson limits: of those who use a, how many use b. jaccard = both / either.
    overlap_lift = users_both * active / (users_a * users_b): 1 where the use of one tells nothing about the other; like
    any association it is no effect. Cost: pairs of features per user, whatever the events.
    Columns: feature_a, feature_b, users_a, users_b, users_both, share_of_a, ci_low, ci_high, jaccard, overlap_lift.

    >>> import ibis
    >>> events = ibis.memtable([{"user_id": u, "feature_id": f} for u, f in [("a", "quiz"), ("a", "search"), ("b", "quiz"), ("c", "home")]])
    >>> pair = feature_overlap(events).filter(ibis._.feature_a == "quiz", ibis._.feature_b == "search").to_pandas().iloc[0]
    >>> int(pair["users_both"]), float(pair["share_of_a"]), float(pair["overlap_lift"])
    (1, 0.5, 1.5)
    """
    known = events.filter(events.user_id.notnull() & events.feature_id.notnull())
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
    return rows.select(
        feature_a=rows.feature_a, feature_b=rows.feature_b, users_a=rows.users_a, users_b=rows.users_b, users_both=n,
        share_of_a=n / rows.users_a.nullif(0), **wilson_limits(n, rows.users_a), jaccard=n / (rows.users_a + rows.users_b - n).nullif(0),
        overlap_lift=n * rows.active / (rows.users_a * rows.users_b).nullif(0),
    )  # fmt: skip
