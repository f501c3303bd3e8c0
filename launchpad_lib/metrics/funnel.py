"""Funnels: who reaches each step, in order and in time; by segment, over periods, and one period against another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.checks import never_empty, nobody_counted, refused_table
from launchpad_lib.metrics.step_counts import TIMES, StepCounts
from launchpad_lib.metrics.steps import (
    Attribution,
    Entry,
    Exclusion,
    Mode,
    Rules,
    Step,
    checked_log,
    checked_rules,
)
from launchpad_lib.metrics.windows import (
    wilson_limits,
)

ENTRANTS = "mature units that entered"


def funnel(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
    same_instant: Literal["counts", "does_not_count"] = "counts",
    immature: Literal["left_out", "counted"] = "left_out",
    entered: tuple[datetime, datetime] | None = None,
) -> ir.Table:
    """Who reaches each step. Grain: one row per step; with `breakdown` one per segment and step.

    Args:
        events: user_id, event_name, event_at (UTC); also received_at and event_id (ties), session_key (by), properties.
        steps: event names or `Step`s with property filters; an optional step is counted but not asked for.
        window: time from entry to the last step, both ends included; "7d", "30m"; None is unbounded.
        mode: "ordered": t1 <= ... <= tk with distinct events, other events may come between. "strict": no other event
            of the unit between two steps (Amplitude's exact order, PostHog's strict). "any_order": all steps inside one
            window that begins at any of them; step k then counts units with k different steps. "strict_order":
            ClickHouse's rule of that name: a unit's log ends at the first event after its first entry that is neither a
            step already reached nor the next one, so steps may repeat, and a unit that strayed once has no second try.
        entry: "any": some entry leads there (ClickHouse `windowFunnel`); "first": only the unit's first (Mixpanel).
        by: the unit counted: a column such as user_id or session_key.
        exclusions: events that must not occur between entry and the last reached step.
        hold_constant: a property that must be equal on every step; events without it are no steps.
        breakdown: a property; `attribution` says whose value counts: of the first or last reached step that has one, or
            of step number k. Units without a value are a segment of their own (NULL), never dropped.
        same_instant: whether a step at the very instant of its predecessor counts; if so the order of the steps wins
            (the tie rule of `windowFunnel`; "does_not_count" is its strict_increase).
        immature: a unit whose first entry's window is not over at `observed_through` is in no count; "counted" takes
            it in as most products do, which lowers the newest rates.
        entered: count only entries at [start, end).

    Returns:
        [segment,] step, step_name, is_optional, users (units), n (mature entrants: the denominator of conversion_rate),
        base (what n is, in words), conversion_rate (fraction of n), step_conversion_rate (fraction of users_at_risk,
        those at the previous required step), ci_low, ci_high (Wilson 95 % of conversion_rate), median_seconds,
        p90_seconds (from the previous required step, converters only), median_seconds_from_entry,
        p90_seconds_from_entry, entrants_immature, users_removed (by an exclusion), refused_because (NULL where the row
        stands). An event or property that does not occur in the log: one row per step without numbers, and the nearest
        right name.

    The log is read once, when the function is called; every mode is linear in the events (`kernels.chains`).

    Raises:
        ValueError: fewer than two steps, a window without a unit, options that contradict each other, no Ibis table, a
            text or a date in place of an instant.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "buy", 10), ("b", "visit", 9)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log]
    ... )
    >>> funnel(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2)).order_by(
    ...     "step"
    ... ).to_pandas()["users"].tolist()
    [2, 1]
    """
    rules = checked_rules(
        steps=steps,
        window=window,
        mode=mode,
        entry=entry,
        by=by,
        exclusions=exclusions,
        hold_constant=hold_constant,
        breakdown=breakdown,
        attribution=attribution,
        same_instant=same_instant,
        entered=entered,
    )
    through = utc_instant(observed_through)
    if immature not in ("left_out", "counted"):
        raise ValueError(f"immature={shown(immature)}: must be 'left_out' or 'counted'; choose one")
    log, unknown = checked_log(events, rules)
    log, unit = units_of(log, rules.by)
    fold = ChainFold(log, rules, observed_through=through, spans=(rules.entered,))
    return answers(log, [asked_counts(fold, unknown, immature=immature)], unit=unit)[0]


def asked_counts(
    fold: ChainFold,
    unknown: str | None,
    *,
    immature: Literal["left_out", "counted"] = "left_out",
    split: Literal["segment"] | None | Literal["as ruled"] = "as ruled",
) -> Asked:
    """The counts of a fold's chains, in all or by segment, to be read with other questions by `answers`."""
    rules = fold.rules
    by: Literal["segment"] | None = ("segment" if rules.breakdown else None) if split == "as ruled" else split
    counts = StepCounts(rules, by=by, immature=immature)
    fold.each(counts.add)

    def answer() -> ir.Table:
        found = counted_steps(counts, observed_through=fold.observed_through)
        return found if unknown is None else refused_table(found, unknown, **named_steps(rules))

    return Asked([fold] if unknown is None else [], answer)


def named_steps(rules: Rules) -> dict[str, list]:
    """The rows of a refused funnel that can be named."""
    return {
        "step": list(range(1, len(rules.steps) + 1)),
        "step_name": [s.label for s in rules.steps],
        "is_optional": [s.is_optional for s in rules.steps],
    }


def counted_steps(counts: StepCounts, *, observed_through: datetime) -> ir.Table:
    """The result table of counts and times per step."""
    rules = counts.rules
    numbers = range(1, len(rules.steps) + 1)
    long = ibis.memtable(counts.table())
    by = [counts.by] if counts.by else []
    rows = long.select(
        *by,
        step=long.step,
        step_name=ibis.cases(*((long.step == k, rules.steps[k - 1].label) for k in numbers)),
        is_optional=ibis.cases(*((long.step == k, rules.steps[k - 1].is_optional) for k in numbers)),
        users=long.users,
        n=long.entrants,
        base=ibis.literal(f"{ENTRANTS} in the period" if counts.by == "period" else ENTRANTS),
        conversion_rate=long.users / long.entrants.nullif(0),
        step_conversion_rate=long.users / long.users_at_risk.nullif(0),
        **wilson_limits(long.users, long.entrants),
        users_at_risk=long.users_at_risk,
        **{name: long[name] for name in TIMES},
        entrants_immature=long.entrants_immature,
        users_removed=long.users_removed,
        refused_because=nobody_counted(
            long.entrants, immature=long.entrants_immature, what="the funnel", observed_through=observed_through
        ),
    )
    nobody = f"the funnel: nobody did {quoted(rules.steps[0].event_name)} as asked; check filters and period"
    return never_empty(rows, nobody) if by else rows
