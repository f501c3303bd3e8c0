"""What sampling alone would do to a count: exact tails of a bucket's failures, or of its rows, given those before it.

The expected rate is not known but counted, in a pool of earlier buckets, so its own noise belongs to the tail: the
failures of n observations are beta-binomial, the rows of a bucket negative binomial (the predictive distributions of a
binomial and a Poisson count under Jeffreys' priors; Gelman et al. 2013, section 2). At one observation a bucket the
empirical tail of the past says nothing: a single failure is "0.25 where 0 was expected".
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

NOTHING_LEFT = 1e-12


@njit(cache=True, nogil=True)
def failures_surprise(k, n, failed, observed):  # pragma: no cover (compiled)
    """-ln P(at least `k` of `n` fail), where `failed` of `observed` did before; 0 where `k` is no more than usual."""
    a, b = failed + 0.5, max(observed - failed, 0.0) + 0.5
    if k <= n * a / (a + b):
        return 0.0
    term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term += math.lgamma(k + a) + math.lgamma(n - k + b) - math.lgamma(n + a + b)
    term += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    total, ratio, i = 1.0, 1.0, k
    while i < n and ratio > NOTHING_LEFT * total:
        ratio *= (n - i) * (i + a) / ((i + 1) * (n - i - 1 + b))
        total += ratio
        i += 1
    return max(-term - math.log(total), 0.0)


@njit(cache=True, nogil=True)
def rows_surprise(k, expected, seen, is_more):  # pragma: no cover (compiled)
    """-ln P(at least, or at most, `k` rows), where `expected` are, an expectation made of `seen` rows."""
    a = seen + 0.5
    if expected <= 0 or (k <= expected if is_more else k >= expected):
        return 0.0
    share = expected / (a + expected)
    term = math.lgamma(k + a) - math.lgamma(a) - math.lgamma(k + 1)
    term += a * math.log1p(-share) + k * math.log(share)
    total, ratio, i = 1.0, 1.0, k
    while ratio > NOTHING_LEFT * total:
        if is_more:
            ratio *= (i + a) / (i + 1) * share
            i += 1
        elif i == 0:
            break
        else:
            ratio *= i / ((i - 1 + a) * share)
            i -= 1
        total += ratio
    return max(-term - math.log(total), 0.0)


@njit(cache=True, nogil=True)
def pooled(failed, of, t, period, most, around, first, into):  # pragma: no cover (compiled)
    """Sums of `failed` and `of` one to `most` periods before `t`, `around` buckets to each side; NaN is a gap."""
    into[0], into[1] = 0.0, 0.0
    for back in range(1, most + 1):
        if t - back * period < first:
            break
        for i in range(t - back * period - around, t - back * period + around + 1):
            if first <= i < t and not np.isnan(failed[i]):
                into[0] += failed[i]
                into[1] += of[i]
