"""Retention: who comes back, counted only where the window has been observed to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import wilson_limits


def retention_curve(
    events: ir.Table, *, days: Sequence[int], observed_through: datetime, start_event: str | None = None, return_event: str | None = None
) -> ir.Table:
    """Rolling day-N retention. Grain: one row per day N.

    A return is an event in [t0 + 24 N h, t0 + 24 (N + 1) h), t0 the user's first start event. Only users with
    t0 + 24 (N + 1) h <= observed_through are counted. Columns: day, users, retained, retention_rate, ci_low, ci_high,
    users_immature.
    """
    starts = events if start_event is None else events.filter(events.event_name == start_event)
    returns = events if return_event is None else events.filter(events.event_name == return_event)
    first = starts.group_by("user_id").agg(t0=starts.event_at.min())
    joined = first.join(returns.select(user_id=returns.user_id, at=returns.event_at), "user_id")
    rows = []
    for day in days:
        limit = ibis.literal(observed_through - timedelta(days=day + 1), "timestamp")
        low, high = joined.t0 + ibis.interval(hours=24 * day), joined.t0 + ibis.interval(hours=24 * (day + 1))
        hits = joined.filter((joined.at >= low) & (joined.at < high) & (joined.t0 <= limit))
        users = (first.t0 <= limit).sum().fill_null(0).cast("int64")
        row = first.agg(
            day=ibis.literal(day, "int64"),
            users=users,
            retained=hits.user_id.nunique().as_scalar().cast("int64"),
            users_immature=(first.t0 > limit).sum().fill_null(0).cast("int64"),
        )
        rows.append(row.mutate(retention_rate=row.retained / row.users.nullif(0), **wilson_limits(row.retained, row.users)))
    return rows[0].union(*rows[1:]) if len(rows) > 1 else rows[0]
