"""When a fixed design may be read."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.sentences import counted as number_of
from launchpad_lib.findings.experiment_arms import Arms
from launchpad_lib.findings.experiment_plans import ExperimentPlan


def not_yet_because(plan: ExperimentPlan, planned: PlannedExperiment, arms: Arms) -> str | None:
    """Why a fixed design must not be read yet; None where its planned end is over, or none is planned."""
    if planned.design != "fixed" or planned.aggregates or (planned.planned_units is None and planned.ends_on is None):
        return None
    units = sum(arms.randomised.values())
    is_full = planned.planned_units is not None and units >= planned.planned_units
    is_ended = planned.ends_on is not None and _is_over(plan, planned.ends_on)
    said = "not yet: a fixed design is read once, at its planned end"
    if not is_full and not is_ended:
        due = []
        if planned.planned_units is not None:
            due.append(f"{number_of(units, 'unit')} of {planned.planned_units:,} planned are there")
        if planned.ends_on is not None:
            due.append(f"exposures go on until {planned.ends_on}")
        return f"{said}; {' and '.join(due)}"
    waiting = int(arms.standing.loc[arms.standing["standing"] == "assigned", "units_immature"].sum())
    if waiting and planned.immature_units == "leave_out":
        return f"{said}; the window of {plan.within} is not over for {number_of(waiting, 'unit')}"
    return None


def _is_over(plan: ExperimentPlan, last: date) -> bool:
    if plan.observed_through is None:
        return True
    end = pd.Timestamp(datetime(last.year, last.month, last.day) + timedelta(days=1)).tz_localize(plan.report_timezone)
    through = pd.Timestamp(plan.observed_through)
    through = through.tz_localize("UTC") if through.tzinfo is None else through
    window = parse_window(plan.longest) if plan.immature_units == "leave_out" else timedelta(0)
    return bool(end + window <= through + pd.Timedelta(microseconds=1))
