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

from launchpad_lib.inference.nuisances import ModelName, Nuisance, binned, crossfit, user_folds
from launchpad_lib.inference.support import (
    BALANCE_COLUMNS,
    balance_table,
    cannot_be_asked,
    effective_size,
    lacks_support,
)

Estimand = Literal["ATE", "ATT", "ATO"]
ESTIMANDS: tuple[Estimand, ...] = ("ATE", "ATT", "ATO")
MINIMUM_PER_GROUP = 30
# A unit is out of reach where its chance of the other arm is under a twentieth of that arm's share. A chance that is
# small for everybody is not missing overlap.
OUT_OF_REACH = 1 / 20
# Beyond this the covariates tell who is treated, and nobody could have gone either way.
LARGEST_AUC = 0.995


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
    asked: dict[str, Any] = {"cluster": cluster, "folds": folds, "min_group": min_group, "level": level}
    return crossfit_outcomes(table, covariates=covariates, rng=rng, outcomes=[outcome], **asked)[0]


def crossfit_outcomes(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    rng: np.random.Generator,
    outcomes: Sequence[str],
    cluster: str | None = None,
    folds: int = 5,
    min_group: int = MINIMUM_PER_GROUP,
    level: float = 0.95,
) -> list[CrossFit]:
    """`crossfit_effects` of several outcomes of the same units: who is treated is learnt once for all of them."""
    t = table["treated"].to_numpy(dtype=np.int64)
    # Numbered as they come: the draws hang on the order of the rows, not on what users are called.
    users = np.arange(len(table)) if cluster is None else pd.factorize(table[cluster].to_numpy())[0]
    counts = (int(t.sum()), int((1 - t).sum()), int(users.max(initial=-1)) + 1)
    x, used = _varying(table, covariates)
    ys = [table[outcome].to_numpy(dtype=float) for outcome in outcomes]
    smallest = max(min_group, 2 * folds)
    reasons = [cannot_be_asked(x, used, t, y, users, smallest=smallest) for y in ys]
    asked = [y for y, reason in zip(ys, reasons, strict=True) if reason is None]
    if not asked:
        return [_refused(str(reason), counts) for reason in reasons]
    marks = t
    for y in asked:
        marks = 2 * marks + (y > np.median(y))
    propensity, *means = _nuisances(x, t, asked, user_folds(users, marks, folds=folds, rng=rng), users, rng)
    if _auc(t, propensity.predicted) > LARGEST_AUC:
        told = "what was known before tells who is treated, so nobody can be compared"
        return [_refused(reason or told, counts) for reason in reasons]
    reach = _reach(t, propensity.predicted)
    balance = balance_table(x, used, t, reach.weights)
    pairs = iter(zip(asked, means[::2], means[1::2], strict=True))

    def fitted() -> CrossFit:
        y, control, treated = next(pairs)
        given: dict[str, Any] = {"users": users, "counts": counts, "level": level, "min_group": min_group}
        ate, att, ato = (_told(name, t, y, (treated, control), reach, balance, **given) for name in ESTIMANDS)
        return CrossFit(ate, att, ato, balance, (propensity.model, control.model, treated.model))

    return [fitted() if reason is None else _refused(reason, counts) for reason in reasons]


def _varying(table: pd.DataFrame, covariates: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The covariates that vary as one matrix, and their names."""
    used = [c for c in covariates if len(table) and np.ptp(table[c].to_numpy(dtype=float)) != 0]
    x = np.empty((len(table), len(used)), np.float32)
    for place, name in enumerate(used):
        x[:, place] = table[name]
    return x, used


class _Reach(NamedTuple):
    """Chances of treatment within reach, the weights of each population, and the share of it that is out of reach."""

    e: np.ndarray
    weights: dict[str, np.ndarray]
    out: dict[str, float]


def _reach(t: np.ndarray, chance: np.ndarray) -> _Reach:
    share = float(t.mean())
    floor, ceiling = OUT_OF_REACH * share, 1 - OUT_OF_REACH * (1 - share)
    e = np.clip(chance, floor, ceiling)
    out = {
        "ATE": float(np.mean((chance < floor) | (chance > ceiling))),
        "ATT": float(np.mean(chance[t == 1] > ceiling)),
        "ATO": 0.0,
    }
    weights = {
        "ATE": np.where(t == 1, 1 / e, 1 / (1 - e)),
        "ATT": np.where(t == 1, 1.0, e / (1 - e)),
        "ATO": np.where(t == 1, 1 - e, e),
    }
    return _Reach(e, weights, out)


def _told(
    estimand: Estimand,
    t: np.ndarray,
    y: np.ndarray,
    means: tuple[Nuisance, Nuisance],
    reach: _Reach,
    balance: pd.DataFrame,
    *,
    users: np.ndarray,
    counts: tuple[int, int, int],
    level: float,
    min_group: int,
) -> Effect:
    """The effect in one population, or why the data cannot carry it."""
    parts = _parts(estimand, t, y, reach.e, *(one.predicted for one in means))
    effect = _effect(estimand, *parts, users=users, counts=counts, level=level)
    weights = reach.weights[estimand]
    sizes = tuple(effective_size(np.bincount(users[t == arm], weights[t == arm])) for arm in (1, 0))
    apart = balance[f"smd_{estimand.lower()}"].abs()
    effect = effect._replace(effective_treated=sizes[0], effective_control=sizes[1], largest_smd=float(apart.max()))
    worst = str(balance["covariate"][apart.idxmax()])
    reason = lacks_support(reach.out[estimand], sizes, float(apart.max()), worst, min_group)
    return effect if reason is None else _without_numbers(effect, reason)


def _nuisances(
    x: np.ndarray, t: np.ndarray, ys: list[np.ndarray], fold: np.ndarray, users: np.ndarray, rng: np.random.Generator
) -> list[Nuisance]:
    """Propensity, then of each outcome the mean of the control and the mean of the treated. Each fit has one thread,
    whatever else the machine does, so that the digits are the same everywhere; two fits run side by side.
    """
    asked: list[tuple[np.ndarray, dict[str, Any]]] = [(t.astype(float), {})]
    asked += [(y, {"treated": t, "arm": arm}) for y in ys for arm in (0, 1)]
    codes = binned(x)
    with threadpool_limits(limits=1), ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(_alone, x, y, fold, users=users, rng=luck, codes=codes, **own)
            for (y, own), luck in zip(asked, rng.spawn(len(asked)), strict=True)
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


def _without_numbers(effect: Effect, reason: str) -> Effect:
    """What stays of an effect that is refused: who was counted, and what is left after weighting."""
    return Effect(effect.estimand, *(None,) * 9, *effect[10:16], reason)


def _refused(reason: str, counts: tuple[int, int, int]) -> CrossFit:
    ate, att, ato = (Effect(name, *(None,) * 9, *counts, None, None, None, reason) for name in ESTIMANDS)
    return CrossFit(ate, att, ato, pd.DataFrame(columns=list(BALANCE_COLUMNS)), ())
