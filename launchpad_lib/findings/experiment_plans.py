"""Which experiments a page is asked about: their plans, checked against the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import (
    Design,
    Immature,
    PlannedExperiment,
    PlannedMetric,
    planned_experiments,
    short_plan,
)
from launchpad_lib.contract.sentences import span_words
from launchpad_lib.findings.releases import begins_after, last_day
from launchpad_lib.findings.rows import not_asked
from launchpad_lib.metrics.exposure_period import nobody_exposed

REMEDY = "declare experiment_id, control and metric_event of this notebook, or `experiments`, in the params file"


class ExperimentPlan(NamedTuple):
    """One experiment as it was planned; `refused_because` where it is not asked, or the log does not hold it.

    `is_short`: told in the short form, which names no planned end.
    """

    planned: PlannedExperiment | None
    experiment_id: str | None
    min_cell: int = 30
    report_timezone: str = "UTC"
    observed_through: datetime | None = None
    refused_because: str | None = None
    is_short: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether an experiment is declared with its control and its success metric."""
        return self.planned is not None

    @property
    def control(self) -> str | None:
        """The control variant."""
        return self.planned.control if self.planned else None

    @property
    def success(self) -> tuple[PlannedMetric, ...]:
        """What can be shipped for."""
        return tuple(m for m in self.planned.metrics if m.role == "success") if self.planned else ()

    @property
    def guardrails(self) -> tuple[PlannedMetric, ...]:
        """What must not get worse."""
        return tuple(m for m in self.planned.metrics if m.role == "guardrail") if self.planned else ()

    @property
    def metric_name(self) -> str | None:
        """The first success metric."""
        return self.success[0].called if self.success else None

    @property
    def shares(self) -> dict[str, float]:
        """The planned split; empty: equal parts."""
        return self.planned.shares if self.planned else {}

    @property
    def design(self) -> Design:
        """How often it may be read."""
        return self.planned.design if self.planned else "fixed"

    @property
    def counted_as(self) -> str:
        """What is compared: units, or the clusters that were assigned."""
        return "cluster" if self.planned and self.planned.cluster is not None else "unit"

    @property
    def immature_units(self) -> Immature:
        """What happens to units whose window is not over."""
        return self.planned.immature_units if self.planned else "leave_out"

    @property
    def longest(self) -> str:
        """The longest window of any metric."""
        if self.planned is None:
            return "7d"
        windows = [m.window or self.planned.window for m in self.planned.metrics]
        return max(windows, key=parse_window)

    @property
    def within(self) -> str:
        """The window as it is read."""
        return span_words(self.longest)

    def metric(self, name: str) -> PlannedMetric | None:
        """The metric of that name."""
        return next((m for m in self.planned.metrics if m.called == name), None) if self.planned else None


def ask_experiment(
    events: ir.Table,
    *,
    experiment_id: str | None,
    control: str | None,
    metric_event: str | None,
    min_cell: int = 30,
    report_timezone: str = "UTC",
    observed_through: datetime | None = None,
    guardrail_events: Sequence[str] = (),
    design: Design = "fixed",
    planned_units: int = 5000,
    shares: Mapping[str, float] | None = None,
    **rules: Any,
) -> ExperimentPlan:
    """The plan in its short form, checked against the log: an experiment that nobody declared is not asked, one that
    nobody saw is refused.
    """
    read: dict[str, Any] = {
        "min_cell": min_cell,
        "report_timezone": report_timezone,
        "observed_through": observed_through,
        "is_short": True,
    }
    if experiment_id is None or control is None or metric_event is None:
        why = not_asked(f"no experiment is declared; {REMEDY}")
        return ExperimentPlan(None, experiment_id, refused_because=why, **read)
    plan = short_plan(
        experiment_id=experiment_id,
        control=control,
        metric_event=metric_event,
        guardrail_events=guardrail_events,
        design=design,
        planned_units=planned_units if design == "sequential" else None,  # the short form names no planned end
        shares=dict(shares or {}),
        **rules,
    )
    why_not = nobody_exposed(events, experiment_id=experiment_id)
    return ExperimentPlan(plan, experiment_id, refused_because=why_not, **read)


def ask_experiments(
    events: ir.Table,
    declared: Iterable[PlannedExperiment | Mapping[str, Any]],
    *,
    experiment_id: str | None = None,
    control: str | None = None,
    table: Any = (),
    min_cell: int = 30,
    report_timezone: str = "UTC",
    observed_through: datetime | None = None,
    **short: Any,
) -> tuple[ExperimentPlan, ...]:
    """Every experiment that is declared, in full or in the short form; one that is not asked where none is.

    Args:
        declared: plans of the params; `table`: those of the lake.
        experiment_id: with `control` the one of the short form, which stands for a plan of the same experiment;
            without it only this one of the declared.
    """
    read: dict[str, Any] = {
        "min_cell": min_cell,
        "report_timezone": report_timezone,
        "observed_through": observed_through,
    }
    found = []
    if control is not None:
        found.append(ask_experiment(events, experiment_id=experiment_id, control=control, **read, **short))
    only = None if control is not None else experiment_id
    for plan in planned_experiments(declared, table, experiment_id=only):
        if control is not None and plan.experiment_id == experiment_id:
            continue  # one that stands in both is that of the parameters
        why = None if plan.aggregates else _nobody_because(events, plan, observed_through, report_timezone)
        found.append(ExperimentPlan(plan, plan.experiment_id, refused_because=why, **read))
    if found:
        return tuple(found)
    return (ask_experiment(events, experiment_id=experiment_id, control=None, metric_event=None, **read),)


def _nobody_because(
    events: ir.Table, plan: PlannedExperiment, observed_through: datetime | None, report_timezone: str
) -> str | None:
    """Why nobody can be counted; None where somebody was exposed within the log."""
    is_to_come = observed_through and begins_after(plan, last_day(observed_through, report_timezone))
    return is_to_come or nobody_exposed(events, experiment_id=plan.experiment_id)
