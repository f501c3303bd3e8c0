"""Latency, crashes and Apdex per feature."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown, whole_number
from launchpad_lib.metrics.checks import because, known_table, never_empty
from launchpad_lib.metrics.windows import Z95, micros, wilson_limits

NO_TELEMETRY = "there is no observation of any feature"
NO_FLAG = "no observation of the feature has a known user and a known crash flag"


def crash_free_users(telemetry: ir.Table) -> ir.Table:
    """Grain: one row per feature. rate = 1 - users with a crash / users with a known crash flag; NULL is unknown, never
    healthy.

    Columns: feature_id, users, crashed_users, crash_free_users_rate (fraction), ci_low, ci_high (Wilson),
    refused_because (NULL where the row stands).
    """
    table = known_table(telemetry, needs=("feature_id", "user_id", "crashed"), argument="telemetry")
    flag = table.crashed.cast(dt.boolean)
    counts = table.group_by("feature_id").agg(
        users=table.user_id.nunique(where=flag.notnull()), crashed_users=table.user_id.nunique(where=flag)
    )
    return rated_users(counts)


def rated_users(counts: ir.Table) -> ir.Table:
    """`crash_free_users` from counts: feature_id, users, crashed_users."""
    free = counts.users - counts.crashed_users
    rows = counts.mutate(crash_free_users_rate=free / counts.users.nullif(0), **wilson_limits(free, counts.users))
    return never_empty(rows.mutate(refused_because=because(rows.users == 0, NO_FLAG)), NO_TELEMETRY)


def crash_free_sessions(telemetry: ir.Table, *, gap_minutes: int = 30) -> ir.Table:
    """Grain: one row per feature. rate = 1 - sessions with a crash of the feature / its sessions with a known crash
    flag.

    Telemetry carries no session, so one is a user's observations (of any feature) with gaps of at most `gap_minutes`.
    The Wilson interval takes sessions for independent; users with several sessions make it a little narrow. Columns:
    feature_id, sessions, crashed_sessions, crash_free_sessions_rate (fraction), ci_low, ci_high, refused_because.
    """
    gap_minutes = whole_number(gap_minutes, argument="gap_minutes")
    needs = ("feature_id", "user_id", "crashed", "observed_at", "observation_id")
    table = known_table(telemetry, needs=needs, argument="telemetry").select(*needs)
    features = table.select("feature_id").distinct()
    known = table.filter(table.crashed.notnull() & table.user_id.notnull())
    order = ibis.window(group_by="user_id", order_by=["observed_at", "observation_id"])
    gap = micros(known.observed_at) - micros(known.observed_at.lag().over(order))
    marked = known.mutate(is_new=(gap.isnull() | (gap > 60_000_000 * gap_minutes)).cast(dt.int64))
    running = ibis.window(group_by="user_id", order_by=["observed_at", "observation_id"], preceding=None, following=0)
    numbered = marked.mutate(session=marked.is_new.sum().over(running))
    each = numbered.group_by(["feature_id", "user_id", "session"]).agg(has_crash=numbered.crashed.any())
    counts = each.group_by("feature_id").agg(
        sessions=each.count(), crashed_sessions=each.has_crash.cast(dt.int64).sum()
    )
    joined = features.left_join(counts, features.feature_id.identical_to(counts.feature_id))
    rows = joined.select(
        "feature_id", sessions=joined.sessions.fill_null(0), crashed_sessions=joined.crashed_sessions.fill_null(0)
    )
    return rated_sessions(rows)


def rated_sessions(counts: ir.Table) -> ir.Table:
    """`crash_free_sessions` from counts: feature_id, sessions, crashed_sessions."""
    rows, free = counts, counts.sessions - counts.crashed_sessions
    rated = rows.mutate(crash_free_sessions_rate=free / rows.sessions.nullif(0), **wilson_limits(free, rows.sessions))
    return never_empty(rated.mutate(refused_because=because(rated.sessions == 0, NO_FLAG)), NO_TELEMETRY)


def apdex(telemetry: ir.Table, *, threshold_ms: float) -> ir.Table:
    """Grain: one row per feature. (n(<=T) + n(T<x<=4T) / 2) / n; an observation with an error is frustrated.

    n counts observations with a latency or an error: a failure often has no latency, and leaving it out would flatter.
    Columns: feature_id, observations (n), satisfied, tolerating, frustrated, apdex (0 to 1), ci_low, ci_high,
    refused_because (NULL where the row stands). Interval: mean of scores 1, 1/2, 0 by the normal approximation,
    observations taken as independent, cut to [0, 1].

    Raises:
        ValueError: a threshold not above 0.
    """
    check_threshold(threshold_ms)
    table = known_table(telemetry, needs=("feature_id", "latency_ms", "error_count"), argument="telemetry")
    return rated_apdex(apdex_counts(table, threshold_ms=threshold_ms))


def check_threshold(threshold_ms: float) -> None:
    """Raises ValueError where it is not above 0."""
    if isinstance(threshold_ms, bool) or not isinstance(threshold_ms, int | float) or not 0 < threshold_ms < 1e12:
        raise ValueError(f"threshold_ms={shown(threshold_ms)}: must be above 0 milliseconds, as a number; correct it")


def apdex_counts(table: ir.Table, *, threshold_ms: float) -> ir.Table:
    """Grain: one row per feature. Columns: feature_id, observations, satisfied, tolerating; they add up over days."""
    has_error = table.error_count.fill_null(0) > 0
    is_known = table.latency_ms.notnull() | has_error
    clean = ~has_error & table.latency_ms.notnull()
    return table.group_by("feature_id").agg(
        observations=is_known.sum().fill_null(0),
        satisfied=(clean & (table.latency_ms <= threshold_ms)).sum().fill_null(0),
        tolerating=(clean & (table.latency_ms > threshold_ms) & (table.latency_ms <= 4 * threshold_ms))
        .sum()
        .fill_null(0),
    )


def rated_apdex(counts: ir.Table) -> ir.Table:
    """`apdex` from its counts."""
    n = counts.observations.cast(dt.float64).nullif(0.0)
    scored = counts.mutate(
        frustrated=counts.observations - counts.satisfied - counts.tolerating,
        apdex=(counts.satisfied + counts.tolerating / 2) / n,
    )
    variance = (scored.satisfied + scored.tolerating / 4) / n - scored.apdex * scored.apdex
    half = Z95 * (ibis.greatest(variance, 0.0) / n).sqrt()
    nothing = ibis.null(dt.float64)
    limited = scored.mutate(
        ci_low=ibis.ifelse(half.isnull(), nothing, ibis.greatest(scored.apdex - half, 0.0)),
        ci_high=ibis.ifelse(half.isnull(), nothing, ibis.least(scored.apdex + half, 1.0)),
        refused_because=because(scored.observations == 0, "no observation of the feature has a latency or an error"),
    )
    return never_empty(limited, NO_TELEMETRY)
