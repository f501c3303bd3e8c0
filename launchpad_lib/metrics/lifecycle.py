"""Who is new, who stays, who comes back and who is gone."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import NO_EVENTS, known_table, never_empty
from launchpad_lib.metrics.windows import (
    Period,
    Weekday,
    last_complete_period,
    local_date,
    period_number,
    period_start,
)


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
