"""A ratio of sums of one period against another, where the same units are in both."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from launchpad_lib.inference.means import Contrast


class RatioSums(NamedTuple):
    """Sums over the clusters of both periods (users): of the four values denominator and numerator before, denominator
    and numerator after, and of their products (4 x 4); a cluster that is in one period has zeros in the other.
    """

    clusters: int
    totals: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> RatioSums:
        """Of one row per cluster with the four values."""
        own = np.asarray(values, dtype=float).reshape(-1, 4)
        return cls(len(own), own.sum(axis=0), own.T @ own)


def ratio_change(sums: RatioSums, *, level: float = 0.95) -> Contrast:
    """Ratio after minus ratio before, by the delta method with users as clusters over both periods.

    With r = Y / X of each period and d = (y2 - r2 x2) / X2 - (y1 - r1 x1) / X1 of a cluster, the variance is
    C / (C - 1) times the sum of d squared over the C clusters: what a user does in both periods cancels as it should,
    and a user with many sessions weighs as one. Source: Deng, Knoblich and Lu (2018); Cochran (1977), 6.4 and 6.13.

    >>> same = RatioSums.of(np.array([[2, 1, 2, 2], [1, 0, 1, 1], [1, 1, 2, 0], [2, 2, 1, 1]]))
    >>> round(ratio_change(same).estimate, 4)
    0.0
    """
    x1, y1, x2, y2 = (float(v) for v in sums.totals)
    if x1 <= 0 or x2 <= 0:
        return Contrast(None, None, None, None, "nobody is counted in one of the two periods")
    before, after = y1 / x1, y2 / x2
    if sums.clusters < 2:
        return Contrast(after - before, None, None, None, "one user only")
    weights = np.array([before / x1, -1 / x1, -after / x2, 1 / x2])
    spread = float(weights @ sums.products @ weights)
    scale = float(np.abs(weights) @ np.abs(sums.products) @ np.abs(weights))
    if spread <= 1e-12 * scale:
        return Contrast(after - before, None, None, None, "no value varies")
    error = sqrt(sums.clusters / (sums.clusters - 1) * spread)
    half = float(norm.ppf((1 + level) / 2)) * error
    difference = after - before
    return Contrast(difference, difference - half, difference + half, float(2 * norm.sf(abs(difference) / error)), None)
