"""The detector of counts: failures of so many observations, or rows of a bucket, with the noise of sampling known.

Like `detector.surprises`, but the expectation is a pooled rate (a median of many zeros is zero), and a bucket or a run
of buckets is out of the ordinary only where both say so: the tail of the statistic's own past, in standard deviations
that grow with the bucket, and the exact tail of the count itself (`counted`). The first alone calls one failure of four
observations strange, the second alone calls every common noise of a large bucket strange.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from launchpad_lib.trends.counted import failures_surprise, pooled, rows_surprise
from launchpad_lib.trends.detector import (
    CHANNELS,
    HISTORY,
    MEANS,
    RECENT,
    SEASON_DAYS,
    SEASON_WEEKS,
    follow,
    reached,
    remember,
    tail_surprise,
)

SEASONAL = 5
"""Of fewer failures a season cannot be told from none."""
REMEMBERED = 0.8
"""An alarm is remembered as something a little less strange, or a few hours of failures would hide the next ones."""
ENOUGH = 200
"""Of so many failures the same bucket of other days is enough: its neighbours, which have a level of their own, are not
needed."""


@njit(cache=True, nogil=True)
def _pools(kept, of, sums, t, day, first, pools):  # pragma: no cover (compiled)
    """Failures and observations behind each of the three expectations: the last week, the time of day, of the week."""
    start = max(first, t - 7 * day)
    pools[0, 0], pools[0, 1] = sums[t, 0] - sums[start, 0], sums[t, 1] - sums[start, 1]
    pools[1:] = 0.0
    if day > 1:
        for i, period, most in ((1, day, SEASON_DAYS), (2, 7 * day, SEASON_WEEKS)):
            pooled(kept, of, t, period, most, 0, first, pools[i])
            if pools[i, 0] < ENOUGH:
                pooled(kept, of, t, period, most, 1, first, pools[i])
    else:
        pooled(kept, of, t, 7, SEASON_WEEKS, 0, first, pools[2])


@njit(cache=True, nogil=True)
def _spread(expected, n, phi, is_rate):  # pragma: no cover (compiled)
    """Variance of a count: of sampling, and of what all observations of a bucket share (`phi`, relative)."""
    share = min(expected / n, 0.999) if is_rate else 0.0
    return expected * (1 - share) + phi * expected**2


@njit(cache=True, nogil=True)
def _by_chance(k, n, expected, failed, observed, side, is_rate):  # pragma: no cover (compiled)
    """-ln of the probability that sampling alone does so; a fall of a rate is not asked."""
    if not is_rate:
        return rows_surprise(k, expected, failed, side == 0)
    return failures_surprise(k, n, failed, observed) if side == 0 else 0.0


@njit(cache=True, nogil=True)
def _new_level(k, of, kept, basis, sums, first, since, t, is_rate):  # pragma: no cover (compiled)
    """Take the level since bucket `since` for the ordinary one: what was before is brought to it, so that its season
    stays known. Where nothing was before, it is forgotten. The first bucket that counts from now on.
    """
    found, hoped = 0.0, 0.0
    for i in range(since, t + 1):
        if not np.isnan(k[i]):
            found, hoped, kept[i] = found + k[i], hoped + basis[i], k[i]
    ratio = found / hoped if hoped > 0 else 0.0
    if ratio > 0:
        for i in range(first, t + 1):
            if not np.isnan(k[i]):
                basis[i] *= ratio
                if i < since:
                    kept[i] = min(kept[i] * ratio, of[i]) if is_rate else kept[i] * ratio
    else:
        first = since
    for i in range(first, t + 1):
        sums[i + 1] = sums[i]
        if not np.isnan(k[i]):
            sums[i + 1, 0], sums[i + 1, 1] = sums[i, 0] + kept[i], sums[i, 1] + of[i]
    return first


@njit(cache=True, nogil=True)
def counted_surprises(
    k, of, is_rate, day, limit, warm, calm_buckets, longest, quiet_side, fewest
):  # pragma: no cover (compiled)
    """As `detector.surprises`, of counts; instead of the expected value the expected count, and whether each bucket, or
    one of the runs of buckets that end there, held enough observations to be judged.

    `k`: failures or rows of neighbouring buckets, NaN is a gap. `of`: observations (1 where rows are counted).
    `fewest`: observations under which a run of buckets says nothing.
    """
    n = len(k)
    score, own, expected, told_by = np.zeros(n), np.zeros(n), np.full(n, np.nan), 0
    is_judged = np.zeros(n, np.bool_)
    began, seen, ended = [0][:0], [0][:0], [0][:0]
    past, filled, made = np.zeros((CHANNELS, HISTORY)), np.zeros(CHANNELS, np.int64), np.zeros(CHANNELS, np.int64)
    tails, most = np.zeros((CHANNELS, 4)), np.zeros(CHANNELS)
    waiting, queued = np.zeros((CHANNELS, MEANS[-1])), np.zeros(CHANNELS, np.int64)
    kept, sums, pools = k.copy(), np.zeros((n + 1, 2)), np.zeros((3, 2))
    basis, behind, chosen = np.full(n, np.nan), np.zeros((n, 2)), np.zeros(n, np.int64)
    error, judged, first, overlap = np.zeros(3), 0, 0, 3.0 if day > 1 else 1.0
    shared, squares, learned = 0.0, 0.0, 0
    state = np.zeros(2, np.int64)
    for t in range(n):
        sums[t + 1] = sums[t]
        if np.isnan(k[t]):
            continue
        _pools(kept, of, sums, t, day, first, pools)
        if pools[0, 1] == 0:
            pools[0, 0], pools[0, 1] = k[t], of[t]
        best = 0
        for i in range(1, 3):
            if pools[i, 0] >= SEASONAL and judged and error[i] < 0.9 * error[best]:
                best = i
        if pools[1, 1] > 0 or pools[2, 1] > 0:
            judged += 1
            weight = 1.0 / min(judged, 3 * max(day, 7))
            for i in range(3):
                j = i if pools[i, 1] > 0 else 0
                error[i] += weight * ((k[t] - of[t] * pools[j, 0] / pools[j, 1]) ** 2 / of[t] - error[i])
        behind[t], chosen[t] = pools[best], best
        expected[t] = basis[t] = of[t] * pools[best, 0] / pools[best, 1]
        phi = max(shared / squares, 0.0) if squares > 0 else 0.0
        if t >= day:
            for c in range(CHANNELS // 2):
                width = MEANS[c] if c < len(MEANS) else 1
                if t + 1 < width or (c == len(MEANS) and t < RECENT):
                    continue
                failed, number, hoped, known, distinct = 0.0, 0.0, 0.0, 0, 0.0
                spread, sampled, before, pool = 0.0, 0.0, -1.0, behind[t, 1]
                # A level is that of the buckets before the run, not of the run itself (by day such runs are weeks).
                if c == len(MEANS) or (day > 1 and not chosen[t]):
                    stop = t + 1 - width
                    start = max(first, stop - (RECENT if c == len(MEANS) else 7 * day))
                    if stop > start and sums[stop, 1] > sums[start, 1]:
                        pool = sums[stop, 1] - sums[start, 1]
                        before = (sums[stop, 0] - sums[start, 0]) / pool
                for i in range(t + 1 - width, t + 1):
                    if np.isnan(k[i]):
                        continue
                    known += 1
                    failed, number, distinct = failed + k[i], number + of[i], distinct + behind[i, 1] / overlap
                    mean = of[i] * before if before >= 0 else basis[i]
                    hoped += mean
                    least = of[i] * (behind[i, 0] + 0.5) / (behind[i, 1] + 1)
                    spread += _spread(max(mean, least), of[i], phi, is_rate)
                    sampled += _spread(max(mean, least), of[i], 0.0, is_rate)
                if 2 * known < width or np.isnan(hoped) or spread <= 0:
                    continue
                if is_rate and number < fewest:
                    continue
                is_judged[t] = True
                rate = hoped / number
                if chosen[t] and before < 0:
                    pool = max(pool, distinct)
                value = (failed - hoped) / math.sqrt(spread)
                widened = math.sqrt(spread / sampled)
                for side in range(2):
                    if side == quiet_side:
                        continue
                    channel = 2 * c + side
                    signed = value if side == 0 else -value
                    by_chance = -1.0
                    if hoped < ENOUGH and signed > 0:
                        by_chance = _by_chance(failed, number, hoped, rate * pool, pool, side, is_rate)
                        # About its normal deviation: one failure where 0.02 are expected is 3, not 7.
                        signed = math.sqrt(2 * by_chance) / widened
                    said = tail_surprise(signed, channel, past, filled, made, tails, most, limit, day)
                    if said >= 0.5 * limit and by_chance < 0:
                        by_chance = _by_chance(failed, number, hoped, rate * pool, pool, side, is_rate)
                    said = min(said, by_chance)
                    if said >= limit:
                        signed = min(signed, reached(REMEMBERED * limit, tails[channel]))
                    # Remembered when its buckets are past: a mean that grows for hours would get used to itself.
                    if day == 1:
                        remember(signed, channel, past, filled, most)
                    else:
                        if queued[channel] >= width:
                            remember(waiting[channel, queued[channel] % width], channel, past, filled, most)
                        waiting[channel, queued[channel] % width] = signed
                        queued[channel] += 1
                    if said < 0.5 * limit:
                        continue
                    if said > score[t]:
                        score[t], told_by = said, c
                    if c == 0 and said > own[t]:
                        own[t] = said
        # What is out of the ordinary is no part of what is expected, but for a level that stays.
        kept[t] = k[t] if score[t] < 0.6 * limit else expected[t]
        sums[t + 1, 0], sums[t + 1, 1] = sums[t, 0] + kept[t], sums[t, 1] + of[t]
        if expected[t] >= 1:  # under it nothing but sampling can be seen
            learned += 1
            weight = max(1.0 / learned, 1.0 / (14 * day))
            beyond = (kept[t] - expected[t]) ** 2 - _spread(expected[t], of[t], 0.0, is_rate)
            shared += weight * (beyond - shared)
            squares += weight * (expected[t] ** 2 - squares)
        if t < warm:
            continue
        if follow(t, score[t], told_by, limit, calm_buckets, longest, state, began, seen, ended):
            first = _new_level(k, of, kept, basis, sums, first, seen[-1], t, is_rate)
    return score, own, expected, began, seen, ended, is_judged
