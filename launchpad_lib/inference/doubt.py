"""How an observed effect could be wrong: E-values, and placebo outcomes that must show nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from launchpad_lib.inference.weighting import Effect, crossfit_effects


class EValue(NamedTuple):
    """How strongly, as a risk ratio, an unmeasured confounder would have to go with both exposure and outcome to explain the
    estimate (`estimate`) or move its interval to 1 (`limit`; 1 where the interval holds 1 already)."""

    estimate: float | None
    limit: float | None


def e_value(ratio: float | None, *, ratio_low: float | None = None, ratio_high: float | None = None) -> EValue:
    """VanderWeele and Ding (2017): RR + sqrt(RR (RR - 1)), for RR under 1 of 1 / RR.

    >>> round(e_value(3.9, ratio_low=1.8, ratio_high=8.7).estimate, 2), round(e_value(3.9, ratio_low=1.8, ratio_high=8.7).limit, 2)
    (7.26, 3.0)
    """
    if ratio is None:
        return EValue(None, None)
    one = _single(ratio)
    if ratio_low is None or ratio_high is None:
        return EValue(one, None)
    if ratio_low <= 1 <= ratio_high:
        return EValue(one, 1.0)
    return EValue(one, _single(ratio_low if ratio > 1 else ratio_high))


def _single(ratio: float) -> float:
    above = ratio if ratio >= 1 else 1 / ratio
    return above + sqrt(above * (above - 1))


def robustness_value(
    estimate: float | None, *, standard_error: float | None, freedom: int, alpha: float | None = None
) -> float | None:
    """Cinelli and Hazlett (2020): the share of what is left of exposure and outcome that an unmeasured confounder must explain
    of *both* to bring the estimate to 0, or, with `alpha`, to bring its interval to 0 (0 where the interval holds 0 already).

    >>> [round(robustness_value(0.09731582, standard_error=0.02325654, freedom=783, alpha=a), 3) for a in (None, 0.05)]
    [0.139, 0.076]
    """
    if estimate is None or not standard_error or freedom < 2:
        return None
    f = abs(estimate) / standard_error / sqrt(freedom)
    if alpha is not None:
        f = max(f - float(t.ppf(1 - alpha / 2, freedom - 1)) / sqrt(freedom - 1), 0.0)
    return 0.5 * (sqrt(f**4 + 4 * f**2) - f**2)


def doubt_table(
    table: pd.DataFrame, *, covariates: Sequence[str], placebos: dict[str, str], rng: np.random.Generator
) -> pd.DataFrame:
    """Grain: one row per placebo: check, absolute_lift, ci_low, ci_high, n, verdict ("no effect", "fails" or "cannot be checked").

    Args:
        placebos: column of an outcome that lies before the exposure -> what it is called. Rows where it is NULL are left out.
            A covariate that is built from the same activity must not be in `covariates`, or the check passes by construction.
    """
    rows = []
    for column, label in placebos.items():
        effect: Effect = crossfit_effects(table, covariates=covariates, outcome=column, rng=rng).ate
        if effect.absolute_lift is None:
            verdict = "cannot be checked"
        else:
            verdict = "no effect" if effect.ci_low <= 0 <= effect.ci_high else "fails"
        rows.append(
            (
                label,
                effect.absolute_lift,
                effect.ci_low,
                effect.ci_high,
                effect.n_treated + effect.n_control,
                verdict,
                effect.refused_because,
            )
        )
    return pd.DataFrame(
        rows, columns=["check", "absolute_lift", "ci_low", "ci_high", "n", "verdict", "refused_because"]
    )
