"""How an observed effect could be wrong: E-values, and placebo outcomes that must show nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from launchpad_lib.inference.effects import MINIMUM_PER_GROUP, Effect, Estimand, crossfit_effects, crossfit_outcomes

SMALLEST_LIMIT = 0.01
PlaceboVerdict = Literal["passes", "fails", "too wide to tell", "cannot be checked"]
DOUBT_COLUMNS = ("check", "estimate", "ci_low", "ci_high", "limit", "n", "verdict", "refused_because")


class EValue(NamedTuple):
    """How strongly, as a risk ratio, an unmeasured confounder would have to go with both exposure and outcome to
    explain the estimate (`estimate`) or move its interval to 1 (`limit`; 1 where the interval holds 1 already).
    """

    estimate: float | None
    limit: float | None


def e_value(ratio: float | None, *, ratio_low: float | None = None, ratio_high: float | None = None) -> EValue:
    """VanderWeele and Ding (2017): RR + sqrt(RR (RR - 1)), for RR under 1 of 1 / RR.

    >>> (
    ...     round(e_value(3.9, ratio_low=1.8, ratio_high=8.7).estimate, 2),
    ...     round(e_value(3.9, ratio_low=1.8, ratio_high=8.7).limit, 2),
    ... )
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
    """Cinelli and Hazlett (2020): the share of what is left of exposure and outcome that an unmeasured confounder must
    explain of *both* to bring the estimate to 0, or, with `alpha`, to bring its interval to 0 (0 where the interval
    holds 0 already).

    >>> [round(robustness_value(0.09731582, standard_error=0.02325654, freedom=783, alpha=a), 3) for a in (None, 0.05)]
    [0.139, 0.076]
    """
    if estimate is None or not standard_error or freedom < 2:
        return None
    f = abs(estimate) / standard_error / sqrt(freedom)
    if alpha is not None:
        f = max(f - float(t.ppf(1 - alpha / 2, freedom - 1)) / sqrt(freedom - 1), 0.0)
    return 0.5 * (sqrt(f**4 + 4 * f**2) - f**2)


class Placebo(NamedTuple):
    """An outcome that lies before the exposure: its column, and what it is called."""

    column: str
    label: str


def placebo_limit(estimate: float | None) -> float:
    """How far a placebo's interval may reach: the larger of 1 point and a third of the estimate that it defends.

    >>> placebo_limit(0.09), placebo_limit(0.01), placebo_limit(None)
    (0.03, 0.01, 0.01)
    """
    return max(SMALLEST_LIMIT, abs(estimate or 0.0) / 3)


def placebo_verdict(ci_low: float | None, ci_high: float | None, *, limit: float) -> PlaceboVerdict:
    """Equivalence, not "the interval holds 0": a check that is merely too wide passes nothing.

    >>> [placebo_verdict(*ci, limit=0.02) for ci in ((-0.01, 0.015), (-0.1, 0.1), (0.01, 0.1), (None, None))]
    ['passes', 'too wide to tell', 'fails', 'cannot be checked']
    """
    if ci_low is None or ci_high is None:
        return "cannot be checked"
    if -limit <= ci_low and ci_high <= limit:
        return "passes"
    return "too wide to tell" if ci_low <= 0 <= ci_high else "fails"


def doubt_table(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    placebos: Sequence[Placebo],
    estimate: float | None,
    rng: np.random.Generator,
    estimand: Estimand = "ATE",
    cluster: str | None = None,
    min_group: int = MINIMUM_PER_GROUP,
) -> pd.DataFrame:
    """Grain: one row per placebo: check, estimate, ci_low, ci_high, limit, n, verdict, refused_because.

    A placebo that is unknown for more than half of the units, or the same for all, cannot be checked.

    Args:
        placebos: outcomes that lie before the exposure; rows where one is NULL are left out of its check.
            A covariate that is built from the same activity must not be in `covariates`, or the check passes by
            construction.
        estimate: the effect that the checks defend; it decides how far their intervals may reach.
        estimand: the population that it is told for.
    """
    limit = placebo_limit(estimate)
    known = {placebo: table[placebo.column].notna().to_numpy() for placebo in placebos}
    asked: dict[str, Any] = {"covariates": covariates, "rng": rng, "cluster": cluster, "min_group": min_group}
    effects: dict[Placebo, Effect] = {}
    for placebo, there in known.items():
        if placebo in effects or there.sum() * 2 <= len(table):
            continue
        alike = [p for p in placebos if np.array_equal(known[p], there)]  # who is treated is then learnt once
        needed = dict.fromkeys([*covariates, "treated", *([cluster] if cluster else []), *(p.column for p in alike)])
        found = crossfit_outcomes(table.loc[there, list(needed)], outcomes=[p.column for p in alike], **asked)
        effects |= {p: fitted.of(estimand) for p, fitted in zip(alike, found, strict=True)}
    rows = []
    for placebo, there in known.items():
        n, effect = int(there.sum()), effects.get(placebo)
        numbers = (None, None, None) if effect is None else (effect.absolute_lift, effect.ci_low, effect.ci_high)
        unknown = f"it is known for {n:,} of {len(table):,} units only"
        reason = unknown if effect is None else effect.refused_because
        rows.append((placebo.label, *numbers, limit, n, placebo_verdict(*numbers[1:], limit=limit), reason))
    return pd.DataFrame(rows, columns=list(DOUBT_COLUMNS))


def control_exposure(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    exposure: str,
    label: str,
    estimate: float | None,
    rng: np.random.Generator,
    outcome: str = "returned",
    estimand: Estimand = "ATE",
    cluster: str | None = None,
    min_group: int = MINIMUM_PER_GROUP,
) -> pd.DataFrame:
    """Grain: one row: check, estimate, ci_low, ci_high, limit, n, verdict, refused_because; of a negative control.

    The effect of an exposure that shares the reasons of the real one and cannot matter itself, with the real one among
    what is adjusted for: given that, and everything that drives both, it must show nothing (Lipsitch, Tchetgen Tchetgen
    and Cohen 2010). What it shows is a cause that nobody measured.

    Args:
        exposure: the column (0 or 1) of what cannot matter; `treated` is the real exposure.
    """
    known = {"treated": table[exposure], "was treated": table["treated"], outcome: table[outcome]}
    known |= {name: table[name] for name in (*covariates, *([cluster] if cluster else []))}
    fitted = crossfit_effects(
        pd.DataFrame(known), covariates=[*covariates, "was treated"], rng=rng, outcome=outcome, cluster=cluster,
        min_group=min_group,
    )  # fmt: skip
    effect, limit = fitted.of(estimand), placebo_limit(estimate)
    numbers = (effect.absolute_lift, effect.ci_low, effect.ci_high)
    verdict = placebo_verdict(*numbers[1:], limit=limit)
    row = (label, *numbers, limit, len(table), verdict, effect.refused_because)
    return pd.DataFrame([row], columns=list(DOUBT_COLUMNS))
