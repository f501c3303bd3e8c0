"""Intervals for one proportion and for a difference of two. The arithmetic is statsmodels' where it has it."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint


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


def _check(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes}: must be between 0 and n={n}; check the counts")


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval (1927).

    >>> [round(v, 4) for v in wilson(15, 148)]
    [0.1014, 0.0624, 0.1605]
    """
    _check(successes, n)
    if n == 0:
        return Interval(None, None, None)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    # At 0 and n the limits are exactly 0 and 1; computed, they miss it in the last digit.
    return Interval(successes / n, 0.0 if successes == 0 else float(low), 1.0 if successes == n else float(high))


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
    _check(successes_1, n_1)
    _check(successes_2, n_2)
    if n_1 == 0 or n_2 == 0:
        return Difference(None, None, None)
    if covariance:
        return _correlated(
            wilson(successes_1, n_1, level=level), wilson(successes_2, n_2, level=level), n_1, n_2, covariance
        )
    low, high = confint_proportions_2indep(
        successes_1, n_1, successes_2, n_2, method="newcomb", compare="diff", alpha=1 - level
    )
    return Difference(successes_1 / n_1 - successes_2 / n_2, float(low), float(high))


def _correlated(one: Interval, two: Interval, n_1: int, n_2: int, covariance: float) -> Difference:
    """Limits of a difference from the limits of both rates and their correlation; None where a rate is unknown."""
    known = [limit for limit in (*one, *two) if limit is not None]
    if len(known) < 6:
        return Difference(None, None, None)
    p_1, low_1, high_1, p_2, low_2, high_2 = known
    spread = sqrt(p_1 * (1 - p_1) / n_1 * p_2 * (1 - p_2) / n_2)
    correlation = min(max(covariance / spread, -1.0), 1.0) if spread else 0.0

    def reach(first: float, second: float) -> float:
        return sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0))

    difference = p_1 - p_2
    low = difference - reach(p_1 - low_1, high_2 - p_2)
    high = difference + reach(high_1 - p_1, p_2 - low_2)
    return Difference(difference, low, high)
