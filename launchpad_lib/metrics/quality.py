"""What came in, what was refused, what is missing."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import wilson_limits


def daily_rows(table: ir.Table, time_column: str) -> ir.Table:
    """Grain: one row per UTC date with data. Columns: day, rows."""
    dated = table.mutate(day=table[time_column].date())
    return dated.group_by("day").agg(rows=dated.count()).order_by("day")


def rejects_by_reason(rejected: ir.Table) -> ir.Table:
    """Grain: one row per table and reason. Columns: table_name, reason, rows."""
    return (
        rejected.group_by(["table_name", "reason"])
        .agg(rows=rejected.count())
        .order_by([ibis.desc("rows"), "table_name", "reason"])
    )


def rejects_by_source(rejected: ir.Table) -> ir.Table:
    """Grain: one row per table, source and reason. Columns: table_name, source, reason, rows, share (of all refused rows)."""
    counted = rejected.group_by(["table_name", "source", "reason"]).agg(rows=rejected.count())
    shared = counted.mutate(share=counted.rows / counted.rows.sum().over(ibis.window()).nullif(0))
    return shared.order_by([ibis.desc("rows"), "table_name", "source", "reason"])


def delivery(events: ir.Table) -> ir.Table:
    """One row: how long events took to arrive, received_at - event_at, in seconds; and how many came late or from a clock ahead.

    Late: received on a later UTC date than it happened, so that it changes a day which was over. Ahead: received more than a
    minute before it happened by the client's clock. Where a source gives no received_at the two instants are equal.
    Columns: events, median_seconds, p90_seconds, p99_seconds, late, late_share, ci_low, ci_high (Wilson), ahead.
    """
    seconds = (events.received_at.epoch_seconds() - events.event_at.epoch_seconds()).cast("float64")
    timed = events.mutate(
        delay=seconds, is_late=events.received_at.date() > events.event_at.date(), is_ahead=seconds < -60
    )
    found = timed.agg(
        events=timed.count(),
        median_seconds=timed.delay.quantile(0.5),
        p90_seconds=timed.delay.quantile(0.9),
        p99_seconds=timed.delay.quantile(0.99),
        late=timed.is_late.sum().fill_null(0),
        ahead=timed.is_ahead.sum().fill_null(0),
    )
    return found.mutate(late_share=found.late / found.events.nullif(0), **wilson_limits(found.late, found.events))


def restated_days(events: ir.Table) -> ir.Table:
    """Grain: one row per UTC date to which events came after it was over. Columns: day, rows, late_rows, late_share, last_received_at.

    What a report said of these days before `last_received_at` was of fewer events.
    """
    dated = events.mutate(day=events.event_at.date(), is_late=events.received_at.date() > events.event_at.date())
    counted = dated.group_by("day").agg(
        rows=dated.count(), late_rows=dated.is_late.sum(), last_received_at=dated.received_at.max()
    )
    moved = counted.filter(counted.late_rows > 0)
    return (
        moved.mutate(late_share=moved.late_rows / moved.rows)
        .select("day", "rows", "late_rows", "late_share", "last_received_at")
        .order_by("day")
    )


def missing_share(table: ir.Table) -> ir.Table:
    """Grain: one row per column. missing_share = rows where it is NULL / rows."""
    parts = [
        table.agg(column=ibis.literal(name), rows=table.count(), missing=table[name].isnull().sum().fill_null(0))
        for name in table.columns
    ]
    together = parts[0].union(*parts[1:])
    return together.mutate(missing_share=together.missing / together.rows.nullif(0)).order_by("column")
