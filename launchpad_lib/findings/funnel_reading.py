"""Everything that the funnel page counts, from one reading of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.funnel_question import FunnelQuestion, Periods, ask_funnel, feature_steps
from launchpad_lib.findings.releases import reason_of
from launchpad_lib.findings.rows import not_asked
from launchpad_lib.metrics import RULES, unknown_names
from launchpad_lib.metrics.asked import Asked, read_for
from launchpad_lib.metrics.chains import ChainFold, Entries, units_of
from launchpad_lib.metrics.correlates import asked_events_between, asked_values, at_a_step
from launchpad_lib.metrics.dropoff import asked_next_events, asked_times
from launchpad_lib.metrics.funnel import asked_counts
from launchpad_lib.metrics.funnel_change import asked_changes
from launchpad_lib.metrics.funnel_periods import asked_course
from launchpad_lib.metrics.rules import asked_rules
from launchpad_lib.metrics.steps import Attribution, Rules, checked_rules
from launchpad_lib.metrics.windows import Period, Weekday


class FunnelReading(NamedTuple):
    """The counts of each part of the page, made when they are asked for, or why it has none; and the question of every
    feature that has a funnel.
    """

    tables: Mapping[str, Callable[[], ir.Table] | ValueError]
    features: Mapping[str, FunnelQuestion]
    is_split: bool

    def table(self, name: str) -> ir.Table:
        """The counts of a part.

        Raises:
            ValueError: the part cannot be counted as it was asked.
        """
        found = self.tables[name]
        if isinstance(found, ValueError):
            raise found
        return found()


def read_funnel(
    events: ir.Table,
    asked: FunnelQuestion,
    *,
    periods: Periods | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
    trend_period: Period = "week",
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
    features: Sequence[Feature] = (),
) -> FunnelReading:
    """Reads the log once for the funnel, its times, segments, course, change, other rules and features' own funnels.

    A part that cannot be counted as asked says so where its table is made; the other parts stand.
    """
    own = {f.feature_id: _of_feature(events, asked, f) for f in features if len(feature_steps(f)) > 1}
    through = utc_instant(asked.observed_through)
    split = _split(events, asked, breakdown, attribution)
    parts: dict[str, Asked | ValueError] = {}
    log, unit = units_of(events, asked.by) if asked.by in events.columns else (events, asked.by)

    def ask(name: str, question: Callable[[], Asked]) -> None:
        try:
            parts[name] = question()
        except ValueError as error:
            parts[name] = error

    def counts_of(question: FunnelQuestion) -> Asked:
        return asked_counts(ChainFold(log, _rules(question), observed_through=through), None)

    if not asked.refused_because:
        rules = _rules(asked)
        whole = ChainFold(log, split if isinstance(split, Rules) else rules, observed_through=through)
        ask("steps", lambda: asked_counts(whole, None, split=None))
        ask("times", lambda: asked_times(whole, None))
        every_row = ChainFold(log, rules, observed_through=through)
        ask("next_events", lambda: asked_next_events(every_row, None))
        split_by = [breakdown] if breakdown and isinstance(split, Rules) else []
        said = list(dict.fromkeys([*at_a_step(log), *split_by]))
        ask("values", lambda: asked_values(whole, None, properties=said, at_least=asked.min_cell))
        ask("events_between", lambda: asked_events_between(every_row, None, at_least=asked.min_cell))
        entries = Entries(trend_period, report_timezone, week_starts_on)
        ask("course", lambda: asked_course(log, rules, None, entries, observed_through=through))
        ask("rules", lambda: asked_rules(log, rules, RULES[1:], observed_through=through))
        spans = [_rules(asked, entered=span).entered for span in (periods[:2] if periods else ())]
        moved = ChainFold(log, whole.rules, observed_through=through, spans=spans)
        if periods:
            ask("changes", lambda: asked_changes(moved, None, is_split=False))
        if isinstance(split, Rules):
            ask("segments", lambda: asked_counts(whole, None, split="segment"))
            ask("changes_by_segment", lambda: asked_changes(moved, None, is_split=True))
        else:
            parts["segments"] = split
    for feature_id, question in own.items():
        if not question.refused_because:
            ask(f"feature {feature_id}", partial(counts_of, question))
    pending = {name: part for name, part in parts.items() if isinstance(part, Asked)}
    read_for(log, list(pending.values()), unit=unit)
    counted = {name: cache(part.answer) for name, part in pending.items()}
    failed = {name: part for name, part in parts.items() if isinstance(part, ValueError)}
    return FunnelReading({**counted, **failed}, own, isinstance(split, Rules))


def _rules(asked: FunnelQuestion, **more: Any) -> Rules:
    return checked_rules(**{k: v for k, v in asked.arguments.items() if k != "observed_through"}, **more)


def _split(
    events: ir.Table,
    asked: FunnelQuestion,
    breakdown: str | None,
    attribution: Attribution,
) -> Rules | ValueError:
    """The rules with the breakdown, or why a breakdown is not made."""
    if not breakdown:
        return ValueError(not_asked("give `breakdown` a property"))
    unknown = unknown_names(events, event_names=[], properties=[breakdown])
    if unknown:
        return ValueError(unknown)
    try:
        return _rules(asked, breakdown=breakdown, attribution=attribution)
    except ValueError as error:
        return error


def _of_feature(events: ir.Table, asked: FunnelQuestion, feature: Feature) -> FunnelQuestion:
    """The funnel a feature declares, under the rules of the page."""
    rules = {k: v for k, v in asked.arguments.items() if k in ("window", "mode", "entry", "by", "observed_through")}
    own = ask_funnel(events, steps=feature_steps(feature), **rules, min_cell=asked.min_cell)
    reason = reason_of(feature, own.refused_because, through=asked.observed_through)
    return own._replace(refused_because=reason)
