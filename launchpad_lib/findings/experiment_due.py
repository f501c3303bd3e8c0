"""Whether an experiment may be read: its arms, their split, and the end of a fixed design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.sentences import counted as number_of
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.findings.experiment_arms import Arms
from launchpad_lib.findings.experiment_plans import ExperimentPlan
from launchpad_lib.inference.sample_ratio import MovedSplit, SampleRatio, moved_split, sample_ratio_mismatch


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


def tuning_units(plan: ExperimentPlan, variants: Sequence[str], variant: str) -> float:
    """The planned units of a variant and the control together."""
    planned = plan.planned.planned_units if plan.planned and plan.planned.planned_units else 5000
    if not plan.shares:
        return 2 * planned / max(len(variants), 2)
    total = sum(plan.shares.values())
    return planned * (plan.shares.get(variant, 0.0) + plan.shares[str(plan.control)]) / total


def no_arms_because(plan: ExperimentPlan, units: Mapping[str, int]) -> str | None:
    """Why the arms of the plan are not there to be compared, else None."""
    metrics = plan.planned.metrics if plan.planned else []
    if any(m.kind == "conversion" and m.event == EXPOSURE_EVENT for m in metrics):
        return f"metric {EXPOSURE_EVENT!r}: is the exposure itself, which every unit did; name what units do after it"
    expected = [plan.control, *plan.shares]
    missing = next((v for v in expected if v not in units), None)
    if missing is not None:
        what = "control" if missing == plan.control else "planned variant"
        return f"{what} {missing!r}: no unit was exposed to it alone; {nearest(missing, list(units))}"
    return "only one variant was seen, so there is nothing to compare" if len(units) < 2 else None


def split_of(plan: ExperimentPlan, arms: Arms) -> tuple[SampleRatio, MovedSplit | None]:
    """The test of the planned split, or of an equal one over the variants that were seen; and whether it moved while
    units came, which is a mismatch too.
    """
    variants = sorted(arms.randomised)
    units = [int(arms.randomised[v]) for v in variants]
    ratio = sample_ratio_mismatch(units, weights=[plan.shares[v] for v in variants] if plan.shares else None)
    moved = moved_split(arms.counted.daily) if arms.counted else None
    if moved and not ratio.is_mismatch:
        return ratio._replace(is_mismatch=True), moved
    return ratio, None
