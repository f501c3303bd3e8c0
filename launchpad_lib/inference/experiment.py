"""Variants against their control from sufficient statistics, and one rule that decides. No joins: they come from the
engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10, sqrt
from typing import Any, Literal, NamedTuple

import pandas as pd

from launchpad_lib.contract.experiments import Design, Direction, Reported, Role
from launchpad_lib.contract.findings import ExperimentVerdict
from launchpad_lib.inference.arms import (
    Adjusted,
    Arm,
    arm_difference,
    arm_of_rate,
    before_difference,
    cannot_be_compared,
    cuped,
    detectable,
    mean_limits,
    post_stratified,
    sequence_half_width,
    welch,
)
from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.means import Contrast, fieller_difference
from launchpad_lib.inference.multiplicity import benjamini_hochberg
from launchpad_lib.inference.proportions import newcombe, wilson
from launchpad_lib.inference.sample_ratio import SampleRatio

ALPHA = 0.05
Reading = Literal["above", "below", "within the margin", "open", "not measured", "too few units", "not yet"]
Estimator = Literal["unadjusted", "cuped", "post-stratified", "winsorised", "before exposure"]

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
ESTIMATES = ("metric", "variant", "estimator", "lift", "ci_low", "ci_high", "p", "variance_left", "refused_because")


class Shortfall(NamedTuple):
    """What keeps a variant from being shipped; `more_units`: roughly how many further units of both arms would show it,
    if the difference stays as it is; None where more units alone would not.
    """

    metric: str
    role: Role
    reading: Reading
    more_units: int | None


class Decision(NamedTuple):
    """Of one variant: the verdict; which metrics are shown to be harmed; what is missing; why nothing can
    be decided; which success metrics are shown to be better.
    """

    variant: str
    choice: ExperimentVerdict
    harmed: tuple[str, ...] = ()
    missing: tuple[Shortfall, ...] = ()
    refused_because: str | None = None
    better: tuple[str, ...] = ()


class Compared(NamedTuple):
    """One arm of one metric: its statistics, whether it is a rate of single units, its strata, its winsorised form;
    of a quantile its value and variance.
    """

    arm: Arm
    is_rate: bool = False
    strata: dict[str, Arm] | None = None
    winsorised: Arm | None = None
    quantile: tuple[float, float] | None = None


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
) -> pd.DataFrame:
    """Grain: one row per variant of one metric, the control first: the columns of `COMPARED`.

    The lift is variant minus control. Of a rate per unit: Newcombe's limits and the score test's p; of a mean or ratio
    Welch's t; in a sequential design the limits of a confidence sequence that is tightest at `planned_units` (of these
    two arms) and no p. Limits and p of a success metric are Bonferroni's over `comparisons`, by default the variants. A
    guardrail has to hold for the one variant that is shipped, so its limits are those of 95 %.

    `reading`: above or below (limits on one side of 0), open; of a guardrail within the margin where the limit on the
    harmful side is inside it. Not measured where no unit of the two arms did it, too few units where an arm has
    fewer than `min_units`; not yet where `not_yet` says why it must not be read.

    Args:
        counts: metric, variant, units, converted, refused_because; one row per variant; or `compared` in place of
            converted: what the engine counted (`Compared`).
        level: of the limits, where it is not 1 - 0.05 / comparisons.
    """
    by_variant = {str(row["variant"]): row for row in counts.to_dict("records")}
    names = sorted(by_variant, key=lambda v: (v != control, v))
    several = comparisons or max(len(names) - 1, 1)
    several = several if role == "success" else 1
    shown = level or 1 - ALPHA / several
    rows = []
    for name in names:
        row, base = by_variant[name], by_variant.get(control)
        own, other = _compared(row), _compared(base) if base else None
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
        reason = _text(row.get("refused_because"))
        if reason is None:
            told |= _value(own)
            if name == control or other is None:
                pass
            elif min(n, n_control) < 2:
                reason = (
                    f"{n} units of the variant and {n_control} of the control have a window that is over; needs two"
                )
            elif not_yet:
                told["reading"], reason = "not yet", not_yet
            elif _did_nothing(own) and _did_nothing(other):
                told["reading"] = "not measured"
            else:
                found, used = _reported(own, other, decide_on, level=shown, design=design, planned_units=planned_units)
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
    return pd.DataFrame(rows, columns=list(COMPARED))


def compare_exploratory(counts: Sequence[pd.DataFrame], **asked: Any) -> list[pd.DataFrame]:
    """Each exploratory metric: p adjusted over all of them and all variants (Benjamini-Hochberg), limits at the level
    at which they leave 0 out just where that p is at most 0.05 (Benjamini and Yekutieli 2005, selected parameters).
    """
    plain = [compare_variants(c, role="exploratory", **asked) for c in counts]
    known = [(k, i) for k, rows in enumerate(plain) for i in rows.index[rows["p"].notna()]]
    if not known:
        return plain
    adjusted = benjamini_hochberg([float(plain[k].loc[i, "p"]) for k, i in known])
    level = 1 - ALPHA * max(sum(p <= ALPHA for p in adjusted), 1) / len(known)
    again = [compare_variants(c, role="exploratory", level=level, **asked) for c in counts]
    for (k, i), p in zip(known, adjusted, strict=True):
        again[k].loc[i, "p"] = p
    return again


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
        own, other = _compared(by_variant[name]), _compared(base) if base else None
        if other is None or own.quantile or _text(by_variant[name].get("refused_because")):
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


def _compared(row: dict[str, Any]) -> Compared:
    if isinstance(row.get("compared"), Compared):
        return row["compared"]
    return Compared(arm_of_rate(int(row["converted"]), int(row["units"])), is_rate=True)


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


def _reported(
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
        return _limited(own.quantile[0] - other.quantile[0], variances, own, other, level, design, planned_units)
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
    return _limited(change, variances, own, other, level, design, planned_units)


def _adjusted(
    found: Adjusted, own: Compared, other: Compared, *, level: float, design: Design, planned_units: float
) -> tuple[Contrast, float | None]:
    if found.estimate is None:
        return Contrast(None, None, None, None, found.refused_because), None
    limited = _limited(found.estimate, found.variances, own, other, level, design, planned_units)
    return limited, found.variance_left


def _limited(
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


def _did_nothing(one: Compared) -> bool:
    """A mean of nothing but zeros has no width; a rate of 0 has."""
    return not one.is_rate and one.quantile is None and one.arm.moments[5] == 0


def _text(value: Any) -> str | None:
    """A reason, or None where there is none (None or NaN)."""
    return value if isinstance(value, str) else None


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
    if min(told["n"], told["n_control"]) < min_units:
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
    found = _limited(one - scale * zero, variances, own, other, told["level"], design, tuning)
    return bool(found.ci_low > 0 if sign > 0 else found.ci_high < 0)  # type: ignore[operator]


def decide(compared: pd.DataFrame, *, variant: str, ratio: SampleRatio) -> Decision:
    """One rule, three ways.

    Ship: units were assigned as planned, a success metric is better than control and none is worse, and every guardrail
    was measured and lies within its margin. Do not ship: a success metric or a guardrail is shown to be harmed.
    Otherwise keep running. Exploratory metrics decide nothing.

    Refused where units were not assigned as planned, and where a metric cannot be read: a guardrail that does not occur
    in the data is an error in the plan, never a pass.

    Args:
        compared: the rows of `compare_variants`, of all metrics.
    """
    if ratio.is_mismatch:
        reason = "units were not assigned in the planned ratio, so no difference can be trusted"
        return Decision(variant, "refused", refused_because=reason)
    own = compared[(compared["variant"] == variant) & compared["role"].isin(["success", "guardrail"])]
    if own.empty or not (own["role"] == "success").any():
        return Decision(variant, "refused", refused_because="the variant has no success metric to be judged by")
    reasons = own.loc[own["reading"] != "not yet", "refused_because"].dropna()
    if len(reasons):
        return Decision(variant, "refused", refused_because=str(reasons.iloc[0]))
    rows = own.to_dict("records")
    harmed = tuple(r["metric"] for r in rows if _side(r) == "worse")
    if harmed:
        return Decision(variant, "do not ship: harm shown", harmed=harmed)
    better = tuple(r["metric"] for r in rows if r["role"] == "success" and _side(r) == "better")
    is_missing = [
        r["reading"] != "within the margin" if r["role"] == "guardrail" else not better and _side(r) != "better"
        for r in rows
    ]
    missing = tuple(
        Shortfall(r["metric"], r["role"], r["reading"], more_units(r))
        for r, lacks in zip(rows, is_missing, strict=True)
        if lacks
    )
    if missing:
        return Decision(variant, "keep running", missing=missing, better=better)
    return Decision(variant, "ship", better=better)


def _side(row: dict[str, Any]) -> Literal["better", "worse"] | None:
    """What a reading means, given which way is good."""
    if row["reading"] not in ("above", "below"):
        return None
    return "better" if (row["reading"] == "above") == (row.get("direction") != "decrease") else "worse"


def more_units(row: dict[str, Any]) -> int | None:
    """Roughly how many further units of both arms would settle a row, if its difference stays as it is; two digits.

    The distance from the lift to its limit on the harmful side shrinks with the root of the units; it has to become
    smaller than the distance to 0, or of a guardrail to its margin. None where the lift lies on the wrong side, and
    beyond a hundredfold.

    >>> half = {"lift": 0.01, "ci_low": -0.01, "n": 500, "n_control": 500, "role": "success", "margin": None}
    >>> more_units(half)
    3000
    """
    if row["lift"] is None or pd.isna(row["lift"]):
        return None
    is_rise = row.get("direction") != "decrease"
    lift, limit = (row["lift"], row["ci_low"]) if is_rise else (-row["lift"], -row["ci_high"])
    room = lift + (_tolerated(row) if row["role"] == "guardrail" else 0.0)
    width = lift - limit
    if room <= 0 or not width > 0:
        return None
    further = ((width / room) ** 2 - 1) * (row["n"] + row["n_control"])
    if not 0 < further <= 100 * (row["n"] + row["n_control"]):
        return None
    size = 10 ** max(int(log10(further)) - 1, 0)
    return int(ceil(further / size - 1e-9) * size)


def _tolerated(row: dict[str, Any]) -> float:
    """The margin in the metric's own unit."""
    if row["margin"] is not None and not pd.isna(row["margin"]):
        return float(row["margin"])
    return float(row["relative_margin"]) * abs(row["value"] - row["lift"])


def best_first(decisions: Sequence[Decision], compared: pd.DataFrame) -> list[Decision]:
    """The decisions by verdict (ship, keep running, do not ship, refused), the largest gain of the first success metric
    first.
    """
    order = ("ship", "keep running", "do not ship: harm shown", "refused")
    success = compared[(compared["role"] == "success") & compared["lift"].notna()]
    first = success.drop_duplicates("variant").set_index("variant")
    gains = {
        v: -x if way == "decrease" else x
        for v, x, way in zip(first.index, first["lift"], first["direction"], strict=True)
    }
    return sorted(decisions, key=lambda d: (order.index(d.choice), -gains.get(d.variant, 0.0), d.variant))
