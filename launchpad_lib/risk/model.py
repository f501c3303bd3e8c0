"""The model held against its baselines on later days, and used only where it is shown to be better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from launchpad_lib.risk.panel import INPUTS
from launchpad_lib.risk.scores import (
    BIN_COLUMNS,
    brier,
    feature_weights,
    interval,
    ranking_scores,
    recall_at_top,
    reliability_bins,
)

TEST_SHARE = 0.35
STRENGTH = 0.5
DRAWS = 500
PERMUTATIONS = 20
# Intervals draw whole features: of one feature every draw is the sample itself, and of four there are 35 different
# draws.
FEWEST_FEATURES = 5
IMPORTANCE_COLUMNS = ("input", "brier_rise", "ci_low", "ci_high")


class Evaluation(NamedTuple):
    """`table`: one row per model and baseline: name, pr_auc, roc_auc, brier, brier_skill, recall_at_top, each with _low
    and _high, n_test, positives_test. `chosen`: whose score is used. `gain, gain_low, gain_high`: Brier score of the
    best baseline minus the model's (above 0: model better). `reliability`: bins of the chosen score. `importance`: rise
    of the model's Brier score when an input is shuffled. `refused_because`: why there is no score.
    """

    table: pd.DataFrame
    chosen: str | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    reliability: pd.DataFrame
    importance: pd.DataFrame
    refused_because: str | None


def _fit(rows: pd.DataFrame, inputs: tuple[str, ...] = INPUTS):
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH)).fit(
        rows[list(inputs)].to_numpy(), rows["degrades"].to_numpy()
    )


def predict(name: str, train: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Probabilities for `rows` of the named model or baseline, learned from `train` (one outcome only: its share)."""
    if name in ("model", "best single signal") and train["degrades"].nunique() == 2:
        inputs = INPUTS if name == "model" else ("breaches_before",)
        return _fit(train, inputs).predict_proba(rows[list(inputs)].to_numpy())[:, 1]
    if name == "persistence":
        return np.clip(rows["breaches_before"].to_numpy(dtype=float) / 7, 0.01, 0.99)
    return np.full(len(rows), float(train["degrades"].mean()))


def _refused(reason: str) -> Evaluation:
    """No score; its tables have the columns of an answer and no row, so that a chart of them can say so."""
    bins, inputs = pd.DataFrame(columns=list(BIN_COLUMNS)), pd.DataFrame(columns=list(IMPORTANCE_COLUMNS))
    return Evaluation(pd.DataFrame(), None, None, None, None, bins, inputs, reason)


def evaluate(panel: pd.DataFrame, *, horizon_days: int, rng: np.random.Generator, top: int = 3) -> Evaluation:
    """Holds the model against base rate, persistence and the best single signal on later days.

    The split is by time; `horizon_days` before it are purged, so that no training label sees a test day. Intervals draw
    whole features. The model is used only if the interval of its gain over the best baseline lies above 0.
    """
    known = panel.dropna(subset=["degrades"]).reset_index(drop=True)
    days = np.sort(known["as_of_on"].unique())
    if len(days) < 4 * horizon_days:
        return _refused(f"{len(days)} days with known outcome; {4 * horizon_days} are needed for a split in time")
    split = pd.Timestamp(days[int(len(days) * (1 - TEST_SHARE))])
    train = known[known["as_of_on"] < split - pd.Timedelta(days=horizon_days)]
    test = known[known["as_of_on"] >= split].reset_index(drop=True)
    if test["feature_id"].nunique() < FEWEST_FEATURES:
        count = test["feature_id"].nunique()
        return _refused(
            f"{count} features with a history; {FEWEST_FEATURES} are needed, since intervals draw whole features"
        )
    if train["degrades"].nunique() < 2 or test["degrades"].nunique() < 2:
        return _refused("the days before or after the split have only one outcome, so nothing can be learned or tested")
    truth = test["degrades"].to_numpy()
    weights = feature_weights(test["feature_id"].to_numpy(dtype=str), rng=rng, draws=DRAWS)
    scores = {name: predict(name, train, test) for name in ("base rate", "persistence", "best single signal", "model")}
    errors = {name: brier(truth, p, weights) for name, p in scores.items()}
    rows = []
    for name, p in scores.items():
        skill = 1 - errors[name] / errors["base rate"]
        measures = (*ranking_scores(truth, p, weights), errors[name], skill, recall_at_top(test, p, weights, top=top))
        rows.append((name, *(v for m in measures for v in (float(m[0]), *interval(m))), len(test), int(truth.sum())))
    names = [
        f"{m}{end}"
        for m in ("pr_auc", "roc_auc", "brier", "brier_skill", "recall_at_top")
        for end in ("", "_low", "_high")
    ]
    table = pd.DataFrame(rows, columns=["name", *names, "n_test", "positives_test"])
    best = min(("base rate", "persistence", "best single signal"), key=lambda n: errors[n][0])
    gain = errors[best] - errors["model"]
    low, high = interval(gain)
    chosen = "model" if low is not None and low > 0 else best
    importance = _importance(train, test, rng=rng)
    return Evaluation(
        table, chosen, float(gain[0]), low, high, reliability_bins(truth, scores[chosen]), importance, None
    )


def _importance(train: pd.DataFrame, test: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """Grain: one row per input: mean rise of the model's Brier score on the later days when it is shuffled, with the
    range of the shuffles.
    """
    fitted, x, truth = _fit(train), test[list(INPUTS)].to_numpy(dtype=float), test["degrades"].to_numpy()
    base = ((fitted.predict_proba(x)[:, 1] - truth) ** 2).mean()
    rows = []
    for i, name in enumerate(INPUTS):
        shuffled = np.tile(x, (PERMUTATIONS, 1))
        shuffled[:, i] = np.concatenate([rng.permutation(x[:, i]) for _ in range(PERMUTATIONS)])
        p = fitted.predict_proba(shuffled)[:, 1].reshape(PERMUTATIONS, -1)
        rise = ((p - truth) ** 2).mean(axis=1) - base
        rows.append((name, float(rise.mean()), *np.quantile(rise, [0.025, 0.975])))
    table = pd.DataFrame(rows, columns=list(IMPORTANCE_COLUMNS))
    return table.sort_values(["brier_rise", "input"], ascending=[False, True]).reset_index(drop=True)
