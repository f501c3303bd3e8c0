"""The arms of an experiment for its comparisons, from what was counted of the log, or from aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.contract.experiments import Aggregate, PlannedExperiment, PlannedMetric
from launchpad_lib.inference.arms import WIDTH, Arm, arm_of_mean, arm_of_ratio, quantile_arm
from launchpad_lib.inference.estimators import Compared, reason_text
from launchpad_lib.metrics.experiment_counted import WHOLE, Counted, Rows
from launchpad_lib.metrics.experiment_question import Slice

DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
RATES = ("conversion", "retention")
COUNTS = ("converted", "naive_converted", "events_before_exposure")
Reasons = dict[str, dict[str, Any]]
"""Metric -> variant -> why it cannot be counted."""
Part = tuple[dict[str, Any], PlannedMetric, list[dict[str, Any]]]


class Arms(NamedTuple):
    """`counts`: metric -> one row per variant (metric, variant, compared, refused_because), as `compare_variants` takes
    them. `randomised`: variant -> units or clusters. `conversions`, `standing`: as counted. `caps`: metric -> the cap
    of its winsorised form.
    """

    counts: dict[str, pd.DataFrame]
    randomised: dict[str, int]
    conversions: pd.DataFrame
    standing: pd.DataFrame
    exposed_on: tuple[date | None, date | None]
    counted: Counted | None = None
    too_many: tuple[str, ...] = ()
    caps: Mapping[str, float] = {}


def arms_of_log(counted: Counted, plan: PlannedExperiment) -> Arms:
    """What the engine counted, metric by metric."""
    variants = list(counted.randomised)
    whole = counted.moments.get(WHOLE, {})
    strata = {
        level: arms for (name, level), arms in counted.moments.items() if name == plan.strata and level is not None
    }
    counts = {}
    for k, metric in enumerate(plan.metrics):
        capped = counted.capped.get(k, (0.0, {}))[1]
        quantiles = counted.quantiles.get(k, {})
        rows = []
        for variant in variants:
            arm = _arm(whole.get(variant), k)
            own = Compared(
                arm,
                is_rate=_is_rate(metric, plan, arm),
                strata={level: _arm(arms.get(variant), k) for level, arms in strata.items()} if plan.strata else None,
                winsorised=Arm(capped[variant]) if variant in capped else None,
            )
            reason = counted.refused[k] if counted.refused else None
            if metric.kind == "quantile" and reason is None:
                found = None
                if variant in quantiles:
                    of, value, _ = quantiles[variant]
                    found = quantile_arm(value, of, q=metric.quantile)
                reason = None if found else f"{metric.called}: fewer than two units of {variant!r} have a value"
                own = own._replace(quantile=found)
            rows.append((metric.called, variant, own, reason))
        counts[metric.called] = _frame(rows)
    names = dict(enumerate(plan.metric_names))
    # What stands on the exposure itself is no event that a join could count.
    names = {k: name for k, name in names.items() if plan.metrics[k].event is not None}
    conversions = counted.conversions[counted.conversions["outcome"].isin(list(names))]
    conversions = conversions.assign(metric=conversions["outcome"].map(names))
    return Arms(
        counts,
        counted.randomised,
        conversions[["metric", "variant", *COUNTS]],
        counted.standing,
        counted.exposed_on,
        counted,
        counted.too_many,
        {plan.metrics[k].called: cap for k, (cap, _) in counted.capped.items()},
    )


def _frame(rows: list[tuple[str, str, Compared, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame({"metric": [r[0] for r in rows], "variant": [r[1] for r in rows]})
    frame["compared"] = pd.Series([r[2] for r in rows], dtype=object)
    frame["refused_because"] = pd.Series([r[3] for r in rows], dtype=object)
    return frame


def _arm(moments: np.ndarray | None, metric: int) -> Arm:
    return Arm(np.zeros(WIDTH) if moments is None else moments[metric])


def _is_rate(metric: PlannedMetric, plan: PlannedExperiment, arm: Arm) -> bool:
    return metric.kind in RATES and plan.cluster is None and arm.is_conversion


def arms_of_aggregates(plan: PlannedExperiment) -> Arms:
    """What was counted elsewhere. A metric that lacks a variant is refused for it."""
    variants = list(dict.fromkeys([*plan.variants, *(a.variant for a in plan.aggregates)]))
    given = {(a.metric, a.variant): a for a in plan.aggregates}
    counts = {}
    for metric in plan.metrics:
        rows: list[tuple[str, str, Compared, str | None]] = []
        for variant in variants:
            one = given.get((metric.called, variant))
            if one is None or one.n == 0:
                missing = f"aggregates: {metric.called!r} of {variant!r} is missing; give it"
                rows.append((metric.called, variant, Compared(Arm(np.zeros(WIDTH))), missing))
                continue
            arm = _of_aggregate(one)
            rows.append((metric.called, variant, Compared(arm, is_rate=_is_rate(metric, plan, arm)), None))
        counts[metric.called] = _frame(rows)
    first = plan.metrics[0].called
    randomised = {v: given[first, v].n for v in variants if (first, v) in given}
    standing = pd.DataFrame(
        {"standing": "assigned", "variant": list(randomised), "units": list(randomised.values()), "units_immature": 0}
    )
    conversions = pd.DataFrame(columns=["metric", "variant", *COUNTS])
    return Arms(counts, randomised, conversions, standing, (None, None))


def _of_aggregate(one: Aggregate) -> Arm:
    if one.denominator_sum is not None:
        below = (one.denominator_sum, float(one.denominator_squares or 0), float(one.denominator_product or 0))
        return arm_of_ratio(one.n, one.sum, one.sum_squares, below)
    if one.pre_sum is None:
        return arm_of_mean(one.n, one.sum, one.sum_squares)
    before = (one.pre_sum, float(one.pre_squares or 0), float(one.pre_product or 0))
    return arm_of_mean(one.n, one.sum, one.sum_squares, before=before)


def values_by_standing(arms: Arms, plan: PlannedExperiment | None) -> list[float | None]:
    """Of each row of `standing` the first success metric: of its variant where it is compared, else of all units that
    are left out for the same reason. None of a quantile, and of units whose window is not over.
    """
    place = next((k for k, m in enumerate(plan.metrics) if m.role == "success"), None) if plan else None
    if arms.counted is None or place is None or plan is None or plan.metrics[place].kind == "quantile":
        return [None] * len(arms.standing)
    whole, excluded = arms.counted.moments.get(WHOLE, {}), arms.counted.excluded
    found = []
    for row in arms.standing.itertuples():
        own = whole.get(row.variant) if row.standing == "assigned" else excluded.get(row.standing)
        found.append(None if own is None or own[place][0] == 0 else Arm(own[place]).value)
    return found


def segments_apart(arms: Arms, plan: PlannedExperiment, *, min_cell: int) -> list[Part]:
    """Success metrics in each segment; a value of fewer than `min_cell` units is not told, for it could tell who they
    are.
    """
    if arms.counted is None:
        return []
    found, reasons = [], _reasons(arms)
    success = [(k, m) for k, m in enumerate(plan.metrics) if m.role == "success" and m.kind != "quantile"]
    for (name, level), own in sorted(arms.counted.moments.items()):
        units = sum(max(Arm(one).n for one in moments) for moments in own.values())
        if name in plan.segments and (name, level) != WHOLE and units >= min_cell:
            for k, metric in success:
                part = {v: Compared(Arm(moments[k])) for v, moments in own.items()}
                found.append(({"segment": name, "level": level}, metric, _part(arms, plan, part, metric, reasons)))
    return found


def days_apart(arms: Arms, plan: PlannedExperiment) -> list[Part]:
    """Every metric in each part of its window since exposure."""
    if arms.counted is None:
        return []
    found, reasons = [], _reasons(arms)
    for place, part in enumerate(arms.counted.question.slices):
        metric = plan.metrics[part.metric]
        keys = {"day_from": part.begins // DAY, "day_to": part.ends // DAY - 1}
        own = {v: Compared(Arm(parts[place])) for v, parts in arms.counted.course.items()}
        if metric.kind == "quantile":
            rows = arms.counted.quantiles.get(part.metric, {})
            own = {v: one._replace(quantile=_quantile(rows.get(v), part, metric)) for v, one in own.items()}
        found.append((keys, metric, _part(arms, plan, own, metric, reasons)))
    return found


def _quantile(rows: Rows | None, part: Slice, metric: PlannedMetric) -> tuple[float, float] | None:
    """The quantile over the rows in a part of the window."""
    if rows is None:
        return None
    unit, value, since = rows
    inside = (since >= part.begins // MICROSECOND) & (since < part.ends // MICROSECOND)
    return quantile_arm(value[inside], unit[inside], q=metric.quantile)


def _part(
    arms: Arms, plan: PlannedExperiment, own: Mapping[str, Compared], metric: PlannedMetric, reasons: Reasons
) -> list[dict[str, Any]]:
    rows = []
    for variant in arms.randomised:
        one = own.get(variant, Compared(Arm(np.zeros(WIDTH))))
        reason = reasons[metric.called].get(variant)
        if metric.kind == "quantile" and one.quantile is None and reason is None:
            reason = f"fewer than two units of {variant!r} have a value in these days"
        compared = one._replace(is_rate=_is_rate(metric, plan, one.arm))
        rows.append(
            {"metric": metric.called, "variant": variant, "compared": compared, "refused_because": reason_text(reason)}
        )
    return rows


def _reasons(arms: Arms) -> Reasons:
    return {name: dict(zip(own["variant"], own["refused_because"], strict=True)) for name, own in arms.counts.items()}
