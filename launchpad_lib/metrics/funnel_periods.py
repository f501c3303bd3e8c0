"""The funnel over periods, and one period against another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.metrics.chains import funnel_chains, with_maturity
from launchpad_lib.metrics.checks import never_empty, refused_table
from launchpad_lib.metrics.funnel import ENTRANTS, counted_steps, funnel, named_steps
from launchpad_lib.metrics.steps import (
    Attribution,
    Entry,
    Exclusion,
    Mode,
    Step,
    checked_log,
    checked_rules,
    event_log,
    kept_by,
)
from launchpad_lib.metrics.windows import Period, Weekday, local_date, period_number, period_start

BASES = {
    "previous_step": ("mature units at the previous step", "reached the previous step"),
    "entrants": (ENTRANTS, "entered"),
}  # in words, and as a verb


def funnel_trend(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    period: Period = "week",
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
) -> ir.Table:
    """The funnel of those who entered in each local day, week or month. Grain: one row per period and step.

    A unit counts in every period it enters, so the periods' n add up to more than the n of `funnel`; `funnel` with
    `entered` set to one period, and `funnel_comparison` with base="entrants", have the n of that period's row. Later steps
    may fall in later periods while the window runs.

    Columns: period_on (first local date), then those of `funnel`. Cost: each event is copied once for every period whose
    entries it can still serve (window / period + 2), so it is linear with that factor.

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
    through = utc_instant(observed_through)
    if window is None:
        raise ValueError(
            "window=None: a trend needs a window, for entries of an old period would never stop counting; write for example '7d'"
        )
    table, unknown = checked_log(events, rules)
    log = event_log(table, rules, keep=kept_by(mode))
    log = log.mutate(own_period=period_number(local_date(log.at, report_timezone), period, week_starts_on))
    shortest_days = {"day": 1, "week": 7, "month": 28}[period]
    # One more than the window spans: an entry late on its day, and a day of 23 hours.
    copies = int(parse_window(window).total_seconds() // (86_400 * shortest_days)) + 2
    log = log.mutate(behind=ibis.range(0, copies + 1).unnest())
    log = log.mutate(period=log.own_period - log.behind, may_enter=log.behind == 0).drop("own_period", "behind")
    units = with_maturity(funnel_chains(log, rules, keys=("unit", "period")), rules, through)
    counted = counted_steps(units, rules, by=("period",), observed_through=through)
    dated = counted.mutate(period_on=period_start(counted.period, period, week_starts_on))
    found = dated.drop("period").relocate("period_on")
    return found if unknown is None else refused_table(found, unknown, **named_steps(rules))


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
    base: Literal["previous_step", "entrants"] = "previous_step",
) -> ir.Table:
    """Conversion of those who entered in one period beside another's: counts only; the test is inference's.

    Grain: one row per step from the second (and segment).

    Args:
        before, after: [start, end) of the entries, UTC.
        base: whose share it is. "previous_step": of the units at the previous required step, which says where it changed.
            "entrants": of all who entered, the base of `funnel` and `funnel_trend`, so that a headline, its trend and its
            change share one denominator.

    Returns:
        [segment,] step, step_name, base (in words), n_before, converted_before, n_after, converted_after (mature units of
        the two periods compared and no others), refused_because (NULL where the row stands).
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
    if base not in BASES:
        raise ValueError(f"base={base!r}: must be 'previous_step' or 'entrants'; choose one")
    sides = {}
    for name, span in (("before", before), ("after", after)):
        found = funnel(
            events, steps=steps, window=window, observed_through=observed_through, mode=mode, entry=entry, by=by, exclusions=exclusions,
            hold_constant=hold_constant, breakdown=breakdown, attribution=attribution, entered=span,
        )  # fmt: skip
        found = found.filter(found.step > 1)
        sides[name] = found.select(
            *(("segment",) if breakdown else ()), "step", "step_name", unknown=ibis.ifelse(found.n.isnull(), found.refused_because, ibis.null("string")),
            n=found.n if base == "entrants" else found.users_at_risk, converted=found.users, side=ibis.literal(name),
        )  # fmt: skip
    both = sides["before"].union(sides["after"])

    def of(side: str, column: str) -> ir.IntegerColumn:
        total = both[column].sum(where=both.side == side)
        return ibis.ifelse(both.unknown.count() > 0, ibis.null("int64"), total.fill_null(0).cast("int64"))

    rows = both.group_by([*(["segment"] if breakdown else []), "step", "step_name"]).agg(
        n_before=of("before", "n"), converted_before=of("before", "converted"),
        n_after=of("after", "n"), converted_after=of("after", "converted"), unknown=both.unknown.max(),
    )  # fmt: skip
    nobody = f"no mature unit {BASES[base][1]} in the period "
    told = ibis.cases(
        (rows.unknown.notnull(), rows.unknown),
        (rows.n_before == 0, f"{nobody}before"),
        (rows.n_after == 0, f"{nobody}after"),
        else_=ibis.null("string"),
    )
    rows = rows.mutate(base=ibis.literal(BASES[base][0]), refused_because=told).drop("unknown")
    return never_empty(rows.relocate("base", after="step_name"), "nobody entered in either of the two periods")
