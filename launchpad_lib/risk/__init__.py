"""Which feature will degrade next: a forward-looking label, inputs as of the cut-off, baselines beside the model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

INPUTS = ("p95_over_slo", "p95_change", "breaches_before", "error_rate_before", "crash_share_before")
TEST_SHARE = 0.35


class Evaluation(NamedTuple):
    """`table`: one row per model and baseline (name, pr_auc, roc_auc, brier, brier_skill, n_test, positives_test);
    `chosen`: whose score is used; `refused_because`: why there is no score."""

    table: pd.DataFrame
    chosen: str | None
    refused_because: str | None


def breaches(feature_metrics: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature and day; `is_breach` where a declared objective was missed that day."""
    daily = feature_metrics.merge(features, on="feature_id").sort_values(["feature_id", "observed_on"])
    missed = (
        (daily["p95_latency_ms"] > daily["slo_p95_latency_ms"])
        | (daily["crash_free_users_rate"] < daily["slo_crash_free_users"])
        | (daily["error_rate"] > daily["slo_error_rate"])
        | (daily["mean_feedback_score"] < daily["slo_feedback_score"])
    )
    return daily.assign(is_breach=missed.astype(int), observed_on=pd.to_datetime(daily["observed_on"])).reset_index(drop=True)


def risk_panel(daily: pd.DataFrame, *, horizon_days: int, min_breach_days: int) -> pd.DataFrame:
    """Grain: one row per feature and cut-off day. Inputs use days up to the cut-off; the label the days after it.

    `degrades` is 1 when at least `min_breach_days` of the next `horizon_days` days breach; NULL while they are not observed.
    """
    frames = []
    for _, one in daily.groupby("feature_id"):
        one = one.set_index("observed_on").asfreq("D")
        past = one["is_breach"].fillna(0).rolling(7, min_periods=7)
        ahead = one["is_breach"][::-1].rolling(horizon_days, min_periods=horizon_days).sum()[::-1].shift(-1)
        week = one["p95_latency_ms"].rolling(7, min_periods=4).mean()
        frames.append(
            pd.DataFrame(
                {
                    "feature_id": one["feature_id"].ffill(),
                    "p95_over_slo": one["p95_latency_ms"].rolling(3, min_periods=1).mean() / one["slo_p95_latency_ms"],
                    "p95_change": one["p95_latency_ms"] / week - 1,
                    "breaches_before": past.sum(),
                    "error_rate_before": one["error_rate"].rolling(7, min_periods=1).mean(),
                    "crash_share_before": 1 - one["crash_free_users_rate"].rolling(7, min_periods=1).mean(),
                    "users_per_day": one["users"].rolling(7, min_periods=1).mean(),
                    "degrades": (ahead >= min_breach_days).astype(float).where(ahead.notna()),
                }
            )
            .rename_axis("as_of_on")
            .reset_index()
        )
    return pd.concat(frames, ignore_index=True).dropna(subset=list(INPUTS))


def _model():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.5))


def evaluate(panel: pd.DataFrame, *, horizon_days: int) -> Evaluation:
    """Holds the model against base rate, persistence and the best single signal on later days.

    The split is by time; `horizon_days` before it are purged, so that no training label sees a test day.
    """
    known = panel.dropna(subset=["degrades"])
    days = np.sort(known["as_of_on"].unique())
    if len(days) < 4 * horizon_days:
        return Evaluation(pd.DataFrame(), None, f"{len(days)} days with known outcome; {4 * horizon_days} are needed for a split in time")
    split = pd.Timestamp(days[int(len(days) * (1 - TEST_SHARE))])
    train = known[known["as_of_on"] < split - pd.Timedelta(days=horizon_days)]
    test = known[known["as_of_on"] >= split]
    if train["degrades"].nunique() < 2 or test["degrades"].nunique() < 2:
        return Evaluation(pd.DataFrame(), None, "the days before or after the split have only one outcome, so nothing can be learned or tested")
    truth, base = test["degrades"], float(train["degrades"].mean())
    fitted = _model().fit(train[list(INPUTS)], train["degrades"])
    one = LogisticRegression().fit(train[["breaches_before"]], train["degrades"])
    scores = {
        "base rate": np.full(len(test), base),
        "persistence": np.clip(test["breaches_before"].to_numpy() / 7, 0.01, 0.99),
        "best single signal": one.predict_proba(test[["breaches_before"]])[:, 1],
        "model": fitted.predict_proba(test[list(INPUTS)])[:, 1],
    }
    reference = brier_score_loss(truth, scores["base rate"])
    rows = []
    for name, p in scores.items():
        brier = brier_score_loss(truth, p)
        rows.append((name, average_precision_score(truth, p), roc_auc_score(truth, p), brier, 1 - brier / reference, len(test), int(truth.sum())))
    table = pd.DataFrame(rows, columns=["name", "pr_auc", "roc_auc", "brier", "brier_skill", "n_test", "positives_test"])
    best = table.iloc[:-1].sort_values("brier").iloc[0]
    return Evaluation(table, "model" if table.iloc[-1]["brier"] < best["brier"] else str(best["name"]), None)


def score(panel: pd.DataFrame, *, chosen: str) -> pd.DataFrame:
    """Grain: one row per feature, as of its last day: p_degrade, users_per_week, severity, impact_score, rank.

    impact_score = p_degrade x users per week x severity; severity = p95 over its objective, at least 1.
    """
    known, latest = panel.dropna(subset=["degrades"]), panel.sort_values("as_of_on").groupby("feature_id").tail(1)
    if chosen == "model":
        p = _model().fit(known[list(INPUTS)], known["degrades"]).predict_proba(latest[list(INPUTS)])[:, 1]
    elif chosen == "best single signal":
        p = LogisticRegression().fit(known[["breaches_before"]], known["degrades"]).predict_proba(latest[["breaches_before"]])[:, 1]
    elif chosen == "persistence":
        p = np.clip(latest["breaches_before"].to_numpy() / 7, 0.01, 0.99)
    else:
        p = np.full(len(latest), float(known["degrades"].mean()))
    result = latest[["feature_id"]].assign(
        p_degrade=p, users_per_week=7 * latest["users_per_day"], severity=latest["p95_over_slo"].clip(lower=1.0)
    )
    result["impact_score"] = result["p_degrade"] * result["users_per_week"] * result["severity"]
    result = result.sort_values(["impact_score", "feature_id"], ascending=[False, True])
    return result.assign(rank=range(1, len(result) + 1)).reset_index(drop=True)
