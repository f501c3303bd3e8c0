"""What an experiment could find, before it begins: differences by units, units by difference, what looking costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from launchpad_lib.inference.arms import Arm, sequence_half_width

ALPHA = 0.05
DRAWS = 40_000


class DesignRules(NamedTuple):
    """How the experiment would be judged: arms (the control included), success metrics, power."""

    variants: int = 2
    success_metrics: int = 1
    power: float = 0.8

    @property
    def comparisons(self) -> int:
        """Over how many comparisons limits are corrected."""
        return max(self.variants - 1, 1) * max(self.success_metrics, 1)

    @property
    def reach(self) -> float:
        """z(1 - a / 2) + z(power), a = 0.05 / comparisons."""
        return float(norm.ppf(1 - ALPHA / self.comparisons / 2) + norm.ppf(self.power))


def variance_left(arm: Arm) -> float | None:
    """1 - rho^2 of a metric and the same before; None where there was nothing before, or the metric does not vary.

    >>> from launchpad_lib.inference.arms import arm_of_mean
    >>> round(variance_left(arm_of_mean(4, 10.0, 30.0, before=(10.0, 30.0, 29.0))), 2)
    0.36
    """
    if arm.n < 3 or arm.value is None or arm.before is None:
        return None
    y, x = arm.covariance(), arm.covariance("x", "x")
    if y <= 0 or x <= 0:
        return None
    return float(max(1 - arm.covariance("y", "x") ** 2 / (y * x), 0.0))


def found_by(variance: float, *, units: float, rules: DesignRules) -> float | None:
    """The difference between two arms that `units` of all arms find with the asked power; None under two a arm."""
    per_arm = units / rules.variants
    return None if per_arm < 2 else rules.reach * sqrt(2 * variance / per_arm)


def found_sequentially(variance: float, *, units: float, planned: float, rules: DesignRules) -> float | None:
    """The same for an interval that holds at every look and is tightest at the planned units."""
    per_arm = units / rules.variants
    if per_arm < 2:
        return None
    spread, level = 2 * variance / per_arm, 1 - ALPHA / rules.comparisons
    half = sequence_half_width(spread, n=round(2 * per_arm), tuning_n=max(2 * planned / rules.variants, 2), level=level)
    return half + float(norm.ppf(rules.power)) * sqrt(spread)


def units_for(variance: float, *, difference: float, rules: DesignRules) -> int:
    """Units of all arms that find a difference between two of them with the asked power.

    Rates of 10 and 12 %, 80 % power: 2 (1.96 + 0.8416)^2 0.09 / 0.02^2 = 3,532 an arm (at the control's variance).

    >>> units_for(0.09, difference=0.02, rules=DesignRules())
    7064
    """
    return rules.variants * ceil(2 * variance * (rules.reach / difference) ** 2)


def units_sequentially(variance: float, *, difference: float, rules: DesignRules) -> int:
    """Units of all arms where the interval holds at every look and is tightest just there."""
    low, high = 2.0 * rules.variants, 4.0 * rules.variants
    while (found_sequentially(variance, units=high, planned=high, rules=rules) or 0.0) > difference:
        low, high = high, 2 * high
    while high - low > max(1.0, high / 1e4):
        middle = (low + high) / 2
        is_enough = (found_sequentially(variance, units=middle, planned=middle, rules=rules) or 0.0) <= difference
        low, high = (low, middle) if is_enough else (middle, high)
    return ceil(high)


def units_by(arrivals: np.ndarray, days: int) -> int:
    """Units that come in so many days: as many as came; beyond the log as many a day as in its last week.

    >>> units_by(np.array([10, 5, 5]), 2), units_by(np.array([10, 4, 4]), 5)
    (15, 30)
    """
    seen = len(arrivals)
    if days <= seen:
        return int(arrivals[:days].sum())
    return int(arrivals.sum() + round((days - seen) * later_rate(arrivals)))


def later_rate(arrivals: np.ndarray) -> float:
    """New units a day after the log: the mean of its last week."""
    return float(arrivals[-7:].mean()) if len(arrivals) else 0.0


def days_for(arrivals: np.ndarray, units: int) -> int | None:
    """Days that bring so many units; None where they would be more than two years.

    >>> days_for(np.array([10, 5, 5]), 15), days_for(np.array([10, 0, 0] + [0] * 7), 15)
    (2, None)
    """
    upto = np.cumsum(arrivals)
    if len(upto) and upto[-1] >= units:
        return int(np.searchsorted(upto, units)) + 1
    rate = later_rate(arrivals)
    missing = units - (int(upto[-1]) if len(upto) else 0)
    days = len(arrivals) + ceil(missing / rate) if rate > 0 else 10**9
    return days if days <= 730 else None


def alarms_of_looking(units: Sequence[int], *, rng: np.random.Generator) -> list[float]:
    """Of equal arms: how often a fixed 95 % interval has left 0 out at some look so far, read at every one of them.

    By simulation of the sums at these looks (40,000 draws: an error of 0.2 points).
    """
    steps = np.diff(np.asarray(units, dtype=np.float64), prepend=0.0)
    total = np.zeros(DRAWS)
    has_alarmed = np.zeros(DRAWS, np.bool_)
    found = []
    for step, upto in zip(steps, units, strict=True):
        total += rng.normal(size=DRAWS) * sqrt(step)
        has_alarmed |= np.abs(total) > 1.959964 * sqrt(upto)
        found.append(float(has_alarmed.mean()))
    return found
