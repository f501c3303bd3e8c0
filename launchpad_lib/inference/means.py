"""Differences and ratios of two means from sufficient counts (n, sum, sum of squares)."""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

from scipy.stats import norm, t


class Moments(NamedTuple):
    """What a mean needs: units, sum and sum of squares of their values. A rate is (n, successes, successes)."""

    n: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def variance_of_mean(self) -> float:
        return (self.squares - self.total**2 / self.n) / (self.n - 1) / self.n


class Contrast(NamedTuple):
    """An estimate with its limits and two-sided p value; `refused_because` where there is none."""

    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    refused_because: str | None


def _welch_freedom(treatment: Moments, control: Moments) -> float:
    """Welch-Satterthwaite degrees of freedom."""
    a, b = treatment.variance_of_mean, control.variance_of_mean
    return (a + b) ** 2 / (a * a / (treatment.n - 1) + b * b / (control.n - 1)) if a + b > 0 else inf


def absolute_difference(treatment: Moments, control: Moments, *, level: float = 0.95) -> Contrast:
    """Treatment mean minus control mean, variances not assumed equal (Welch)."""
    d, se = treatment.mean - control.mean, sqrt(treatment.variance_of_mean + control.variance_of_mean)
    if se == 0:
        return Contrast(d, None, None, None, "no value varies")
    freedom = _welch_freedom(treatment, control)
    half = float(t.ppf((1 + level) / 2, freedom)) * se
    return Contrast(d, d - half, d + half, float(2 * t.sf(abs(d) / se, freedom)), None)


def fieller_difference(treatment: Moments, control: Moments, *, level: float = 0.95) -> Contrast:
    """(treatment mean - control mean) / control mean with Fieller's limits (1954); refused where the control mean is
    not clearly above 0.

    With g = z^2 var(control) / control^2 at least 1 the set of ratios that fit is not an interval. Asymmetric, and
    right where the control mean is small and the delta method is not.
    """
    z = norm.ppf((1 + level) / 2)
    m1, m0, v1, v0 = treatment.mean, control.mean, treatment.variance_of_mean, control.variance_of_mean
    g = z * z * v0 / m0**2 if m0 > 0 else inf
    if g >= 1:
        return Contrast(None, None, None, None, "the control mean is not clearly above 0")
    ratio = m1 / m0
    half = z / m0 * sqrt(max(v1 + ratio**2 * v0 - g * v1, 0.0))
    low, high = ((ratio + s * half) / (1 - g) - 1 for s in (-1, 1))
    return Contrast(ratio - 1, low, high, absolute_difference(treatment, control, level=level).p_value, None)
