"""One pass over a series that says of every bucket how surprising it is, given only the buckets before it.

Expectation: the median of the last seven days, or the median of the same time of day (of the same time of the week),
whichever was nearer lately. Surprise: five statistics (the distance of this bucket from its expectation, the mean
distance of the last 3, 12 and 48 buckets, and the distance from the median of the last 36), each up and down, are held
against the tail of their own past: a generalised Pareto tail over its 95 % quantile (Siffer et al. 2017, SPOT), with
its shape shrunk, and widened for how few values it is made of. Past values count as no more than the threshold of
their day, so that one incident does not hide the next.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

MEANS = (1, 3, 12, 48)
RECENT = 36
CHANNELS = 2 * (len(MEANS) + 1)
SEASON_DAYS, SEASON_WEEKS = 7, 4
HISTORY = 2016
TAIL = 0.05
FEWEST = 14
END = 2**62
"""The end of an incident that goes on."""


@njit(cache=True, nogil=True)
def _median(values, n):  # pragma: no cover (compiled)
    return np.median(values[:n]) if n else np.nan


@njit(cache=True, nogil=True)
def _seasonal(x, t, period, most, first, held):  # pragma: no cover (compiled)
    """Median of the buckets one to `most` periods ago and of their neighbours; NaN where none is known."""
    n = 0
    for back in range(1, most + 1):
        if t - back * period < first:
            break
        for i in range(t - back * period - 1, t - back * period + 2):
            if first <= i < t and not np.isnan(x[i]):
                held[n] = x[i]
                n += 1
    return _median(held, n)


@njit(cache=True, nogil=True)
def _recent(x, start, stop, held):  # pragma: no cover (compiled)
    n = 0
    for i in range(start, stop):
        if not np.isnan(x[i]):
            held[n] = x[i]
            n += 1
    return _median(held, n)


@njit(cache=True, nogil=True)
def _mean(r, t, width):  # pragma: no cover (compiled)
    """Mean of the last `width` residuals; NaN where fewer than half of them are known, or the last is not."""
    if t + 1 < width or np.isnan(r[t]):
        return np.nan
    total, n = 0.0, 0
    for i in range(t + 1 - width, t + 1):
        if not np.isnan(r[i]):
            total += r[i]
            n += 1
    return total / n if 2 * n >= width else np.nan


@njit(cache=True, nogil=True)
def _tail(past, n, tail, tails):  # pragma: no cover (compiled)
    """Where the tail of past values begins, its scale, shape and share."""
    ordered = np.sort(past[:n])
    start = min(int((1 - tail) * n), n - 5)
    over = ordered[start + 1 :] - ordered[start]
    k = len(over)
    mean = over.mean()
    # Probability-weighted moments (Hosking & Wallis 1987), shrunk to 0.1 as if by ten more values.
    weighted = 0.0
    for i in range(k):
        weighted += over[i] * (k - 1 - i) / (k - 1) / k
    shape = 0.0
    if mean > 2 * weighted + 1e-12 * abs(mean):
        shape = min(max(2 - mean / (mean - 2 * weighted), 0.0), 0.7)
    shape = (shape * k + 0.1 * 10) / (k + 10)
    spread = ordered[start] - ordered[n // 2]
    tails[0] = ordered[start]
    tails[1] = max(mean * (1 - shape), 0.15 * spread, 1e-9 * max(1.0, abs(ordered[start])))
    tails[2] = shape + 1.0 / k
    tails[3] = k / n


@njit(cache=True, nogil=True)
def reached(said, tail):  # pragma: no cover (compiled)
    """The value of which a tail says so much."""
    start, scale, shape, share = tail
    return start + scale * (math.exp((said + math.log(share)) * shape) - 1) / shape


@njit(cache=True, nogil=True)
def tail_surprise(signed, c, past, filled, made, tails, most, limit, day):  # pragma: no cover (compiled)
    """How surprising `signed` is for the tail of what channel `c` remembers; 0 under it."""
    m = filled[c]
    if m < FEWEST:
        return 0.0
    if made[c] == 0 or m - made[c] >= max(1, min(m // 50, day)):
        _tail(past[c], min(m, HISTORY), TAIL, tails[c])
        made[c] = m
        most[c] = reached(limit, tails[c])
    start, scale, shape, share = tails[c]
    return math.log(1 + shape * (signed - start) / scale) / shape - math.log(share) if signed > start else 0.0


@njit(cache=True, nogil=True)
def remember(signed, c, past, filled, most):  # pragma: no cover (compiled)
    """Let channel `c` remember `signed`, as no more than the threshold of its day."""
    past[c, filled[c] % HISTORY] = min(signed, most[c]) if filled[c] >= FEWEST else signed
    filled[c] += 1


@njit(cache=True, nogil=True)
def follow(t, score, told_by, limit, calm_buckets, longest, state, began, seen, ended):  # pragma: no cover (compiled)
    """Begin, go on with or end an incident at bucket `t`; whether its level became the ordinary one.

    `state`: whether one goes on, and its calm buckets so far.
    """
    if not state[0] and score >= limit:
        state[0], state[1] = 1, 0
        began.append(t + 1 - (MEANS[told_by] if told_by < len(MEANS) else 1))
        seen.append(t)
        ended.append(END)
    elif state[0]:
        state[1] = state[1] + 1 if score < 0.6 * limit else 0
        if state[1] >= calm_buckets:
            state[0] = 0
            ended[-1] = t + 1 - state[1]
        elif t - seen[-1] >= longest:
            state[0] = 0
            ended[-1] = t
            return True
    return False


@njit(cache=True, nogil=True)
def surprises(x, day, limit, warm, calm_buckets, longest, quiet_side):  # pragma: no cover (compiled)
    """What each bucket says, with the past only: its surprise, that of its value alone, the expectation; and the
    incidents as starts of the run, buckets that detected it, and buckets that ended it (the length where none did).

    `x`: values of neighbouring buckets, NaN is a gap. `day`: buckets a day. `limit`: a surprise that is an alarm,
    -ln of the probability. `warm`: buckets before the first that can alarm. An incident ends after `calm_buckets`
    buckets under 0.6 `limit`; one that lasts `longest` buckets is a new level: what came before is forgotten.
    `quiet_side`: 0 or 1 where a rise or a fall is no incident, else -1.
    """
    n = len(x)
    score, own, expected, told_by = np.zeros(n), np.zeros(n), np.full(n, np.nan), 0
    began, seen, ended = [0][:0], [0][:0], [0][:0]
    past, filled, made = np.zeros((CHANNELS, HISTORY)), np.zeros(CHANNELS, np.int64), np.zeros(CHANNELS, np.int64)
    tails, most = np.zeros((CHANNELS, 4)), np.zeros(CHANNELS)
    residual, held = np.full(n, np.nan), np.empty(max(7 * day, RECENT, 3 * SEASON_DAYS) + 1)
    error, judged, first, level = np.zeros(3), 0, 0, np.nan
    state = np.zeros(2, np.int64)
    for t in range(n):
        if t % max(1, day // 24) == 0 or t - first < day or np.isnan(level):
            found = _recent(x, max(first, t - 7 * day), t, held)
            level = level if np.isnan(found) else found
        if np.isnan(x[t]):
            continue
        if np.isnan(level):
            level = x[t]
        daily = _seasonal(x, t, day, SEASON_DAYS, first, held) if day > 1 else np.nan
        weekly = _seasonal(x, t, 7 * day, SEASON_WEEKS, first, held) if day > 1 else np.nan
        if day == 1 and t - 7 >= first:
            weekly = _weekday(x, t, first, held)
        best = level
        least = error[0]
        if not np.isnan(daily) and judged and error[1] < 0.9 * least:
            best, least = daily, error[1]
        if not np.isnan(weekly) and judged and error[2] < 0.9 * least:
            best = weekly
        if not np.isnan(daily) or not np.isnan(weekly):
            judged += 1
            weight = 1.0 / min(judged, 3 * max(day, 7))
            error[0] += weight * (abs(x[t] - level) - error[0])
            error[1] += weight * (abs(x[t] - (level if np.isnan(daily) else daily)) - error[1])
            error[2] += weight * (abs(x[t] - (level if np.isnan(weekly) else weekly)) - error[2])
        expected[t] = best
        residual[t] = x[t] - best
        if day > 1 and t < day:
            continue
        for k in range(CHANNELS // 2):
            if k < len(MEANS):
                value = _mean(residual, t, MEANS[k])
            else:
                value = x[t] - _recent(x, max(0, t - RECENT), t, held) if t >= RECENT else np.nan
            if np.isnan(value):
                continue
            for side in range(2):
                if side == quiet_side:
                    continue
                c = 2 * k + side
                signed = value if side == 0 else -value
                said = tail_surprise(signed, c, past, filled, made, tails, most, limit, day)
                remember(signed, c, past, filled, most)
                if said > score[t]:
                    score[t], told_by = said, k
                if k == 0 and said > own[t]:
                    own[t] = said
        if t < warm:
            continue
        if follow(t, score[t], told_by, limit, calm_buckets, longest, state, began, seen, ended):
            first, judged = seen[-1], 0
            error[:] = 0
    return score, own, expected, began, seen, ended


@njit(cache=True, nogil=True)
def _weekday(x, t, first, held):  # pragma: no cover (compiled)
    """Median of the same weekday of the last weeks, where two are known."""
    n = 0
    for back in range(1, SEASON_WEEKS + 1):
        i = t - 7 * back
        if i >= first and not np.isnan(x[i]):
            held[n] = x[i]
            n += 1
    return _median(held, n) if n > 1 else np.nan
