"""Variants against their control from sufficient statistics, with limits and p corrected. No joins: they come from the
engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal

import pandas as pd

from launchpad_lib.contract.experiments import Design, Reported
from launchpad_lib.contract.planned_metrics import Direction, Role
from launchpad_lib.contract.sentences import counted
from launchpad_lib.inference.arms import detectable, mean_limits
from launchpad_lib.inference.estimators import Compared, as_compared, limited_difference, reason_text, reported
from launchpad_lib.inference.means import fieller_difference
from launchpad_lib.inference.multiplicity import benjamini_hochberg
from launchpad_lib.inference.proportions import wilson

ALPHA = 0.05


Reading = Literal["above", "below", "within the margin", "open", "not measured", "too few units", "not yet"]


COMPARED = (
    "metric",
    "variant",
    "role",
    "direction",
    "margin",
    "relative_margin",
    "value",
    "value_low",
    "value_high",
    "lift",
    "ci_low",
    "ci_high",
    "p",
    "n",
    "n_control",
    "relative_lift",
    "relative_low",
    "relative_high",
    "detectable_lift",
    "level",
    "estimator",
    "reading",
    "refused_because",
)


def compare_variants(
    counts: pd.DataFrame,
    *,
    control: str,
    role: Role,
    margin: float | None = None,
    relative_margin: float | None = None,
    direction: Direction = "increase",
    design: Design = "fixed",
    planned_units: float = 5000,
    min_units: int = 2,
    comparisons: int | None = None,
    level: float | None = None,
    decide_on: Reported = "unadjusted",
    not_yet: str | None = None,
    unit: str = "unit",
) -> pd.DataFrame:
    """Grain: one row per variant of one metric, the control first: the columns of `COMPARED`.

    The lift is variant minus control. Of a rate per unit: Newcombe's limits and the score test's p; of a mean or ratio
    Welch's t; in a sequential design the limits of a confidence sequence that is tightest at `planned_units` (of these
    two arms) and no p. Limits and p of a success metric are Bonferroni's over `comparisons`, by default the variants. A
    guardrail has to hold for the one variant that is shipped, so its limits are those of 95 %.

    `reading`: above or below (limits on one side of 0), open; of a guardrail within the margin where the limit on the
    harmful side is inside it. Not measured where no unit of the two arms did it, too few units where an arm has
    fewer than `min_units` (of a ratio: that weigh in its denominator); not yet where `not_yet` says why it must not be
    read.

    Args:
        counts: metric, variant, units, converted, refused_because; one row per variant; or `compared` in place of
            converted: what the engine counted (`Compared`).
        level: of the limits, where it is not 1 - 0.05 / comparisons.
        unit: what is counted, as it is told.
    """
    asked: dict[str, Any] = {
        "control": control, "role": role, "margin": margin, "relative_margin": relative_margin,
        "direction": direction, "design": design, "planned_units": planned_units, "min_units": min_units,
        "comparisons": comparisons, "level": level, "decide_on": decide_on, "not_yet": not_yet,
        "unit": unit,
    }  # fmt: skip
    return pd.DataFrame(_compared_rows(counts.to_dict("records"), **asked), columns=list(COMPARED))


def _compared_rows(
    counts: Sequence[dict[str, Any]],
    *,
    control: str,
    role: Role,
    margin: float | None = None,
    relative_margin: float | None = None,
    direction: Direction = "increase",
    design: Design = "fixed",
    planned_units: float = 5000,
    min_units: int = 2,
    comparisons: int | None = None,
    level: float | None = None,
    decide_on: Reported = "unadjusted",
    not_yet: str | None = None,
    unit: str = "unit",
) -> list[dict[str, Any]]:
    """The rows of `compare_variants`; a frame for each of many parts would cost more than what is in it."""
    by_variant = {str(row["variant"]): row for row in counts}
    names = sorted(by_variant, key=lambda v: (v != control, v))
    several = comparisons or max(len(names) - 1, 1)
    several = several if role == "success" else 1
    shown = level or 1 - ALPHA / several
    rows = []
    for name in names:
        row, base = by_variant[name], by_variant.get(control)
        own, other = as_compared(row), as_compared(base) if base else None
        n, n_control = own.arm.n, other.arm.n if other else 0
        told: dict[str, Any] = {
            "metric": row["metric"],
            "variant": name,
            "role": role,
            "direction": direction,
            "margin": margin,
            "relative_margin": relative_margin,
            "n": n,
            "n_control": n_control,
            "level": shown,
        }
        reason = reason_text(row.get("refused_because"))
        if reason is None:
            told |= _value(own)
            if name == control and other is not None:
                pass
            elif not_yet and other is not None:
                told["reading"], reason = "not yet", not_yet
            elif other is None or min(n, n_control) < 2:
                units = f"{counted(n, unit)} of the variant and {n_control} of the control"
                reason = f"{units} have a window that is over; needs two"
            elif _did_nothing(own) and _did_nothing(other):
                told["reading"] = "not measured"
            else:
                found, used = reported(own, other, decide_on, level=shown, design=design, planned_units=planned_units)
                reason = found.refused_because
                if reason is None:
                    told |= {
                        "estimator": used,
                        "lift": found.estimate,
                        "ci_low": found.ci_low,
                        "ci_high": found.ci_high,
                    }
                    told["p"] = None if found.p_value is None else min(1.0, found.p_value * several)
                    told |= _beside(own, other, level=shown, alpha=ALPHA / several, is_fixed=design == "fixed")
                    told["reading"] = _reading(
                        told, own, other, min_units=min_units, design=design, tuning=planned_units
                    )
        rows.append(told | {"refused_because": reason})
    return rows


def compare_exploratory(counts: Sequence[Sequence[dict[str, Any]]], **asked: Any) -> list[list[dict[str, Any]]]:
    """Each exploratory metric: p adjusted over all of them and all variants (Benjamini-Hochberg), limits at the level
    at which they leave 0 out just where that p is at most 0.05 (Benjamini and Yekutieli 2005, selected parameters).
    """
    plain = [_compared_rows(c, role="exploratory", **asked) for c in counts]
    known = [row for rows in plain for row in rows if row.get("p") is not None]
    again = plain
    if known:
        adjusted = benjamini_hochberg([float(row["p"]) for row in known])
        level = 1 - ALPHA * max(sum(p <= ALPHA for p in adjusted), 1) / len(known)
        again = [_compared_rows(c, role="exploratory", level=level, **asked) for c in counts]
        both = [pair for rows in zip(again, plain, strict=True) for pair in zip(*rows, strict=True)]
        told = [row for row, before in both if before.get("p") is not None]
        for row, p in zip(told, adjusted, strict=True):
            row["p"] = p
    return again


def _value(own: Compared) -> dict[str, float | None]:
    """The arm's own value with its 95 % limits."""
    if own.quantile:
        value, variance = own.quantile
        half = 1.959964 * sqrt(variance)
        return {"value": value, "value_low": value - half, "value_high": value + half}
    if own.is_rate:
        rate = wilson(int(own.arm.moments[1]), own.arm.n)
        return {"value": rate.estimate, "value_low": rate.ci_low, "value_high": rate.ci_high}
    low, high = mean_limits(own.arm)
    return {"value": own.arm.value, "value_low": low, "value_high": high}


def _did_nothing(one: Compared) -> bool:
    """A mean of nothing but zeros has no width; a rate of 0 has."""
    return not one.is_rate and one.quantile is None and one.arm.moments[5] == 0


def _beside(own: Compared, other: Compared, *, level: float, alpha: float, is_fixed: bool) -> dict[str, float | None]:
    """The relative lift with Fieller's limits (of a fixed design), and the difference these units would find."""
    if own.quantile:
        return {}
    variance = other.arm.covariance()
    found: dict[str, float | None] = {"detectable_lift": None}
    if variance > 0:
        if own.is_rate:  # of all units, as the formula has it
            rate = float(other.arm.value or 0)
            variance = rate * (1 - rate)
        found["detectable_lift"] = detectable(variance, n_treatment=own.arm.n, n_control=other.arm.n, alpha=alpha)
    if is_fixed:
        relative = fieller_difference(own.arm.as_moments, other.arm.as_moments, level=level)
        limits = {"relative_low": relative.ci_low, "relative_high": relative.ci_high}
        found |= {"relative_lift": relative.estimate, **limits}
    return found


def _reading(
    told: dict[str, Any], own: Compared, other: Compared, *, min_units: int, design: Design, tuning: float
) -> Reading:
    """What the limits show."""
    if own.arm.moments[5] + other.arm.moments[5] == 0 and not own.quantile:
        return "not measured"
    # A ratio rests on the units that have something to divide by: of three of a thousand it has no width to speak of.
    if min(own.arm.n, other.arm.n, *(c.arm.effective_n for c in (own, other) if not c.quantile)) < min_units:
        return "too few units"
    if told["role"] == "guardrail" and _keeps_margin(told, own, other, design=design, tuning=tuning):
        return "within the margin"
    if told["ci_low"] > 0:
        return "above"
    return "below" if told["ci_high"] < 0 else "open"


def _keeps_margin(told: dict[str, Any], own: Compared, other: Compared, *, design: Design, tuning: float) -> bool:
    """Whether harm beyond the margin is ruled out: by the limits of the lift, or, where the margin is a part of the
    control's value, by those of the variant minus (1 -+ margin) times the control.
    """
    sign = 1 if told["direction"] == "increase" else -1
    if told["relative_margin"] is None:
        worst = told["ci_low"] if sign > 0 else -told["ci_high"]
        return worst > -told["margin"]
    scale = 1 - sign * told["relative_margin"]
    if own.quantile and other.quantile:
        pairs = (own.quantile, other.quantile)
    else:
        pairs = tuple((float(c.arm.value or 0), c.arm.variance_of_value) for c in (own, other))  # type: ignore[assignment]
    (one, spread), (zero, base) = pairs
    if zero <= 0 or spread + base == 0:
        return False
    variances = (spread, scale**2 * base)
    found = limited_difference(one - scale * zero, variances, own, other, told["level"], design, tuning)
    return bool(found.ci_low > 0 if sign > 0 else found.ci_high < 0)  # type: ignore[operator]
