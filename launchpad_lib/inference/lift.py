"""Retention lift: naive, landmark, and landmark with adjustment; refused where the data cannot carry it."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.discrete.discrete_model import Logit
from statsmodels.regression.linear_model import OLS
from statsmodels.treatment.treatment_effects import TreatmentEffect

from launchpad_lib.inference.proportions import newcombe

COVARIATES = ("events_before", "quiz_days_before", "is_web")
MINIMUM_PER_GROUP = 30
OVERLAP = (0.02, 0.98)


class LiftEstimate(NamedTuple):
    """A difference of return probabilities, treated minus control, or the reason why there is none."""

    method: str
    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None
    n_treated: int
    n_control: int
    refused_because: str | None


def landmark_table(
    events: pd.DataFrame, *, complete_event: str, landmark_days: int, outcome_days: int, observed_through: datetime
) -> pd.DataFrame:
    """Grain: one row per eligible user: user_id, treated, returned, and covariates measured in the first 24 hours.

    Eligible: first event + landmark + outcome window <= observed_through, and not exposed in the first 24 hours (so that
    every covariate is measured before exposure). Treated: completed by the landmark. Returned: active strictly after the
    landmark, within the outcome window. Removes immortal-time bias.

    Args:
        events: user_id, event_name, event_at, platform.
    """
    first = events.groupby("user_id")["event_at"].min().rename("t0")
    log = events.join(first, on="user_id")
    log["age"] = log["event_at"] - log["t0"]
    landmark, end, day = timedelta(days=landmark_days), timedelta(days=landmark_days + outcome_days), timedelta(days=1)
    done = log[log["event_name"] == complete_event].groupby("user_id")["age"].min()
    before = log[log["age"] < day]
    table = pd.DataFrame(index=first.index)
    table["completed_age"] = done.reindex(table.index)
    table["events_before"] = np.log1p(before.groupby("user_id").size().reindex(table.index).astype(float))
    table["quiz_days_before"] = before.groupby("user_id")["event_name"].nunique().reindex(table.index).astype(float)
    table["is_web"] = (before.groupby("user_id")["platform"].first().reindex(table.index) == "web").astype(float)
    later = log[(log["age"] > landmark) & (log["age"] <= end)]
    table["returned"] = table.index.isin(later["user_id"]).astype(int)
    is_mature = first + end <= observed_through
    is_clean = table["completed_age"].isna() | (table["completed_age"] >= day)
    table["treated"] = (table["completed_age"] <= landmark).astype(int)
    return table[is_mature & is_clean].reset_index()


def difference_lift(table: pd.DataFrame, *, method: str) -> LiftEstimate:
    """Return rate of treated minus control with Newcombe's interval; unadjusted."""
    treated, control = table[table["treated"] == 1], table[table["treated"] == 0]
    d = newcombe(int(treated["returned"].sum()), len(treated), int(control["returned"].sum()), len(control))
    reason = None if d.absolute_lift is not None else "one of the two groups is empty"
    return LiftEstimate(method, d.absolute_lift, d.ci_low, d.ci_high, len(treated), len(control), reason)


def adjusted_lift(table: pd.DataFrame, *, covariates: tuple[str, ...] = COVARIATES) -> LiftEstimate:
    """Average treatment effect by augmented inverse-probability weighting (statsmodels `TreatmentEffect.aipw`).

    Refused where a group has fewer than 30 users, a covariate does not vary, the outcome does not vary in a group, or
    more than a tenth of users have a propensity outside (0.02, 0.98).
    """
    n_treated, n_control = int(table["treated"].sum()), int((1 - table["treated"]).sum())
    used = [c for c in covariates if table[c].std() > 0]
    by_group = table.groupby("treated")["returned"].nunique()
    reason = None
    if min(n_treated, n_control) < MINIMUM_PER_GROUP:
        reason = f"{n_treated} treated and {n_control} untreated users; each group needs {MINIMUM_PER_GROUP}"
    elif (by_group < 2).any():
        reason = "in one group all users return or none does, so the outcome cannot be modelled"
    elif not used:
        reason = "no covariate measured before exposure varies"
    if reason:
        return LiftEstimate("adjusted", None, None, None, n_treated, n_control, reason)
    design = table[used].assign(constant=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection = Logit(table["treated"], design)
        propensity = selection.fit(disp=False)
        scores = propensity.predict()
        if ((scores < OVERLAP[0]) | (scores > OVERLAP[1])).mean() > 0.1:
            return LiftEstimate(
                "adjusted",
                None,
                None,
                None,
                n_treated,
                n_control,
                "completers and others hardly overlap on what was measured before",
            )
        effect = TreatmentEffect(
            OLS(table["returned"].astype(float), design), table["treated"].to_numpy(), results_select=propensity
        )
        result = effect.aipw(return_results=True)
        low, high = result.results_gmm.conf_int()[0]
    return LiftEstimate(
        "adjusted", float(np.ravel(result.effect)[0]), float(low), float(high), n_treated, n_control, None
    )
