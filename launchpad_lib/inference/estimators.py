"""The estimators of the difference of two arms, beside each other: what is reported, and what stands beside it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pandas as pd

from launchpad_lib.contract.experiments import Design, Reported
from launchpad_lib.inference.adjustment import Adjusted, before_difference, cuped, post_stratified
from launchpad_lib.inference.arms import (
    Arm,
    arm_difference,
    arm_of_rate,
    cannot_be_compared,
    sequence_half_width,
    welch,
)
from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.means import Contrast
from launchpad_lib.inference.proportions import newcombe

Estimator = Literal["unadjusted", "cuped", "post-stratified", "winsorised", "before exposure"]


ESTIMATES = ("metric", "variant", "estimator", "lift", "ci_low", "ci_high", "p", "variance_left", "refused_because")


class Compared(NamedTuple):
    """One arm of one metric: its statistics, whether it is a rate of single units, its strata, its winsorised form;
    of a quantile its value and variance.
    """

    arm: Arm
    is_rate: bool = False
    strata: dict[str, Arm] | None = None
    winsorised: Arm | None = None
    quantile: tuple[float, float] | None = None


def estimates_beside(
    counts: pd.DataFrame, *, control: str, level: float, design: Design = "fixed", planned_units: float = 5000
) -> pd.DataFrame:
    """Grain: one row per variant and estimator of one metric: the columns of `ESTIMATES`. `variance_left`: what an
    adjusted estimate has of the variance of the unadjusted one.
    """
    by_variant = {str(row["variant"]): row for row in counts.to_dict("records")}
    base = by_variant.get(control)
    rows = []
    for name in sorted(v for v in by_variant if v != control):
        own, other = as_compared(by_variant[name]), as_compared(base) if base else None
        if other is None or own.quantile or reason_text(by_variant[name].get("refused_because")):
            continue
        rules: dict[str, Any] = {"level": level, "design": design, "planned_units": planned_units}
        found: dict[Estimator, tuple[Contrast, float | None]] = {"unadjusted": (_plain(own, other, **rules), None)}
        found["cuped"] = _adjusted(cuped(own.arm, other.arm), own, other, **rules)
        if own.strata is not None and other.strata is not None:
            found["post-stratified"] = _adjusted(_stratified(own, other), own, other, **rules)
        if own.winsorised is not None and other.winsorised is not None:
            found["winsorised"] = (_plain(Compared(own.winsorised), Compared(other.winsorised), **rules), None)
        found["before exposure"] = (before_difference(own.arm, other.arm), None)
        for estimator, (one, left) in found.items():
            limits = (one.estimate, one.ci_low, one.ci_high, one.p_value)
            metric = by_variant[name]["metric"]
            rows.append((metric, name, estimator, *limits, left, one.refused_because))
    return pd.DataFrame(rows, columns=list(ESTIMATES))


def as_compared(row: dict[str, Any]) -> Compared:
    if isinstance(row.get("compared"), Compared):
        return row["compared"]
    return Compared(arm_of_rate(int(row["converted"]), int(row["units"])), is_rate=True)


def reported(
    own: Compared, other: Compared, decide_on: Reported, *, level: float, design: Design, planned_units: float
) -> tuple[Contrast, str]:
    """The comparison that decides; the unadjusted one where the other cannot be made."""
    rules: dict[str, Any] = {"level": level, "design": design, "planned_units": planned_units}
    if decide_on != "unadjusted" and not own.quantile:
        adjusted = cuped(own.arm, other.arm) if decide_on == "cuped" else _stratified(own, other)
        found, _ = _adjusted(adjusted, own, other, **rules)
        if found.refused_because is None:
            return found, decide_on
    return _plain(own, other, **rules), "unadjusted"


def _plain(own: Compared, other: Compared, *, level: float, design: Design, planned_units: float) -> Contrast:
    if own.quantile and other.quantile:
        variances = (own.quantile[1], other.quantile[1])
        return limited_difference(
            own.quantile[0] - other.quantile[0], variances, own, other, level, design, planned_units
        )
    reason = cannot_be_compared(own.arm, other.arm)
    if reason:
        return Contrast(None, None, None, None, reason)
    if own.is_rate and other.is_rate and design == "fixed":
        one, zero = ((int(c.arm.moments[1]), c.arm.n) for c in (own, other))
        lift, low, high = newcombe(*one, *zero, level=level)
        return Contrast(lift, low, high, score_test_p(*one, *zero), None)
    if design == "fixed":
        return arm_difference(own.arm, other.arm, level=level)
    variances = (own.arm.variance_of_value, other.arm.variance_of_value)
    change = float(own.arm.value or 0) - float(other.arm.value or 0)
    return limited_difference(change, variances, own, other, level, design, planned_units)


def _adjusted(
    found: Adjusted, own: Compared, other: Compared, *, level: float, design: Design, planned_units: float
) -> tuple[Contrast, float | None]:
    if found.estimate is None:
        return Contrast(None, None, None, None, found.refused_because), None
    limited = limited_difference(found.estimate, found.variances, own, other, level, design, planned_units)
    return limited, found.variance_left


def limited_difference(
    estimate: float,
    variances: tuple[float, float],
    own: Compared,
    other: Compared,
    level: float,
    design: Design,
    planned_units: float,
) -> Contrast:
    """Limits of a difference: Welch's, or those of a confidence sequence."""
    if sum(variances) == 0:
        reason = "in neither arm does the outcome vary, so a confidence sequence has no width"
        return Contrast(
            None, None, None, None, reason if design == "sequential" else "in neither arm does the outcome vary"
        )
    if design == "fixed":
        return welch(estimate, variances, (own.arm.n, other.arm.n), level=level)
    half = sequence_half_width(sum(variances), n=own.arm.n + other.arm.n, tuning_n=planned_units, level=level)
    return Contrast(estimate, estimate - half, estimate + half, None, None)


def _stratified(own: Compared, other: Compared) -> Adjusted:
    mine, theirs = own.strata or {}, other.strata or {}
    if not mine or not theirs:
        return Adjusted(None, (0.0, 0.0), None, "no strata were counted")
    return post_stratified([(mine[name], theirs[name]) for name in sorted(set(mine) & set(theirs))])


def reason_text(value: Any) -> str | None:
    """A reason, or None where there is none (None or NaN)."""
    return value if isinstance(value, str) else None
