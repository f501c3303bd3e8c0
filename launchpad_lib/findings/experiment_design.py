"""What the page says before an experiment: which differences can be found by when, and what looking costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import sqrt
from typing import Any, NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.catalogue import experiments as tables
from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.experiments import PlannedMetric
from launchpad_lib.contract.sentences import named, span_words
from launchpad_lib.contract.wording import is_missing, percent
from launchpad_lib.findings.rows import declared, not_asked, refused_rows
from launchpad_lib.inference.arms import Arm, sequence_half_width
from launchpad_lib.inference.design import (
    ALPHA,
    DesignRules,
    alarms_of_looking,
    days_for,
    found_by,
    found_sequentially,
    units_by,
    units_for,
    units_sequentially,
    variance_left,
)
from launchpad_lib.metrics.experiment_baseline import Baseline, baseline

REMEDY = "declare unit_event (who would be exposed) and metrics of this notebook in the params file"
MOST_LOOKS = 60


class DesignQuestion(NamedTuple):
    """What is to be planned; `refused_because` where nothing is asked."""

    unit_event: str | None
    metrics: tuple[PlannedMetric, ...]
    rules: DesignRules
    durations: tuple[int, ...] = (7, 14, 28)
    effects: tuple[float, ...] = (0.02, 0.05, 0.1)
    look_every_days: int = 1
    window: str = "7d"
    pre_period: str = "14d"
    observed_through: datetime | None = None
    seed: int = 20260101
    min_cell: int = 30
    report_timezone: str = "UTC"
    refused_because: str | None = None


class Design(NamedTuple):
    """The page's tables (`contract.catalogue.experiments`)."""

    question: DesignQuestion
    durations: pd.DataFrame
    sizes: pd.DataFrame
    looks: pd.DataFrame
    base: Baseline | None = None

    @property
    def units(self) -> dict[str, Estimate]:
        """Units that find the middle one of the asked differences, by metric."""
        effect = self.question.effects[len(self.question.effects) // 2]
        own = self.sizes[self.sizes["relative"] == effect]
        found = {}
        for row in own.to_dict("records"):
            words = self._words(row["metric"]) | {"effect": f"a difference of {percent(effect)} of the value"}
            found[row["metric"]] = _estimate(row, "units", n=self._n(row["metric"]), words=words)
        return found

    @property
    def detectable(self) -> dict[str, Estimate]:
        """What the longest duration finds, by metric."""
        days = max(self.question.durations)
        own = self.durations[self.durations["days"] == days]
        found = {}
        for row in own.to_dict("records"):
            words = self._words(row["metric"]) | {"days": str(days)}
            n = None if is_missing(row["units"]) else int(row["units"]) // self.question.rules.variants
            words["n"] = "unknown" if n is None else f"{n:,}"
            found[row["metric"]] = _estimate(row, "relative", n=n, words=words)
        return found

    def _n(self, metric: str) -> int | None:
        names = [m.called for m in self.question.metrics]
        return int(self.base.moments[names.index(metric), 0]) if self.base is not None and metric in names else None

    def _words(self, metric: str) -> dict[str, str]:
        rules = self.question.rules
        return {
            "metric": named(metric),
            "arms": str(rules.variants),
            "power": f"{rules.power:g}",
            "often": f"{100 * rules.power:g}",
            "comparisons": str(rules.comparisons),
            "unit_event": named(self.question.unit_event),
            "window": span_words(self.question.window),
        }


def _estimate(row: dict[str, Any], value: str, *, n: int | None, words: dict[str, str]) -> Estimate:
    if is_missing(row[value]):
        return refusal(str(row["refused_because"] or "nothing was counted"), n=n, **words)
    return Estimate(float(row[value]), n=n, rules=words)


def ask_design(
    *,
    unit_event: str | None,
    metrics: Sequence[PlannedMetric | dict],
    variants: int,
    power: float,
    durations: Sequence[int],
    effects: Sequence[float],
    **rules: Any,
) -> DesignQuestion:
    """What is to be planned. Quantiles and what stands on an exposure have no design here, and say so."""
    read = tuple(m if isinstance(m, PlannedMetric) else PlannedMetric.model_validate(m) for m in metrics)
    success = sum(m.role == "success" for m in read)
    judged = DesignRules(variants, max(success, 1), power)
    question = DesignQuestion(
        unit_event, read, judged, tuple(sorted(set(durations))), tuple(sorted(set(effects))), **rules
    )
    if unit_event is None or not read:
        return question._replace(refused_because=not_asked(f"no experiment is to be designed; {REMEDY}"))
    return question


def design(events: ir.Table, question: DesignQuestion) -> Design:
    """Every metric at every duration and for every difference, and the looks, from one reading of the log."""
    if question.refused_because or question.unit_event is None:
        return _refused(question, str(question.refused_because))
    if question.observed_through is None:
        return _refused(question, "the log holds no events; ingest some")
    try:
        base = baseline(
            events,
            unit_event=question.unit_event,
            metrics=question.metrics,
            window=question.window,
            pre_period=question.pre_period,
            observed_through=question.observed_through,
        )
    except ValueError as error:
        return _refused(question, str(error))
    longest = units_by(base.arrivals, max(question.durations))
    durations, sizes = [], []
    for k, metric in enumerate(question.metrics):
        arm = Arm(base.moments[k])
        reason = _no_design(metric, arm, base.refused[k], least=max(question.min_cell, 2))
        variance = 0.0 if reason else arm.covariance()
        left = None if reason else variance_left(arm)
        value = None if reason else float(arm.value or 0)
        told = {"metric": metric.called, "refused_because": reason}
        for days in question.durations:
            units = units_by(base.arrivals, days)
            row = told | {"days": days, "units": units, "value": value}
            durations.append(
                row | (_by_duration(variance, value, left, units, longest, question.rules) if value else {})
            )
        for effect in question.effects:
            row = told | {"relative": effect}
            sizes.append(row | (_by_effect(variance, value, left, effect, base, question.rules) if value else {}))
    return Design(
        question,
        declared(tables.DESIGN_DURATIONS, pd.DataFrame(durations)),
        declared(tables.DESIGN_SIZES, pd.DataFrame(sizes)),
        _looks(base, question),
        base,
    )


def _no_design(metric: PlannedMetric, arm: Arm, reason: str | None, *, least: int) -> str | None:
    """Why a metric has no numbers to plan with; else None."""
    if reason:
        return reason
    if metric.kind == "quantile":
        return f"{metric.called}: a quantile is not planned here; plan a mean or a share beside it"
    if metric.event is None and metric.kind != "retention":
        return f"{metric.called}: stands on an exposure, and before an experiment there is none"
    if arm.n < least or arm.value is None:
        return f"{metric.called}: {arm.n} units have a window that is over; needs {least}"
    if arm.value == 0 or arm.covariance() <= 0:
        return f"{metric.called}: is the same for every unit, so no difference can be planned"
    return None


def _by_duration(
    variance: float, value: float, left: float | None, units: int, longest: int, rules: DesignRules
) -> dict[str, Any]:
    found = found_by(variance, units=units, rules=rules)
    looking = found_sequentially(variance, units=units, planned=longest, rules=rules)
    size = abs(value)
    return {
        "sd": sqrt(variance),
        "detectable": found,
        "relative": None if found is None else found / size,
        "relative_cuped": None if found is None or left is None else found * sqrt(left) / size,
        "relative_sequential": None if looking is None else looking / size,
    }


def _by_effect(
    variance: float, value: float, left: float | None, effect: float, base: Baseline, rules: DesignRules
) -> dict[str, Any]:
    difference = effect * abs(value)
    units = units_for(variance, difference=difference, rules=rules)
    return {
        "units": units,
        "days": days_for(base.arrivals, units),
        "units_cuped": None
        if left is None
        else units_for(max(variance * left, 1e-300), difference=difference, rules=rules),
        "units_sequential": units_sequentially(variance, difference=difference, rules=rules),
        "variance_left": left,
    }


def _looks(base: Baseline, question: DesignQuestion) -> pd.DataFrame:
    """The looks of the longest duration, at most sixty."""
    last = max(question.durations)
    every = max(question.look_every_days, -(-last // MOST_LOOKS))
    days = [d for d in range(every, last + 1, every) if units_by(base.arrivals, d) >= 4]
    units = [units_by(base.arrivals, d) for d in days]
    is_new = [k == 0 or units[k] > units[k - 1] for k in range(len(units))]
    days, units = ([x for x, new in zip(xs, is_new, strict=True) if new] for xs in (days, units))
    if not units:
        return declared(tables.DESIGN_LOOKS, pd.DataFrame(columns=["look"]))
    level = 1 - ALPHA / question.rules.comparisons
    widths = [sequence_half_width(1.0, n=n, tuning_n=units[-1], level=level) for n in units]
    rows = {
        "look": list(range(1, len(days) + 1)),
        "day": days,
        "units": units,
        "sequential_width": widths,
        "fixed_false_alarms": alarms_of_looking(units, rng=np.random.default_rng(question.seed)),
    }
    return declared(tables.DESIGN_LOOKS, pd.DataFrame(rows))


def _refused(question: DesignQuestion, why: str) -> Design:
    looks = pd.DataFrame(columns=[c.name for c in tables.DESIGN_LOOKS.columns])
    names: list[Any] = [m.called for m in question.metrics] or [None]
    return Design(
        question._replace(refused_because=why),
        refused_rows(tables.DESIGN_DURATIONS, why, metric=names),
        refused_rows(tables.DESIGN_SIZES, why, metric=names),
        looks,
    )
