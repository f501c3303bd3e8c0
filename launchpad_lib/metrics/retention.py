"""Retention: who comes back, counted only where the time has been observed to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import (
    known_table,
    never_empty,
    nobody_counted,
    refused_table,
)
from launchpad_lib.metrics.steps import Step, asked_of, is_step
from launchpad_lib.metrics.windows import (
    Period,
    Weekday,
    last_complete_period,
    local_date,
    micros,
    period_number,
    period_start,
    property_value,
    ratio_limits,
    wilson_limits,
)

ROLLING_HOURS = {"day": 24, "week": 7 * 24}

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels import EventLog


def on_or_after(number: int, *, horizon: int) -> tuple[int, int]:
    """The bracket of "on or after period N": a return in periods N..horizon.

    One horizon for all cohorts, so that old and new ones are observed equally long.

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
    week_starts_on: Weekday = "monday",
) -> ir.Table:
    """Who comes back in each period after a start. Grain: one row per cohort and asked period (one cohort by default).

    Args:
        events: user_id, event_name, event_at (UTC), and the properties named.
        returns: period numbers N, or brackets (a, b), both ends in; see `on_or_after`. 0 is the period of the start.
        counting: "rolling": a return in [t0 + N periods, t0 + (N + 1) periods), a day being 24 h and a week 168 h.
            "calendar": the difference of local calendar periods is N.
        start: "first": t0 is the user's first start event. "recurring": every calendar period with a start event counts
            as a start of its own (n are user-periods).
        start_event, return_event: a name or a `Step` with filters; None is any event.
        cohort_by: cohorts are the local day, week or month of t0; column `cohort` is its first date.
        cohort_property: cohorts are the property's values on the start event (NULL is one); empty is none.
        cohorts: cohorts are given: user_id, cohort (see `behavioural_cohorts`); only users in it are counted.

    Returns:
        [cohort,] period_from, period_to, users (mature starts), retained, retention_rate (retained / users, fraction),
        ci_low, ci_high (Wilson; for recurring starts delta method clustered by user), users_immature, is_complete
        (nobody is immature), refused_because (NULL where the row stands). Unknown names, or no start at all: one row
        per asked period without a rate. A start is mature when the whole asked period is over at `observed_through`;
        others are in neither count.

    Cost: one join of starts with distinct active periods per user. For recurring starts that is pairs of active periods
    of a user (at most periods squared, whatever the events).

    Raises:
        ValueError: options that contradict each other, a bracket whose end lies before its start, no Ibis table, a text
            or a date in place of an instant.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 2), ("b", 1), ("c", 9)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d, 12)} for u, d in log]
    ... )
    >>> row = retention(events, returns=[1], observed_through=datetime(2026, 1, 10)).to_pandas().iloc[0]
    >>> int(row["retained"]), int(row["users"]), int(row["users_immature"])
    (1, 2, 1)
    """
    brackets = _brackets(returns)
    if counting == "rolling" and start == "recurring":
        raise ValueError(
            "start='recurring': counts calendar periods with a start, so it needs counting='calendar'; change "
            "one of the two"
        )
    if counting == "rolling" and period not in ROLLING_HOURS:
        raise ValueError(
            f"period={period!r}: has no fixed length, so it needs counting='calendar'; change one of the two"
        )
    if counting not in ("rolling", "calendar") or start not in ("first", "recurring"):
        raise ValueError(
            f"counting={counting!r}, start={start!r}: must be 'rolling' or 'calendar', and 'first' or "
            "'recurring'; choose among them"
        )
    if sum(x is not None for x in (cohort_by, cohort_property, cohorts)) > 1:
        raise ValueError(
            "cohort_by, cohort_property, cohorts: more than one is given; give the one that makes the rows"
        )
    through = utc_instant(observed_through)
    events, unknown = asked_of(events, [start_event, return_event], [cohort_property])
    calendar = _Calendar(period, report_timezone, week_starts_on)
    starts = _starts(
        events,
        start=start,
        start_event=start_event,
        calendar=calendar,
        cohort_by=cohort_by,
        cohort_property=cohort_property,
    )
    nobody = "nobody did the start event as asked, so nobody can come back; check filters and period"
    if cohorts is not None:
        given = known_table(cohorts, needs=("user_id", "cohort"), argument="cohorts")
        starts = starts.drop("cohort").join(given.select("user_id", "cohort"), "user_id")
        nobody = f"no user of `cohorts` has a start{_reason_of(given)}"
    back = events.filter(is_step(events, return_event))
    if counting == "rolling":
        unit_us = ROLLING_HOURS[period] * 3_600_000_000
        joined = starts.join(back.select(user_id=back.user_id, at=back.event_at), "user_id")
        behind = ((micros(joined.at) - micros(joined.t0)) / unit_us).floor().cast("int64")
        limit = {
            k: through - timedelta(hours=ROLLING_HOURS[period] * (high + 1)) for k, (_, high) in enumerate(brackets)
        }
        latest = ibis.array([ibis.literal(v, "timestamp") for v in limit.values()])
    else:
        dated = back.select(user_id=back.user_id, active=calendar.number(back.event_at)).distinct()
        joined = starts.join(dated, "user_id")
        behind = joined.active - joined.own_period
        last = last_complete_period(through, report_timezone, period, week_starts_on)
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
    is_one = cohort_by is None and not cohort_property and cohorts is None
    if is_one:
        rows = _one_row_each(rows, len(brackets))
    named = {"period_from": [low for low, _ in brackets], "period_to": [high for _, high in brackets]}
    what = ibis.literal(f"{period} ") + lows[rows.which].cast("string")
    found = rows.select(
        **({} if is_one else {"cohort": rows.cohort}),
        period_from=lows[rows.which],
        period_to=highs[rows.which],
        users=rows.users,
        retained=rows.retained,
        retention_rate=rows.retained / rows.users.nullif(0),
        ci_low=rows.ci_low,
        ci_high=rows.ci_high,
        users_immature=rows.users_immature,
        is_complete=rows.users_immature == 0,
        refused_because=what
        + ": "
        + nobody_counted(rows.users, immature=rows.users_immature, what="retention", observed_through=through),
    )
    if unknown is not None:
        return refused_table(found, unknown, **named)
    return never_empty(found, nobody)


def _reason_of(cohorts: ir.Table) -> str:
    """Why given cohorts are empty, where their table says so."""
    if "refused_because" not in cohorts.columns:
        return ""
    reasons = cohorts.filter(cohorts.refused_because.notnull()).select("refused_because").limit(1).to_pandas()
    return "".join(f" ({reason})" for reason in reasons["refused_because"])


def _one_row_each(rows: ir.Table, periods: int) -> ir.Table:
    """One row per asked period, also where nobody started."""
    spine = ibis.memtable({"asked": list(range(periods))}, schema={"asked": "int64"})
    joined = spine.left_join(rows, spine.asked == rows.which)
    counts = ("users", "retained", "users_immature")
    return joined.mutate(which=joined.asked, **{name: joined[name].fill_null(0) for name in counts}).drop("asked")


class _Calendar(NamedTuple):
    period: Period
    zone: str
    week_starts_on: Weekday

    def number(self, at: ir.TimestampValue) -> ir.IntegerValue:
        """The number of the local period of an instant."""
        return period_number(local_date(at, self.zone), self.period, self.week_starts_on)


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


def _starts(
    events: ir.Table,
    *,
    start: str,
    start_event,
    calendar: _Calendar,
    cohort_by: Period | None,
    cohort_property: str | None,
) -> ir.Table:
    """Grain: one row per user (first) or per user and local period (recurring): user_id, own_period, t0, cohort."""
    chosen = events.filter(is_step(events, start_event))
    own = calendar.number(chosen.event_at)
    label = property_value(chosen, cohort_property) if cohort_property else ibis.null("string")
    log = chosen.select(
        user_id=chosen.user_id,
        t0=chosen.event_at,
        own_period=own,
        cohort=label,
        **{name: chosen[name] for name in ("received_at", "event_id") if name in chosen.columns},
    )
    order = [log.t0, *(log[name] for name in ("received_at", "event_id") if name in log.columns), log.cohort]
    keys = ["user_id"] if start == "first" else ["user_id", "own_period"]
    log = log.mutate(place=ibis.row_number().over(ibis.window(group_by=keys, order_by=order)))
    starts = log.filter(log.place == 0).select("user_id", "own_period", "t0", "cohort")
    if cohort_by:
        of_cohort = calendar._replace(period=cohort_by)
        starts = starts.mutate(cohort=period_start(of_cohort.number(starts.t0), cohort_by, calendar.week_starts_on))
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
        users=own.x.sum(),
        retained=own.y.sum(),
        users_immature=own.late.sum().cast("int64"),
        persons=(own.x > 0).sum(),
        yy=(own.y * own.y).sum(),
        yx=(own.y * own.x).sum(),
        xx=(own.x * own.x).sum(),
    )
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
        reason=matrix.refused_because.max(),
    )
    rated = rows.mutate(retention_rate=rows.retained / rows.users.nullif(0), **wilson_limits(rows.retained, rows.users))
    return rated.mutate(refused_because=ibis.cases((rated.users > 0, ibis.null("string")), else_=rated.reason)).drop(
        "reason"
    )


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
    users_immature, refused_because. Day files (`lake.open_event_log`) are answered by the compiled fold, for days 0 to
    63.
    """
    through = utc_instant(observed_through)
    if hasattr(events, "event_codes"):
        from launchpad_lib.metrics.kernels import fast_retention

        return fast_retention(
            events,
            days=list(days),
            observed_through=through,
            start_event=start_event,
            return_event=return_event,
            states=getattr(events, "states", None),
        )
    found = retention(
        events,
        returns=list(days),
        observed_through=through,
        start_event=start_event,
        return_event=return_event,
    )
    return found.select(
        day=found.period_from,
        users=found.users,
        retained=found.retained,
        users_immature=found.users_immature,
        retention_rate=found.retention_rate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        refused_because=found.refused_because,
    )
