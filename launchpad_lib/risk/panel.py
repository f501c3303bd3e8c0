"""Inputs as of the cut-off day, and a label that lies after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

INPUTS = (
    "p95_over_slo",
    "p95_change",
    "p95_volatility",
    "breaches_before",
    "error_rate_before",
    "crash_share_before",
    "deploys_before",
)
PANEL_COLUMNS = ("as_of_on", "feature_id", *INPUTS, "degrades")


def breaches(feature_metrics: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature with metadata and day; `is_breach` where a declared objective was missed that day."""
    daily = feature_metrics.merge(features, on="feature_id").sort_values(["feature_id", "observed_on"])
    missed = (
        (daily["p95_latency_ms"] > daily["slo_p95_latency_ms"])
        | (daily["crash_free_users_rate"] < daily["slo_crash_free_users"])
        | (daily["error_rate"] > daily["slo_error_rate"])
        | (daily["mean_feedback_score"] < daily["slo_feedback_score"])
    )
    return daily.assign(is_breach=missed.astype(int), observed_on=pd.to_datetime(daily["observed_on"])).reset_index(
        drop=True
    )


def risk_panel(
    daily: pd.DataFrame, *, horizon_days: int, min_breach_days: int, annotations: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Grain: one row per feature and cut-off day. Inputs use days up to the cut-off; the label the days after it.

    `degrades` is 1 when at least `min_breach_days` of the next `horizon_days` days breach; NULL while they are not observed.
    `p95_over_slo`: mean of 3 days / objective; `p95_change`: the day / mean of 7 days - 1; `p95_volatility`: standard deviation of the
    log p95 of 14 days; `breaches_before`: breach days of the last 7; `deploys_before`: deployments of the feature in the last 7 days.
    """
    marks = annotations if annotations is not None else pd.DataFrame({"at": [], "kind": [], "feature_id": []})
    deployments = marks[marks["kind"] == "deployment"]
    frames = []
    for feature_id, one in daily.groupby("feature_id"):
        one = one.set_index("observed_on").asfreq("D")
        past = one["is_breach"].fillna(0).rolling(7, min_periods=7)
        ahead = one["is_breach"][::-1].rolling(horizon_days, min_periods=horizon_days).sum()[::-1].shift(-1)
        p95 = one["p95_latency_ms"].astype(float)
        own = deployments[(deployments["feature_id"] == feature_id) | deployments["feature_id"].isna()]
        deployed = pd.to_datetime(own["at"]).dt.normalize().value_counts().reindex(one.index, fill_value=0)
        frames.append(
            pd.DataFrame(
                {
                    "feature_id": feature_id,
                    "p95_over_slo": p95.rolling(3, min_periods=1).mean() / one["slo_p95_latency_ms"],
                    "p95_change": p95 / p95.rolling(7, min_periods=4).mean() - 1,
                    "p95_volatility": np.log(p95.where(p95 > 0)).rolling(14, min_periods=7).std(),
                    "breaches_before": past.sum(),
                    "error_rate_before": one["error_rate"].rolling(7, min_periods=1).mean(),
                    "crash_share_before": 1 - one["crash_free_users_rate"].rolling(7, min_periods=1).mean(),
                    "deploys_before": deployed.rolling(7, min_periods=1).sum(),
                    "degrades": (ahead >= min_breach_days).astype(float).where(ahead.notna()),
                }
            )
            .rename_axis("as_of_on")
            .reset_index()
        )
    if not frames:
        return pd.DataFrame(
            {
                c: pd.Series(
                    dtype="object" if c == "feature_id" else "datetime64[us]" if c == "as_of_on" else "float64"
                )
                for c in PANEL_COLUMNS
            }
        )
    return pd.concat(frames, ignore_index=True).dropna(subset=list(INPUTS))
