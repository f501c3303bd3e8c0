"""Levels and their changes per feature, as tables, and the deployment or incident nearest to a change."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from launchpad_lib.trends.level_noise import spell_contrast_sd
from launchpad_lib.trends.levels import LevelChange, Levels, level_changes

ALPHA = 0.05
SMALLEST_RISE = 0.05
SHIFT_COLUMNS = (
    "feature_id", "days", "shift_on", "shift_first_on", "shift_last_on", "shift_ratio",
    "shift_low", "shift_high", "shift_probability", "shift_p", "shift_q", "is_regression", "persistence", "spell_sd",
    "day_sd", "days_above", "days_of", "detectable_ratio", "shift_refused",
)  # fmt: skip
CHANGE_COLUMNS = (
    "feature_id", "signal", "changed_at", "first_at", "last_at", "ratio", "ci_low", "ci_high", "probability",
    "is_current",
)  # fmt: skip


class LevelTables(NamedTuple):
    """`shifts`: one row per feature, where its level stands. `changes`: one row per feature and change that was found.
    `left_out`: one row per feature and day that is of no level (feature_id, observed_on): an incident of a day.
    """

    shifts: pd.DataFrame
    changes: pd.DataFrame
    left_out: pd.DataFrame


def _complete(one: pd.DataFrame, value: str, *, min_observations: int) -> pd.Series:
    """Log value per calendar day, NaN where there are few observations."""
    dated = one.set_index(pd.to_datetime(one["observed_on"]))
    enough = dated[value].where(dated["latency_observations"] >= min_observations).astype(float)
    first, last = enough.first_valid_index(), enough.last_valid_index()
    if first is None:
        return pd.Series(dtype=float)
    return np.log(enough.loc[first:last].where(lambda v: v > 0).asfreq("D"))


def level_tables(
    daily: pd.DataFrame,
    *,
    value: str = "p95_latency_ms",
    min_observations: int = 20,
    last_days: int = 7,
    sustained_days: int = 4,
    smallest_rise: float = SMALLEST_RISE,
    alpha: float = ALPHA,
) -> LevelTables:
    """Where the level of each feature's daily log value stands, and when it moved (see `level_changes`).

    `shifts`, grain: one row per feature. Its last rise that still holds, against the last level before it that was
    stable (held for a week); else its last change; else the best supported move, for its limits and its p. `shift_on`:
    first day of the new level; `shift_first_on, shift_last_on`: 95 % of the dates that the data support. `shift_ratio`:
    new level / that level. `shift_probability`: that the ratio is over 1 + `smallest_rise` (of a fall: under 1 / that).
    `shift_p`: of no change, the search over all days included; `shift_q`: adjusted (Benjamini-Hochberg) over the
    changes of all features. `days_above`: of the last `days_of` days, those above the middle of the two levels;
    `days_of`: `last_days`, or fewer where the change is younger. `is_regression`: a rise that still holds, with
    `shift_q` under `alpha`, seen on `sustained_days` of `last_days` (or as large a share of `days_of`), and not surely
    smaller than `smallest_rise`: the upper limit of its ratio is over it. `spell_sd, persistence, day_sd`: the noise
    left. `detectable_ratio`: the rise that would be found 8 times in 10 a week after it, before the correction over
    features.

    `changes`, grain: one row per feature and change with an adjusted p under `alpha`, rises and falls.

    Args:
        daily: feature_id, observed_on, latency_observations and `value`; one row per feature and day.
        min_observations: a day of fewer is missing; nearly a third of the days may be.
    """
    names = sorted(daily["feature_id"].unique())
    series = [_complete(daily[daily["feature_id"] == n], value, min_observations=min_observations) for n in names]
    found = level_changes([s.to_numpy() for s in series], smallest=float(np.log1p(smallest_rise)))
    adjusted = _adjusted(found)
    shifts: list[tuple] = []
    changes: list[tuple] = []
    left_out: list[tuple] = []
    for name, one, levels, own in zip(names, series, found, adjusted, strict=True):
        left_out += [(name, one.index[d]) for d in levels.left_out]
        changes += [(name, value, *_change_row(one, c)) for c, q in zip(levels.changes, own, strict=False) if q < alpha]
        if levels.refused_because:
            shifts.append((name, len(one), *(pd.NaT,) * 3, *(None,) * 6, False, *(None,) * 6, levels.refused_because))
            continue
        row = _shift_row(one, levels, own, last_days=last_days)
        lasting = row["days_above"] * last_days >= sustained_days * row["days_of"]
        is_large = row["shift_high"] >= 1 + smallest_rise
        is_regression = bool(row.pop("is_rise") and row["shift_q"] < alpha and lasting and is_large)
        shifts.append(tuple({**row, "feature_id": name, "is_regression": is_regression}.get(c) for c in SHIFT_COLUMNS))
    table = pd.DataFrame(shifts, columns=list(SHIFT_COLUMNS))
    dated = pd.DataFrame(changes, columns=list(CHANGE_COLUMNS))
    days = pd.DataFrame(left_out, columns=["feature_id", "observed_on"])
    return LevelTables(
        table.assign(**{c: pd.to_datetime(table[c]) for c in ("shift_on", "shift_first_on", "shift_last_on")}),
        dated.assign(**{c: pd.to_datetime(dated[c]) for c in ("changed_at", "first_at", "last_at")}),
        days.assign(observed_on=pd.to_datetime(days["observed_on"])),
    )


def _adjusted(found: list[Levels]) -> list[list[float]]:
    """Adjusted p of each change of each series, then of its standing rise; or of its best supported move where it has
    no change.
    """
    asked = [[c.p_value for c in (*one.changes, one.standing, one.best) if c is not None] for one in found]
    flat = [p for own in asked for p in own]
    q = iter(false_discovery_control(flat) if flat else [])
    return [[float(next(q)) for _ in own] for own in asked]


def _shift_row(one: pd.Series, levels: Levels, adjusted: list[float], *, last_days: int) -> dict[str, Any]:
    told = [c for c in (*levels.changes, levels.standing, levels.best) if c is not None]
    change, q = told[-1], adjusted[-1]
    on, first, last, *ratios, probability, _ = _change_row(one, change)
    # The level of its days, and how far it lies over the one it is told against.
    end = min((c.index for c in levels.changes if c.index > change.index), default=len(one))
    middle = one.iloc[change.index : end].median() - change.shift / 2
    since = one.iloc[change.index :].iloc[-last_days:].dropna()
    ratio, low, high = ratios
    return {
        "days": len(one),
        "shift_on": on,
        "shift_first_on": first,
        "shift_last_on": last,
        "shift_ratio": ratio,
        "shift_low": low,
        "shift_high": high,
        "shift_probability": probability,
        "shift_p": change.p_value,
        "shift_q": q,
        "is_rise": levels.standing is not None and change.shift > 0,
        "persistence": levels.persistence,
        "spell_sd": levels.spell_sd,
        "day_sd": levels.day_sd,
        "days_above": int((since > middle).sum()),
        "days_of": len(since),
        "detectable_ratio": float(np.exp(levels.detectable or 0.0)),
    }


def _change_row(one: pd.Series, change: LevelChange) -> tuple:
    """The last columns of `changes`."""
    dates = (one.index[i] for i in (change.index, change.index_low, change.index_high))
    ratios = (float(v) for v in np.exp([change.shift, change.ci_low, change.ci_high]))
    return (*dates, *ratios, change.probability, change.is_current)


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
