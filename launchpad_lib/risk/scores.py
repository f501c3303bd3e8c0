"""Ranking and probability scores with intervals: whole features are drawn, since the days of one feature resemble each
other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm


def feature_weights(features: np.ndarray, *, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Rows: the sample itself, then `draws` bootstrap samples of whole features; columns: the weight of each row of the
    panel.
    """
    _, code = np.unique(features, return_inverse=True)
    count = int(code.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    return np.vstack([np.ones(len(code)), drawn[:, code]])


def ranking_scores(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PR-AUC (average precision) and ROC-AUC per row of weights; ties of the score count together.

    NaN where a draw has one outcome only.
    """
    _, group = np.unique(-score, return_inverse=True)
    indicator = np.zeros((len(truth), int(group.max()) + 1))
    indicator[np.arange(len(truth)), group] = 1.0
    hits, misses = (weights * truth) @ indicator, (weights * (1 - truth)) @ indicator
    seen_hits, seen_misses = np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)
    positives, negatives = seen_hits[:, -1:], seen_misses[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen_hits + seen_misses > 0, seen_hits / (seen_hits + seen_misses), 0.0)
        average_precision = (hits * precision).sum(axis=1) / positives[:, 0]
        area = ((seen_hits - hits / 2) * misses).sum(axis=1) / (positives * negatives)[:, 0]
    return average_precision, area


def brier(truth: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities, per row of weights."""
    return weights @ (p - truth) ** 2 / weights.sum(axis=1)


def interval(draws: np.ndarray) -> tuple[float | None, float | None]:
    """Percentile interval of the draws after the first row, which is the sample; None where fewer than half of the
    draws have a value.
    """
    known = draws[1:][np.isfinite(draws[1:])]
    if 2 * len(known) < len(draws) - 1:
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def recall_at_top(test: pd.DataFrame, p: np.ndarray, weights: np.ndarray, *, top: int) -> np.ndarray:
    """Of the feature-days that degrade, the share among the `top` features of their day, per row of weights; ties by
    feature name.
    """
    ranked = test.assign(p=p).sort_values(["as_of_on", "p", "feature_id"], ascending=[True, False, True])
    is_top = (ranked.groupby("as_of_on").cumcount() < top).reindex(test.index).to_numpy(dtype=float)
    truth = test["degrades"].to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ (truth * is_top) / (weights @ truth)


BIN_COLUMNS = ("predicted", "observed", "n", "ci_low", "ci_high")


def reliability_bins(truth: np.ndarray, p: np.ndarray, *, bins: int = 5) -> pd.DataFrame:
    """Grain: one row per bin of about equal counts of predictions: predicted (mean), observed, n, ci_low, ci_high.

    Wilson limits with the rows taken for independent; days of one feature are not, so they are too narrow rather than
    too wide.
    """
    edges = np.unique(np.quantile(p, np.arange(1, bins) / bins))
    frame = pd.DataFrame({"bin": np.searchsorted(edges, p, side="right"), "p": p, "y": truth})
    result = (
        frame.groupby("bin")
        .agg(predicted=("p", "mean"), observed=("y", "mean"), n=("y", "size"))
        .reset_index(drop=True)
    )
    z, n, share = norm.ppf(0.975), result["n"], result["observed"]
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return result.assign(ci_low=(centre - half).clip(lower=0), ci_high=(centre + half).clip(upper=1))
