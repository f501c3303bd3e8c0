"""A mergeable log histogram: 128 buckets an octave, so a quantile is off by at most 0.4 % of its value.

A bucket is the exponent and the first seven bits of the mantissa of the float: no logarithm is computed. (64 buckets an
octave cut by log2 are off by 0.55 %, at several times the cost.) Two histograms merge by adding their counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

LOWEST_EXPONENT = -20  # about a millionth: below lies bucket 1
OCTAVES = 84
BUCKETS = 1 + OCTAVES * 128  # bucket 0 holds values of 0 (and below)
_BASE = (1023 + LOWEST_EXPONENT) << 7
RELATIVE_ERROR = 1 / 256


@njit(cache=True, nogil=True, inline="always")
def bucket_of(value):  # pragma: no cover (compiled)
    """The bucket of a float; 0 or less is bucket 0."""
    if not value > 0.0:
        return 0
    return min(max((np.float64(value).view(np.int64) >> 45) - _BASE, 0), BUCKETS - 2) + 1


@njit(cache=True, nogil=True)
def count_values(values, counts):  # pragma: no cover (compiled)
    """Adds the values to `counts`; NaN is unknown and left out."""
    for value in values:
        if value == value:
            counts[bucket_of(value)] += 1


def middles() -> np.ndarray:
    """The middle of each bucket; bucket 0 is 0."""
    edges = ((np.arange(BUCKETS) + _BASE) << 45).view(np.float64)
    return np.concatenate([[0.0], (edges[:-1] + edges[1:]) / 2])


def quantiles(counts: np.ndarray, *, at: Sequence[float]) -> list[float | None]:
    """Quantiles of a histogram, between order statistics interpolated as `quantile_cont` does; None without a value."""
    total = int(counts.sum())
    if total == 0:
        return [None for _ in at]
    upto, middle = np.cumsum(counts), middles()
    found: list[float | None] = []
    for q in at:
        rank = q * (total - 1)
        low, high = (middle[np.searchsorted(upto, r, side="right")] for r in (int(rank), min(int(rank) + 1, total - 1)))
        found.append(float(low + (high - low) * (rank - int(rank))))
    return found
