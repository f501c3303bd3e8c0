"""An experiment from raw exposures and events: first exposure, outcomes after it only."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import pandas as pd

from launchpad_lib.inference.proportions import newcombe, wilson


class Experiment(NamedTuple):
    """`arms`: one row per variant (variant, units, converted, rate, ci_low, ci_high, absolute_lift, lift_low, lift_high);
    `excluded`: users seen in several variants; `events_before_exposure`: outcome events a naive join would count."""

    arms: pd.DataFrame
    excluded: int
    events_before_exposure: int


def experiment_result(exposures: pd.DataFrame, outcomes: pd.DataFrame, *, control: str, window: timedelta) -> Experiment:
    """Conversion per variant within `window` after first exposure, against control.

    Args:
        exposures: user_id, variant, event_at.
        outcomes: user_id, event_at of the outcome event.
    """
    variants = exposures.groupby("user_id")["variant"].nunique()
    several = variants.index[variants > 1]
    single = exposures[~exposures["user_id"].isin(several)]
    first = single.groupby("user_id").agg(variant=("variant", "first"), exposed_at=("event_at", "min")).reset_index()
    joined = outcomes.merge(first, on="user_id")
    is_after = joined["event_at"] >= joined["exposed_at"]
    in_time = joined[is_after & (joined["event_at"] <= joined["exposed_at"] + window)]
    units = first.groupby("variant")["user_id"].nunique()
    converted = in_time.groupby("variant")["user_id"].nunique().reindex(units.index, fill_value=0)
    names = sorted(units.index, key=lambda v: (v != control, str(v)))
    rows = []
    for name in names:
        k, n = int(converted[name]), int(units[name])
        rate, is_control = wilson(k, n), name == control or control not in units.index
        lift = (None, None, None) if is_control else newcombe(k, n, int(converted[control]), int(units[control]))
        rows.append((name, n, k, *rate, *lift))
    columns = ["variant", "units", "converted", "rate", "ci_low", "ci_high", "absolute_lift", "lift_low", "lift_high"]
    return Experiment(pd.DataFrame(rows, columns=columns), len(several), int((~is_after).sum()))
