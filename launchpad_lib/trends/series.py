"""Shift of level per feature, as a table, and the deployment or incident nearest to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from launchpad_lib.trends.changepoints import level_shifts, spell_contrast_sd

MOST_MISSING = 0.1
SHIFT_COLUMNS = (
    "feature_id", "days", "shift_on", "shift_first_on", "shift_last_on", "shift_ratio",
    "shift_low", "shift_high", "shift_p", "persistence", "spell_sd", "day_sd", "days_above", "shift_refused",
)  # fmt: skip


def _complete(one: pd.DataFrame, value: str, *, min_observations: int) -> pd.Series:
    """Log value per calendar day.

    Days with few observations count as missing; a tenth may be missing and is interpolated.
    """
    dated = one.set_index(pd.to_datetime(one["observed_on"]))
    enough = dated[value].where(dated["latency_observations"] >= min_observations).astype(float)
    first, last = enough.first_valid_index(), enough.last_valid_index()
    if first is None:
        return pd.Series(dtype=float)
    daily = np.log(enough.loc[first:last].where(lambda v: v > 0).asfreq("D"))
    return daily.interpolate() if daily.isna().mean() <= MOST_MISSING else daily


def shift_table(
    daily: pd.DataFrame,
    *,
    rng: np.random.Generator,
    value: str = "p95_latency_ms",
    min_observations: int = 20,
    last_days: int = 7,
    simulations: int = 1000,
) -> pd.DataFrame:
    """Grain: one row per feature. The best supported shift of the daily log value (see `level_shifts`).

    Args:
        daily: feature_id, observed_on, latency_observations and `value`; one row per feature and day.

    `shift_on`: first day of the new level, best supported; `shift_first_on, shift_last_on`: its likelihood interval.
    `shift_ratio`: new level / old level. `shift_p`: uncorrected. `days_above`: of the
    last `last_days` days, those above the geometric mean of the two levels. `spell_sd, persistence`: the noise left.
    """
    names = sorted(daily["feature_id"].unique())
    series = [_complete(daily[daily["feature_id"] == n], value, min_observations=min_observations) for n in names]
    rows = []
    for name, one, found in zip(
        names, series, level_shifts([s.to_numpy() for s in series], rng=rng, simulations=simulations), strict=True
    ):
        if found.refused_because:
            rows.append((name, len(one), *(pd.NaT,) * 3, *(None,) * 8, found.refused_because))
            continue
        middle = (one.iloc[: found.index].mean() + one.iloc[found.index :].mean()) / 2
        above = int((one.iloc[-last_days:] > middle).sum())
        ratios = np.exp(np.array([found.shift, found.ci_low, found.ci_high], dtype=float))
        dates = [one.index[i] for i in (found.index, found.index_low, found.index_high)]
        rows.append(
            (
                name,
                len(one),
                *dates,
                *ratios,
                found.p_value,
                found.persistence,
                found.spell_sd,
                found.day_sd,
                above,
                None,
            )
        )
    table = pd.DataFrame(rows, columns=list(SHIFT_COLUMNS))
    return table.assign(**{c: pd.to_datetime(table[c]) for c in ("shift_on", "shift_first_on", "shift_last_on")})


def nearest_annotation(
    table: pd.DataFrame, annotations: pd.DataFrame, *, date_column: str, within_days: int = 3
) -> pd.DataFrame:
    """Adds `annotation` and `annotation_days` (its date minus the row's, in days) of the nearest mark of the feature or
    of all features.

    Near in time is a hint, not a cause. None where no mark lies within `within_days`. Instants may be dates, instants
    or ISO 8601 texts, mixed, with or without an offset (then UTC).
    """
    marks = annotations.assign(on=_utc_dates(annotations["at"]))
    labels, gaps = [], []
    for feature_id, on in zip(table["feature_id"], _utc_dates(table[date_column]), strict=True):
        own = marks[(marks["feature_id"] == feature_id) | marks["feature_id"].isna()]
        days = (own["on"] - on).dt.days.astype(float) if pd.notna(on) else pd.Series(dtype=float)
        near = days[days.abs() <= within_days].abs().sort_values(kind="stable")
        first = own.loc[near.index[0]] if len(near) else None
        labels.append(None if first is None else ": ".join(str(v) for v in first[["kind", "label"]].dropna()))
        gaps.append(int(days[near.index[0]]) if len(near) else None)
    return table.assign(
        annotation=pd.Series(labels, dtype=object, index=table.index), annotation_days=pd.array(gaps, dtype="Int64")
    )


def _utc_dates(values: pd.Series) -> pd.Series:
    is_text = any(isinstance(value, str) for value in values)
    instants = pd.to_datetime(values, utc=True, format="ISO8601" if is_text else None)
    return instants.dt.tz_localize(None).dt.normalize()


def spell_noise_of_change(shifts: pd.DataFrame, *, window_days: int) -> pd.DataFrame:
    """Grain: one row per feature_id (the index): what spells alone do to the log ratio of two neighbouring windows.

    `period_sd`: its standard deviation, 0 where unknown. `period_df`: how many independent days the estimate of that
    deviation is worth, days (1 - r^2) / (1 + r^2) - 2 for persistence r (Bartlett 1946), at least 3.
    """
    known = shifts.dropna(subset=["spell_sd"]).set_index("feature_id")
    days = {"days_before": window_days, "days_after": window_days}
    sd = [
        spell_contrast_sd(**days, persistence=p, spell_sd=s)
        for p, s in zip(known["persistence"], known["spell_sd"], strict=True)
    ]
    squared = known["persistence"].astype(float) ** 2
    freedom = (known["days"] * (1 - squared) / (1 + squared) - 2).clip(lower=3)
    noise = pd.DataFrame({"period_sd": pd.Series(sd, index=known.index, dtype=float), "period_df": freedom})
    return noise.reindex(shifts["feature_id"]).fillna({"period_sd": 0.0, "period_df": 3.0})
