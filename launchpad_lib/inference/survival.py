"""Time until something happens, where for some it has not happened yet. The estimates are statsmodels'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight, survdiff


class SurvivalPoint(NamedTuple):
    """One event time: how many were at risk and had the event, and the share still without it just after,
    with limits.
    """

    time: float
    at_risk: int
    events: int
    survival: float
    ci_low: float
    ci_high: float


class LogRank(NamedTuple):
    """The test that groups have the same survival; `p_value` from chi-square with groups - 1 degrees of freedom.

    `refused_because`: why there is no test (both numbers are then None).
    """

    chi_square: float | None
    degrees_of_freedom: int
    p_value: float | None
    refused_because: str | None = None


def _checked(durations: Sequence[float], observed: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    if len(durations) != len(observed):
        raise ValueError(
            f"durations has {len(durations)} values and observed {len(observed)}: there must be one flag per "
            "duration; check the inputs"
        )
    times = np.asarray(durations, dtype=float)
    wrong = times[~(times >= 0)]
    if len(wrong):
        raise ValueError(f"durations: {float(wrong[0])!r} is not a time from 0 up; leave such units out")
    return times, np.asarray(observed, dtype=bool)


def kaplan_meier(durations: Sequence[float], observed: Sequence[bool], *, level: float = 0.95) -> list[SurvivalPoint]:
    """The product-limit estimate S(t) = product of (1 - d / n) over event times up to t; one point per event time.

    `observed` False is censored: known to be without the event up to its duration. Limits: log(-log) transformed,
    Greenwood's variance, so that they stay in [0, 1]. Source: Kaplan and Meier (1958); Kalbfleisch and Prentice (1980).

    >>> [(p.time, round(p.survival, 2)) for p in kaplan_meier([1, 2, 2, 3], [True, True, False, True])]
    [(1.0, 0.75), (2.0, 0.5), (3.0, 0.0)]
    """
    times, happened = _checked(durations, observed)
    if not happened.any():
        return []
    with np.errstate(divide="ignore", invalid="ignore"):  # Greenwood's variance where the last unit is gone
        found = SurvfuncRight(times, happened.astype(int))
    there = np.asarray(found.n_events) > 0
    time, at_risk, events, survival, error = (
        np.asarray(values)[there]
        for values in (found.surv_times, found.n_risk, found.n_events, found.surv_prob, found.surv_prob_se)
    )
    columns = (time, at_risk.astype(int), events.astype(int), survival, *_limits(survival, error, level))
    return [SurvivalPoint(*point) for point in zip(*(values.tolist() for values in columns), strict=True)]


def _limits(survival: np.ndarray, error: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of each point; where nobody or everybody is left they are the estimate."""
    is_between = (survival > 0) & (survival < 1)
    half = np.zeros(len(survival))
    inside = survival[is_between]
    half[is_between] = norm.ppf((1 + level) / 2) * error[is_between] / inside / np.abs(np.log(inside))
    return survival ** np.exp(half), survival ** np.exp(-half)


def median_survival(points: Sequence[SurvivalPoint]) -> tuple[float | None, float | None, float | None]:
    """The first time at which survival is at most one half, with limits (Brookmeyer and Crowley 1982); None where not
    reached.
    """
    half = 0.5 + 1e-9  # the product 7/8 x 6/7 x 5/6 x 4/5 is one half, and computed a little more
    return (
        next((p.time for p in points if p.survival <= half), None),
        next((p.time for p in points if p.ci_low <= half), None),
        next((p.time for p in points if p.ci_high <= half), None),
    )


def log_rank(groups: Sequence[tuple[Sequence[float], Sequence[bool]]]) -> LogRank:
    """Whether two or more groups (durations, observed) share one survival curve.

    Source: Mantel (1966), Peto and Peto (1972).

    At each event time the expected events of a group are its share of those at risk, with hypergeometric variance.
    Refused with fewer than two groups that hold units, and where nothing happened or no group can differ.
    """
    data = [_checked(*g) for g in groups]
    filled = sum(len(times) > 0 for times, _ in data)
    freedom = max(len(data) - 1, 0)
    if filled < len(data) or filled < 2:
        return LogRank(None, freedom, None, f"{filled} of {len(data)} groups hold units; at least two groups need some")
    times, happened = (np.concatenate([d[k] for d in data]) for k in (0, 1))
    group = np.repeat(np.arange(len(data)), [len(t) for t, _ in data])
    if not happened.any():
        return LogRank(None, freedom, None, "in no group has it happened to anybody yet")
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic, p_value = survdiff(times, happened.astype(int), group)
    except np.linalg.LinAlgError:
        statistic = p_value = np.nan
    if not np.isfinite(p_value):
        return LogRank(None, freedom, None, "at no time could two groups differ")
    return LogRank(float(statistic), freedom, float(p_value))
