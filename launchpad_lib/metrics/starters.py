"""Who is compared when a lift is asked: starters, newcomers, and everybody.

One row per user; no estimate is made here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import local_date, local_time, micros

SESSION_GAP = timedelta(minutes=30)
DAY = timedelta(days=1)
DAY_MICROS = 86_400_000_000

# Everything is known before the first start. The activity counts are left out of the placebo checks, whose outcomes
# they are.
TRAITS = ("is_web", "is_ios", "start_hour", "tenure_days")
ACTIVITY = ("active_day_share", "sessions_before", "events_last_day")
STANDINGS = ("compared", "window open", "completed first")
FIRST_DAY = ("events_before", "kinds_before", "is_web")


def starters(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    landmark_days: int,
    outcome_days: int,
    observed_through: datetime,
    report_timezone: str = "UTC",
) -> ir.Table:
    """Grain: one row per user with a start whose outcome window is over at `observed_through`.

    Time counts from the user's first start. Treated: completed within the landmark. Returned: active after the
    landmark, within `outcome_days`. Both groups wanted the feature and were there, so being active at all no longer
    tells them apart; that is what a comparison of completers with everybody else cannot adjust for. Left out: users who
    completed before their first start.

    `active_before`: active in the window of `outcome_days` that ends `landmark_days` before the start (NULL where the
    log does not reach back so far); `was_busy_before`: more events than the median starter in the 24 hours before. Both
    lie before the exposure, so no completion can have caused them: placebo outcomes. `sessions_before` and
    `events_last_day` are ln(1 + count).

    Args:
        events: user_id, event_name, event_at, platform.
        report_timezone: decides the days and the hour of `active_day_share` and `start_hour`.
    """
    everyone = _every_starter(
        events,
        start_event=start_event,
        complete_event=complete_event,
        landmark_days=landmark_days,
        outcome_days=outcome_days,
        observed_through=observed_through,
        report_timezone=report_timezone,
    )
    return everyone.filter(everyone.standing == "compared").drop("standing").order_by("user_id")


def starters_by_standing(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    landmark_days: int,
    outcome_days: int,
    observed_through: datetime,
    report_timezone: str = "UTC",
) -> ir.Table:
    """Grain: one row for the log: compared, window_open (their outcome is not over), completed_first (before their
    first start).
    """
    everyone = _every_starter(
        events,
        start_event=start_event,
        complete_event=complete_event,
        landmark_days=landmark_days,
        outcome_days=outcome_days,
        observed_through=observed_through,
        report_timezone=report_timezone,
    )
    counts = {name.replace(" ", "_"): everyone.count(where=everyone.standing == name) for name in STANDINGS}
    return everyone.aggregate(**counts)


def _every_starter(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    landmark_days: int,
    outcome_days: int,
    observed_through: datetime,
    report_timezone: str = "UTC",
) -> ir.Table:
    """Grain: one row per user with a start: the columns of `starters`, and its standing."""
    landmark, outcome = _days(landmark_days), _days(outcome_days)
    began = events.filter(events.event_name == start_event).group_by("user_id").agg(t0=lambda t: t.event_at.min())
    log = events.select("user_id", "event_name", "platform", *_order(events)).inner_join(began, "user_id")
    last_at = log.event_at.lag().over(group_by=log.user_id, order_by=log.event_at)
    log = log.mutate(is_new=last_at.isnull() | (log.event_at > last_at + ibis.literal(SESSION_GAP)))
    before = log.event_at < log.t0
    users = log.group_by("user_id", "t0").agg(
        first_at=log.event_at.min(),
        platform=log.platform.first(order_by=_order(log)),
        completed_at=log.event_at.min(where=log.event_name == complete_event),
        is_back=((log.event_at > log.t0 + landmark) & (log.event_at <= log.t0 + landmark + outcome)).any(),
        days_before=local_date(log.event_at, report_timezone).nunique(where=before),
        sessions=log.is_new.cast("int64").sum(where=before),
        events_last_day=log.count(where=before & (log.event_at > log.t0 - ibis.literal(DAY))),
        was_there=((log.event_at >= log.t0 - landmark - outcome) & (log.event_at < log.t0 - landmark)).any(),
    )
    busy = users.events_last_day > users.events_last_day.median().over()
    reaches_back = users.t0 - landmark - outcome >= events.event_at.min().as_scalar()
    first_on, started_on = (local_date(at, report_timezone) for at in (users.first_at, users.t0))
    days_there = started_on.delta(first_on, unit="day") + 1
    started = local_time(users.t0, report_timezone)
    is_early = users.completed_at.notnull() & (users.completed_at < users.t0)
    is_open = users.t0 + landmark + outcome > ibis.literal(observed_through)
    compared, window_open, completed_first = STANDINGS
    return users.select(
        "user_id",
        "t0",
        standing=ibis.cases((is_early, completed_first), (is_open, window_open), else_=compared),
        treated=(users.completed_at <= users.t0 + landmark).fill_null(False).cast("int64"),
        returned=users.is_back.cast("int64"),
        is_web=_is(users.platform, "web"),
        is_ios=_is(users.platform, "ios"),
        start_hour=started.hour() + started.minute() / 60.0,
        tenure_days=(micros(users.t0) - micros(users.first_at)) / float(DAY_MICROS),
        active_day_share=users.days_before / days_there.cast("float64"),
        sessions_before=_log_count(users.sessions),
        events_last_day=_log_count(users.events_last_day),
        active_before=ibis.ifelse(reaches_back, users.was_there.cast("float64"), ibis.null("float64")),
        was_busy_before=busy.cast("float64"),
    )


def newcomers(
    events: ir.Table, *, complete_event: str, landmark_days: int, outcome_days: int, observed_through: datetime
) -> ir.Table:
    """Grain: one row per eligible user: user_id, treated, returned, and covariates measured in the first 24 hours.

    Eligible: first event + landmark + outcome window <= observed_through, and not exposed in the first 24 hours (so
    that every covariate is measured before exposure). Treated: completed by the landmark. Returned: active strictly
    after the landmark, within the outcome window. Removes part of the immortal-time bias only: who completed was there
    to do so.

    `events_before` is ln(1 + events), `kinds_before` the distinct event names of the first 24 hours.

    Args:
        events: user_id, event_name, event_at, platform.
    """
    landmark, outcome = _days(landmark_days), _days(outcome_days)
    log = _since_first(events)
    early = log.event_at < log.t0 + ibis.literal(DAY)
    users = log.group_by("user_id", "t0").agg(
        completed_at=log.event_at.min(where=log.event_name == complete_event),
        is_back=((log.event_at > log.t0 + landmark) & (log.event_at <= log.t0 + landmark + outcome)).any(),
        early_events=log.count(where=early),
        kinds_before=log.event_name.nunique(where=early).cast("float64"),
        platform=log.platform.first(where=early, order_by=_order(log)),
    )
    is_mature = users.t0 + landmark + outcome <= ibis.literal(observed_through)
    is_clean = users.completed_at.isnull() | (users.completed_at >= users.t0 + ibis.literal(DAY))
    return (
        users.filter(is_mature & is_clean)
        .select(
            "user_id",
            treated=lambda t: (t.completed_at <= t.t0 + landmark).fill_null(False).cast("int64"),
            returned=lambda t: t.is_back.cast("int64"),
            events_before=lambda t: _log_count(t.early_events),
            kinds_before=lambda t: t.kinds_before,
            is_web=lambda t: _is(t.platform, "web"),
        )
        .order_by("user_id")
    )


def everybody(events: ir.Table, *, complete_event: str, landmark_days: int) -> ir.Table:
    """Grain: one row per user of the log: treated (ever completed), returned (active after first event + landmark).

    For the naive comparison only: who stays longer has more time to complete, so the difference is no effect.
    """
    log = _since_first(events)
    users = log.group_by("user_id").agg(
        treated=(log.event_name == complete_event).any().cast("int64"),
        returned=(log.event_at > log.t0 + _days(landmark_days)).any().cast("int64"),
    )
    return users.order_by("user_id")


def _since_first(events: ir.Table) -> ir.Table:
    """Every event with its user's first instant `t0`."""
    log = events.select("user_id", "event_name", "platform", *_order(events))
    return log.mutate(t0=log.event_at.min().over(group_by=log.user_id))


def _order(events: ir.Table) -> list[str]:
    """The total order of a user's events, as far as the table has it."""
    return [c for c in ("event_at", "received_at", "event_id") if c in events.columns]


def _days(days: int) -> ir.IntervalScalar:
    return ibis.literal(timedelta(days=days))


def _is(platform: ir.StringValue, name: str) -> ir.FloatingValue:
    """1.0 where the platform has that name, else 0.0; an unknown platform is neither."""
    return (platform == name).fill_null(False).cast("float64")


def _log_count(count: ir.IntegerValue) -> ir.FloatingValue:
    return (count.cast("float64").fill_null(0.0) + 1.0).ln()
