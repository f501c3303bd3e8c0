"""How fast is the error budget being used? Multi-window burn rates with a guard at low volume."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from launchpad_lib.contract.features import Feature


class BurnWindow(NamedTuple):
    """An alert fires when the burn rate exceeds `factor` in the long and in the short window."""

    long: timedelta
    short: timedelta
    factor: float


# Google SRE Workbook, chapter 5, multi-window multi-burn-rate alerts; the last two are tickets rather than pages.
WINDOWS = (
    BurnWindow(timedelta(hours=1), timedelta(minutes=5), 14.4),
    BurnWindow(timedelta(hours=6), timedelta(minutes=30), 6.0),
    BurnWindow(timedelta(days=1), timedelta(hours=2), 3.0),
    BurnWindow(timedelta(days=3), timedelta(hours=6), 1.0),
)
FEWEST_EVENTS = 10
GUARD_P = 0.01


def budget_table(
    observations: pd.DataFrame, features: Iterable[Feature], *, as_of: datetime, since: datetime | None = None
) -> pd.DataFrame:
    """Grain: as `burn_rates`, of the features that declare an objective for errors; an observation with an error is
    bad.

    Args:
        observations: feature_id, observed_at, error_count; rows whose errors are not known say nothing.
    """
    known = observations[observations["error_count"].notna()]
    budgets = pd.Series({f.feature_id: f.slo_error_rate for f in features}, dtype=float)
    return burn_rates(known.assign(is_bad=known["error_count"] > 0), budgets, as_of=as_of, since=since)


def burn_rates(
    observations: pd.DataFrame,
    budgets: pd.Series,
    *,
    as_of: datetime,
    since: datetime | None = None,
    windows: tuple[BurnWindow, ...] = WINDOWS,
    min_events: int = FEWEST_EVENTS,
    guard_p: float = GUARD_P,
) -> pd.DataFrame:
    """Grain: one row per feature with a budget and window pair.

    burn = (bad / events of the window (as_of - window, as_of]) / budget; NULL without events. `guard`: exact binomial
    probability of at least that many bad events in the long window if the true rate were just the budget.
    `is_alert`: both windows above the factor and guard under `guard_p`; at least `min_events` events in the long one
    are needed. A budget of 0 (an objective of 100 %) has no burn rate: any bad event of the long window is an alert.
    `refused_because` and a NULL `is_alert`: the long window holds too few events, so nothing can be said.

    The same over the period (`since`, `as_of`], asked at each of its events: `worst_burn`, the largest burn that both
    windows reached, and `worst_at`, when; `was_alert`: an alert would have fired then. Its guard is `guard_p` shared by
    the pairs of windows and by as many long windows as the period holds, because all of them were looked at.
    `budget_left`: the share of the period's allowed failures that did not happen; under 0 the objective is missed. NULL
    without events or budget.

    Args:
        observations: feature_id, observed_at, is_bad (bool).
        budgets: by feature_id, the share of bad events the objective allows (1 - SLO); a NULL one declares nothing.
        since: begin of the period; the longest window before `as_of` where none is named.
    """
    longest = max(w.long for w in windows)
    begin = as_of - longest if since is None else since
    recent = observations[observations["observed_at"] > min(begin, as_of - longest)]
    of_feature = recent.groupby(recent["feature_id"].to_numpy(dtype=object)).indices
    rows = []
    for feature_id, budget in budgets[budgets >= 0].sort_index().items():
        one = recent.iloc[of_feature.get(feature_id, [])].sort_values("observed_at")
        at = one["observed_at"].to_numpy(dtype="datetime64[us]")
        bad = np.r_[0, np.cumsum(one["is_bad"].to_numpy(dtype=int))]
        end = int(np.searchsorted(at, np.datetime64(as_of, "us"), side="right"))
        first = int(np.searchsorted(at, np.datetime64(begin, "us"), side="right"))
        spent = (int(bad[end] - bad[first]), end - first)
        left = 1 - spent[0] / spent[1] / budget if spent[1] and budget else None
        for window in windows:
            starts = [
                int(np.searchsorted(at, np.datetime64(as_of - w, "us"), side="right"))
                for w in (window.long, window.short)
            ]
            (n_long, bad_long), (n_short, bad_short) = [(end - s, int(bad[end] - bad[s])) for s in starts]
            burn_long = bad_long / n_long / budget if n_long and budget else None
            burn_short = bad_short / n_short / budget if n_short and budget else None
            guard = float(binom.sf(bad_long - 1, n_long, budget)) if n_long else None
            if budget:
                is_over = bool(
                    burn_long is not None and burn_short is not None and min(burn_long, burn_short) > window.factor
                )
                is_alert = is_over and guard is not None and guard < guard_p
            else:
                is_alert = bad_long > 0
            hours = (window.long / timedelta(hours=1), window.short / timedelta(hours=1))
            counts = (n_long, bad_long, burn_long, n_short, bad_short, burn_short, guard)
            needed = min_events if budget else 1
            few = f"{n_long} observations in the last {hours[0]:g} h; {needed} are needed"
            refused = few if n_long < needed else None
            worst = _worst(
                at[:end], bad[: end + 1], window, float(budget), first=first, needed=needed,
                guard_p=guard_p / len(windows) * min(window.long / (as_of - begin), 1),
            )  # fmt: skip
            rows.append(
                (
                    feature_id,
                    float(budget),
                    *hours,
                    window.factor,
                    *counts,
                    None if refused else is_alert,
                    *worst,
                    left,
                    refused,
                )
            )
    names = (
        "feature_id budget long_hours short_hours factor events_long bad_long burn_long events_short bad_short "
        "burn_short guard is_alert worst_burn worst_at was_alert budget_left refused_because"
    )
    table = pd.DataFrame(rows, columns=names.split())
    return table.assign(
        is_alert=table["is_alert"].astype("boolean"),
        was_alert=table["was_alert"].astype("boolean"),
        worst_at=pd.to_datetime(table["worst_at"]),
    )


def _worst(
    at: np.ndarray, bad: np.ndarray, window: BurnWindow, budget: float, *, first: int, needed: int, guard_p: float
) -> tuple[float | None, np.datetime64 | None, bool | None]:
    """Largest burn of both windows, its instant, and whether an alert fired, over the events from place `first` on.

    Args:
        at: instants of the events, in order. bad: how many bad ones lie before each place.
    """
    if len(at) - first < needed:
        return None, None, None
    if not budget:
        failed = np.flatnonzero(np.diff(bad)[first:] > 0) + first
        return None, at[failed[-1]] if len(failed) else None, bool(len(failed))
    # Events of the same instant are told together.
    ends = np.unique(np.searchsorted(at, at[first:], side="right"))
    starts = [np.searchsorted(at, at[ends - 1] - np.timedelta64(w), side="right") for w in (window.long, window.short)]
    (n_long, bad_long), (n_short, bad_short) = [(ends - s, bad[ends] - bad[s]) for s in starts]
    enough = n_long >= needed
    if not enough.any():
        return None, None, False
    burn = np.where(enough, np.minimum(bad_long / n_long, bad_short / n_short) / budget, -1.0)
    fired = (burn > window.factor) & (binom.sf(bad_long - 1, n_long, budget) < guard_p)
    worst = int(np.where(fired, burn, -1.0).argmax() if fired.any() else burn.argmax())
    return float(burn[worst]), at[ends[worst] - 1], bool(fired.any())
