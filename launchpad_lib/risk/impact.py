"""What to look at first: probability x affected users x severity, with how sure the order is."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from launchpad_lib.risk.model import STRENGTH, Evaluation, predict
from launchpad_lib.risk.panel import INPUTS
from launchpad_lib.risk.scores import feature_weights

DRAWS = 400
WORDS = {
    "p95_over_slo": "p95 close to or over its objective",
    "p95_change": "p95 above its week",
    "p95_volatility": "p95 that jumps from day to day",
    "breaches_before": "objectives missed on recent days",
    "error_rate_before": "errors",
    "crash_share_before": "crashes",
    "deploys_before": "a recent deployment",
}
IMPACT_COLUMNS = (
    "rank",
    "feature_id",
    "impact_score",
    "ci_low",
    "ci_high",
    "rank_low",
    "rank_high",
    "p_degrade",
    "p_low",
    "p_high",
    "users_per_week",
    "severity",
    "because",
)


def published_scores(
    panel: pd.DataFrame,
    evaluation: Evaluation,
    states: pd.DataFrame,
    *,
    users_per_week: pd.Series,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Grain: as `score`, of the features that are healthy now; no row where the score could not be tested."""
    healthy = states.loc[states["state"] == "healthy", "feature_id"]
    if evaluation.chosen is None:
        return pd.DataFrame(columns=list(IMPACT_COLUMNS))
    return score(panel, chosen=evaluation.chosen, users_per_week=users_per_week, only=set(healthy), rng=rng)


def score(
    panel: pd.DataFrame,
    *,
    chosen: str,
    users_per_week: pd.Series,
    rng: np.random.Generator,
    draws: int = DRAWS,
    only: Collection[str] | None = None,
) -> pd.DataFrame:
    """Grain: one row per feature, as of its last day, highest impact first.

    impact_score = p_degrade x users_per_week x severity; severity = p95 over its objective (mean of 3 days), at least
    1. Intervals of score and rank: the score is learned again from bootstrap samples of whole features (persistence:
    Jeffreys draws of the breach share; base rate: of the share of degradations). `because`: the input farthest above
    the features' usual.

    Args:
        users_per_week: by feature_id, distinct users met in the last 7 days; 0 where the feature is not named.
        only: the features to rank; all where it is not given. What is learned is learned from all.
    """
    known = panel.dropna(subset=["degrades"])
    latest = (
        panel.sort_values("as_of_on").groupby("feature_id").tail(1).sort_values("feature_id").reset_index(drop=True)
    )
    if only is not None:
        latest = latest[latest["feature_id"].isin(list(only))].reset_index(drop=True)
    if latest.empty or known.empty:
        return pd.DataFrame(columns=list(IMPACT_COLUMNS))
    p, drawn = predict(chosen, known, latest), _draws(chosen, known, latest, rng=rng, draws=draws)
    users = users_per_week.reindex(latest["feature_id"]).fillna(0).to_numpy(dtype=float)
    severity = latest["p95_over_slo"].clip(lower=1.0).to_numpy(dtype=float)
    weight = users * severity
    ranks = (-(drawn * weight)).argsort(axis=1, kind="stable").argsort(axis=1) + 1
    spread = (known[list(INPUTS)].std().replace(0, np.nan)).to_numpy(dtype=float)
    above = np.nan_to_num(
        (latest[list(INPUTS)].to_numpy(dtype=float) - known[list(INPUTS)].mean().to_numpy(dtype=float)) / spread
    )
    reasons = [WORDS[INPUTS[row.argmax()]] if row.max() > 0.5 else "nothing unusual" for row in above]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    table = latest[["feature_id"]].assign(
        impact_score=p * weight,
        ci_low=low * weight,
        ci_high=high * weight,
        p_degrade=p,
        p_low=low,
        p_high=high,
        users_per_week=users,
        severity=severity,
        because=reasons,
        rank_low=np.quantile(ranks, 0.025, axis=0, method="inverted_cdf"),
        rank_high=np.quantile(ranks, 0.975, axis=0, method="inverted_cdf"),
    )
    table = table.sort_values(["impact_score", "feature_id"], ascending=[False, True]).reset_index(drop=True)
    return table.assign(rank=range(1, len(table) + 1))[list(IMPACT_COLUMNS)]


def is_first_known(ranked: pd.DataFrame) -> bool:
    """Whether the first feature is first in 95 % of the draws: otherwise the order cannot be told.

    >>> is_first_known(pd.DataFrame({"rank_high": [1, 3]})), is_first_known(pd.DataFrame({"rank_high": [8, 8]}))
    (True, False)
    """
    return len(ranked) > 1 and int(ranked["rank_high"].iloc[0]) == 1


def in_order_to_look(ranked: pd.DataFrame) -> pd.DataFrame:
    """The rows by impact where the first can be told; otherwise by users, since the ranks say nothing."""
    if is_first_known(ranked):
        return ranked
    return ranked.sort_values(["users_per_week", "feature_id"], ascending=[False, True]).reset_index(drop=True)


def risk_table(states: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature: `unit, as_of, probability, ci_low, ci_high, state`.

    A probability is there only for a healthy feature that was scored: one that is degraded has nothing left to predict,
    and of one that cannot be judged now nothing is said about later.

    Args:
        states: of `state_table`. ranked: of `score`; empty where no probability is published.
    """
    scored = ranked[["feature_id", "p_degrade", "p_low", "p_high"]].rename(
        columns={"p_degrade": "probability", "p_low": "ci_low", "p_high": "ci_high"}
    )
    table = states.merge(scored, on="feature_id", how="left").rename(
        columns={"feature_id": "unit", "as_of_on": "as_of"}
    )
    numbers = ["probability", "ci_low", "ci_high"]
    shown = table[numbers].astype(float).where(table["state"] == "healthy")
    return table.assign(**{c: shown[c] for c in numbers})


def _draws(
    chosen: str, known: pd.DataFrame, latest: pd.DataFrame, *, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """Probabilities (draw, feature) under the uncertainty of what was learned."""
    if chosen == "persistence":
        breaches = latest["breaches_before"].to_numpy(dtype=float)
        return rng.beta(breaches + 0.5, 7 - breaches + 0.5, size=(draws, len(latest)))
    weights = feature_weights(known["feature_id"].to_numpy(dtype=str), rng=rng, draws=draws)[1:]
    truth = known["degrades"].to_numpy(dtype=float)
    if chosen == "base rate" or len(np.unique(truth)) < 2:
        return np.repeat((weights @ truth / weights.sum(axis=1))[:, None], len(latest), axis=1)
    inputs = list(INPUTS) if chosen == "model" else ["breaches_before"]
    return refitted_probabilities(
        known[inputs].to_numpy(dtype=float), truth, latest[inputs].to_numpy(dtype=float), weights
    )


def refitted_probabilities(
    x: np.ndarray,
    truth: np.ndarray,
    x_new: np.ndarray,
    weights: np.ndarray,
    *,
    penalty: float = 1 / STRENGTH,
    steps: int = 12,
) -> np.ndarray:
    """Probabilities (draw, new row) of the model's penalised logistic regression refitted under each row of weights at
    once (Newton).
    """
    mean, sd = x.mean(axis=0), x.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    old, new = ((np.c_[np.ones(len(v)), (v - mean) / sd]) for v in (x, x_new))
    ridge = np.diag([1e-6, *[penalty] * x.shape[1]])
    beta = np.zeros((len(weights), old.shape[1]))
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(beta @ old.T, -30, 30)))
        gradient = (weights * (p - truth)) @ old + beta @ ridge
        curvature = np.einsum("bn,ni,nj->bij", weights * p * (1 - p), old, old, optimize=True) + ridge
        beta = beta - np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
    return 1 / (1 + np.exp(-np.clip(beta @ new.T, -30, 30)))
