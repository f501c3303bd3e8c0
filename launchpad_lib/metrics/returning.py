"""Retention questions as folds over the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.arguments import shown, whole_number
from launchpad_lib.contract.durations import check_timezone, parse_window, utc_instant, window_us
from launchpad_lib.contract.sentences import span_words
from launchpad_lib.metrics.asked import Asked
from launchpad_lib.metrics.checks import known_table, name_list, never_empty, refused_table
from launchpad_lib.metrics.retention_table import retention_table
from launchpad_lib.metrics.steps import Step, asked_of, is_step
from launchpad_lib.metrics.windows import Period, Weekday, property_value

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.return_fold import ReturnFold, ReturnRules

ROLLING_HOURS = {"day": 24, "week": 7 * 24}
FEWER = "fewer"  # the cohort of those who did not do it often enough
NOBODY = "nobody did the start event as asked, so nobody can come back; check filters and period"


def asked_retention(
    events: ir.Table,
    *,
    returns: Sequence[int | tuple[int, int]],
    observed_through: datetime,
    counting: Literal["rolling", "calendar"] = "rolling",
    period: Period = "day",
    start: Literal["first", "recurring"] = "first",
    start_event: str | Step | None = None,
    return_event: str | Step | None = None,
    cohort_by: Period | None = None,
    cohort_property: str | None = None,
    cohorts: ir.Table | None = None,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> Asked:
    """The question of `retention`, to be read with others by `answers`."""
    if start not in ("first", "recurring"):
        raise ValueError(f"start={shown(start)}: must be 'first' or 'recurring'; choose one")
    if counting == "rolling" and start == "recurring":
        raise ValueError(
            "start='recurring': counts calendar periods with a start, so it needs counting='calendar'; change "
            "one of the two"
        )
    if sum(x is not None for x in (cohort_by, cohort_property, cohorts)) > 1:
        raise ValueError(
            "cohort_by, cohort_property, cohorts: more than one is given; give the one that makes the rows"
        )
    rules = _rules(returns, observed_through, counting, period, report_timezone, week_starts_on)
    events, unknown = asked_of(events, [start_event, return_event], [cohort_property])
    from launchpad_lib.metrics.kernels.return_fold import ReturnFold

    conditions: dict[str, Any] = {"start": _condition(events, start_event), "back": _condition(events, return_event)}
    is_recurring = start == "recurring"
    if cohorts is not None:
        given = known_table(cohorts, needs=("user_id", "cohort"), argument="cohorts")
        return _by_given_cohorts(events, rules, given, unknown, recurring=is_recurring, **conditions)
    label = property_value(events, cohort_property) if cohort_property else None
    fold = ReturnFold(rules, **conditions, recurring=is_recurring, cohort_by=cohort_by, label=label)
    if cohort_by:
        return _question([fold], lambda found: pa.array(found, pa.int64()), unknown, cohort_by=cohort_by)
    if label is None:
        return _question([fold], None, unknown, every=1)
    return _question([fold], lambda found: pa.array([None, *fold.texts], pa.string()).take(pa.array(found)), unknown)


def asked_retention_by_start(
    events: ir.Table,
    *,
    start_events: Sequence[str],
    returns: Sequence[int | tuple[int, int]],
    observed_through: datetime,
    counting: Literal["rolling", "calendar"] = "rolling",
    period: Period = "day",
    return_event: str | Step | None = None,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> Asked:
    """`retention` after the first of each of several start events, all of them from one reading.

    Grain: one row per start event and asked period; column `cohort` is the event. A user counts after each.
    """
    names = name_list(start_events, argument="start_events")
    rules = _rules(returns, observed_through, counting, period, report_timezone, week_starts_on)
    events, unknown = asked_of(events, [return_event], [])
    from launchpad_lib.metrics.kernels.return_fold import ReturnFold

    places = {name: k for k, name in enumerate(dict.fromkeys(names))}
    fold = ReturnFold(
        rules,
        start=None,
        back=_condition(events, return_event),
        label=events.event_name,
        places=lambda texts: np.array([places.get(text, -1) for text in texts], np.int64),
        starts_by_label=True,
    )
    return _question(
        [fold], lambda found: pa.array(list(places), pa.string()).take(pa.array(found)), unknown, every=len(places)
    )


def asked_retention_by_deed(
    events: ir.Table,
    *,
    event: str | Step,
    at_least: int,
    within: str,
    returns: Sequence[int | tuple[int, int]],
    observed_through: datetime,
    counting: Literal["rolling", "calendar"] = "rolling",
    period: Period = "day",
    start_event: str | Step | None = None,
    return_event: str | Step | None = None,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> Asked:
    """`retention` by the cohorts of `behavioural_cohorts`, both from one reading."""
    rules = _rules(returns, observed_through, counting, period, report_timezone, week_starts_on)
    deed, names = checked_deed(event, at_least, within)
    events, unknown = asked_of(events, [deed, start_event, return_event], [])
    from launchpad_lib.metrics.kernels.return_fold import EarlyDeed, ReturnFold

    fold = ReturnFold(
        rules,
        start=_condition(events, start_event),
        back=_condition(events, return_event),
        early=EarlyDeed(is_step(events, deed), at_least, window_us(within)),
    )
    seen = f"{rules.observed_through:%Y-%m-%d %H:%M} UTC"
    nobody = f"no user has been observed for {span_words(within)} after the start by {seen}, so there are no groups yet"
    return _question([fold], lambda found: pa.array(names).take(pa.array(found)), unknown, nobody=nobody)


def checked_deed(event: str | Step, at_least: int, within: str) -> tuple[Step, tuple[str, str]]:
    """The deed as a step, and the names of the cohorts of fewer and of so many.

    Raises:
        ValueError: less than one deed, or a duration without a unit.
    """
    at_least = whole_number(at_least, argument="at_least")
    parse_window(within)
    deed = event if isinstance(event, Step) else Step(event)
    often = "" if at_least == 1 else f" {at_least} times or more"
    return deed, (FEWER, f"{deed.event_name}{often} within {span_words(within)}")


def _condition(events: ir.Table, wanted: str | Step | None) -> ir.BooleanValue | None:
    return None if wanted is None else is_step(events, wanted)


def _rules(
    returns: Sequence[int | tuple[int, int]],
    observed_through: datetime,
    counting: str,
    period: Period,
    report_timezone: str,
    week_starts_on: Weekday,
) -> ReturnRules:
    from launchpad_lib.metrics.kernels.return_fold import ReturnRules

    brackets = _brackets(returns)
    if counting not in ("rolling", "calendar"):
        raise ValueError(f"counting={shown(counting)}: must be 'rolling' or 'calendar'; choose one")
    if not isinstance(period, str):
        raise ValueError(f"period={shown(period)}: must be 'day', 'week' or 'month'; choose one")
    if counting == "rolling" and period not in ROLLING_HOURS:
        raise ValueError(
            f"period={shown(period)}: has no fixed length, so it needs counting='calendar'; change one of the two"
        )
    check_timezone(report_timezone)
    length = ROLLING_HOURS[period] * 3_600_000_000 if counting == "rolling" else 0
    return ReturnRules(brackets, utc_instant(observed_through), length, period, report_timezone, week_starts_on)


def _brackets(returns: Sequence[int | tuple[int, int]]) -> list[tuple[int, int]]:
    if isinstance(returns, str) or not isinstance(returns, Iterable):
        raise ValueError(f"returns={shown(returns)}: must be a list of periods; write [{shown(returns)}] for one")
    brackets = [_bracket(asked) for asked in returns]
    if not brackets:
        raise ValueError("returns=[]: names no period; give for example [1, 7]")
    for low, high in brackets:
        if high < low:
            raise ValueError(
                f"returns={(low, high)!r}: a bracket runs from 0 or later to an end not before its start; correct it"
            )
    return brackets


def _bracket(asked: object) -> tuple[int, int]:
    """The periods from a to b: a pair, or one number for a period alone."""
    pair = tuple(asked) if isinstance(asked, list | tuple) else (asked, asked)
    if len(pair) != 2:
        raise ValueError(f"returns={shown(asked)}: a bracket is a pair of periods; write for example (1, 7)")
    low, high = (whole_number(period, argument="returns", least=0, most=10**9) for period in pair)
    return low, high


def _by_given_cohorts(
    events: ir.Table, rules: ReturnRules, given: ir.Table, unknown: str | None, **conditions: Any
) -> Asked:
    """Cohorts that a table gives its users; a user of several is counted in each."""
    from launchpad_lib.metrics.kernels.return_fold import ReturnFold

    named = given.filter(given.user_id.notnull()).select(user=given.user_id.cast(dt.string), cohort=given.cohort)
    rows = named.distinct().to_pyarrow()
    encoded = rows["cohort"].combine_chunks().dictionary_encode(null_encoding="encode")
    layers: list[dict[str, int]] = []
    for user, cohort in zip(rows["user"].to_pylist(), encoded.indices.to_pylist(), strict=True):
        layer = next((held for held in layers if user not in held), None)
        if layer is None:
            layers.append(layer := {})
        layer[user] = cohort

    def places(layer: dict[str, int]) -> Callable[[Sequence[str]], np.ndarray]:
        return lambda texts: np.array([layer.get(text, -1) for text in texts], np.int64)

    user_id = events.user_id.cast(dt.string)
    folds = [ReturnFold(rules, **conditions, label=user_id, places=places(layer)) for layer in layers]
    nobody = f"no user of `cohorts` has a start{_reason_of(given)}"
    empty = ReturnFold(rules, **conditions)  # where no cohort has a user: the shape of an answer

    def named_cohorts(found: np.ndarray) -> pa.Array:
        return encoded.dictionary.take(pa.array(found))

    asked = _question(folds or [empty], named_cohorts, unknown, nobody=nobody)
    return asked if folds else Asked([], asked.answer)


def _reason_of(cohorts: ir.Table) -> str:
    """Why given cohorts are empty, where their table says so."""
    if "refused_because" not in cohorts.columns:
        return ""
    reasons = cohorts.filter(cohorts.refused_because.notnull()).select("refused_because").limit(1).to_pandas()
    return "".join(f" ({reason})" for reason in reasons["refused_because"])


def _question(
    folds: Sequence[ReturnFold],
    cohort_of: Callable[[np.ndarray], pa.Array] | None,
    unknown: str | None,
    *,
    cohort_by: Period | None = None,
    nobody: str = NOBODY,
    every: int = 0,
) -> Asked:
    """`every`: the cohorts 0 ... every - 1 have rows also where nobody started."""
    rules = folds[0].rules
    named = {"period_from": [low for low, _ in rules.brackets], "period_to": [high for _, high in rules.brackets]}

    def answer() -> ir.Table:
        found = retention_table(folds, cohort_of, cohort_by=cohort_by, every=every)
        return never_empty(found, nobody) if unknown is None else refused_table(found, unknown, **named)

    return Asked(folds if unknown is None else [], answer)
