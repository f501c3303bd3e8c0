"""Retention: who comes back, counted only where the time has been observed to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.steps import Step, matches
from launchpad_lib.metrics.windows import (
    Period,
    last_complete_period,
    local_date,
    micros,
    period_number,
    period_start,
    property_value,
    ratio_limits,
    seconds_between,
    wilson_limits,
)

ROLLING_HOURS = {"day": 24, "week": 7 * 24}

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels import EventLog


def on_or_after(number: int, *, horizon: int) -> tuple[int, int]:
    """The bracket of "on or after period N": a return in periods N..horizon. One horizon for all cohorts, so that old and
    new ones are observed equally long.

    >>> on_or_after(7, horizon=28)
    (7, 28)
    """
    return number, horizon


def retention(
    events: ir.Table,
    *,
    returns: Sequence[int | tuple[int, int]],
    observed_through: datetime,
    counting: Literal["rolling", "calendar"] = "rolling",
    period: Period = "day",
    start: Literal["first", "recurring"] = "first",
    start_event: str | Step | None = None,
    return_event: str | Step | None = None,
    cohort_by: Period | None = None,
    cohort_property: str | None = None,
    cohorts: ir.Table | None = None,
    report_timezone: str = "UTC",
) -> ir.Table:
    """Who comes back in each period after a start. Grain: one row per cohort and asked period (one cohort by default).

    Args:
        events: user_id, event_name, event_at (UTC), and the properties named.
        returns: period numbers N, or brackets (a, b), both ends in; see `on_or_after`. 0 is the period of the start.
        counting: "rolling": a return in [t0 + N periods, t0 + (N + 1) periods), a day being 24 h and a week 168 h.
            "calendar": the difference of local calendar periods is N; weeks start on Mondays.
        start: "first": t0 is the user's first start event. "recurring": every calendar period with a start event counts as
            a start of its own (n are user-periods).
        start_event, return_event: a name or a `Step` with filters; None is any event.
        cohort_by: cohorts are the local day, week or month of t0; column `cohort` is its first date.
        cohort_property: cohorts are the property's values on the start event (NULL is one).
        cohorts: cohorts are given: user_id, cohort (see `behavioural_cohorts`); only users in it are counted.

    Returns:
        [cohort,] period_from, period_to, users (mature starts), retained, retention_rate, ci_low, ci_high (Wilson; for
        recurring starts delta method clustered by user), users_immature, is_complete (nobody is immature).
        A start is mature when the whole asked period is over at `observed_through`; others are in neither count.

    Cost: one join of starts with distinct active periods per user. For recurring starts that is pairs of active periods
    of a user (at most periods squared, whatever the events).

    Raises:
        ValueError: options that contradict each other, a bracket whose end lies before its start.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 2), ("b", 1), ("c", 9)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d, 12)} for u, d in log])
    >>> row = retention(events, returns=[1], observed_through=datetime(2026, 1, 10)).to_pandas().iloc[0]
    >>> int(row["retained"]), int(row["users"]), int(row["users_immature"])
    (1, 2, 1)
    """
    brackets = _brackets(returns)
    if counting == "rolling" and start == "recurring":
        raise ValueError(
            "start='recurring': counts calendar periods with a start, so it needs counting='calendar'; change one of the two"
        )
    if counting == "rolling" and period not in ROLLING_HOURS:
        raise ValueError(
            f"period={period!r}: has no fixed length, so it needs counting='calendar'; change one of the two"
        )
    if counting not in ("rolling", "calendar") or start not in ("first", "recurring"):
        raise ValueError(
            f"counting={counting!r}, start={start!r}: must be 'rolling' or 'calendar', and 'first' or 'recurring'; choose among them"
        )
    if sum(x is not None for x in (cohort_by, cohort_property, cohorts)) > 1:
        raise ValueError(
            "cohort_by, cohort_property, cohorts: more than one is given; give the one that makes the rows"
        )
    starts = _starts(
        events,
        start=start,
        start_event=start_event,
        period=period,
        zone=report_timezone,
        cohort_by=cohort_by,
        cohort_property=cohort_property,
    )
    if cohorts is not None:
        starts = starts.drop("cohort").join(cohorts.select("user_id", "cohort"), "user_id")
    back = events.filter(_is(events, return_event))
    if counting == "rolling":
        unit_us = ROLLING_HOURS[period] * 3_600_000_000
        joined = starts.join(back.select(user_id=back.user_id, at=back.event_at), "user_id")
        behind = ((micros(joined.at) - micros(joined.t0)) / unit_us).floor().cast("int64")
        limit = {
            k: observed_through - timedelta(hours=ROLLING_HOURS[period] * (high + 1))
            for k, (_, high) in enumerate(brackets)
        }
        latest = ibis.array([ibis.literal(v, "timestamp") for v in limit.values()])
    else:
        dated = back.select(
            user_id=back.user_id, active=period_number(local_date(back.event_at, report_timezone), period)
        ).distinct()
        joined = starts.join(dated, "user_id")
        behind = joined.active - joined.own_period
        last = last_complete_period(observed_through, report_timezone, period)
        latest = ibis.array([ibis.literal(last - high, "int64") for _, high in brackets])
    lows = ibis.array([ibis.literal(low, "int64") for low, _ in brackets])
    highs = ibis.array([ibis.literal(high, "int64") for _, high in brackets])
    which = ibis.array([ibis.literal(k, "int64") for k in range(len(brackets))])
    pairs = joined.select(user_id=joined.user_id, own_period=joined.own_period, behind=behind).distinct()
    pairs = pairs.mutate(which=which.unnest())
    hits = (
        pairs.filter((pairs.behind >= lows[pairs.which]) & (pairs.behind <= highs[pairs.which]))
        .select("user_id", "own_period", "which")
        .distinct()
    )
    asked = starts.mutate(which=which.unnest())
    asked = asked.mutate(is_mature=(asked.t0 if counting == "rolling" else asked.own_period) <= latest[asked.which])
    seen = asked.left_join(hits, ["user_id", "own_period", "which"])
    seen = seen.select(
        seen.user_id, seen.cohort, seen.which, seen.is_mature, is_retained=seen.is_mature & seen.user_id_right.notnull()
    )
    rows = _counted(seen, clustered=start == "recurring")
    shown = {} if cohort_by is None and cohort_property is None and cohorts is None else {"cohort": rows.cohort}
    return rows.select(
        **shown, period_from=lows[rows.which], period_to=highs[rows.which], users=rows.users, retained=rows.retained,
        retention_rate=rows.retained / rows.users.nullif(0), ci_low=rows.ci_low, ci_high=rows.ci_high,
        users_immature=rows.users_immature, is_complete=rows.users_immature == 0,
    )  # fmt: skip


def _brackets(returns: Sequence[int | tuple[int, int]]) -> list[tuple[int, int]]:
    brackets = [(r, r) if isinstance(r, int) else (int(r[0]), int(r[1])) for r in returns]
    if not brackets:
        raise ValueError("returns=[]: names no period; give for example [1, 7]")
    for low, high in brackets:
        if low < 0 or high < low:
            raise ValueError(
                f"returns={(low, high)!r}: a bracket runs from 0 or later to an end not before its start; correct it"
            )
    return brackets


def _is(events: ir.Table, wanted: str | Step | None) -> ir.BooleanValue:
    if wanted is None:
        return events.user_id.notnull()
    step = wanted if isinstance(wanted, Step) else Step(wanted)
    return matches(events, step.event_name, step.filters) & events.user_id.notnull()


def _starts(
    events: ir.Table,
    *,
    start: str,
    start_event,
    period: Period,
    zone: str,
    cohort_by: Period | None,
    cohort_property: str | None,
) -> ir.Table:
    """Grain: one row per user (first) or per user and local period (recurring): user_id, own_period, t0, cohort."""
    chosen = events.filter(_is(events, start_event))
    own = period_number(local_date(chosen.event_at, zone), period)
    label = property_value(chosen, cohort_property) if cohort_property else ibis.null("string")
    log = chosen.select(
        user_id=chosen.user_id, t0=chosen.event_at, own_period=own, cohort=label,
        **{name: chosen[name] for name in ("received_at", "event_id") if name in chosen.columns},
    )  # fmt: skip
    order = [log.t0, *(log[name] for name in ("received_at", "event_id") if name in log.columns), log.cohort]
    keys = ["user_id"] if start == "first" else ["user_id", "own_period"]
    log = log.mutate(place=ibis.row_number().over(ibis.window(group_by=keys, order_by=order)))
    starts = log.filter(log.place == 0).select("user_id", "own_period", "t0", "cohort")
    if cohort_by:
        starts = starts.mutate(cohort=period_start(period_number(local_date(starts.t0, zone), cohort_by), cohort_by))
    return starts


def _counted(seen: ir.Table, *, clustered: bool) -> ir.Table:
    if not clustered:
        rows = seen.group_by(["cohort", "which"]).agg(
            users=seen.is_mature.sum().fill_null(0).cast("int64"),
            retained=seen.is_retained.sum().fill_null(0).cast("int64"),
            users_immature=(~seen.is_mature).sum().fill_null(0).cast("int64"),
        )
        return rows.mutate(**wilson_limits(rows.retained, rows.users))
    own = seen.group_by(["cohort", "which", "user_id"]).agg(
        x=seen.is_mature.sum().fill_null(0).cast("int64"),
        y=seen.is_retained.sum().fill_null(0).cast("int64"),
        late=(~seen.is_mature).sum().fill_null(0),
    )
    rows = own.group_by(["cohort", "which"]).agg(
        users=own.x.sum(), retained=own.y.sum(), users_immature=own.late.sum().cast("int64"), persons=(own.x > 0).sum(),
        yy=(own.y * own.y).sum(), yx=(own.y * own.x).sum(), xx=(own.x * own.x).sum(),
    )  # fmt: skip
    limits = ratio_limits(rows.retained, rows.users, (rows.yy, rows.yx, rows.xx), rows.persons)
    held = {
        k: ibis.ifelse(v.isnull(), ibis.null("float64"), ibis.least(ibis.greatest(v, 0.0), 1.0))
        for k, v in limits.items()
    }
    return rows.mutate(**held)


def pooled_retention(matrix: ir.Table) -> ir.Table:
    """The pooled row of a cohort matrix: sum of retained over sum of mature users, never a mean of rates.

    Grain: one row per asked period. For first-time starts (each user is in one cohort; Wilson limits). For recurring
    starts call `retention` without cohorts, whose limits know that a user counts several times.
    """
    rows = matrix.group_by(["period_from", "period_to"]).agg(
        users=matrix.users.sum().cast("int64"),
        retained=matrix.retained.sum().cast("int64"),
        users_immature=matrix.users_immature.sum().cast("int64"),
    )
    return rows.mutate(retention_rate=rows.retained / rows.users.nullif(0), **wilson_limits(rows.retained, rows.users))


def retention_curve(
    events: ir.Table | EventLog,
    *,
    days: Sequence[int],
    observed_through: datetime,
    start_event: str | None = None,
    return_event: str | None = None,
) -> ir.Table:
    """Rolling day-N retention. Grain: one row per day N.

    A return is an event in [t0 + 24 N h, t0 + 24 (N + 1) h), t0 the user's first start event. Only users with
    t0 + 24 (N + 1) h <= observed_through are counted. Columns: day, users, retained, retention_rate, ci_low, ci_high,
    users_immature. Day files (`staging.open_event_log`) are answered by the compiled fold, for days 0 to 63.
    """
    if not isinstance(events, ir.Table):
        from launchpad_lib.metrics.kernels import fast_retention

        return fast_retention(
            events,
            days=list(days),
            observed_through=observed_through,
            start_event=start_event,
            return_event=return_event,
            states=getattr(events, "states", None),
        )
    found = retention(
        events,
        returns=list(days),
        observed_through=observed_through,
        start_event=start_event,
        return_event=return_event,
    )
    return found.select(
        day=found.period_from, users=found.users, retained=found.retained, users_immature=found.users_immature,
        retention_rate=found.retention_rate, ci_low=found.ci_low, ci_high=found.ci_high,
    )  # fmt: skip


def behavioural_cohorts(
    events: ir.Table,
    *,
    event: str | Step,
    at_least: int,
    within: str,
    observed_through: datetime,
    start_event: str | Step | None = None,
) -> ir.Table:
    """Cohorts by what users did soon after their first start. Grain: one row per user with t0 + within <= observed_through.

    Columns: user_id, cohort: "<event> >= n in <within>" or "fewer". For `retention(cohorts=...)`, whose brackets must lie
    after `within`: else those who stay have more time to qualify, and the cohorts differ for that reason alone.
    Membership is no cause: users choose what they do.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "x"), ("a", "share"), ("b", "x")]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (u, n) in enumerate(log)])
    >>> behavioural_cohorts(events, event="share", at_least=1, within="1d", observed_through=datetime(2026, 1, 9)).order_by("user_id").to_pandas()["cohort"].tolist()
    ['share >= 1 in 1d', 'fewer']
    """
    if at_least < 1:
        raise ValueError(f"at_least={at_least}: must be at least 1; raise it")
    length = parse_window(within)
    wanted = event if isinstance(event, Step) else Step(event)
    chosen = events.filter(_is(events, start_event))
    first = chosen.group_by("user_id").agg(t0=chosen.event_at.min())
    first = first.filter(first.t0 <= ibis.literal(observed_through - length, "timestamp"))
    log = events.select(by=events.user_id, at=events.event_at, is_wanted=_is(events, wanted))
    joined = first.join(log, first.user_id == log.by)
    times = (
        joined.is_wanted
        & (joined.at >= joined.t0)
        & (joined.at <= joined.t0 + ibis.interval(seconds=int(length.total_seconds())))
    ).sum()
    counted = joined.group_by("user_id").agg(times=times)
    return counted.select(
        counted.user_id,
        cohort=ibis.ifelse(counted.times >= at_least, f"{wanted.event_name} >= {at_least} in {within}", "fewer"),
    )


def activity_spans(
    events: ir.Table, *, gap: str, observed_through: datetime, group_property: str | None = None
) -> ir.Table:
    """Time to last activity, for `inference.kaplan_meier`. Grain: one row per user first seen by observed_through - gap.

    A user has churned when the gap after the last event is over at `observed_through`; duration_days is then from first
    to last event. Who is still active at observed_through - gap is censored at that instant, which is the same for all
    and so tells nothing about the user. Columns: user_id, duration_days, is_churned, group_name (the value on the first event).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 3), ("b", 1), ("b", 20)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> spans = activity_spans(events, gap="7d", observed_through=datetime(2026, 1, 21)).order_by("user_id").to_pandas()
    >>> spans["duration_days"].tolist(), spans["is_churned"].tolist()
    ([2.0, 13.0], [True, False])
    """
    cut = ibis.literal(observed_through - parse_window(gap), "timestamp")
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
    return users.select(
        users.user_id,
        duration_days=seconds_between(users.first_at, end) / 86_400,
        is_churned=is_churned,
        group_name=users.group_name,
    )
