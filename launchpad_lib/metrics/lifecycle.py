"""Who is new, who stays, who comes back and who is gone; and how many are active."""

from __future__ import annotations

from datetime import datetime
from functools import reduce

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import NO_EVENTS, because, known_table, never_empty
from launchpad_lib.metrics.windows import (
    Period,
    Weekday,
    last_complete_period,
    local_date,
    period_number,
    period_start,
)

TRAILING_DAYS = {"dau": 1, "wau": 7, "mau": 28}


def _active(events: ir.Table, period: Period, zone: str, week_starts_on: Weekday = "monday") -> ir.Table:
    """Grain: one row per user and local period with an event: user_id, active."""
    known = known_table(events, needs=("user_id", "event_at"))
    known = known.filter(known.user_id.notnull() & known.event_at.notnull())
    return known.select(
        user_id=known.user_id, active=period_number(local_date(known.event_at, zone), period, week_starts_on)
    ).distinct()


def lifecycle(
    events: ir.Table,
    *,
    observed_through: datetime,
    period: Period = "week",
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> ir.Table:
    """Users by state. Grain: one row per local period from the first to the last with an event, gaps included.

    new: active for the first time. returning: active in the period before too. resurrected: active before, but not in
    the period before. dormant: active in the period before and not in this one.
    Identities: active = new + returning + resurrected; active before = returning + dormant; so
    active = active before + new + resurrected - dormant.
    Columns: period_on (first date), new, returning, resurrected, dormant, active (users), is_complete (the period is
    over at `observed_through`; before that dormant is too high), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 3), ("b", 1), ("b", 2)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> days = lifecycle(events, observed_through=datetime(2026, 1, 4), period="day").order_by("period_on").to_pandas()
    >>> days[["new", "returning", "resurrected", "dormant"]].values.tolist()
    [[2, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]
    """
    last = last_complete_period(utc_instant(observed_through), report_timezone, period, week_starts_on)
    active = _active(events, period, report_timezone, week_starts_on)
    by_time = ibis.window(group_by="user_id", order_by=active.active)
    active = active.mutate(before=active.active.lag().over(by_time), after=active.active.lead().over(by_time))
    state = ibis.cases(
        (active.before.isnull(), "new"), (active.before == active.active - 1, "returning"), else_="resurrected"
    )
    present = active.select(period=active.active, state=state)
    gone = active.filter(active.after.isnull() | (active.after > active.active + 1))
    gone = gone.select(period=gone.active + 1, state=ibis.literal("dormant"))
    both = present.union(gone)
    ends = active.agg(first=active.active.min(), last=active.active.max())
    spine = ends.select(period=ibis.range(ends.first, ends.last + 1).unnest())
    states = both.group_by("period").agg(
        **{s: (both.state == s).sum().cast("int64") for s in ("new", "returning", "resurrected", "dormant")}
    )
    rows = spine.left_join(states, "period").drop("period_right")
    rows = rows.mutate(**{s: rows[s].fill_null(0) for s in ("new", "returning", "resurrected", "dormant")})
    found = rows.select(
        period_on=period_start(rows.period, period, week_starts_on),
        new=rows.new,
        returning=rows.returning,
        resurrected=rows.resurrected,
        dormant=rows.dormant,
        active=rows.new + rows.returning + rows.resurrected,
        is_complete=rows.period <= last,
    )
    return never_empty(found, NO_EVENTS)


def active_users(events: ir.Table, *, report_timezone: str = "UTC") -> ir.Table:
    """DAU, WAU, MAU and stickiness.

    Grain: one row per local date from the first to the last with an event, gaps included.

    Distinct users on the day, in the trailing 7 and the trailing 28 local days. Columns: active_on, dau, wau, mau,
    stickiness (dau / mau, fraction), days_observed (days of data up to 28: under 28, mau does not cover its whole
    window), refused_because (NULL where the row stands). Linear: a user's active day adds one for the days until it
    leaves the window or the next active day takes over.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("b", 1), ("a", 9)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> active_users(events).order_by("active_on").to_pandas()[["dau", "wau", "mau"]].values.tolist()[-2:]
    [[0, 0, 2], [1, 1, 2]]
    """
    active = _active(events, "day", report_timezone)
    following = active.active.lead().over(ibis.window(group_by="user_id", order_by=active.active))
    active = active.mutate(following=following)
    parts: list[ir.Table] = []
    for name, days in TRAILING_DAYS.items():
        leaves = ibis.ifelse(
            active.following.isnull(), active.active + days, ibis.least(active.active + days, active.following)
        )
        come = active.select(day=active.active, name=ibis.literal(name), change=ibis.literal(1, "int64"))
        parts.append(come.union(active.select(day=leaves, name=ibis.literal(name), change=ibis.literal(-1, "int64"))))
    changes = reduce(lambda one, other: one.union(other), parts)
    daily = changes.group_by("day").agg(
        **{n: changes.change.sum(where=changes.name == n).fill_null(0).cast("int64") for n in TRAILING_DAYS}
    )
    ends = active.agg(first=active.active.min(), last=active.active.max())
    spine = ends.select(day=ibis.range(ends.first, ends.last + 1).unnest(), first=ends.first)
    rows = spine.left_join(daily, "day")
    running = ibis.cumulative_window(order_by=rows.day)
    rows = rows.select(
        day=rows.day,
        first=rows.first,
        **{n: rows[n].fill_null(0).sum().over(running).cast("int64") for n in TRAILING_DAYS},
    )
    found = rows.select(
        active_on=period_start(rows.day, "day"),
        dau=rows.dau,
        wau=rows.wau,
        mau=rows.mau,
        stickiness=rows.dau / rows.mau.nullif(0),
        days_observed=ibis.least(rows.day - rows.first + 1, 28),
        refused_because=because(rows.mau == 0, "nobody was active in the 28 days to this one"),
    )
    return never_empty(found, NO_EVENTS)


def active_days(
    events: ir.Table, *, observed_through: datetime, window_days: int = 28, report_timezone: str = "UTC"
) -> ir.Table:
    """The power-user curve: on how many of the last complete local days was each active user active?

    Grain: one row per number of days 1..window_days, zeros included. Columns: days, users, n (users active at all in
    the window), share (fraction of n), refused_because (NULL where the row stands). The window ends with the last local
    day that `observed_through` has seen to its end.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 2), ("b", 1)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> active_days(events, observed_through=datetime(2026, 1, 3), window_days=3).order_by("days").to_pandas()[
    ...     "users"
    ... ].tolist()
    [1, 1, 0]
    """
    if window_days < 1:
        raise ValueError(f"window_days={window_days}: must be at least 1; raise it")
    last = last_complete_period(utc_instant(observed_through), report_timezone, "day")
    active = _active(events, "day", report_timezone)
    recent = active.filter((active.active <= last) & (active.active > last - window_days))
    users = recent.group_by("user_id").agg(days=recent.active.count())
    counts = users.group_by("days").agg(users=users.count())
    total = users.agg(total=users.count())
    spine = total.select(days=ibis.range(1, window_days + 1).unnest(), total=total.total)
    rows = spine.left_join(counts, "days")
    return rows.select(
        days=rows.days.cast("int64"),
        users=rows.users.fill_null(0),
        n=rows.total,
        share=rows.users.fill_null(0) / rows.total.nullif(0),
        refused_because=because(rows.total == 0, f"no known user was active in the last {window_days} complete days"),
    )
