"""How much an unmeasured confounder as strong as the strongest measured one would change an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t
from statsmodels.regression.linear_model import OLS


class Bounded(NamedTuple):
    """What is left of an estimate, with its limits, if a confounder of the stated strength had been
    adjusted for too.
    """

    estimate: float
    ci_low: float
    ci_high: float


class Benchmark(NamedTuple):
    """The measured covariate whose like would change the estimate most, and what would be left; or why there is none.

    `is_survived`: the limits of what is left stay on the side of 0 on which the estimate lies.
    """

    covariate: str | None
    left: Bounded | None
    is_survived: bool
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
    kept: list[str] = []
    columns = [np.ones(len(table))]
    for name in covariates:
        values = table[name].to_numpy(dtype=float)
        spread = values.std() if len(values) else 0.0
        if not spread > 0:
            continue
        columns.append((values - values.mean()) / spread)
        if np.linalg.matrix_rank(np.column_stack(columns)) == len(columns):
            kept.append(name)
        else:
            columns.pop()
    return kept


def benchmark(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    outcome: str,
    estimate: float | None,
    standard_error: float | None,
) -> Benchmark:
    """Every measured covariate taken as the measure of an unmeasured one; the one that leaves least is told.

    Partial R squared come from linear regressions: t^2 / (t^2 + degrees of freedom).
    """
    if estimate is None or not standard_error:
        return Benchmark(None, None, False, "there is no estimate to move")
    rows = table.dropna(subset=["treated", outcome, *covariates])
    used = independent_columns(rows, covariates)
    freedom = len(rows) - len(used) - 2
    if not used or freedom < 2:
        return Benchmark(None, None, False, "no covariate measured before exposure varies")
    if _determine(rows, used):
        alone = [name for name in used if _determine(rows, [name])]
        if alone:
            return Benchmark(alone[0], None, False, f"a confounder like {alone[0]!r} could explain all of the exposure")
        return Benchmark(None, None, False, "the measured covariates together explain all of the exposure")
    design = rows[used].assign(constant=1.0).astype(float)
    with_treatment = _partial_r2(rows["treated"], design, used)
    with_outcome = _partial_r2(rows[outcome], design.assign(treated=rows["treated"].astype(float)), used)
    left = [
        bounded_estimate(
            estimate,
            standard_error=standard_error,
            freedom=freedom,
            r2_treatment=d,
            r2_outcome=y,
        )
        for d, y in zip(with_treatment, with_outcome, strict=True)
    ]
    bounds = [b for b in left if b is not None]
    if len(bounds) < len(left):
        worst = used[[b is None for b in left].index(True)]
        return Benchmark(worst, None, False, f"a confounder like {worst!r} could explain all of the exposure")
    sign = 1 if estimate >= 0 else -1
    nearest = min(range(len(bounds)), key=lambda i: min(sign * bounds[i].ci_low, sign * bounds[i].ci_high))
    found = bounds[nearest]
    return Benchmark(used[nearest], found, min(sign * found.ci_low, sign * found.ci_high) > 0, None)


def _determine(rows: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether the exposure follows from these (independent) covariates: then no regression on both has one answer."""
    values = rows[[*names, "treated"]].to_numpy(dtype=float)
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), np.finfo(float).tiny)
    return bool(np.linalg.matrix_rank(scaled) <= len(names))


def _partial_r2(values: pd.Series, design: pd.DataFrame, names: Sequence[str]) -> list[float]:
    fitted = OLS(values.astype(float).to_numpy(), design).fit()
    squares = np.square(fitted.tvalues[list(names)].to_numpy(dtype=float))
    return [float(s / (s + fitted.df_resid)) if np.isfinite(s) else 1.0 for s in squares]
