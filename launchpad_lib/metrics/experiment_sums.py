"""What a planned experiment needs of the log: sums, squares and products per variant and metric, from one reading.

A design that is read at a planned number of units needs a first reading of its exposures alone, to know when that was.
Nothing here grows with the units but the values of winsorised sums and of quantiles, and the clusters.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.metrics.experiment_counted import MOST_LEVELS, WHOLE, Counted
from launchpad_lib.metrics.experiment_question import question_of
from launchpad_lib.metrics.experiment_tally import Tally
from launchpad_lib.metrics.exposure_counts import instant_of_unit
from launchpad_lib.metrics.exposure_period import Period, period_of
from launchpad_lib.metrics.exposure_rows import users_without_unit
from launchpad_lib.metrics.exposures import experiment_units

NO_UNIT = "no unit"  # of users, since there is nothing else to count
__all__ = ["MOST_LEVELS", "WHOLE", "Counted", "counted"]


def counted(
    events: ir.Table, plan: PlannedExperiment, *, observed_through: datetime | None, report_timezone: str
) -> Counted:
    """Everything that the page needs of the log.

    Args:
        observed_through: last instant of the data; taken only where the plan leaves immature units out.

    Raises:
        ValueError: more outcomes than one reading counts.
    """
    question = question_of(plan)
    labels = tuple(dict.fromkeys(n for n in (plan.cluster, plan.strata, *plan.segments) if n is not None))
    period = period_of(plan.starts_on, plan.ends_on, report_timezone=report_timezone)
    asked: dict[str, Any] = {
        "experiment_id": plan.experiment_id,
        "planned": plan.variants,
        "labels": labels,
        "cluster": plan.cluster,
        "unit": plan.unit,
        "observed_through": observed_through if plan.immature_units == "leave_out" else None,
        "pre_period": parse_window(plan.pre_period),
    }
    read_at = None
    if plan.design == "fixed" and plan.planned_units is not None and plan.cluster is None:
        first = experiment_units(events, outcomes=(), period=period, **asked)
        read_at = instant_of_unit(first, plan.planned_units)
        if read_at is not None:
            ends = read_at + 1 if period.ends is None else min(period.ends, read_at + 1)
            period = Period(period.begins, ends)
    parts = experiment_units(events, outcomes=question.outcomes, period=period, **asked)
    tally = Tally(plan, question, report_timezone)
    for part in parts:
        tally.add(part)
    found = tally.counted(read_at)
    if plan.unit is None:
        return found
    lost = users_without_unit(events, experiment_id=plan.experiment_id, unit=plan.unit)
    row = pd.DataFrame({"standing": [NO_UNIT], "variant": [None], "units": [lost], "units_immature": [0]})
    return found._replace(standing=pd.concat([found.standing, row], ignore_index=True)) if lost else found
