"""Which features became slower: change of a quantile per feature, corrected for the number of features, sustained, with
date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from launchpad_lib.inference.quantiles import QuantileChange, mix_share, quantile_change

ALPHA = 0.05
SMALLEST_RISE = 0.10


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


def regression_table(
    changes: pd.DataFrame,
    shifts: pd.DataFrame,
    *,
    sustained_days: int,
    alpha: float = ALPHA,
    smallest_rise: float = SMALLEST_RISE,
) -> pd.DataFrame:
    """Grain: one row per feature: change between two windows, and shift of level in the whole history.

    `is_new`: the last window is higher than the one before. `is_standing`: the level moved up on `shift_on` and is
    still there. Each needs a p under `alpha` after Benjamini-Hochberg over the features, a rise of at least
    `smallest_rise`, and `sustained_days` of the last days up (above the earlier window; above the middle of the two
    levels). `is_regression` is either, so its family-wise false-alarm rate is up to twice `alpha`.

    `is_judged`: at least one of the two questions has a p value; without one nothing is said about the feature.
    `detectable_ratio`: the rise that the question with the narrower interval finds 8 times in 10 at two-sided 5 %,
    exp(2.80 standard errors of the log ratio), before the correction over features; NULL where not judged.
    """
    table = changes.merge(shifts, on="feature_id", how="outer").sort_values("feature_id").reset_index(drop=True)
    p = table[["p_value", "shift_p"]].to_numpy(dtype=float)
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    for question in (0, 1):
        if known[:, question].any():
            adjusted[known[:, question], question] = false_discovery_control(p[known[:, question], question])
    above = table["days_above"].astype(float).fillna(0) >= sustained_days
    ratio, shift = table["ratio"].astype(float), table["shift_ratio"].astype(float)
    is_new = (
        (adjusted[:, 0] < alpha)
        & (ratio >= 1 + smallest_rise)
        & (table["days_up"].astype(float).fillna(0) >= sustained_days)
    )
    is_standing = (adjusted[:, 1] < alpha) & (shift >= 1 + smallest_rise) & above
    detectable = pd.concat(
        [_detectable(table["ci_low"], table["ci_high"]), _detectable(table["shift_low"], table["shift_high"])], axis=1
    )
    table = table.assign(
        change_q=adjusted[:, 0],
        shift_q=adjusted[:, 1],
        is_judged=known.any(axis=1),
        detectable_ratio=detectable.min(axis=1),
        is_new=is_new,
        is_standing=is_standing,
        is_regression=is_new | is_standing,
    )
    return table.sort_values(["is_regression", "ratio", "feature_id"], ascending=[False, False, True]).reset_index(
        drop=True
    )


def _detectable(low: pd.Series, high: pd.Series) -> pd.Series:
    """The ratio that would be found 8 times in 10, from the width of a 95 % interval on the log scale."""
    width = np.log(high.astype(float)) - np.log(low.astype(float))
    return np.exp((norm.ppf(0.975) + norm.ppf(0.8)) * width / (2 * norm.ppf(0.975)))


def changes_table(
    regressions: pd.DataFrame,
    *,
    split_at: datetime,
    sustained_days: int,
    window_days: int,
    signal: str = "p95_latency_ms",
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Grain: one row per feature and change that was found, by feature and date; rises and falls.

    A shift of level has a date with its interval; a change between the two windows has the first day of the later one.
    `is_current`: the new level holds on `sustained_days` of the last `window_days` days. `probability` is NULL: it is
    not computed.

    Args:
        regressions: of `regression_table`.
        split_at: where the later window begins.
    """
    shifted = regressions[regressions["shift_q"].astype(float) < alpha]
    above = shifted["days_above"].astype(float)
    held = above.where(shifted["shift_ratio"].astype(float) >= 1, window_days - above) >= sustained_days
    dated = pd.DataFrame(
        {
            "feature_id": shifted["feature_id"],
            "changed_at": shifted["shift_on"],
            "first_at": shifted["shift_first_on"],
            "last_at": shifted["shift_last_on"],
            "ratio": shifted["shift_ratio"],
            "ci_low": shifted["shift_low"],
            "ci_high": shifted["shift_high"],
            "is_current": held,
        }
    )
    moved = regressions[regressions["change_q"].astype(float) < alpha]
    up = moved["days_up"].astype(float)
    held = up.where(moved["ratio"].astype(float) >= 1, window_days - up) >= sustained_days
    between = moved[["feature_id", "ratio", "ci_low", "ci_high"]].assign(
        changed_at=pd.Timestamp(split_at).normalize() + pd.Timedelta(days=1),
        first_at=pd.NaT,
        last_at=pd.NaT,
        is_current=held,
    )
    frames = [f for f in (dated, between) if len(f)] or [dated]
    table = pd.concat(frames, ignore_index=True).assign(signal=signal, probability=None)
    return table.sort_values(["feature_id", "changed_at"], kind="stable").reset_index(drop=True)
