"""Arms of an experiment from sufficient statistics: means and ratios of sums, their differences, CUPED, strata.

A unit has four numbers: numerator y and denominator d of the metric, and the same of its covariate, x and z, from
before the exposure (d and z are 1 where the metric is a mean per unit). An arm is the count, the sums, the squares and
the products of these over its independent units: users, or whole clusters of them.
"""

from __future__ import annotations

from math import inf, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t

from launchpad_lib.inference.means import Contrast, Moments

WIDTH = 15
PAIRS = {
    (0, 0): 5,
    (0, 1): 6,
    (0, 2): 7,
    (0, 3): 8,
    (1, 1): 9,
    (1, 2): 10,
    (1, 3): 11,
    (2, 2): 12,
    (2, 3): 13,
    (3, 3): 14,
}


class Arm(NamedTuple):
    """n, the sums of (y, d, x, z), and the upper triangle of their products: fifteen numbers, which add over parts."""

    moments: np.ndarray

    @property
    def n(self) -> int:
        """Independent units."""
        return int(self.moments[0])

    @property
    def effective_n(self) -> int:
        """As how many units of equal weight the denominators count (Kish): of a mean per unit n, of a ratio at most as
        many as have something to divide by.
        """
        d, dd = self.moments[2], self.moments[9]
        return int(min(self.n, d * d / dd + 1e-9)) if dd > 0 else self.n

    @property
    def value(self) -> float | None:
        """The mean, or the ratio of the sums; None where there is nothing to divide by."""
        return float(self.moments[1] / self.moments[2]) if self.moments[2] != 0 else None

    @property
    def before(self) -> float | None:
        """The same of the covariate."""
        return float(self.moments[3] / self.moments[4]) if self.moments[4] != 0 else None

    @property
    def is_conversion(self) -> bool:
        """Whether every unit did it once or not at all, so that it is a rate."""
        y, d, yy, yd, dd = (self.moments[k] for k in (1, 2, 5, 6, 9))
        return bool(y == yy == yd and d == dd == self.moments[0])

    def covariance(self, one: str = "y", other: str = "y") -> float:
        """Variance or covariance over units of what the delta method makes of numerator and denominator:
        (y - R d) / mean d, and (x - R' z) / mean z.
        """
        a, b = (_weights(self, name) for name in (one, other))
        total = sum(a[i] * b[j] * self._product(i, j) for i in a for j in b)
        mean = sum(a[i] * self.moments[1 + i] for i in a) * sum(b[j] * self.moments[1 + j] for j in b) / self.n
        found = (total - mean) / (self.n - 1)
        return float(max(found, 0.0) if one == other else found)

    @property
    def as_moments(self) -> Moments:
        """A mean per unit with the same value and variance."""
        value, spread = float(self.value or 0.0), self.covariance()
        return Moments(self.n, value * self.n, spread * (self.n - 1) + self.n * value**2)

    @property
    def variance_of_value(self) -> float:
        """Of the mean or the ratio, by the delta method (exact for a mean)."""
        return self.covariance() / self.n

    def _product(self, i: int, j: int) -> float:
        return float(self.moments[PAIRS[min(i, j), max(i, j)]])


def _weights(arm: Arm, name: str) -> dict[int, float]:
    """Of (y, d, x, z): which combination a linearised unit is."""
    top, bottom, value = (0, 1, arm.value) if name == "y" else (2, 3, arm.before)
    mean = arm.moments[1 + bottom] / arm.n
    return {top: 1 / mean, bottom: -(value or 0.0) / mean}


def arm_of_rate(converted: int, n: int) -> Arm:
    """An arm of a conversion from its counts.

    >>> arm_of_rate(30, 100).value, arm_of_rate(30, 100).is_conversion
    (0.3, True)
    """
    moments = np.zeros(WIDTH)
    for place in (1, 5, 6):
        moments[place] = converted
    for place in (0, 2, 9):
        moments[place] = n
    return Arm(moments)


def arm_of_mean(n: int, total: float, squares: float, *, before: tuple[float, float, float] | None = None) -> Arm:
    """An arm of a mean per unit; `before`: sum, squares and product with the metric, of its covariate.

    >>> arm = arm_of_mean(3, 6.0, 14.0)
    >>> arm.value, arm.covariance()
    (2.0, 1.0)
    """
    moments = np.zeros(WIDTH)
    moments[[0, 2, 9]] = n
    moments[[1, 6]] = total
    moments[5] = squares
    if before is not None:
        x, xx, xy = before
        moments[[4, 11, 14]] = n
        moments[[3, 10, 13]] = x
        moments[12], moments[7], moments[8] = xx, xy, total
    return Arm(moments)


def arm_of_ratio(n: int, total: float, squares: float, denominator: tuple[float, float, float]) -> Arm:
    """An arm of a ratio of sums; `denominator`: its sum, squares, and product with the numerator.

    >>> round(arm_of_ratio(2, 6.0, 20.0, (3.0, 5.0, 10.0)).value, 1)
    2.0
    """
    moments = np.zeros(WIDTH)
    moments[[0, 1, 5]] = n, total, squares
    moments[[2, 9, 6]] = denominator
    return Arm(moments)


def cannot_be_compared(treatment: Arm, control: Arm) -> str | None:
    """Why two arms give no difference; None where they do."""
    for name, arm in (("variant", treatment), ("control", control)):
        if arm.n < 2:
            return f"the {name} has {arm.n} independent units; needs two"
        if not np.isfinite(arm.moments).all():
            return f"the {name} holds numbers too large to be squared"
        if arm.value is None:
            return f"the {name} has nothing to divide by"
    return None


def arm_difference(treatment: Arm, control: Arm, *, level: float = 0.95, scale: float = 1.0) -> Contrast:
    """Treatment minus `scale` times control, variances not assumed equal (Welch); p of no difference.

    With scale = 1 - margin it answers whether the treatment keeps to a relative margin.
    """
    reason = cannot_be_compared(treatment, control)
    if reason:
        return Contrast(None, None, None, None, reason)
    pair = (treatment.variance_of_value, scale**2 * control.variance_of_value)
    return welch(
        float(treatment.value or 0) - scale * float(control.value or 0), pair, (treatment.n, control.n), level=level
    )


def welch(estimate: float, variances: tuple[float, float], units: tuple[int, int], *, level: float) -> Contrast:
    """A difference with the limits and p of Welch's t."""
    se = sqrt(sum(variances))
    if se == 0 or not isfinite(se):
        return Contrast(estimate, None, None, None, "in neither arm does the outcome vary")
    spread = sum(v * v / (n - 1) for v, n in zip(variances, units, strict=True))
    freedom = sum(variances) ** 2 / spread if spread > 0 else inf
    half = float(t.ppf((1 + level) / 2, freedom)) * se
    return Contrast(estimate, estimate - half, estimate + half, float(2 * t.sf(abs(estimate) / se, freedom)), None)


def sequence_half_width(variance: float, *, n: int, tuning_n: float, level: float) -> float:
    """Half the width of the asymptotic confidence sequence (Waudby-Smith et al. 2023) at n units of both arms.

    `variance`: of the difference now. `tuning_n` is fixed by the plan, never the units of the day.
    """
    alpha = 1 - level
    rho2 = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuning_n
    return sqrt(variance * n) * sqrt(2 * (n * rho2 + 1) * log(sqrt(n * rho2 + 1) / alpha) / (n * n * rho2))


def mean_limits(arm: Arm, *, level: float = 0.95) -> tuple[float | None, float | None]:
    """t limits of a mean or ratio; None where it has none."""
    if arm.n < 2 or arm.value is None or not np.isfinite(arm.moments).all():
        return None, None
    half = float(t.ppf((1 + level) / 2, arm.n - 1)) * sqrt(arm.variance_of_value)
    return arm.value - half, arm.value + half


def detectable(variance: float, *, n_treatment: int, n_control: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference of means that so many units find with probability `power`, at a unit's variance.

    (z(1 - alpha / 2) + z(power)) sqrt(variance (1 / n1 + 1 / n0)). It depends on the plan, not on the result.

    >>> round(detectable(0.21, n_treatment=500, n_control=500), 4)
    0.0812
    """
    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * sqrt(variance * (1 / n_treatment + 1 / n_control)))


def quantile_arm(values: np.ndarray, unit: np.ndarray, *, q: float, level: float = 0.95) -> tuple[float, float] | None:
    """A quantile over rows and its variance, with units as clusters; None of fewer than two units.

    The share of rows at or under the quantile is a ratio of sums over units; its standard error moves q to both sides,
    and the quantiles there are the limits. Source: Liu et al. (2019), Large-scale online experimentation with
    quantile metrics.
    """
    order = np.argsort(values, kind="stable")
    ranked, n_rows = values[order], len(values)
    names, of = np.unique(unit, return_inverse=True)
    if len(names) < 2:
        return None
    found = float(np.quantile(ranked, q))
    rows = np.bincount(of).astype(np.float64)
    under = np.bincount(of, weights=(values <= found).astype(np.float64))
    share = under.sum() / n_rows
    k = len(names)
    se = sqrt(k / (k - 1) * float(((under - share * rows) ** 2).sum())) / n_rows
    z = float(norm.ppf((1 + level) / 2))
    low, high = (float(np.quantile(ranked, min(max(q + s * z * se, 0.0), 1.0))) for s in (-1, 1))
    return found, ((high - low) / (2 * z)) ** 2
