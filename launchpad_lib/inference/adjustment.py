"""Adjusted differences of two arms: CUPED, strata, and the arms before the exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from launchpad_lib.inference.arms import Arm, cannot_be_compared, welch
from launchpad_lib.inference.means import Contrast

LEAST_IN_STRATUM = 10  # of each arm; smaller strata are taken together


def before_difference(treatment: Arm, control: Arm, *, level: float = 0.95) -> Contrast:
    """The metric before the exposure, treatment minus control: nothing has happened yet, so it should hold 0."""
    a, b = treatment.before, control.before
    if a is None or b is None or min(treatment.n, control.n) < 2:
        return Contrast(None, None, None, None, "there is no metric before the exposure")
    pair = (treatment.covariance("x", "x") / treatment.n, control.covariance("x", "x") / control.n)
    if sum(pair) == 0:
        return Contrast(None, None, None, None, "before the exposure the metric does not vary")
    return welch(a - b, pair, (treatment.n, control.n), level=level)


class Adjusted(NamedTuple):
    """An adjusted difference with its variances, and what is left of the variance of the unadjusted one."""

    estimate: float | None
    variances: tuple[float, float]
    variance_left: float | None
    refused_because: str | None = None


def cuped(treatment: Arm, control: Arm) -> Adjusted:
    """The difference less what the covariate before the exposure explains of it; left of the variance: 1 - rho^2.

    theta is pooled over both arms. A ratio is adjusted by the ratio of its own sums before (both linearised). Source:
    Deng, Xu, Kohavi and Walker (2013), Improving the sensitivity of online controlled experiments.
    """
    reason = cannot_be_compared(treatment, control)
    if reason is None and None in (treatment.before, control.before):
        reason = "there is no metric before the exposure"
    if reason:
        return Adjusted(None, (0.0, 0.0), None, reason)
    arms = (treatment, control)
    spread = sum((a.n - 1) * a.covariance("x", "x") for a in arms)
    if spread <= 0:
        return Adjusted(None, (0.0, 0.0), None, "before the exposure the metric does not vary")
    theta = sum((a.n - 1) * a.covariance("y", "x") for a in arms) / spread
    left = [
        max(a.covariance() - 2 * theta * a.covariance("y", "x") + theta**2 * a.covariance("x", "x"), 0.0) / a.n
        for a in arms
    ]
    plain = sum(a.variance_of_value for a in arms)
    change = float(treatment.value or 0) - float(control.value or 0)
    moved = theta * (float(treatment.before or 0) - float(control.before or 0))
    return Adjusted(change - moved, (left[0], left[1]), sum(left) / plain if plain > 0 else None)


def post_stratified(strata: Sequence[tuple[Arm, Arm]]) -> Adjusted:
    """The differences within strata, weighted by their units of both arms; means per unit only.

    Strata with fewer than ten units of an arm are taken together, then with the smallest of the others.

    >>> from launchpad_lib.inference.arms import arm_of_rate
    >>> pairs = [(arm_of_rate(60, 100), arm_of_rate(50, 100)), (arm_of_rate(12, 100), arm_of_rate(10, 100))]
    >>> round(post_stratified(pairs).estimate, 3)
    0.06
    """
    pairs = _large_enough(strata)
    if not pairs:
        return Adjusted(None, (0.0, 0.0), None, f"no stratum has {LEAST_IN_STRATUM} units of each arm")
    if any(a.moments[2] != a.n for pair in pairs for a in pair):
        return Adjusted(None, (0.0, 0.0), None, "only a mean per unit is post-stratified, this is a ratio")
    total = sum(a.n for pair in pairs for a in pair)
    shares = [(one.n + zero.n) / total for one, zero in pairs]
    estimate = sum(w * (float(a.value or 0) - float(b.value or 0)) for w, (a, b) in zip(shares, pairs, strict=True))
    variances = [
        sum(w * w * pair[side].variance_of_value for w, pair in zip(shares, pairs, strict=True)) for side in (0, 1)
    ]
    whole = [Arm(np.sum([pair[side].moments for pair in pairs], axis=0)) for side in (0, 1)]
    plain = sum(a.variance_of_value for a in whole)
    return Adjusted(estimate, (variances[0], variances[1]), sum(variances) / plain if plain > 0 else None)


def _large_enough(strata: Sequence[tuple[Arm, Arm]]) -> list[tuple[Arm, Arm]]:
    ordered = sorted(strata, key=lambda pair: min(a.n for a in pair))
    found: list[tuple[Arm, Arm]] = []
    small: list[tuple[Arm, Arm]] = []
    for pair in ordered:
        small.append(pair)
        whole = (Arm(np.sum([p[0].moments for p in small], axis=0)), Arm(np.sum([p[1].moments for p in small], axis=0)))
        if min(a.n for a in whole) >= LEAST_IN_STRATUM:
            found.append(whole)
            small = []
    return found
