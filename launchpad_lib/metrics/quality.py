"""What came in, what was refused, what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.event.rules import WITH_VALUE
from launchpad_lib.metrics.checks import because, counted_table, known_table
from launchpad_lib.metrics.kernels.exact import exact_quantiles, quantiles_of_counts
from launchpad_lib.metrics.kernels.lake_log import of_days
from launchpad_lib.metrics.windows import micros, wilson_limits


def rejects_by_reason(rejected: ir.Table) -> ir.Table:
    """Grain: one row per table and reason. Columns: table_name, reason, rows."""
    rejected = known_table(rejected, needs=("table_name", "reason"), argument="rejected")
    return (
        rejected.group_by(["table_name", "reason"])
        .agg(rows=rejected.count())
        .order_by([ibis.desc("rows"), "table_name", "reason"])
    )


def rejects_by_source(rejected: ir.Table) -> ir.Table:
    """Grain: one row per table, source and reason.

    Columns: table_name, source, reason, rows, share (of all refused rows). A reason stands without the value that broke
    the rule, which may be somebody's id or text; `launchpad rejected` shows it.
    """
    rejected = known_table(rejected, needs=("table_name", "source", "reason"), argument="rejected")
    rejected = rejected.mutate(reason=rejected.reason.re_replace(WITH_VALUE, r"\1… \2"))
    counted = rejected.group_by(["table_name", "source", "reason"]).agg(rows=rejected.count())
    shared = counted.mutate(share=counted.rows / counted.rows.sum().over(ibis.window()).nullif(0))
    return shared.order_by([ibis.desc("rows"), "table_name", "source", "reason"])


def delivery(events: ir.Table) -> ir.Table:
    """One row: how long events took to arrive, received_at - event_at; and how many came late or from a clock ahead.

    Where a source gives no received_at it is filled from event_at, which is no observation: a row whose two instants
    are equal tells nothing of its delay and is in none of the numbers but `delay_unknown`. (A true delay of exactly
    zero cannot be told from it; with instants in whole seconds the delays are then of those over zero.) Late: received
    on a later UTC date than it happened, so that it changes a day which was over. Ahead: received more than a minute
    before it happened by the client's clock. Columns: events, delay_observed, delay_unknown (events), median_seconds,
    p90_seconds, p99_seconds, late, late_share (late / delay_observed, fraction), ci_low, ci_high (Wilson), ahead
    (events), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [(datetime(2026, 1, 1, 9), datetime(2026, 1, 1, 9, 0, s)) for s in (0, 4, 6)]
    >>> row = delivery(ibis.memtable([{"event_at": a, "received_at": b} for a, b in log])).to_pandas().iloc[0]
    >>> float(row["median_seconds"]), int(row["delay_observed"]), int(row["delay_unknown"])
    (5.0, 2, 1)
    """
    counted, seconds = _arrivals(events, at=(0.5, 0.9, 0.99))
    found = counted.select(
        events=counted.events,
        delay_observed=counted.delay_observed,
        delay_unknown=counted.events - counted.delay_observed,
        **{
            f"{name}_seconds": ibis.literal(value, dt.float64)
            for name, value in zip(("median", "p90", "p99"), seconds, strict=True)
        },
        late=counted.late,
        ahead=counted.ahead,
    )
    return found.mutate(
        late_share=found.late / found.delay_observed.nullif(0),
        **wilson_limits(found.late, found.delay_observed),
        refused_because=_nothing_observed(found.events, found.delay_observed),
    )


def _arrivals(events: ir.Table, *, at: Sequence[float]) -> tuple[ir.Table, list[float | None]]:
    """One row: events, delay_observed, late, ahead; and quantiles of the delays in seconds. Of a lake's events both
    are counted by day already; delays are read where a day has too many different ones to be counted.
    """
    events = known_table(events, needs=("event_at", "received_at"))
    days, delays = of_days(events, "event_days"), of_days(events, "event_delays")
    if days is not None and delays is not None:
        sums = {"events": "rows", "delay_observed": "observed", "late": "late_rows", "ahead": "ahead"}
        counted = days.agg(**{name: days[own].sum().cast(dt.int64) for name, own in sums.items()})
        counted = counted.mutate(events=counted.events.fill_null(0), delay_observed=counted.delay_observed.fill_null(0))
        held = delays.group_by("delay").agg(rows=delays.rows.sum().cast(dt.int64)).to_pyarrow()
        if not held["delay"].null_count:
            return counted, quantiles_of_counts(held["delay"].to_numpy(), held["rows"].to_numpy(), at, per=1e6)
        timed = _timed(events)
    else:
        timed = _timed(events)
        counted = timed.agg(
            events=timed.count(),
            delay_observed=timed.delay.count(),
            late=timed.is_late.sum().cast(dt.int64),
            ahead=(timed.delay < -60_000_000).sum().cast(dt.int64),
        )
    return counted, exact_quantiles(timed, timed.delay, at=at, per=1e6)


def _timed(events: ir.Table) -> ir.Table:
    """Grain: one row per event: day, received_at, delay (microseconds; NULL where it was not observed), is_late
    (likewise NULL).
    """
    is_observed = events.received_at != events.event_at
    late = events.received_at.date() > events.event_at.date()
    return events.select(
        day=events.event_at.date(),
        received_at=events.received_at,
        delay=ibis.cases((is_observed, micros(events.received_at) - micros(events.event_at))),
        is_late=ibis.cases((is_observed, late)),
    )


def _nothing_observed(events: ir.IntegerValue, observed: ir.IntegerValue) -> ir.StringValue:
    return ibis.cases(
        (observed > 0, ibis.null(dt.string)),
        (events == 0, "there is no event"),
        else_="received_at is event_at in every event, so it was filled and no delay was observed; map the time of "
        "arrival",
    )


def restated_days(events: ir.Table) -> ir.Table:
    """Grain: one row per UTC date to which events came after it was over; none where no day was restated.

    What a report said of these days before `last_received_at` was of fewer events. Columns: day, rows, late_rows,
    late_share (late_rows / rows, fraction), last_received_at (UTC), refused_because (NULL where the row stands). Where
    no time of arrival was observed, one row without numbers says so.
    """
    events = known_table(events, needs=("event_at", "received_at"))
    counted = of_days(events, "event_days")
    if counted is None:
        timed = _timed(events)
        counted = timed.group_by("day").agg(
            rows=timed.count(),
            late_rows=timed.is_late.sum().fill_null(0),
            last_received_at=timed.received_at.max(),
            observed=timed.delay.count(),
        )
    moved = counted.filter(counted.late_rows > 0)
    rows = moved.select(
        "day", "rows", "late_rows", "last_received_at", late_share=moved.late_rows / moved.rows
    ).relocate("late_share", after="late_rows")
    whole = counted.agg(
        events=counted.rows.sum().fill_null(0).cast(dt.int64),
        observed=counted.observed.sum().fill_null(0).cast(dt.int64),
    )
    told = whole.select(otherwise=_nothing_observed(whole.events, whole.observed))
    refused = told.filter(told.otherwise.notnull())
    nothing = {name: ibis.null(kind) for name, kind in rows.schema().items()}
    both = rows.mutate(refused_because=ibis.null(dt.string)).union(
        refused.select(**nothing, refused_because=refused.otherwise)
    )
    return both.order_by("day")


def missing_share(table: ir.Table) -> ir.Table:
    """Grain: one row per column; of a lake's events, of those that an event has.

    Columns: column, rows, missing (rows where it is NULL), missing_share (missing / rows,
    fraction), refused_because (NULL where the row stands)."""
    known = known_table(table, argument="table")
    days = of_days(known, "event_days")
    columns = [c for c in known.columns if days is None or f"has_{c}" in days.columns]
    # Numbered on the way: what an engine calls a column of the answer is no name of the data.
    if days is not None:
        counts = {f"known_{k}": days[f"has_{name}"].sum().fill_null(0) for k, name in enumerate(columns)}
        whole = days.agg(rows=days.rows.sum().fill_null(0), **counts).to_pandas().iloc[0]
    else:
        counts = {f"known_{k}": known[name].count() for k, name in enumerate(columns)}
        whole = known.agg(rows=known.count(), **counts).to_pandas().iloc[0]
    rows, names = int(whole["rows"]), sorted(columns)
    place = {name: k for k, name in enumerate(columns)}
    told = counted_table(
        {"column": dt.string, "rows": dt.int64, "missing": dt.int64},
        column=names,
        rows=[rows] * len(names),
        missing=[rows - int(whole[f"known_{place[name]}"]) for name in names],
    )
    return told.mutate(
        missing_share=told.missing / told.rows.nullif(0),
        refused_because=because(told.rows == 0, "the table holds no rows"),
    ).order_by("column")
