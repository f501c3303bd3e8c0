"""What an experiment would be built on: who would be exposed by when, and the metrics of these users, from the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.contract.experiments import PlannedExperiment, PlannedMetric
from launchpad_lib.metrics.checks import unknown_names
from launchpad_lib.metrics.experiment_counted import WHOLE
from launchpad_lib.metrics.experiment_question import question_of, without_course
from launchpad_lib.metrics.experiment_tally import Tally
from launchpad_lib.metrics.exposures import ALL, experiment_units
from launchpad_lib.metrics.kernels.reading import micros_of

DAY_US = 86_400_000_000


class Baseline(NamedTuple):
    """`starts_at`: when the experiment would have begun; `arrivals`: of each day since, units exposed first on it;
    `moments`: of each metric the fifteen sums of its mature units (`inference.arms`); `immature`: units in no rate;
    `refused`: of each metric why it cannot be counted, else None.
    """

    starts_at: datetime
    arrivals: np.ndarray
    moments: np.ndarray
    immature: int
    refused: tuple[str | None, ...]


def baseline(
    events: ir.Table,
    *,
    unit_event: str,
    metrics: Sequence[PlannedMetric],
    window: str,
    pre_period: str,
    observed_through: datetime,
) -> Baseline:
    """As if an experiment had begun in the log: after the pre-period, or a third of the log where that is shorter, so
    that there is a time before.

    Raises:
        ValueError: the event does not occur, or the log is too short for a unit whose window is over.
    """
    reason = unknown_names(events, event_names=[unit_event])
    if reason:
        raise ValueError(reason)
    of_event = events.filter(events.event_name == unit_event)
    first_at, begins_at = (t.event_at.min().execute() for t in (of_event, events))
    through = utc_instant(observed_through)
    span = through - utc_instant(begins_at)
    starts_at = max(utc_instant(first_at), utc_instant(begins_at) + min(parse_window(pre_period), span / 3))
    plan = PlannedExperiment.model_construct(
        **{n: f.get_default(call_default_factory=True) for n, f in PlannedExperiment.model_fields.items()}
        | {"experiment_id": unit_event, "control": ALL, "metrics": list(metrics), "window": window}
    )
    question = without_course(question_of(plan))
    tally = Tally(plan, question, "UTC")
    start = micros_of(starts_at)
    arrivals = np.zeros(int((micros_of(through) - start) // DAY_US) + 1, np.int64)
    immature = 0
    parts = experiment_units(
        events, experiment_id=None, outcomes=question.outcomes, observed_through=through,
        pre_period=parse_window(pre_period), instead=(unit_event, starts_at),
    )  # fmt: skip
    for part in parts:
        days = (part.exposed_at - start) // DAY_US
        arrivals += np.bincount(days, minlength=len(arrivals))[: len(arrivals)]
        immature += int((~part.is_over).sum())
        tally.add(part)
    found = tally.counted(None)
    whole = found.moments[WHOLE].get(ALL)
    if whole is None:
        longest = max((o.ends for o in question.outcomes), default=timedelta(0))
        raise ValueError(
            f"no unit with {unit_event} since {starts_at:%Y-%m-%d} has been observed for {longest.days} days; "
            "wait, or ask for a shorter window"
        )
    full = int((micros_of(through) + 1 - start) // DAY_US)
    return Baseline(starts_at, arrivals[: max(full, 1)], whole, immature, found.refused)
