"""Intervals for one proportion and for a difference of two."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from scipy.stats import norm


class Interval(NamedTuple):
    """A rate and its limits; None where n is 0."""

    estimate: float | None
    ci_low: float | None
    ci_high: float | None


class Difference(NamedTuple):
    """First rate minus second and its limits; None where an n is 0."""

    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval (1927).

    >>> [round(v, 4) for v in wilson(15, 148)]
    [0.1014, 0.0624, 0.1605]
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes}: must be between 0 and n={n}; check the counts")
    if n == 0:
        return Interval(None, None, None)
    z, p = float(norm.ppf((1 + level) / 2)), successes / n
    centre, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
    )
    # At 0 and n the limits are exactly 0 and 1; computed, they miss it in the last digit.
    return Interval(
        p, 0.0 if successes == 0 else max(centre - half, 0.0), 1.0 if successes == n else min(centre + half, 1.0)
    )


def newcombe(
    successes_1: int, n_1: int, successes_2: int, n_2: int, *, level: float = 0.95, covariance: float = 0.0
) -> Difference:
    """Newcombe's hybrid score interval (1998, method 10) of rate 1 minus rate 2.

    Args:
        covariance: of the two rates, where units are in both: the limits are then recovered with the correlation
            (Zou and Donner 2008; without covariance they are Newcombe's).

    >>> [round(v, 4) for v in newcombe(56, 70, 48, 80)]
    [0.2, 0.0524, 0.3339]
    """
    one, two = wilson(successes_1, n_1, level=level), wilson(successes_2, n_2, level=level)
    if one.estimate is None or two.estimate is None:
        return Difference(None, None, None)
    d = one.estimate - two.estimate
    spread = sqrt(one.estimate * (1 - one.estimate) / n_1 * two.estimate * (1 - two.estimate) / n_2)
    correlation = min(max(covariance / spread, -1.0), 1.0) if spread else 0.0

    def reach(first: float, second: float) -> float:
        return sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0))

    low = d - reach(one.estimate - one.ci_low, two.ci_high - two.estimate)
    high = d + reach(one.ci_high - one.estimate, two.estimate - two.ci_low)
    return Difference(d, low, high)
