"""Time until something happens, where for some it has not happened yet."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from scipy.stats import chi2, norm


class SurvivalPoint(NamedTuple):
    """One event time: how many were at risk and had the event, and the share still without it just after, with limits."""

    time: float
    at_risk: int
    events: int
    survival: float
    ci_low: float
    ci_high: float


class LogRank(NamedTuple):
    """The test that groups have the same survival; `p_value` from chi-square with groups - 1 degrees of freedom."""

    chi_square: float
    degrees_of_freedom: int
    p_value: float


def _checked(durations: Sequence[float], observed: Sequence[bool]) -> list[tuple[float, bool]]:
    if len(durations) != len(observed):
        raise ValueError(
            f"durations has {len(durations)} values and observed {len(observed)}: there must be one flag per duration; check the inputs"
        )
    wrong = [d for d in durations if not d >= 0]
    if wrong:
        raise ValueError(f"durations: {wrong[0]!r} is not a time from 0 up; leave such units out")
    return sorted((float(d), bool(o)) for d, o in zip(durations, observed, strict=True))


def kaplan_meier(durations: Sequence[float], observed: Sequence[bool], *, level: float = 0.95) -> list[SurvivalPoint]:
    """The product-limit estimate S(t) = product of (1 - d / n) over event times up to t; one point per event time.

    `observed` False is censored: known to be without the event up to its duration. Limits: log(-log) transformed,
    Greenwood's variance, so that they stay in [0, 1]. Source: Kaplan and Meier (1958); Kalbfleisch and Prentice (1980).

    >>> [(p.time, round(p.survival, 2)) for p in kaplan_meier([1, 2, 2, 3], [True, True, False, True])]
    [(1.0, 0.75), (2.0, 0.5), (3.0, 0.0)]
    """
    pairs = _checked(durations, observed)
    z, survival, greenwood, points, place = norm.ppf((1 + level) / 2), 1.0, 0.0, [], 0
    while place < len(pairs):
        time, at_risk = pairs[place][0], len(pairs) - place
        end = place
        while end < len(pairs) and pairs[end][0] == time:
            end += 1
        events = sum(o for _, o in pairs[place:end])
        if events:
            survival *= 1 - events / at_risk
            greenwood = greenwood + events / (at_risk * (at_risk - events)) if at_risk > events else float("inf")
            points.append(SurvivalPoint(time, at_risk, events, survival, *_limits(survival, greenwood, z)))
        place = end
    return points


def _limits(survival: float, greenwood: float, z: float) -> tuple[float, float]:
    if survival in (0.0, 1.0):
        return survival, survival
    half = z * sqrt(greenwood) / abs(log(survival))
    return survival ** exp(half), survival ** exp(-half)


def median_survival(points: Sequence[SurvivalPoint]) -> tuple[float | None, float | None, float | None]:
    """The first time at which survival is at most one half, with limits (Brookmeyer and Crowley 1982); None where not reached."""
    return tuple(
        next((p.time for p in points if value(p) <= 0.5), None)
        for value in (lambda p: p.survival, lambda p: p.ci_low, lambda p: p.ci_high)
    )


def log_rank(groups: Sequence[tuple[Sequence[float], Sequence[bool]]]) -> LogRank:
    """Whether two or more groups (durations, observed) share one survival curve. Source: Mantel (1966), Peto and Peto (1972).

    At each event time the expected events of a group are its share of those at risk, with hypergeometric variance.
    """
    import numpy as np

    data = [_checked(*g) for g in groups]
    if len(data) < 2 or not all(data):
        raise ValueError(
            f"groups: {len(data)} groups, of which {sum(not g for g in data)} empty; needs at least two groups with units"
        )
    times = sorted({t for g in data for t, o in g if o})
    excess, variance = np.zeros(len(data)), np.zeros((len(data), len(data)))
    sorted_times = [np.array([t for t, _ in g]) for g in data]
    event_times = [np.array([t for t, o in g if o]) for g in data]
    for time in times:
        at_risk = np.array([len(t) - np.searchsorted(t, time, side="left") for t in sorted_times], dtype=float)
        events = np.array(
            [np.searchsorted(t, time, side="right") - np.searchsorted(t, time, side="left") for t in event_times],
            dtype=float,
        )
        n, d = at_risk.sum(), events.sum()
        excess += events - d * at_risk / n
        if n > 1:
            share = at_risk / n
            variance += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    freedom = len(data) - 1
    statistic = float(excess[:-1] @ np.linalg.pinv(variance[:-1, :-1]) @ excess[:-1])
    return LogRank(statistic, freedom, float(chi2.sf(statistic, freedom)))
