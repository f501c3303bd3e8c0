"""The results of the latency page, put together from the rooms that compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.contract.worst import Worst, worst_of
from launchpad_lib.findings.health_states import health_table
from launchpad_lib.inference import quantile_changes, regression_table
from launchpad_lib.trends import (
    MOST_WEEKS,
    WINDOWS,
    level_tables,
    nearest_annotation,
    silence_table,
    spell_noise_of_change,
)


class LatencyResults(NamedTuple):
    """`regressions`: change between windows and state of the level, per feature. `changes`: moves of a level that were
    found, dated. `left_out`: single days that are of no level. `silence`: who stopped sending. `health`: one state per
    feature.
    """

    regressions: pd.DataFrame
    changes: pd.DataFrame
    silence: pd.DataFrame
    health: pd.DataFrame
    left_out: pd.DataFrame


def latency_results(
    observations: pd.DataFrame,
    daily: pd.DataFrame,
    annotations: pd.DataFrame,
    *,
    declared: Sequence[str],
    through: datetime,
    window_days: int,
    sustained_days: int,
    smallest_rise: float,
    min_units: int,
    seed: int,
) -> LatencyResults:
    """The last `window_days` days against the days before them, the history's levels, and who fell silent.

    Args:
        observations: of `metrics.stability.observations`, those after `read_since`.
        daily: of `metrics.stability.feature_days`.
        annotations: deployments and incidents, named beside a shift that lies near.
        declared: ids of declared features; one without telemetry has a row too.
    """
    rng = np.random.default_rng(seed)
    split_at = through - timedelta(days=window_days)
    levels = level_tables(
        daily, last_days=window_days, sustained_days=sustained_days, smallest_rise=smallest_rise, min_observations=20
    )
    shifts = nearest_annotation(levels.shifts, annotations, date_column="shift_on")
    changes = quantile_changes(
        observations,
        split_at=split_at,
        window_days=window_days,
        rng=rng,
        period_noise=spell_noise_of_change(shifts, window_days=window_days),
        min_units=min_units,
        features=list(daily["feature_id"].unique()),
    )
    regressions = regression_table(changes, shifts)
    silence = silence_table(daily, through=through, declared=declared)
    return LatencyResults(regressions, levels.changes, silence, health_table(regressions, silence), levels.left_out)


def read_since(through: datetime, *, window_days: int) -> datetime:
    """After which instant observations are read one by one: both windows, and the longest one of the error budgets."""
    return through - max(timedelta(days=2 * window_days), *(w.long for w in WINDOWS))


def hours_since(since: datetime) -> datetime:
    """From which instant hours are counted: the weeks before the period that say how many rows were due in it."""
    return since - timedelta(weeks=MOST_WEEKS)


def largest_change(found: LatencyResults, *, called: Mapping[str, str], window_days: int) -> Worst:
    """The feature whose p95 latency rose most between the two windows; as a rise: ratio - 1."""
    ratios = found.regressions[["feature_id", "ratio", "ci_low", "ci_high", "n_after"]]
    rises = ratios.assign(**{c: ratios[c].astype(float) - 1 for c in ("ratio", "ci_low", "ci_high")})
    reason = "no feature has enough observations in both windows"
    return worst_of(
        rises, value="ratio", n="n_after", worst="highest", reason=reason, names=called, window_days=window_days
    )


def least_crash_free(stable: pd.DataFrame, *, called: Mapping[str, str]) -> Worst:
    """The feature with the lowest share of crash-free users."""
    limits = ("crash_free_users_low", "crash_free_users_high")
    reason = "no observation has a user and a known crash flag"
    return worst_of(
        stable, value="crash_free_users_rate", n="users", worst="lowest", reason=reason, ci=limits, names=called
    )


def least_apdex(stable: pd.DataFrame, *, called: Mapping[str, str], threshold_ms: float) -> Worst:
    """The feature with the lowest Apdex."""
    rules = {"threshold_ms": f"{threshold_ms:g}", "tolerated_ms": f"{4 * threshold_ms:g}"}
    limits, reason = ("apdex_low", "apdex_high"), "no observation has a latency or an error"
    return worst_of(
        stable, value="apdex", n="observations", worst="lowest", reason=reason, ci=limits, names=called, **rules
    )
