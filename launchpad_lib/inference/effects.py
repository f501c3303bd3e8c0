"""Average effects of something that was not randomised: cross-fitted augmented inverse-probability weighting, users as
clusters, and for each of three populations whether the data can carry its effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import exp, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from launchpad_lib.inference.nuisances import ModelName, Nuisance, crossfit, user_folds

Estimand = Literal["ATE", "ATT", "ATO"]
ESTIMANDS: tuple[Estimand, ...] = ("ATE", "ATT", "ATO")
MINIMUM_PER_GROUP = 30
# A unit is out of reach where its chance of the other arm is under a twentieth of that arm's share. A chance that is
# small for everybody is not missing overlap.
OUT_OF_REACH = 1 / 20
MOST_OUT_OF_REACH = 0.05
# Beyond this the covariates tell who is treated, and nobody could have gone either way.
LARGEST_AUC = 0.995
# What weighting may leave beyond chance; the outcome models take out the rest.
BALANCE_LIMIT = 0.25
CHANCE = 3.5
BALANCE_COLUMNS = ("covariate", "mean_treated", "mean_control", "smd_before", "smd_ate", "smd_att", "smd_ato")


class Effect(NamedTuple):
    """An effect (difference of means, treated minus control) in one population, or the reason why there is none.

    ATE: everybody; ATT: the treated; ATO: those who could have gone either way, each by e (1 - e). Limits are clustered
    by user.
    `effective_treated`, `effective_control`: users after weighting (Kish); `largest_smd`: of a covariate, after it.
    """

    estimand: Estimand
    absolute_lift: float | None
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None
    mean_treated: float | None
    mean_control: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    n_treated: int
    n_control: int
    users: int
    effective_treated: float | None
    effective_control: float | None
    largest_smd: float | None
    refused_because: str | None

    def at_level(self, level: float) -> Effect:
        """The same estimate with limits of another level."""
        if self.absolute_lift is None or self.standard_error is None:
            return self
        half = float(student.ppf((1 + level) / 2, self.users - 1)) * self.standard_error
        return self._replace(ci_low=self.absolute_lift - half, ci_high=self.absolute_lift + half)


class CrossFit(NamedTuple):
    """The effects, the balance table (`BALANCE_COLUMNS`), and the models that were chosen."""

    ate: Effect
    att: Effect
    ato: Effect
    balance: pd.DataFrame
    models: tuple[ModelName, ...]

    def of(self, estimand: Estimand) -> Effect:
        """The effect in one population."""
        return {"ATE": self.ate, "ATT": self.att, "ATO": self.ato}[estimand]

    @property
    def best(self) -> Effect:
        """The effect for everybody; where it is refused for those who could have gone either way."""
        return self.ate if self.ate.refused_because is None or self.ato.refused_because else self.ato


def standardised_difference(values: np.ndarray, treated: np.ndarray, weights: np.ndarray) -> float:
    """(weighted mean treated - weighted mean control) / sqrt of the mean of the two unweighted variances
    (Austin 2009).
    """
    is_treated = treated == 1
    spread = np.sqrt((values[is_treated].var(ddof=1) + values[~is_treated].var(ddof=1)) / 2)
    gap = np.average(values[is_treated], weights=weights[is_treated]) - np.average(
        values[~is_treated], weights=weights[~is_treated]
    )
    return float(gap / spread) if spread > 0 else 0.0


def effective_size(weights: np.ndarray) -> float:
    """Kish: (sum w)^2 / sum w^2."""
    total = float((weights**2).sum())
    return float(weights.sum() ** 2 / total) if total else 0.0


def crossfit_effects(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    rng: np.random.Generator,
    outcome: str = "returned",
    cluster: str | None = None,
    folds: int = 5,
    min_group: int = MINIMUM_PER_GROUP,
    level: float = 0.95,
) -> CrossFit:
    """Effects of `treated` on `outcome` in three populations.

    The models (`inference.nuisances`) never see the user they predict for. With e the propensity and m1, m0 the mean
    outcomes: ATE and ATT by Robins, Rotnitzky and Zhao (1994) and Chernozhukov et al. (2018); ATO by the residuals
    sum (t - e) (y - m) / sum (t - e)^2, m = e m1 + (1 - e) m0 (Robinson 1988), which averages by e (1 - e) (Li, Morgan
    and Zaslavsky 2018). Each is refused on its own: where too many of its population are out of reach of the other arm,
    too few users are left after weighting, or weighting leaves a covariate apart by more than chance and 0.25.

    Args:
        covariates: numbers without NULL; those that do not vary are left out.
        cluster: the column of the users; None takes every row for one.
    """
    t, y = table["treated"].to_numpy(dtype=np.int64), table[outcome].to_numpy(dtype=float)
    # Numbered as they come: the draws hang on the order of the rows, not on what users are called.
    users = np.arange(len(table)) if cluster is None else pd.factorize(table[cluster].to_numpy())[0]
    used = [c for c in covariates if len(table) and np.ptp(table[c].to_numpy(dtype=float)) != 0]
    counts = (int(t.sum()), int((1 - t).sum()), len(np.unique(users)))
    reason = _cannot_be_asked(table[used], t, y, users, folds, min_group)
    if reason:
        return _refused(reason, counts)
    x = table[used].to_numpy(dtype=np.float32)
    marks = 2 * t + (y > np.median(y))
    fold = user_folds(users, marks, folds=folds, rng=rng)
    propensity, control, treated = _nuisances(x, t, y, fold, users, rng)
    models = (propensity.model, control.model, treated.model)
    share = float(t.mean())
    if _auc(t, propensity.predicted) > LARGEST_AUC:
        return _refused("what was known before tells who is treated, so nobody can be compared", counts)
    floor, ceiling = OUT_OF_REACH * share, 1 - OUT_OF_REACH * (1 - share)
    e = np.clip(propensity.predicted, floor, ceiling)
    out = {
        "ATE": float(np.mean((propensity.predicted < floor) | (propensity.predicted > ceiling))),
        "ATT": float(np.mean(propensity.predicted[t == 1] > ceiling)),
        "ATO": 0.0,
    }
    weights = {
        "ATE": np.where(t == 1, 1 / e, 1 / (1 - e)),
        "ATT": np.where(t == 1, 1.0, e / (1 - e)),
        "ATO": np.where(t == 1, 1 - e, e),
    }
    balance = _balance(x, used, t, weights)
    found = []
    for estimand in ESTIMANDS:
        parts = _parts(estimand, t, y, e, treated.predicted, control.predicted)
        effect = _effect(estimand, *parts, users=users, counts=counts, level=level)
        sizes = tuple(effective_size(np.bincount(users[t == arm], weights[estimand][t == arm])) for arm in (1, 0))
        apart = balance[f"smd_{estimand.lower()}"].abs()
        worst = balance["covariate"][apart.idxmax()]
        effect = effect._replace(effective_treated=sizes[0], effective_control=sizes[1], largest_smd=float(apart.max()))
        reason = _lacks_support(out[estimand], sizes, float(apart.max()), worst, min_group)
        found.append(effect if reason is None else _without_numbers(effect, reason))
    ate, att, ato = found
    return CrossFit(ate, att, ato, balance, models)


def _cannot_be_asked(
    covariates: pd.DataFrame, t: np.ndarray, y: np.ndarray, users: np.ndarray, folds: int, min_group: int
) -> str | None:
    """Why no effect can be estimated at all, else None."""
    smallest = max(min_group, 2 * folds)
    arms = [t == 1, t == 0]
    if min(int(arm.sum()) for arm in arms) < smallest:
        sizes = [int(arm.sum()) for arm in arms]
        return f"{sizes[0]} treated and {sizes[1]} untreated units; each group needs {smallest}"
    people = [len(np.unique(users[arm])) for arm in arms]
    if min(people) < smallest:
        return f"they are of {people[0]} treated and {people[1]} untreated users; each group needs {smallest}"
    unknown = int(np.isnan(y).sum())
    if unknown:
        return f"the outcome is unknown for {unknown:,} of {len(y):,} units"
    if np.ptp(y) == 0:
        return "the outcome is the same for all"
    if min(np.ptp(y[arm]) for arm in arms) == 0:
        return "in one group the outcome is the same for all, so it cannot be modelled"
    missing = [c for c in covariates.columns if covariates[c].isna().any()]
    if missing:
        return f"the covariate {missing[0]} is missing for {int(covariates[missing[0]].isna().sum()):,} units"
    return None if len(covariates.columns) else "no covariate measured before exposure varies"


def _nuisances(
    x: np.ndarray, t: np.ndarray, y: np.ndarray, fold: np.ndarray, users: np.ndarray, rng: np.random.Generator
) -> list[Nuisance]:
    """Propensity, mean of the control, mean of the treated. Each fit has one thread, whatever else the machine does, so
    that the digits are the same everywhere; two fits run side by side.
    """
    arms: list[dict[str, Any]] = [{}, {"treated": t, "arm": 0}, {"treated": t, "arm": 1}]
    with threadpool_limits(limits=1), ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(_alone, x, y if own else t.astype(float), fold, users=users, rng=luck, **own)
            for own, luck in zip(arms, rng.spawn(3), strict=True)
        ]
        return [done.result() for done in waiting]


def _alone(*given: Any, **asked: Any) -> Nuisance:
    """`crossfit` with one OpenMP thread: that limit belongs to the thread that sets it."""
    with threadpool_limits(limits=1, user_api="openmp"):
        return crossfit(*given, **asked)


def _auc(t: np.ndarray, score: np.ndarray) -> float:
    """The chance that a treated unit has the larger score."""
    ranks, n1 = rankdata(score), int(t.sum())
    return float((ranks[t == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(t) - n1)))


def _parts(
    estimand: Estimand, t: np.ndarray, y: np.ndarray, e: np.ndarray, m1: np.ndarray, m0: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per unit: what adds to the mean outcome of the treated, of the control, and to the denominator of both."""
    if estimand == "ATE":
        return m1 + t * (y - m1) / e, m0 + (1 - t) * (y - m0) / (1 - e), np.ones(len(t))
    if estimand == "ATT":
        return t * y, t * m0 + (1 - t) * e / (1 - e) * (y - m0), t.astype(float)
    squared = np.square(t - e)
    return squared * m1 + t * (1 - e) * (y - m1), squared * m0 + (1 - t) * e * (y - m0), squared


def _effect(
    estimand: Estimand,
    one: np.ndarray,
    zero: np.ndarray,
    denominator: np.ndarray,
    *,
    users: np.ndarray,
    counts: tuple[int, int, int],
    level: float,
) -> Effect:
    """Difference and ratio of the two means, with limits from the influence of each user."""
    total = float(denominator.sum())
    m1, m0 = float(one.sum() / total), float(zero.sum() / total)
    own1, own0 = ((part - mean * denominator) / total for part, mean in ((one, m1), (zero, m0)))
    error = _clustered(own1 - own0, users)
    quantile = float(student.ppf((1 + level) / 2, counts[2] - 1))
    ratio = ratio_low = ratio_high = None
    if m1 > 0 and m0 > 0:
        half = quantile * _clustered(own1 / m1 - own0 / m0, users)
        ratio, ratio_low, ratio_high = (m1 / m0 * exp(min(k * half, 700.0)) for k in (0, -1, 1))
    lift = m1 - m0
    return Effect(
        estimand, lift, error, lift - quantile * error, lift + quantile * error, m1, m0, ratio, ratio_low, ratio_high,
        *counts, None, None, None, None,
    )  # fmt: skip


def _clustered(influence: np.ndarray, users: np.ndarray) -> float:
    """Standard error of the sum of influences, those of a user together."""
    sums = np.bincount(users, influence)
    return sqrt(float(np.square(sums).sum()) * len(sums) / max(len(sums) - 1, 1))


def _balance(x: np.ndarray, names: Sequence[str], t: np.ndarray, weights: dict[str, np.ndarray]) -> pd.DataFrame:
    flat, rows = np.ones(len(t)), []
    for i, name in enumerate(names):
        values = x[:, i].astype(float)
        means = (float(values[t == 1].mean()), float(values[t == 0].mean()))
        after = [standardised_difference(values, t, weights[estimand]) for estimand in ESTIMANDS]
        rows.append((name, *means, standardised_difference(values, t, flat), *after))
    return pd.DataFrame(rows, columns=list(BALANCE_COLUMNS))


def _lacks_support(out: float, sizes: tuple[float, ...], apart: float, worst: str, min_group: int) -> str | None:
    """Why the data cannot carry the effect in this population, else None."""
    if out > MOST_OUT_OF_REACH:
        return f"{100 * out:.0f} % of these units had hardly a chance of the other arm: the groups hardly overlap"
    if min(sizes) < min_group / 2:
        return f"after weighting {min(sizes):.0f} users are left of a group: the groups hardly overlap"
    chance = CHANCE * sqrt(1 / sizes[0] + 1 / sizes[1])
    if apart > BALANCE_LIMIT + chance:
        return f"weighting leaves a standardised difference of {apart:.2f} in {worst}, {BALANCE_LIMIT} or more"
    return None


def _without_numbers(effect: Effect, reason: str) -> Effect:
    """What stays of an effect that is refused: who was counted, and what is left after weighting."""
    return Effect(effect.estimand, *(None,) * 9, *effect[10:16], reason)


def _refused(reason: str, counts: tuple[int, int, int]) -> CrossFit:
    ate, att, ato = (Effect(name, *(None,) * 9, *counts, None, None, None, reason) for name in ESTIMANDS)
    return CrossFit(ate, att, ato, pd.DataFrame(columns=list(BALANCE_COLUMNS)), ())
