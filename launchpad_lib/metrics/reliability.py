"""Latency, crashes and Apdex per feature."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import Z95, wilson_limits


def crash_free_users(telemetry: ir.Table) -> ir.Table:
    """Grain: one row per feature. rate = 1 - users with a crash / users with a known crash flag; NULL is unknown, never healthy."""
    known = telemetry.filter(telemetry.crashed.notnull() & telemetry.user_id.notnull())
    counts = known.group_by("feature_id").agg(
        users=known.user_id.nunique(), crashed_users=known.user_id.nunique(where=known.crashed)
    )
    counts = counts.mutate(free=counts.users - counts.crashed_users)
    return counts.mutate(
        crash_free_users_rate=counts.free / counts.users.nullif(0), **wilson_limits(counts.free, counts.users)
    ).drop("free")


def crash_free_sessions(telemetry: ir.Table, *, gap_minutes: int = 30) -> ir.Table:
    """Grain: one row per feature. rate = 1 - sessions with a crash of the feature / its sessions with a known crash flag.

    Telemetry carries no session, so one is a user's observations (of any feature) with gaps of at most `gap_minutes`.
    The Wilson interval takes sessions for independent; users with several sessions make it a little narrow.
    """
    known = telemetry.filter(telemetry.crashed.notnull() & telemetry.user_id.notnull())
    order = ibis.window(group_by="user_id", order_by=["observed_at", "observation_id"])
    gap = known.observed_at.epoch_seconds() - known.observed_at.lag().over(order).epoch_seconds()
    marked = known.mutate(is_new=(gap.isnull() | (gap > 60 * gap_minutes)).cast("int64"))
    running = ibis.window(group_by="user_id", order_by=["observed_at", "observation_id"], preceding=None, following=0)
    numbered = marked.mutate(session=marked.is_new.sum().over(running))
    each = numbered.group_by(["feature_id", "user_id", "session"]).agg(has_crash=numbered.crashed.any())
    counts = each.group_by("feature_id").agg(sessions=each.count(), crashed_sessions=each.has_crash.cast("int64").sum())
    counts = counts.mutate(free=counts.sessions - counts.crashed_sessions)
    return counts.mutate(
        crash_free_sessions_rate=counts.free / counts.sessions.nullif(0), **wilson_limits(counts.free, counts.sessions)
    ).drop("free")


def apdex(telemetry: ir.Table, *, threshold_ms: float) -> ir.Table:
    """Grain: one row per feature. (n(<=T) + n(T<x<=4T) / 2) / n; an observation with an error is frustrated.

    Interval: mean of scores 1, 1/2, 0 by the normal approximation, observations taken as independent, cut to [0, 1].
    """
    known = telemetry.filter(telemetry.latency_ms.notnull())
    clean = known.error_count.fill_null(0) == 0
    counts = known.group_by("feature_id").agg(
        observations=known.count(),
        satisfied=(clean & (known.latency_ms <= threshold_ms)).sum(),
        tolerating=(clean & (known.latency_ms > threshold_ms) & (known.latency_ms <= 4 * threshold_ms)).sum(),
    )
    n = counts.observations.cast("float64").nullif(0.0)
    scored = counts.mutate(apdex=(counts.satisfied + counts.tolerating / 2) / n)
    variance = (scored.satisfied + scored.tolerating / 4) / n - scored.apdex * scored.apdex
    half = Z95 * (ibis.greatest(variance, 0.0) / n).sqrt()
    return scored.mutate(ci_low=ibis.greatest(scored.apdex - half, 0.0), ci_high=ibis.least(scored.apdex + half, 1.0))
