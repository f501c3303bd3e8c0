"""Funnels: who reaches each step, in order and in time; by segment, over periods, and one period against another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.chains import funnel_chains, funnel_units, with_maturity
from launchpad_lib.metrics.steps import (
    Attribution,
    Entry,
    Exclusion,
    Mode,
    Rules,
    Step,
    checked_rules,
    event_log,
    kept_by,
)
from launchpad_lib.metrics.windows import (
    Period,
    local_date,
    period_number,
    period_start,
    seconds_between,
    wilson_limits,
)

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels import EventLog


def funnel(
    events: ir.Table | EventLog,
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
            Day files (`staging.open_event_log`) are answered by the compiled fold: the ordered funnel per user without
            filters, optional steps, exclusions, held property or breakdown; its time columns are NULL.
        steps: event names or `Step`s with property filters; an optional step is counted but not asked for.
        window: time from entry to the last step, both ends included; "7d", "30m"; None is unbounded.
        mode: "ordered": t1 <= ... <= tk with distinct events, other events may come between. "strict": no other event
            of the unit between two steps (Amplitude's exact order, PostHog's strict). "any_order": all steps inside one
            window that begins at any of them; step k then counts units with k different steps. "strict_order": ClickHouse's
            rule of that name: a unit's log ends at the first event after its first entry that is neither a step already
            reached nor the next one, so steps may repeat, and a unit that strayed once has no second try.
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
        [segment,] step, step_name, is_optional, users (units), conversion_rate (of step 1), step_conversion_rate (of
        the previous required step), ci_low, ci_high (Wilson 95 % of conversion_rate), median_seconds, p90_seconds (from
        the previous required step, converters only), median_seconds_from_entry, p90_seconds_from_entry,
        entrants_immature, users_removed (by an exclusion).

    Every mode is linear in the events after one sort by unit and time (see `funnel_chains`). Not linear: nothing here.

    Raises:
        ValueError: fewer than two steps, a window without a unit, options that contradict each other.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "buy", 10), ("b", "visit", 9)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log])
    >>> funnel(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2)).order_by("step").to_pandas()["users"].tolist()
    [2, 1]
    """
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant, breakdown=breakdown,
        attribution=attribution, same_instant=same_instant, entered=entered,
    )  # fmt: skip
    if not isinstance(events, ir.Table):
        return _compiled_funnel(events, rules, window=window, observed_through=observed_through, immature=immature)
    units = funnel_units(events, rules=rules, observed_through=observed_through, keep=kept_by(mode))
    if immature == "counted":
        units = units.mutate(is_mature=ibis.literal(True))
    elif immature != "left_out":
        raise ValueError(f"immature={immature!r}: must be 'left_out' or 'counted'; choose one")
    return _counted(units, rules, by=("segment",) if breakdown else ())


def _compiled_funnel(
    log: EventLog, rules: Rules, *, window: str | None, observed_through: datetime, immature: str
) -> ir.Table:
    """The compiled fold behind `funnel`, with its columns; refused where the fold has no form of what is asked."""
    from launchpad_lib.metrics.kernels import fast_funnel

    asked = {
        "mode": rules.mode != "ordered", "by": rules.by != "user_id", "exclusions": bool(rules.exclusions), "hold_constant": bool(rules.hold_constant),
        "breakdown": bool(rules.breakdown), "same_instant": rules.same_instant != "counts", "entered": rules.entered is not None,
        "immature": immature != "left_out", "steps (filters, optional or equal ones)": any(s.filters or s.is_optional for s in rules.steps)
        or len({s.event_name for s in rules.steps}) < len(rules.steps),
    }  # fmt: skip
    if any(asked.values()):
        named = ", ".join(k for k, is_asked in asked.items() if is_asked)
        raise ValueError(
            f"{named}: day files answer the plain ordered funnel per user only; pass the events table instead"
        )
    names = [s.event_name for s in rules.steps]
    found = fast_funnel(
        log,
        steps=names,
        window=window,
        observed_through=observed_through,
        entry=rules.entry,
        states=getattr(log, "states", None),
    )
    nothing, seconds = (
        ibis.null("float64"),
        ("median_seconds", "p90_seconds", "median_seconds_from_entry", "p90_seconds_from_entry"),
    )
    at_risk = ibis.coalesce(found.users.lag().over(order_by=found.step), found.users)
    return found.mutate(
        is_optional=ibis.literal(False),
        users_at_risk=at_risk,
        users_removed=ibis.literal(0, "int64"),
        **dict.fromkeys(seconds, nothing),
    )


def funnel_trend(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    period: Period = "week",
    report_timezone: str = "UTC",
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
) -> ir.Table:
    """The funnel of those who entered in each local day, week (from Monday) or month. Grain: one row per period and step.

    A unit counts in every period it enters; later steps may fall in later periods while the window runs. Columns:
    period_on (first local date), then those of `funnel`. Cost: each event is copied once for every period whose entries
    it can still serve (window / period + 2), so it is linear with that factor.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 1), ("a", "buy", 2), ("a", "visit", 3), ("b", "visit", 3)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in log])
    >>> days = funnel_trend(events, steps=["visit", "buy"], window="1d", observed_through=datetime(2026, 1, 9), period="day")
    >>> days.filter(days.step == 2).order_by("period_on").to_pandas()["users"].tolist()
    [1, 0]
    """
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    if window is None:
        raise ValueError(
            "window=None: a trend needs a window, for entries of an old period would never stop counting; write for example '7d'"
        )
    log = event_log(events, rules, keep=kept_by(mode))
    log = log.mutate(own_period=period_number(local_date(log.at, report_timezone), period))
    shortest_days = {"day": 1, "week": 7, "month": 28}[period]
    # One more than the window spans: an entry late on its day, and a day of 23 hours.
    copies = int(parse_window(window).total_seconds() // (86_400 * shortest_days)) + 2
    log = log.mutate(behind=ibis.range(0, copies + 1).unnest())
    log = log.mutate(period=log.own_period - log.behind, may_enter=log.behind == 0).drop("own_period", "behind")
    units = with_maturity(funnel_chains(log, rules, keys=("unit", "period")), rules, observed_through)
    counted = _counted(units, rules, by=("period",))
    return counted.mutate(period_on=period_start(counted.period, period)).drop("period").relocate("period_on")


def funnel_comparison(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    before: tuple[datetime, datetime],
    after: tuple[datetime, datetime],
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
) -> ir.Table:
    """Step conversion of those who entered in one period beside another's: counts only; the test is inference's.

    Grain: one row per step from the second (and segment). Columns: [segment,] step, step_name, n_before, converted_before,
    n_after, converted_after (n: reached the previous required step; converted: reached this one), both of mature units.
    `inference.compare_rates` adds Newcombe intervals and Benjamini-Hochberg over all rows.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 1), ("a", "buy", 2), ("b", "visit", 8)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in log])
    >>> weeks = {"before": (datetime(2026, 1, 1), datetime(2026, 1, 8)), "after": (datetime(2026, 1, 8), datetime(2026, 1, 15))}
    >>> row = funnel_comparison(events, steps=["visit", "buy"], window="1d", observed_through=datetime(2026, 1, 20), **weeks).to_pandas().iloc[0]
    >>> int(row["converted_before"]), int(row["n_before"]), int(row["converted_after"]), int(row["n_after"])
    (1, 1, 0, 1)
    """
    sides = {}
    for name, span in (("before", before), ("after", after)):
        found = funnel(
            events, steps=steps, window=window, observed_through=observed_through, mode=mode, entry=entry, by=by, exclusions=exclusions,
            hold_constant=hold_constant, breakdown=breakdown, attribution=attribution, entered=span,
        )  # fmt: skip
        found = found.filter(found.step > 1)
        kept = {"segment": found.segment} if breakdown else {}
        sides[name] = found.select(
            **kept, step=found.step, step_name=found.step_name, n=found.users_at_risk, converted=found.users
        ).mutate(side=ibis.literal(name))
    both = sides["before"].union(sides["after"])
    keys = [*(["segment"] if breakdown else []), "step", "step_name"]
    return both.group_by(keys).agg(
        n_before=both.n.sum(where=both.side == "before").fill_null(0),
        converted_before=both.converted.sum(where=both.side == "before").fill_null(0),
        n_after=both.n.sum(where=both.side == "after").fill_null(0),
        converted_after=both.converted.sum(where=both.side == "after").fill_null(0),
    )


def _counted(units: ir.Table, rules: Rules, *, by: tuple[str, ...]) -> ir.Table:
    """Counts and times per step from one row per unit."""
    numbers = range(1, len(rules.steps) + 1)
    previous = {k: max((r for r in rules.required if r < k), default=1) for k in numbers}
    counts = units.is_mature & ~units.is_removed
    reached = {k: counts & units[f"step_{k}_at"].notnull() for k in numbers}
    wide = {
        "entrants_immature": (~units.is_mature).sum().fill_null(0).cast("int64"),
        "users_removed": (units.is_mature & units.is_removed).sum().fill_null(0).cast("int64"),
    }
    for k in numbers:
        step = seconds_between(units[f"step_{previous[k]}_at"], units[f"step_{k}_at"])
        whole = seconds_between(units.step_1_at, units[f"step_{k}_at"])
        wide[f"users_{k}"] = reached[k].sum().fill_null(0).cast("int64")
        for name, seconds in (("step", step), ("whole", whole)):
            wide[f"{name}_median_{k}"] = seconds.quantile(0.5, where=reached[k])
            wide[f"{name}_p90_{k}"] = seconds.quantile(0.9, where=reached[k])
    totals = units.group_by(list(by)).agg(**wide) if by else units.agg(**wide)
    long = totals.mutate(step=ibis.array([ibis.literal(k, "int64") for k in numbers]).unnest())

    def of_step(prefix: str, at_step: dict[int, int] | None = None) -> ir.Value:
        return ibis.cases(*((long.step == k, long[f"{prefix}_{(at_step or {}).get(k, k)}"]) for k in numbers))

    later = long.step > 1
    nothing = ibis.null("float64")
    return long.select(
        *by,
        step=long.step,
        step_name=ibis.cases(*((long.step == k, rules.steps[k - 1].event_name) for k in numbers)),
        is_optional=ibis.cases(*((long.step == k, rules.steps[k - 1].is_optional) for k in numbers)),
        users=of_step("users"),
        conversion_rate=of_step("users") / long.users_1.nullif(0),
        step_conversion_rate=of_step("users") / of_step("users", previous).nullif(0),
        **wilson_limits(of_step("users"), long.users_1),
        users_at_risk=of_step("users", previous),
        median_seconds=ibis.ifelse(later, of_step("step_median"), nothing),
        p90_seconds=ibis.ifelse(later, of_step("step_p90"), nothing),
        median_seconds_from_entry=ibis.ifelse(later, of_step("whole_median"), nothing),
        p90_seconds_from_entry=ibis.ifelse(later, of_step("whole_p90"), nothing),
        entrants_immature=long.entrants_immature,
        users_removed=long.users_removed,
    )
