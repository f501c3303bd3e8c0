"""Who did something early on, and how long users stay: one row per user."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.contract.sentences import span_words
from launchpad_lib.metrics.checks import never_empty, refused_table
from launchpad_lib.metrics.steps import Step, asked_of, is_step
from launchpad_lib.metrics.windows import property_value, seconds_between


def behavioural_cohorts(
    events: ir.Table,
    *,
    event: str | Step,
    at_least: int,
    within: str,
    observed_through: datetime,
    start_event: str | Step | None = None,
) -> ir.Table:
    """Cohorts by what users did soon after their first start.

    Grain: one row per user with t0 + within <= observed_through.

    Columns: user_id, cohort ("<event> >= n in <within>" or "fewer"), refused_because (NULL where the row stands). For
    `retention(cohorts=...)`, whose brackets must lie after `within`: else those who stay have more time to qualify, and
    the cohorts differ for that reason alone. Membership is no cause: users choose what they do.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "x"), ("a", "share"), ("b", "x")]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (u, n) in enumerate(log)]
    ... )
    >>> behavioural_cohorts(
    ...     events, event="share", at_least=1, within="1d", observed_through=datetime(2026, 1, 9)
    ... ).order_by("user_id").to_pandas()["cohort"].tolist()
    ['share >= 1 in 1d', 'fewer']
    """
    if at_least < 1:
        raise ValueError(f"at_least={at_least}: must be at least 1; raise it")
    length, through = parse_window(within), utc_instant(observed_through)
    wanted = event if isinstance(event, Step) else Step(event)
    events, unknown = asked_of(events, [wanted, start_event], [])
    chosen = events.filter(is_step(events, start_event))
    first = chosen.group_by("user_id").agg(t0=chosen.event_at.min())
    first = first.filter(first.t0 <= ibis.literal(through - length, "timestamp"))
    log = events.select(by=events.user_id, at=events.event_at, is_wanted=is_step(events, wanted))
    joined = first.join(log, first.user_id == log.by)
    times = (
        joined.is_wanted
        & (joined.at >= joined.t0)
        & (joined.at <= joined.t0 + ibis.interval(seconds=int(length.total_seconds())))
    ).sum()
    counted = joined.group_by("user_id").agg(times=times)
    found = counted.select(
        counted.user_id,
        cohort=ibis.ifelse(counted.times >= at_least, f"{wanted.event_name} >= {at_least} in {within}", "fewer"),
    )
    if unknown is not None:
        return refused_table(found, unknown)
    seen = f"{span_words(within)} from the start by {through:%Y-%m-%d %H:%M} UTC"
    return never_empty(found, f"no user has been observed for {seen}")


def activity_spans(
    events: ir.Table, *, gap: str, observed_through: datetime, group_property: str | None = None
) -> ir.Table:
    """Time to last activity, for `inference.kaplan_meier`.

    Grain: one row per user first seen by observed_through - gap.

    A user has churned when the gap after the last event is over at `observed_through`; duration_days is then from first
    to last event. Who is still active at observed_through - gap is censored at that instant, which is the same for all
    and so tells nothing about the user. Columns: user_id, duration_days, is_churned, group_name (the value on the first
    event), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 3), ("b", 1), ("b", 20)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> spans = activity_spans(events, gap="7d", observed_through=datetime(2026, 1, 21)).order_by("user_id").to_pandas()
    >>> spans["duration_days"].tolist(), spans["is_churned"].tolist()
    ([2.0, 13.0], [True, False])
    """
    end_of_entry = utc_instant(observed_through) - parse_window(gap)
    cut = ibis.literal(end_of_entry, "timestamp")
    events, unknown = asked_of(events, [], [group_property])
    log = events.filter(events.user_id.notnull() & events.event_at.notnull())
    label = property_value(log, group_property) if group_property else ibis.null("string")
    log = log.select(user_id=log.user_id, at=log.event_at, label=label)
    order = [log.at, log.label]
    log = log.mutate(
        group_name=log.label.first().over(
            ibis.window(group_by="user_id", order_by=order, preceding=None, following=None)
        )
    )
    users = log.group_by("user_id").agg(first_at=log.at.min(), last_at=log.at.max(), group_name=log.group_name.min())
    users = users.filter(users.first_at <= cut)
    is_churned = users.last_at <= cut
    end = ibis.ifelse(is_churned, users.last_at, cut)
    found = users.select(
        users.user_id,
        duration_days=seconds_between(users.first_at, end) / 86_400,
        is_churned=is_churned,
        group_name=users.group_name,
    )
    if unknown is not None:
        return refused_table(found, unknown)
    late = f"within {span_words(gap)} of the end of the data"
    return never_empty(found, f"every user was first seen {late}, so nobody can be judged")
