"""Average effects by augmented inverse-probability weighting with cross-fitting, and whether the data can
carry them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MINIMUM_PER_GROUP = 30
OVERLAP = (0.02, 0.98)
MOST_TRIMMED = 0.1
BALANCE_LIMIT = 0.1
ALPHA = 0.05
# On a few hundred rows four times as fast as the default solver, with the same result.
SOLVER = "newton-cholesky"


class Effect(NamedTuple):
    """An effect (difference of means, treated minus control) with interval, the two mean outcomes behind it, or the
    reason why there is none.
    """

    method: str
    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None
    mean_treated: float | None
    mean_control: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    n_treated: int
    n_control: int
    refused_because: str | None


class Support(NamedTuple):
    """Whether treated and control can be compared. Effective sample sizes by Kish; `largest_smd` after weighting."""

    n_treated: int
    n_control: int
    effective_treated: float | None
    effective_control: float | None
    trimmed_share: float | None
    largest_smd: float | None
    refused_because: str | None


class CrossFit(NamedTuple):
    """ATE, ATT, the support gate, and the balance table (covariate, mean_treated, mean_control, smd_before,
    smd_after).
    """

    ate: Effect
    att: Effect
    support: Support
    balance: pd.DataFrame


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
    return float(weights.sum() ** 2 / (weights**2).sum())


def _outcome_model(y: np.ndarray):
    if set(np.unique(y)) <= {0.0, 1.0}:
        return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500, solver=SOLVER))
    return make_pipeline(StandardScaler(), RidgeCV(alphas=(0.1, 1.0, 10.0)))


def _predict(model, x: np.ndarray) -> np.ndarray:
    return model.predict_proba(x)[:, 1] if hasattr(model, "predict_proba") else model.predict(x)


def _nuisances(
    x: np.ndarray, t: np.ndarray, y: np.ndarray, *, folds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-fold propensity and mean outcomes; folds are stratified by treatment and, where it is binary, outcome."""
    strata = 2 * t + (y > np.median(y))
    fold = np.empty(len(t), dtype=int)
    for s in np.unique(strata):
        where = rng.permutation(np.flatnonzero(strata == s))
        fold[where] = np.arange(len(where)) % folds
    propensity, control, treated = (np.empty(len(t)) for _ in range(3))
    for k in range(folds):
        train, test = fold != k, fold == k
        propensity[test] = _predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500, solver=SOLVER)).fit(
                x[train], t[train]
            ),
            x[test],
        )
        for arm, out in ((0, control), (1, treated)):
            rows = train & (t == arm)
            constant = np.ptp(y[rows]) == 0
            out[test] = y[rows][0] if constant else _predict(_outcome_model(y).fit(x[rows], y[rows]), x[test])
    return propensity, control, treated


def _effect(method: str, one: np.ndarray, zero: np.ndarray, counts: tuple[int, int]) -> Effect:
    """From influence values whose means are the two mean outcomes: difference and ratio with delta-method intervals."""
    m1, m0, n, z = one.mean(), zero.mean(), len(one), norm.ppf(1 - ALPHA / 2)
    se = (one - zero).std(ddof=1) / np.sqrt(n)
    ratio = ratio_low = ratio_high = None
    if m1 > 0 and m0 > 0:
        se_log = (one / m1 - zero / m0).std(ddof=1) / np.sqrt(n)
        ratio, ratio_low, ratio_high = (float(m1 / m0 * np.exp(k * z * se_log)) for k in (0, -1, 1))
    return Effect(
        method,
        float(m1 - m0),
        float(m1 - m0 - z * se),
        float(m1 - m0 + z * se),
        float(m1),
        float(m0),
        ratio,
        ratio_low,
        ratio_high,
        *counts,
        None,
    )


def _refused(reason: str, counts: tuple[int, int]) -> CrossFit:
    ate, att = (Effect(m, *(None,) * 8, *counts, reason) for m in ("ATE", "ATT"))
    empty = pd.DataFrame(columns=["covariate", "mean_treated", "mean_control", "smd_before", "smd_after"])
    return CrossFit(ate, att, Support(*counts, None, None, None, None, reason), empty)


def crossfit_effects(
    table: pd.DataFrame,
    *,
    covariates: Sequence[str],
    rng: np.random.Generator,
    outcome: str = "returned",
    folds: int = 5,
    repeats: int = 3,
    min_group: int = MINIMUM_PER_GROUP,
) -> CrossFit:
    """ATE and ATT of `treated` on `outcome` by cross-fitted AIPW (Chernozhukov et al. 2018) with regularised (logistic)
    regressions.

    Out-of-fold predictions are averaged over `repeats` splits, so that the number hangs less on one split.
    Refused where a group is smaller than `min_group` (at least two units a fold), a covariate is missing, nothing
    varies, more than a tenth of the units have a propensity outside (0.02, 0.98), or weighting leaves a standardised
    difference of 0.1 or more. Units outside that range are cut from the estimate (`trimmed_share`). The interval is the
    influence function's; covariates that were not measured are not in it.
    """
    frame = table.dropna(subset=["treated", outcome])
    t, y = frame["treated"].to_numpy(dtype=int), frame[outcome].to_numpy(dtype=float)
    counts = (int(t.sum()), int((1 - t).sum()))
    used = [c for c in covariates if frame[c].nunique() > 1]
    smallest = max(min_group, 2 * folds)
    if min(counts) < smallest:
        return _refused(f"{counts[0]} treated and {counts[1]} untreated units; each group needs {smallest}", counts)
    missing = [c for c in used if frame[c].isna().any()]
    if missing:
        unknown = int(frame[missing[0]].isna().sum())
        return _refused(f"the covariate {missing[0]} is missing for {unknown} units", counts)
    if np.ptp(y) == 0:
        return _refused("the outcome is the same for all", counts)
    if not used:
        return _refused("no covariate measured before exposure varies", counts)
    x = frame[used].to_numpy(dtype=float)
    propensity, control, treated = np.mean([_nuisances(x, t, y, folds=folds, rng=rng) for _ in range(repeats)], axis=0)
    inside = (propensity >= OVERLAP[0]) & (propensity <= OVERLAP[1])
    trimmed = float(1 - inside.mean())
    if trimmed > MOST_TRIMMED:
        return _refused(
            f"{100 * trimmed:.0f} % of units have a propensity outside {OVERLAP[0]:g} to {OVERLAP[1]:g}: the "
            "groups hardly overlap",
            counts,
        )
    if min(t[inside].sum(), (1 - t[inside]).sum()) < smallest:
        return _refused("one group lies outside the range in which both occur: the groups hardly overlap", counts)
    x, t, y, e, m0, m1 = x[inside], t[inside], y[inside], propensity[inside], control[inside], treated[inside]
    weights = np.where(t == 1, 1 / e, 1 / (1 - e))
    flat = np.ones(len(t))
    rows = [
        (
            c,
            x[t == 1, i].mean(),
            x[t == 0, i].mean(),
            standardised_difference(x[:, i], t, flat),
            standardised_difference(x[:, i], t, weights),
        )
        for i, c in enumerate(used)
    ]
    balance = pd.DataFrame(rows, columns=["covariate", "mean_treated", "mean_control", "smd_before", "smd_after"])
    largest = float(balance["smd_after"].abs().max())
    sizes = (effective_size(weights[t == 1]), effective_size(weights[t == 0]))
    reason = (
        None
        if largest < BALANCE_LIMIT
        else f"weighting leaves a standardised difference of {largest:.2f}, {BALANCE_LIMIT} or more"
    )
    support = Support(*counts, *sizes, trimmed, largest, reason)
    if reason:
        return _refused(reason, counts)._replace(support=support, balance=balance)
    ate = _effect("ATE", m1 + t * (y - m1) / e, m0 + (1 - t) * (y - m0) / (1 - e), counts)
    share = t.mean()
    odds = e / (1 - e)
    one, zero = t * y / share, (t * m0 + (1 - t) * odds * (y - m0)) / share
    # The share of treated is estimated too: its influence is - (t - share) / share times the mean.
    att = _effect("ATT", one - (t - share) / share * one.mean(), zero - (t - share) / share * zero.mean(), counts)
    return CrossFit(ate, att, support, balance)
