"""How much an unmeasured confounder as strong as the strongest measured one would change an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

SMALLEST_LEFT = 1e-9
ROWS_AT_ONCE = 65_536


class Bounded(NamedTuple):
    """What is left of an estimate, with its limits, if a confounder of the stated strength had been
    adjusted for too.
    """

    estimate: float
    ci_low: float
    ci_high: float


class Benchmark(NamedTuple):
    """The measured covariates whose like would change the estimate most, and what would be left; or why there is none.

    `is_survived`: the limits of what is left stay on the side of 0 on which the estimate lies. `plain_error`,
    `freedom`: standard error and degrees of freedom of the treatment in a linear regression of the outcome: the scale
    on which partial R squared act, whatever the clusters.
    """

    covariate: str | None
    left: Bounded | None
    is_survived: bool
    plain_error: float | None
    freedom: int
    refused_because: str | None


def bounded_estimate(
    estimate: float,
    *,
    standard_error: float,
    freedom: int,
    r2_treatment: float,
    r2_outcome: float,
    strength: float = 1.0,
    level: float = 0.95,
) -> Bounded | None:
    """An estimate moved towards 0 by a confounder `strength` times as strong as a covariate with these partial R
    squared.

    Source: Cinelli and Hazlett (2020), Making sense of sensitivity, sections 4.3 and 4.4. None where no such confounder
    is possible (it would explain more than everything).

    Args:
        r2_treatment: partial R squared of the covariate with the treatment, given the other covariates.
        r2_outcome: partial R squared of the covariate with the outcome, given treatment and the other covariates.

    >>> darfur = {"standard_error": 0.02325654, "freedom": 783, "r2_treatment": 0.00907, "r2_outcome": 0.10903}
    >>> [round(v, 3) for v in bounded_estimate(0.09731582, **darfur)]
    [0.075, 0.032, 0.118]
    """
    if not (0 <= strength * r2_treatment < 1 and 0 <= r2_treatment < 1 and 0 <= r2_outcome < 1):
        return None
    with_treatment = strength * r2_treatment / (1 - r2_treatment)
    shared = strength * r2_treatment**2 / ((1 - strength * r2_treatment) * (1 - r2_treatment))
    if with_treatment >= 1 or shared >= 1:
        return None
    with_outcome = ((sqrt(strength) + sqrt(shared)) / sqrt(1 - shared)) ** 2 * r2_outcome / (1 - r2_outcome)
    with_outcome = min(with_outcome, 1.0)
    bias = standard_error * sqrt(freedom * with_outcome * with_treatment / (1 - with_treatment))
    error = standard_error * sqrt((1 - with_outcome) / (1 - with_treatment) * freedom / (freedom - 1))
    left = estimate - bias if estimate >= 0 else estimate + bias
    half = float(t.ppf((1 + level) / 2, freedom - 1)) * error
    return Bounded(left, left - half, left + half)


def independent_columns(table: pd.DataFrame, covariates: Sequence[str]) -> list[str]:
    """The covariates that vary and are no linear combination of a constant and those before them.

    Of a product with web and iOS only, "is web" and "is iOS" say the same: the second is left out.

    >>> independent_columns(
    ...     pd.DataFrame({"web": [1, 0, 1], "ios": [0, 1, 0], "flat": [2, 2, 2]}), ["web", "ios", "flat"]
    ... )
    ['web']
    """
    products, names = _products(table, covariates)
    kept: list[int] = []
    for place in range(len(names)):
        if _left(products, place, kept) > SMALLEST_LEFT:
            kept.append(place)
    return [names[place] for place in kept]


def _products(table: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Correlations of the columns that vary, and their names; summed in blocks of rows, so that no copy is made."""
    moments = {name: _mean_and_spread(table[name].to_numpy(dtype=float)) for name in names}
    known = [name for name, (_, spread) in moments.items() if spread > 0]
    means, spreads = np.array([moments[name] for name in known]).reshape(-1, 2).T
    found = np.zeros((len(known), len(known)))
    for first in range(0, len(table), ROWS_AT_ONCE):
        block = table.iloc[first : first + ROWS_AT_ONCE][known].to_numpy(dtype=float)
        block = (block - means) / spreads
        found += block.T @ block
    return found / max(len(table), 1), known


def _mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)


def _left(products: np.ndarray, of: int, given: Sequence[int]) -> float:
    """The share of a column's variance that is left given others, 0 to 1."""
    if not given:
        return float(products[of, of])
    inner, cross = products[np.ix_(given, given)], products[list(given), of]
    return max(float(products[of, of] - cross @ np.linalg.lstsq(inner, cross, rcond=None)[0]), 0.0)


def benchmark(
    table: pd.DataFrame,
    *,
    groups: Mapping[str, Sequence[str]],
    outcome: str,
    estimate: float | None,
    standard_error: float | None,
) -> Benchmark:
    """Every group of measured covariates taken as the measure of an unmeasured one; the one that leaves least is told.

    A group is what one says in one breath ("activity before"): one of several columns that say nearly the same explains
    little beside the others, and would be a mild benchmark. Partial R squared come from linear regressions.

    Args:
        standard_error: of the estimate, clustered where units are.
    """
    if estimate is None or not standard_error:
        return Benchmark(None, None, False, None, 0, "there is no estimate to move")
    rows = table[["treated", outcome, *dict.fromkeys(c for own in groups.values() for c in own)]].dropna()
    used = independent_columns(rows, [c for own in groups.values() for c in own])
    freedom = len(rows) - len(used) - 2
    products, names = _products(rows, [*used, "treated", outcome])
    if not used or freedom < 2 or names[-2:] != ["treated", outcome]:
        return Benchmark(None, None, False, None, max(freedom, 0), "no covariate measured before exposure varies")
    t, y = len(used), len(used) + 1
    left_of_t, left_of_y = _left(products, t, range(t)), _left(products, y, range(y))
    spread = float(rows[outcome].to_numpy(dtype=float).std() / rows["treated"].to_numpy(dtype=float).std())
    plain_error = spread * sqrt(left_of_y / max(left_of_t, SMALLEST_LEFT) / freedom)
    bounds: dict[str, Bounded] = {}
    for name, own in groups.items():
        others = [place for place, column in enumerate(used) if column not in own]
        if len(others) == len(used):
            continue
        with_treatment = 1 - left_of_t / max(_left(products, t, others), SMALLEST_LEFT)
        with_outcome = 1 - left_of_y / max(_left(products, y, [*others, t]), SMALLEST_LEFT)
        strength = {"r2_treatment": max(with_treatment, 0.0), "r2_outcome": max(with_outcome, 0.0)}
        found = bounded_estimate(estimate, standard_error=plain_error, freedom=freedom, **strength)
        if found is None:
            reason = f"a confounder like {name!r} could explain all of the exposure"
            return Benchmark(name, None, False, plain_error, freedom, reason)
        half = (found.ci_high - found.estimate) * standard_error / plain_error
        bounds[name] = Bounded(found.estimate, found.estimate - half, found.estimate + half)
    sign = 1 if estimate >= 0 else -1
    nearest = min(bounds, key=lambda name: min(sign * bounds[name].ci_low, sign * bounds[name].ci_high))
    limits = bounds[nearest]
    is_survived = min(sign * limits.ci_low, sign * limits.ci_high) > 0
    return Benchmark(nearest, limits, is_survived, plain_error, freedom, None)
