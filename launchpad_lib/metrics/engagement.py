"""Adoption, completion, depth, duration, sharing and stickiness."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.funnel import funnel
from launchpad_lib.metrics.windows import local_date, wilson_limits


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
    return counts.mutate(adoption_rate=counts.users / counts.active_users.nullif(0), **wilson_limits(counts.users, counts.active_users))


def completion(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    window: str,
    observed_through: datetime,
    by: Literal["user_id", "session_key"] = "user_id",
) -> ir.Table:
    """One row: starts (mature units that started), completed, completion_rate, ci_low, ci_high, immature."""
    steps = funnel(events, steps=[start_event, complete_event], window=window, observed_through=observed_through, by=by)
    wide = steps.agg(
        starts=steps.users.sum(where=steps.step == 1), completed=steps.users.sum(where=steps.step == 2), immature=steps.entrants_immature.max()
    )
    return wide.mutate(completion_rate=wide.completed / wide.starts.nullif(0), **wilson_limits(wide.completed, wide.starts))


def depth(events: ir.Table, *, start_event: str, interaction_events: Sequence[str]) -> ir.Table:
    """One row over started sessions, zeros included: sessions, mean, median and p90 of interactions, mean_kinds."""
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
    )


def session_duration(sessions: ir.Table) -> ir.Table:
    """One row: sessions, median_seconds, p90_seconds of last minus first event; a single-event session lasts 0."""
    return sessions.agg(
        sessions=sessions.count(), median_seconds=sessions.duration_seconds.quantile(0.5), p90_seconds=sessions.duration_seconds.quantile(0.9)
    )


def share_rate(events: ir.Table, *, view_event: str, share_event: str, window: str, observed_through: datetime) -> ir.Table:
    """One row: viewers (mature), sharers, share_rate, ci_low, ci_high, immature."""
    done = completion(events, start_event=view_event, complete_event=share_event, window=window, observed_through=observed_through)
    return done.rename(viewers="starts", sharers="completed", share_rate="completion_rate")


def stickiness(events: ir.Table, *, observed_through: datetime) -> ir.Table:
    """One row: mean_dau over the trailing 28 days up to `observed_through`, mau, stickiness = mean_dau / mau, days with data."""
    start = ibis.literal(observed_through, "timestamp").date() - ibis.interval(days=27)
    recent = events.filter(events.event_at.date() >= start)
    daily = daily_active_users(recent)
    return recent.agg(
        mean_dau=daily.dau.mean().as_scalar(), mau=recent.user_id.nunique(), days=recent.event_at.date().nunique()
    ).mutate(stickiness=ibis._.mean_dau / ibis._.mau.nullif(0))
