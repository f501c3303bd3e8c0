"""Inputs as of the cut-off day, and a label that lies after it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from launchpad_lib.contract.features import Feature

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


OBJECTIVES = {
    "slo_p95_latency_ms": "p95 latency",
    "slo_crash_free_users": "crash-free users",
    "slo_error_rate": "error rate",
    "slo_feedback_score": "feedback",
}
CEILINGS = {"slo_p95_latency_ms": "p95_latency_ms", "slo_error_rate": "error_rate"}
FLOORS = {"slo_crash_free_users": "crash_free_users_rate", "slo_feedback_score": "mean_feedback_score"}


def declared_objectives(feature: Feature) -> tuple[str, ...]:
    """The fields of the objectives that a feature declares."""
    return tuple(name for name in OBJECTIVES if getattr(feature, name) is not None)


def breaches(feature_days: pd.DataFrame, features: Iterable[Feature], *, min_observations: int = 1) -> pd.DataFrame:
    """Grain: one row per feature with an objective and day: was a declared objective missed?

    `missed_<objective>`: 1 or 0; NULL where it is not declared or has no value that day. `is_breach`: 1 where one was
    missed; NULL where none could be judged, or the day has fewer than `min_observations`: unknown is never healthy.

    Args:
        feature_days: feature_id, observed_on, observations, p95_latency_ms, error_rate, crash_free_users_rate,
        mean_feedback_score.
    """
    declared = pd.DataFrame(
        [(f.feature_id, *(getattr(f, name) for name in OBJECTIVES)) for f in features if declared_objectives(f)],
        columns=["feature_id", *OBJECTIVES],
    ).astype({name: float for name in OBJECTIVES})
    daily = feature_days.merge(declared, on="feature_id").sort_values(["feature_id", "observed_on"])
    is_judged = daily["observations"] >= min_observations
    missed = {}
    for name in OBJECTIVES:
        value, objective = daily[(CEILINGS | FLOORS)[name]].astype(float), daily[name]
        is_missed = value > objective if name in CEILINGS else value < objective
        missed[f"missed_{name}"] = is_missed.astype(float).where(value.notna() & objective.notna() & is_judged)
    is_breach = pd.DataFrame(missed).max(axis=1)  # NULL only where every objective is
    return daily.assign(**missed, is_breach=is_breach, observed_on=pd.to_datetime(daily["observed_on"])).reset_index(
        drop=True
    )


def risk_panel(
    daily: pd.DataFrame, *, horizon_days: int, min_breach_days: int, annotations: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Grain: one row per feature and cut-off day. Inputs use days up to the cut-off; the label the days after it.

    `degrades` is 1 when at least `min_breach_days` of the next `horizon_days` days breach; NULL while they are not
    observed. `p95_over_slo`: mean of 3 days / objective; `p95_change`: the day / mean of 7 days - 1; `p95_volatility`:
    standard deviation of the log p95 of 14 days; `breaches_before`: breach days of the last 7; `deploys_before`:
    deployments of the feature in the last 7 days.
    """
    marks = annotations if annotations is not None else pd.DataFrame({"at": [], "kind": [], "feature_id": []})
    deployments = marks[marks["kind"] == "deployment"]
    frames = []
    for feature_id, one in daily.groupby("feature_id"):
        one = one.set_index("observed_on").asfreq("D")
        past = one["is_breach"].fillna(0).rolling(7)
        ahead = one["is_breach"][::-1].rolling(horizon_days).sum()[::-1].shift(-1)
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
                    "deploys_before": deployed.rolling(7).sum(),
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
