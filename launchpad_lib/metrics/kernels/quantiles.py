"""Daily quantiles by mergeable log histograms: one pass, no sort, and any run of days is a sum of its days.

A histogram has 128 buckets an octave, so a quantile is off by at most 0.4 % of its value (1/256). A bucket is the
exponent and the first seven bits of the mantissa of the float; `lake.daily_tables` counts them in SQL. (64 buckets an
octave cut by log2 are off by 0.55 %, at several times the cost.) Two histograms merge by adding their counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

LOWEST_EXPONENT = -20  # about a millionth: below lies bucket 1
OCTAVES = 84
BUCKETS = 1 + OCTAVES * 128  # bucket 0 holds values of 0 (and below)


def middles() -> np.ndarray:
    """The middle of each bucket; bucket 0 is 0."""
    base = (1023 + LOWEST_EXPONENT) << 7
    edges = ((np.arange(BUCKETS) + base) << 45).view(np.float64)
    return np.concatenate([[0.0], (edges[:-1] + edges[1:]) / 2])


@njit(cache=True, nogil=True)
def _at_rank(counts, low, high, rank, middle):  # pragma: no cover (compiled)
    """The value of the bucket that holds a rank (from 0), as a fraction between two neighbours."""
    whole, upto = int(rank), 0
    value, found = 0.0, False
    for bucket in range(low, high + 1):
        upto += counts[bucket]
        if not found and upto > whole:
            value, found = middle[bucket], True
        if found and upto > whole + 1:
            return value + (middle[bucket] - value) * (rank - whole)
    return value


@njit(cache=True, nogil=True)
def _trailing(keys, days, ends, buckets, rows, trailing, at, middle, found, totals):  # pragma: no cover (compiled)
    counts = np.zeros(len(middle), np.int64)
    low, high, total, first = len(middle) - 1, 0, 0, 0
    for group in range(len(keys)):
        if group and keys[group] != keys[group - 1]:
            counts[low : high + 1] = 0
            low, high, total, first = len(middle) - 1, 0, 0, group
        for i in range(ends[group - 1] if group else 0, ends[group]):
            counts[buckets[i]] += np.int64(rows[i])
            total += np.int64(rows[i])
            low, high = min(low, buckets[i]), max(high, buckets[i])
        while days[group] - days[first] >= trailing:
            for i in range(ends[first - 1] if first else 0, ends[first]):
                counts[buckets[i]] -= np.int64(rows[i])
                total -= np.int64(rows[i])
            first += 1
        totals[group] = total
        for k in range(len(at)):
            found[group, k] = _at_rank(counts, low, high, at[k] * (total - 1), middle)


def trailing_quantiles(
    keys: np.ndarray,
    days: np.ndarray,
    ends: np.ndarray,
    buckets: np.ndarray,
    rows: np.ndarray,
    *,
    trailing_days: int,
    at: Sequence[float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles of each key over the calendar days that end on each of its days, from histograms.

    Args:
        keys, days, ends: numbers, one per histogram, in order of key and day; `ends`: where its counts end, and those
            of the next begin. None is empty.
        buckets, rows: one per count of a histogram: its bucket, and how many are in it.

    Returns:
        The place of the first histogram of each key and day, its observations in the window, and its quantiles.
    """
    is_first = np.ones(len(keys), bool)
    is_first[1:] = (keys[1:] != keys[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(is_first)
    upto = ends[np.append(starts[1:], len(keys)) - 1] if len(keys) else np.zeros(0, np.int64)
    found, totals = np.empty((len(starts), len(at))), np.empty(len(starts), np.int64)
    wanted = np.array(at, dtype=float)
    _trailing(keys[starts], days[starts], upto, buckets, rows, trailing_days, wanted, middles(), found, totals)
    return starts, totals, found
