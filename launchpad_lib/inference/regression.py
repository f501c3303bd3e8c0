"""Change of a quantile per feature between two windows, corrected for the number of features; beside the levels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from launchpad_lib.inference.quantiles import QuantileChange, mix_share, quantile_change


def _units(rows: pd.DataFrame) -> np.ndarray:
    """A number for the user of each observation, in order of their names; for an hour where the user is unknown, since
    neighbours in time are alike.
    """
    code, users = pd.factorize(rows["user_id"])
    unknown = code < 0
    hour, hours = pd.factorize(rows["observed_at"].to_numpy()[unknown].astype("datetime64[h]"))
    named = [str(pd.Timestamp(h)) for h in hours]
    names = np.array([*map(str, users), *named], dtype=object)
    rank = np.unique(names.astype(str), return_inverse=True)[1] if len(names) else np.zeros(0, np.int64)
    code[unknown] = len(users) + hour
    return rank[code]


def _strata(values: pd.Series) -> np.ndarray:
    """A number for the value of each observation; one that is unknown is the value `unknown`."""
    coded = values.astype("category").cat
    names = [str(c) for c in coded.categories]
    unknown = names.index("unknown") if "unknown" in names else len(names)
    codes = coded.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, unknown, codes)


def quantile_changes(
    observations: pd.DataFrame,
    *,
    split_at: datetime,
    window_days: int,
    rng: np.random.Generator,
    period_noise: pd.DataFrame,
    value: str = "latency_ms",
    quantile: float = 0.95,
    draws: int = 1000,
    min_units: int = 30,
    mix: Sequence[str] = ("platform", "app_version"),
    features: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Grain: one row per feature.

    The quantile in (split, split + window] against (split - window, split], clustered by user.

    Args:
        observations: feature_id, user_id, observed_at, `value` and the columns of `mix`.
        period_noise: index feature_id; `period_sd` and `period_df` of `quantile_change`.
        features: who has a row, where it is not just those with an observation.

    Columns: the fields of `QuantileChange`, `days_up` (UTC days of the later window whose own quantile is above the
    earlier window's), mix_share_<column>: share of the change that the column's composition explains.
    """
    start, end = split_at - timedelta(days=window_days), split_at + timedelta(days=window_days)
    seen = observations[
        observations[value].notna() & (observations["observed_at"] > start) & (observations["observed_at"] <= end)
    ]
    codes = {"unit": _units(seen), **{f"mix_{i}": _strata(seen[name]) for i, name in enumerate(mix)}}
    coded = pd.DataFrame({"at": seen["observed_at"].to_numpy(), value: seen[value].to_numpy(dtype=float), **codes})
    of_feature = coded.groupby(seen["feature_id"].to_numpy(dtype=object)).indices
    rows = []
    for feature_id in sorted(observations["feature_id"].unique() if features is None else features):
        one = coded.iloc[of_feature.get(feature_id, [])]
        is_after = (one["at"] > split_at).to_numpy()
        values, units = one[value].to_numpy(), one["unit"].to_numpy()
        parts = (values[~is_after], values[is_after])
        noise = period_noise.loc[feature_id].to_dict() if feature_id in period_noise.index else {}
        change = quantile_change(
            *parts,
            units[~is_after],
            units[is_after],
            rng=rng,
            quantile=quantile,
            draws=draws,
            min_units=min_units,
            **noise,
        )
        later = one[is_after].groupby(one["at"].dt.floor("D"))[value].quantile(quantile)
        days_up = int((later > change.before).sum()) if change.before is not None else None
        strata = [one[f"mix_{i}"].to_numpy() for i in range(len(mix))]
        shares = [mix_share(*parts, s[~is_after], s[is_after], quantile=quantile) for s in strata]
        rows.append((feature_id, *change, days_up, *shares))
    return pd.DataFrame(
        rows, columns=["feature_id", *QuantileChange._fields, "days_up", *(f"mix_share_{m}" for m in mix)]
    )


def regression_table(changes: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature: change between two windows, and where the level of the whole history stands.

    `is_regression` is that of the levels (`trends.level_tables`): one slow day moves the p95 latency of a pooled week,
    and never a level. `is_judged`: the level has a p value; without one nothing is said about the feature.
    `change_q`: adjusted p (Benjamini-Hochberg) of no change between the windows.

    Args:
        changes: of `quantile_changes`. shifts: of `trends.level_tables`.
    """
    table = changes.merge(shifts, on="feature_id", how="outer").sort_values("feature_id").reset_index(drop=True)
    p = table["p_value"].to_numpy(dtype=float)
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    table = table.assign(
        change_q=adjusted,
        is_judged=table["shift_p"].notna(),
        is_regression=table["is_regression"].fillna(False).astype(bool),
    )
    return table.sort_values(["is_regression", "ratio", "feature_id"], ascending=[False, False, True]).reset_index(
        drop=True
    )
