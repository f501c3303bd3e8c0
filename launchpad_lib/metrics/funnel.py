"""Funnels: who reaches each step, in order and in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import parse_window, wilson_limits


class Step(NamedTuple):
    """A funnel step: an event name, and property filters as (property, value) pairs."""

    event_name: str
    filters: tuple[tuple[str, str], ...] = ()


def funnel(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    entry: Literal["any", "first"] = "any",
    by: Literal["user_id", "session_key"] = "user_id",
) -> ir.Table:
    """Ordered funnel. Grain: one row per step.

    A unit reaches step k if t1 < ... < tk with event j = step j and tk - t1 <= window for some entry t1
    (`entry="any"`; ClickHouse windowFunnel) or for its first t1 (`entry="first"`). At equal `event_at` the order of the
    steps wins. Entrants whose first entry's window is not over at `observed_through` are in no count
    (`entrants_immature`). It is an automaton: f_k = start of the latest-started chain of length k, so it is linear.

    Columns: step, step_name, users, conversion_rate (of step 1), step_conversion_rate (of the previous step), ci_low,
    ci_high (Wilson 95 % of conversion_rate), entrants_immature.

    Raises:
        ValueError: fewer than two steps.
    """
    wanted = [s if isinstance(s, Step) else Step(s) for s in steps]
    if len(wanted) < 2:
        raise ValueError(f"steps={list(steps)!r}: a funnel needs at least two steps; name another event")
    length = parse_window(window) if window else None
    parts = []
    for number, step in enumerate(wanted, start=1):
        rows = events.filter(events.event_name == step.event_name)
        for name, value in step.filters:
            rows = rows.filter((rows[name] if name in rows.columns else rows.properties.cast("json")[name].str) == value)
        parts.append(rows.select(unit=rows[by], at=rows.event_at, step=ibis.literal(number, "int64")))
    log = parts[0].union(*parts[1:])
    first = log.filter(log.step == 1).group_by("unit").agg(first_at=log.at.min())
    log = log.join(first, "unit").select(log.unit, log.at, log.step, first.first_at)
    state = log.mutate(chain_1=_entry(log, entry))
    # A step at the same instant as its predecessor counts (the order of the steps wins), hence the order (at, step).
    for number in range(2, len(wanted) + 1):
        previous = state[f"chain_{number - 1}"].max().over(ibis.cumulative_window(group_by=state.unit, order_by=[state.at, state.step]))
        in_time = ibis.literal(True) if length is None else (state.at <= previous + ibis.interval(seconds=int(length.total_seconds())))
        state = state.mutate(**{f"chain_{number}": ibis.cases(((state.step == number) & previous.notnull() & in_time, previous))})
    reached = state.group_by("unit").agg(
        first_at=state.first_at.min(), **{f"reached_{k}": state[f"chain_{k}"].notnull().any() for k in range(1, len(wanted) + 1)}
    )
    mature = ibis.literal(True) if length is None else reached.first_at <= ibis.literal(observed_through - (length or timedelta(0)), "timestamp")
    reached = reached.mutate(is_mature=mature)
    totals = reached.agg(
        entrants_immature=(~reached.is_mature).sum().fill_null(0),
        **{f"users_{k}": (reached.is_mature & reached[f"reached_{k}"]).sum().fill_null(0) for k in range(1, len(wanted) + 1)},
    )
    rows = []
    for number, step in enumerate(wanted, start=1):
        users = totals[f"users_{number}"].cast("int64")
        entrants = totals["users_1"].cast("int64")
        previous = totals[f"users_{max(number - 1, 1)}"].cast("int64")
        rows.append(
            totals.select(
                step=ibis.literal(number, "int64"),
                step_name=ibis.literal(step.event_name),
                users=users,
                conversion_rate=users / entrants.nullif(0),
                step_conversion_rate=users / previous.nullif(0),
                **wilson_limits(users, entrants),
                entrants_immature=totals.entrants_immature.cast("int64"),
            )
        )
    return rows[0].union(*rows[1:])


def _entry(log: ir.Table, entry: str) -> ir.TimestampValue:
    """The start of a chain of length 1: every entry, or the first only."""
    is_entry = log.step == 1
    return ibis.cases((is_entry & (log.at == log.first_at) if entry == "first" else is_entry, log.at))
