"""Retention: who comes back, counted only where the time has been observed to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import answers
from launchpad_lib.metrics.checks import known_table
from launchpad_lib.metrics.returning import asked_retention
from launchpad_lib.metrics.steps import Step
from launchpad_lib.metrics.windows import Period, Weekday, wilson_limits


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

    Cost: one reading of the log, user by user; a row costs a comparison as long as it lies in a period known already.

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
    asked = asked_retention(
        events,
        returns=returns,
        observed_through=observed_through,
        counting=counting,
        period=period,
        start=start,
        start_event=start_event,
        return_event=return_event,
        cohort_by=cohort_by,
        cohort_property=cohort_property,
        cohorts=cohorts,
        report_timezone=report_timezone,
        week_starts_on=week_starts_on,
    )
    return answers(events, [asked])[0]


def pooled_retention(matrix: ir.Table) -> ir.Table:
    """The pooled row of a cohort matrix: sum of retained over sum of mature users, never a mean of rates.

    Grain: one row per asked period. For first-time starts (each user is in one cohort; Wilson limits). For recurring
    starts call `retention` without cohorts, whose limits know that a user counts several times.
    """
    counts = ("period_from", "period_to", "users", "retained", "users_immature", "refused_because")
    matrix = known_table(matrix, needs=counts, argument="matrix")
    rows = matrix.group_by(["period_from", "period_to"]).agg(
        users=matrix.users.sum().cast(dt.int64),
        retained=matrix.retained.sum().cast(dt.int64),
        users_immature=matrix.users_immature.sum().cast(dt.int64),
        reason=matrix.refused_because.max(),
    )
    rated = rows.mutate(retention_rate=rows.retained / rows.users.nullif(0), **wilson_limits(rows.retained, rows.users))
    return rated.mutate(refused_because=ibis.cases((rated.users > 0, ibis.null(dt.string)), else_=rated.reason)).drop(
        "reason"
    )


def retention_curve(
    events: ir.Table,
    *,
    days: Sequence[int],
    observed_through: datetime,
    start_event: str | None = None,
    return_event: str | None = None,
) -> ir.Table:
    """Rolling day-N retention. Grain: one row per day N.

    A return is an event in [t0 + 24 N h, t0 + 24 (N + 1) h), t0 the user's first start event. Only users with
    t0 + 24 (N + 1) h <= observed_through are counted. Columns: day, users, retained, retention_rate, ci_low, ci_high,
    users_immature, refused_because.
    """
    through = utc_instant(observed_through)
    found = retention(
        events,
        returns=days,
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
