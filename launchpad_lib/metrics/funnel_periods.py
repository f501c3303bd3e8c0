"""The funnel over periods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, Entries, units_of
from launchpad_lib.metrics.checks import refused_table
from launchpad_lib.metrics.funnel import counted_steps, named_steps
from launchpad_lib.metrics.step_counts import StepCounts
from launchpad_lib.metrics.steps import (
    Entry,
    Exclusion,
    Mode,
    Rules,
    Step,
    checked_log,
    checked_rules,
)
from launchpad_lib.metrics.windows import Period, Weekday, period_start


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
    `entered` set to one period, and the whole of `funnel_changes`, have the n of that period's row. Later steps
    may fall in later periods while the window runs.

    Columns: period_on (first local date), then those of `funnel`. The log is read once for all periods; an event is
    looked at once for every period whose entries it can still serve (window / period + 1).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 1), ("a", "buy", 2), ("a", "visit", 3), ("b", "visit", 3)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in log])
    >>> days = funnel_trend(
    ...     events, steps=["visit", "buy"], window="1d", observed_through=datetime(2026, 1, 9), period="day"
    ... )
    >>> days.filter(days.step == 2).order_by("period_on").to_pandas()["users"].tolist()
    [1, 0]
    """
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    log, unknown = checked_log(events, rules)
    log, unit = units_of(log, by)
    entries = Entries(period, report_timezone, week_starts_on)
    return answers(log, [asked_course(log, rules, unknown, entries, observed_through=through)], unit=unit)[0]


def asked_course(
    log: ir.Table, rules: Rules, unknown: str | None, entries: Entries, *, observed_through: datetime
) -> Asked:
    """The counts by period of entry, to be read with other questions by `answers`."""
    if rules.window is None:
        raise ValueError(
            "window=None: a trend needs a window, for entries of an old period would never stop counting; "
            "write for example '7d'"
        )
    fold = ChainFold(log, rules, observed_through=observed_through, entries=entries)
    counts = StepCounts(rules, by="period", immature="left_out")
    fold.each(counts.add)

    def answer() -> ir.Table:
        counted = counted_steps(counts, observed_through=observed_through)
        start = period_start(counted.period, entries.period, entries.week_starts_on)
        found = counted.mutate(period_on=start).drop("period").relocate("period_on")
        return found if unknown is None else refused_table(found, unknown, **named_steps(rules))

    return Asked([fold] if unknown is None else [], answer)
