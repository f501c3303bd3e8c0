"""Error budgets of every objective that a feature declares: errors, latency, crashes, availability."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pandas as pd

from launchpad_lib.contract.features import Feature
from launchpad_lib.trends.burn_rate import GUARD_P, burn_rates

SLOWEST = 0.05  # an objective for p95 allows so large a share to be slower
SIGNALS = ("errors", "latency", "crashes", "availability")


def budgets_of(feature: Feature) -> dict[str, float]:
    """The share of failures that each declared objective allows, by signal, in the order of `SIGNALS`.

    >>> budgets_of(Feature(feature_id="quiz", slo_error_rate=0.02, slo_p95_latency_ms=300))
    {'errors': 0.02, 'latency': 0.05}
    """
    crash_free, available = feature.slo_crash_free_users, feature.slo_availability
    allowed = {
        "errors": feature.slo_error_rate,
        "latency": None if feature.slo_p95_latency_ms is None else SLOWEST,
        "crashes": None if crash_free is None else round(1 - crash_free, 12),
        "availability": None if available is None else round(1 - available, 12),
    }
    return {signal: budget for signal, budget in allowed.items() if budget is not None}


def budget_table(
    observations: pd.DataFrame, features: Iterable[Feature], *, as_of: datetime, since: datetime | None = None
) -> pd.DataFrame:
    """Grain: one row per feature, objective (`signal`) and pair of windows; the other columns are of `burn_rates`.

    What fails: an observation with an error (errors); one slower than `slo_p95_latency_ms`, of which 5 % may be
    (latency); a known user's UTC date with a crash (crashes: dated by its first crash, else by its first observation,
    so a user counts once a day); an observation with an error or a crash (availability; one of the two has to be
    known). What is not known says nothing. The guards of one feature share their probability, because each of its
    objectives is looked at.

    Args:
        observations: feature_id, user_id, observed_at, latency_ms, crashed, error_count; only those that an objective
            needs.
    """
    declared = {f.feature_id: budgets_of(f) for f in features}
    limits = {f.feature_id: f.slo_p95_latency_ms for f in features if f.slo_p95_latency_ms is not None}
    parts = []
    for signal in SIGNALS:
        asked = {f: own for f, own in declared.items() if signal in own}
        if not asked:
            continue
        own = observations[observations["feature_id"].isin(list(asked))]
        rows = _judged(own, signal, limits)
        for shared in sorted({len(own) for own in asked.values()}):
            budgets = pd.Series({f: own[signal] for f, own in asked.items() if len(own) == shared}, dtype=float)
            found = burn_rates(rows, budgets, as_of=as_of, since=since, guard_p=GUARD_P / shared)
            parts.append(found.assign(signal=signal, place=SIGNALS.index(signal)))
    if not parts:
        return burn_rates(observations.iloc[:0].assign(is_bad=False), pd.Series(dtype=float), as_of=as_of).assign(
            signal=pd.Series(dtype=str)
        )
    whole = pd.concat([p for p in parts if len(p)])
    return whole.sort_values(["feature_id", "place", "long_hours"]).drop(columns="place").reset_index(drop=True)


def _judged(observations: pd.DataFrame, signal: str, limits: dict[str, float]) -> pd.DataFrame:
    """feature_id, observed_at and is_bad of what an objective counts."""
    rows = observations
    if signal == "crashes":
        return _user_days(rows[rows["user_id"].notna() & rows["crashed"].notna()])
    if signal == "latency":
        rows = rows[rows["latency_ms"].notna()]
        is_bad = rows["latency_ms"].to_numpy() > rows["feature_id"].astype(object).map(limits).to_numpy(dtype=float)
    elif signal == "errors":
        rows = rows[rows["error_count"].notna()]
        is_bad = (rows["error_count"] > 0).to_numpy(dtype=bool)
    else:
        failed = (rows["error_count"] > 0).fillna(False).to_numpy(dtype=bool)
        crashed = rows["crashed"].eq(True).fillna(False).to_numpy(dtype=bool)
        known = (rows["error_count"].notna() | rows["crashed"].notna()).to_numpy(dtype=bool)
        rows, is_bad = rows[known], (failed | crashed)[known]
    return rows[["feature_id", "observed_at"]].assign(is_bad=is_bad)


def _user_days(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per feature, user and UTC date: the first crash where there is one, else the first observation."""
    keys = np.column_stack(
        [
            pd.factorize(rows["feature_id"])[0],
            pd.factorize(rows["user_id"])[0],
            rows["observed_at"].to_numpy(dtype="datetime64[D]").astype(np.int64),
        ]
    )
    units = pd.DataFrame(keys, columns=["feature", "user", "day"], index=rows.index)
    is_bad = rows["crashed"].eq(True).to_numpy(dtype=bool)
    order = np.lexsort((rows["observed_at"].to_numpy(), ~is_bad))
    kept = order[~units.iloc[order].duplicated().to_numpy()]
    return rows.iloc[kept][["feature_id", "observed_at"]].assign(is_bad=is_bad[kept])
