"""How fast is the error budget being used? Multi-window burn rates with a guard at low volume."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from launchpad_lib.trends.exhaustion import used_up


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
    `sli`: the share of the period's `events` that are not bad. `budget_left`: the share of the period's allowed
    failures that did not happen; under 0 the objective is missed. NULL without events or budget. `used_up_at` (with
    `used_up_first_at`, `used_up_last_at`): when nothing is left if it goes on as in the long window
    (`exhaustion.used_up`); NULL where it is not within one period, and where `used_up_refused` says why.

    Args:
        observations: feature_id, observed_at, is_bad (bool).
        budgets: by feature_id, the share of bad events the objective allows (1 - SLO); a NULL one declares nothing.
        since: begin of the period; the longest window before `as_of` where none is named.
    """
    longest = max(w.long for w in windows)
    begin = as_of - longest if since is None else since
    at_all = observations["observed_at"]
    recent = observations[(at_all > min(begin, as_of - longest)) & (at_all <= as_of)]
    of_feature = recent.groupby(recent["feature_id"].to_numpy(dtype=object)).indices
    rows = []
    for feature_id, budget in budgets[budgets >= 0].sort_index().items():
        one = recent.iloc[of_feature.get(feature_id, [])].sort_values("observed_at")
        at = one["observed_at"].to_numpy(dtype="datetime64[us]")
        is_bad = one["is_bad"].to_numpy(dtype=bool)
        bad = np.r_[0, np.cumsum(is_bad, dtype=int)]
        end, first = len(at), int(np.searchsorted(at, np.datetime64(begin, "us"), side="right"))
        spent, events = int(bad[end] - bad[first]), end - first
        sli = 1 - spent / events if events else None
        left = 1 - spent / events / budget if events and budget else None
        for window in windows:
            counted = _counted(at, bad, window, float(budget), as_of=as_of, min_events=min_events, guard_p=guard_p)
            worst = _worst(
                at, bad, window, float(budget), first=first, needed=min_events if budget else 1,
                guard_p=guard_p / len(windows) * min(window.long / (as_of - begin), 1),
            )  # fmt: skip
            gone = used_up(
                at[first:], is_bad[first:], float(budget), begin=begin, as_of=as_of, lately=as_of - window.long
            )
            rows.append((feature_id, float(budget), *counted[:-1], *worst, events, sli, left, *gone, counted[-1]))
    names = (
        "feature_id budget long_hours short_hours factor events_long bad_long burn_long events_short bad_short "
        "burn_short guard is_alert worst_burn worst_at was_alert events sli budget_left used_up_at used_up_first_at "
        "used_up_last_at used_up_refused refused_because"
    )
    table = pd.DataFrame(rows, columns=names.split())
    instants = ("worst_at", "used_up_at", "used_up_first_at", "used_up_last_at")
    return table.assign(
        is_alert=table["is_alert"].astype("boolean"),
        was_alert=table["was_alert"].astype("boolean"),
        **{c: pd.to_datetime(table[c]) for c in instants},
    )


def _counted(
    at: np.ndarray,
    bad: np.ndarray,
    window: BurnWindow,
    budget: float,
    *,
    as_of: datetime,
    min_events: int,
    guard_p: float,
) -> tuple[Any, ...]:
    """Of one pair of windows up to `as_of`: hours, factor, counts, burns, guard, alert, and why there is none."""
    end = len(at)
    starts = [
        int(np.searchsorted(at, np.datetime64(as_of - w, "us"), side="right")) for w in (window.long, window.short)
    ]
    (n_long, bad_long), (n_short, bad_short) = [(end - s, int(bad[end] - bad[s])) for s in starts]
    burn_long = bad_long / n_long / budget if n_long and budget else None
    burn_short = bad_short / n_short / budget if n_short and budget else None
    guard = float(binom.sf(bad_long - 1, n_long, budget)) if n_long else None
    if budget:
        is_over = burn_long is not None and burn_short is not None and min(burn_long, burn_short) > window.factor
        is_alert = is_over and guard is not None and guard < guard_p
    else:
        is_alert = bad_long > 0
    hours = (window.long / timedelta(hours=1), window.short / timedelta(hours=1))
    needed = min_events if budget else 1
    few = f"{n_long} observations in the last {hours[0]:g} h; {needed} are needed"
    refused = few if n_long < needed else None
    counts = (n_long, bad_long, burn_long, n_short, bad_short, burn_short, guard)
    return (*hours, window.factor, *counts, None if refused else is_alert, refused)


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
    fired = burn > window.factor
    fired[fired] = binom.sf(bad_long[fired] - 1, n_long[fired], budget) < guard_p  # few are: the test costs most
    worst = int(np.where(fired, burn, -1.0).argmax() if fired.any() else burn.argmax())
    return float(burn[worst]), at[ends[worst] - 1], bool(fired.any())
