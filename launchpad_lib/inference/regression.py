"""Which features became slower: change of a quantile per feature, corrected for the number of features, sustained, with date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from launchpad_lib.inference.quantiles import QuantileChange, mix_share, quantile_change

ALPHA = 0.05
SMALLEST_RISE = 0.10


def _units(one: pd.DataFrame) -> np.ndarray:
    """The user of each observation; an hour where the user is unknown, since neighbours in time are alike."""
    return one["user_id"].astype(object).where(one["user_id"].notna(), one["observed_at"].dt.floor("h").astype(str)).to_numpy(dtype=str)


def quantile_changes(
    observations: pd.DataFrame,
    *,
    split_at: datetime,
    window_days: int,
    rng: np.random.Generator,
    period_sd: pd.Series,
    value: str = "latency_ms",
    quantile: float = 0.95,
    draws: int = 1000,
    min_units: int = 30,
    mix: Sequence[str] = ("platform", "app_version"),
) -> pd.DataFrame:
    """Grain: one row per feature. The quantile in (split, split + window] against (split - window, split], clustered by user.

    Args:
        observations: feature_id, user_id, observed_at, `value` and the columns of `mix`.
        period_sd: by feature_id, the standard deviation that spells give the log ratio; 0 where the feature is not named.

    Columns: the fields of `QuantileChange`, and mix_share_<column>: share of the change that the column's composition explains.
    """
    start, end = split_at - timedelta(days=window_days), split_at + timedelta(days=window_days)
    seen = observations[observations[value].notna() & (observations["observed_at"] > start) & (observations["observed_at"] <= end)]
    rows = []
    for feature_id in sorted(observations["feature_id"].unique()):
        one = seen[seen["feature_id"] == feature_id]
        is_after = (one["observed_at"] > split_at).to_numpy()
        values, units = one[value].to_numpy(dtype=float), _units(one)
        parts = (values[~is_after], values[is_after])
        sd = float(np.nan_to_num(float(period_sd.get(feature_id, 0.0) or 0.0)))
        change = quantile_change(*parts, units[~is_after], units[is_after], rng=rng, quantile=quantile, draws=draws, period_sd=sd, min_units=min_units)
        strata = [one[m].fillna("unknown").to_numpy(dtype=str) for m in mix]
        shares = [mix_share(*parts, s[~is_after], s[is_after], quantile=quantile) for s in strata]
        rows.append((feature_id, *change, *shares))
    return pd.DataFrame(rows, columns=["feature_id", *QuantileChange._fields, *(f"mix_share_{m}" for m in mix)])


def regression_table(changes: pd.DataFrame, shifts: pd.DataFrame, *, sustained_days: int, alpha: float = ALPHA, smallest_rise: float = SMALLEST_RISE) -> pd.DataFrame:
    """Grain: one row per feature: change between windows and shift of level in the whole history, under one correction.

    Benjamini-Hochberg over all p values of both questions. `is_new`: the last window is higher than the one before.
    `is_standing`: the level moved up on `shift_on` and is still there. Each needs an adjusted p under `alpha`, a rise of at
    least `smallest_rise`, and `sustained_days` days above. `is_regression` is either.
    """
    table = changes.merge(shifts, on="feature_id", how="outer").sort_values("feature_id").reset_index(drop=True)
    p = table[["p_value", "shift_p"]].to_numpy(dtype=float)
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    above = table["days_above"].astype(float).fillna(0) >= sustained_days
    ratio, shift = table["ratio"].astype(float), table["shift_ratio"].astype(float)
    is_new = (adjusted[:, 0] < alpha) & (ratio >= 1 + smallest_rise) & (above | table["shift_ratio"].isna())
    is_standing = (adjusted[:, 1] < alpha) & (shift >= 1 + smallest_rise) & above
    table = table.assign(change_q=adjusted[:, 0], shift_q=adjusted[:, 1], is_new=is_new, is_standing=is_standing, is_regression=is_new | is_standing)
    return table.sort_values(["is_regression", "ratio", "feature_id"], ascending=[False, False, True]).reset_index(drop=True)
