"""Differences of return rates: unadjusted, and adjusted by parametric models; refused where the data cannot
carry it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.discrete.discrete_model import Logit
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.sm_exceptions import PerfectSeparationError
from statsmodels.treatment.treatment_effects import TreatmentEffect

from launchpad_lib.inference.benchmark import independent_columns
from launchpad_lib.inference.proportions import newcombe
from launchpad_lib.inference.weighting import MINIMUM_PER_GROUP, OVERLAP


class LiftEstimate(NamedTuple):
    """A difference of return probabilities, treated minus control, or the reason why there is none."""

    method: str
    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None
    n_treated: int
    n_control: int
    refused_because: str | None


def difference_lift(table: pd.DataFrame, *, method: str) -> LiftEstimate:
    """Return rate of treated minus control with Newcombe's interval; unadjusted."""
    treated, control = table[table["treated"] == 1], table[table["treated"] == 0]
    d = newcombe(int(treated["returned"].sum()), len(treated), int(control["returned"].sum()), len(control))
    reason = None if d.absolute_lift is not None else "one of the two groups is empty"
    return LiftEstimate(method, d.absolute_lift, d.ci_low, d.ci_high, len(treated), len(control), reason)


def adjusted_lift(
    table: pd.DataFrame, *, covariates: Sequence[str], method: str = "adjusted", min_group: int = MINIMUM_PER_GROUP
) -> LiftEstimate:
    """Average treatment effect by augmented inverse-probability weighting (statsmodels `TreatmentEffect.aipw`).

    Covariates that do not vary or repeat others are left out. Refused where a group is smaller than `min_group`, none
    is left, the outcome does not vary in a group, more than a tenth of users have a propensity outside (0.02, 0.98), or
    a model cannot be fitted (the covariates tell exactly who is treated).
    """
    counts = (int(table["treated"].sum()), int((1 - table["treated"]).sum()))
    reason = _cannot_be_modelled(table, counts, min_group)
    if reason is None:
        used = independent_columns(table, covariates)
        reason = None if used else "no covariate measured before exposure varies"
    if reason:
        return LiftEstimate(method, None, None, None, *counts, reason)
    design = table[used].assign(constant=1.0).astype(float)
    try:
        found = _aipw(table, design)
    except (np.linalg.LinAlgError, PerfectSeparationError, ValueError) as error:
        found = f"the models cannot be fitted ({type(error).__name__}): the covariates may tell who is treated"
    if isinstance(found, str):
        return LiftEstimate(method, None, None, None, *counts, found)
    return LiftEstimate(method, *found, *counts, None)


def _cannot_be_modelled(table: pd.DataFrame, counts: tuple[int, int], min_group: int) -> str | None:
    """Why no model can be asked, else None."""
    if min(counts) < min_group:
        return f"{counts[0]} treated and {counts[1]} untreated units; each group needs {min_group}"
    if (table.groupby("treated")["returned"].nunique() < 2).any():
        return "in one group all users return or none does, so the outcome cannot be modelled"
    return None


def _aipw(table: pd.DataFrame, design: pd.DataFrame) -> tuple[float, float, float] | str:
    """The effect and its limits, or why they are no numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        propensity = Logit(table["treated"], design).fit(disp=False)
        scores = propensity.predict()
        if not ((scores >= OVERLAP[0]) & (scores <= OVERLAP[1])).mean() >= 0.9:
            return "completers and others hardly overlap on what was measured before"
        effect = TreatmentEffect(
            OLS(table["returned"].astype(float), design), table["treated"].to_numpy(), results_select=propensity
        )
        result = effect.aipw(return_results=True)
        limits = (np.ravel(result.effect)[0], *result.results_gmm.conf_int()[0])
    if not np.isfinite(limits).all():
        return "the fitted models give no number"
    effect_size, low, high = (float(v) for v in limits)
    return effect_size, low, high
