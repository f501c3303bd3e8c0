"""Which features miss an objective now, since when, and which cannot be judged? State comes before prediction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd

from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.sentences import listed
from launchpad_lib.risk.panel import OBJECTIVES, declared_objectives

STATE_COLUMNS = ("feature_id", "state", "as_of_on", "since_on", "days_missed", "days_known", "missed", "reason")


def state_days(min_breach_days: int) -> int:
    """Over how many of its last days a feature is judged: one more than the days that count as degraded."""
    return min_breach_days + 1


def state_table(
    daily: pd.DataFrame, features: Iterable[Feature], *, through: datetime, min_breach_days: int
) -> pd.DataFrame:
    """Grain: one row per declared feature and per feature with telemetry.

    `state`: *degraded now* where at least `min_breach_days` of the last `min_breach_days + 1` dates up to that of
    `through` missed an objective; *cannot tell* where fewer than `min_breach_days` of them are known; *not asked*
    without an objective; else *healthy*. `since_on`: first missed date of the run that leads here, in which at most one
    date between two missed ones was not missed. `days_missed, days_known`: of those last dates. `missed`: which
    objectives, in words.

    Args:
        daily: of `breaches`; `is_breach` is NULL on a date on which no objective could be judged.
    """
    objectives = {f.feature_id: declared_objectives(f) for f in features}
    end, span = pd.Timestamp(through).normalize(), state_days(min_breach_days)
    window = pd.date_range(end - pd.Timedelta(days=span - 1), end, freq="D")
    by_feature = dict(list(daily.groupby("feature_id")))
    rows: list[tuple[Any, ...]] = []
    for name in sorted({*objectives, *by_feature}):
        if not objectives.get(name):
            rows.append((name, "not asked", pd.NaT, pd.NaT, None, None, None, "no objective is declared"))
            continue
        one = by_feature.get(name, daily.iloc[:0]).set_index("observed_on").sort_index()
        known = one["is_breach"].dropna()
        last = known.reindex(window).dropna()
        missed = int(last.sum())
        as_of = known.index[-1] if len(known) else pd.NaT
        counts = (missed, len(last))
        if missed >= min_breach_days:
            begun = _since(known)
            words = _missed_words(one.loc[one.index >= begun], objectives[name])
            reason = f"an objective was missed on {missed} of the last {span} days"
            rows.append((name, "degraded now", as_of, begun, *counts, words, reason))
        elif len(last) < min_breach_days:
            reason = f"{len(last)} of the last {span} days can be judged"
            rows.append((name, "cannot tell", as_of, pd.NaT, *counts, None, reason))
        else:
            reason = f"an objective was missed on {missed} of the last {span} days"
            rows.append((name, "healthy", as_of, pd.NaT, *counts, None, reason))
    table = pd.DataFrame(rows, columns=list(STATE_COLUMNS))
    dates = {c: pd.to_datetime(table[c]) for c in ("as_of_on", "since_on")}
    return table.assign(**dates, **{c: table[c].astype("Int64") for c in ("days_missed", "days_known")})


def judged(states: pd.DataFrame) -> pd.DataFrame:
    """The features that can be judged now, those with most missed days first."""
    rows = states[states["state"].isin(["degraded now", "healthy"])]
    return rows.sort_values(["days_missed", "feature_id"], ascending=[False, True]).reset_index(drop=True)


def _since(known: pd.Series) -> pd.Timestamp:
    """The first missed date of the run of missed dates that ends last; a step of more than two days ends a run."""
    dates = known.index[known == 1]
    steps = dates.to_series().diff().dt.days
    return steps[steps.isna() | (steps > 2)].index[-1]


def _missed_words(rows: pd.DataFrame, objectives: tuple[str, ...]) -> str:
    words = [words for name, words in OBJECTIVES.items() if name in objectives and (rows[f"missed_{name}"] == 1).any()]
    return listed(words, most=len(OBJECTIVES))
