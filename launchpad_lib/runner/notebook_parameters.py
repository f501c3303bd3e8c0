"""Typed parameters of each notebook.

No default belongs to any product: what is not declared is None or empty, and not asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment, PlannedMetric, fault_of_shares
from launchpad_lib.contract.named import ColumnName, EventName, ExperimentId, PropertyName, VariantName
from launchpad_lib.contract.names import nearest
from launchpad_lib.metrics.trials import grace_us
from launchpad_lib.runner.incident_parameters import IncidentsParams
from launchpad_lib.runner.latency_parameters import LatencyTrendsParams
from launchpad_lib.runner.said_steps import SaidExclusion, SaidStep
from launchpad_lib.runner.scorecard_parameters import ScorecardParams
from launchpad_lib.runner.shared_parameters import ChangeParams, FeatureParams, NotebookParams


class EngagementParams(ChangeParams):
    window: str = Field(default="1d", description="time from start to completion, with a unit")
    activity_days: int = Field(
        default=14, ge=1, le=366, description="trailing days of the power-user curve and of frequency"
    )


class FunnelsParams(ChangeParams):
    steps: list[SaidStep] = Field(
        default=[],
        max_length=12,
        description="events in order, each a name or {event, where, optional}; empty: those of each declared feature",
    )
    window: str = Field(default="1d", description="time from entry to the last step, with a unit")
    mode: Literal["ordered", "strict", "any_order", "strict_order"] = Field(
        default="ordered", description="what may come between and in which order"
    )
    entry: Literal["any", "first"] = Field(default="any", description="which entries count")
    by: Literal["user_id", "session_key"] = Field(default="user_id", description="the unit counted")
    exclusions: list[SaidExclusion] = Field(
        default=[],
        description="events that take a unit out when they come between entry and the last reached step, "
        "each a name or {event, where, effect}",
    )
    hold_constant: PropertyName | None = Field(
        default=None, description="a property that must be equal on every step; empty for none"
    )
    breakdown: PropertyName | None = Field(default=None, description="a property to split by; empty for none")
    attribution: Literal["first_touch", "last_touch"] = Field(
        default="first_touch", description="whose value of the property counts"
    )
    trend_period: Literal["day", "week", "month"] = Field(default="day", description="period of the trend")
    comparison_days: int = Field(
        default=6, ge=1, le=366, description="length of each compared period; the newer one ends where windows are over"
    )

    @field_validator("steps")
    @classmethod
    def _one_step_is_no_funnel(cls, value: list) -> list:
        if len(value) == 1:
            raise ValueError(
                "a funnel has at least two steps; name another event, or none to ask for those of the features"
            )
        return value


class CohortsParams(ChangeParams):
    start_event: EventName | None = Field(default=None, description="begins a user's time; empty for any event")
    return_event: EventName | None = Field(default=None, description="counts as coming back; empty for any event")
    counting: Literal["rolling", "calendar"] = Field(
        default="calendar", description="periods of fixed length from the start, or local calendar periods"
    )
    period: Literal["day", "week", "month"] = Field(default="day", description="what a period is")
    return_periods: list[int] = Field(
        default=[1, 3, 7],
        min_length=1,
        description="retention after so many periods; the last is the horizon of the matrix and of on-or-after",
    )
    cohort_by: Literal["day", "week", "month"] = Field(
        default="day", description="users who began in the same local period are a cohort"
    )
    cohort_property: PropertyName | None = Field(
        default=None, description="a property whose values at the start are cohorts too; empty for none"
    )
    behaviour_event: EventName | None = Field(
        default=None, description="users who did it early against those who did not; empty to leave it out"
    )
    behaviour_within: str = Field(default="1d", description="how early, with a unit")
    behaviour_at_least: int = Field(default=1, ge=1, le=1000, description="how often")
    lifecycle_period: Literal["day", "week", "month"] = Field(
        default="day", description="period of new, returning, resurrected and dormant users"
    )
    churn_gap: str = Field(default="3d", description="a user without an event for so long is gone, with a unit")
    path_anchor: EventName | None = Field(
        default=None, description="paths are told after its first occurrence in a session; empty to leave them out"
    )
    path_end: EventName | None = Field(default=None, description="and before this one; empty to leave them out")

    @field_validator("behaviour_within", "churn_gap")
    @classmethod
    def _duration_has_a_unit(cls, value: str) -> str:
        parse_window(value)
        return value

    @field_validator("return_periods")
    @classmethod
    def _periods_rise(cls, value: list[int]) -> list[int]:
        if value != sorted(set(value)) or value[0] < 0:
            raise ValueError(f"return_periods={value!r}: must rise from 0 or later; sort them and name each once")
        return value

    @model_validator(mode="after")
    def _months_have_no_fixed_length(self) -> CohortsParams:
        if self.counting == "rolling" and self.period == "month":
            raise ValueError(
                "period='month': has no fixed length, so it needs counting='calendar'; change one of the two"
            )
        return self


class RetentionLiftParams(FeatureParams):
    compare: Literal["finished", "used"] = Field(
        default="finished",
        description="finished: starts in which it was finished or not; used: days on which it was first used or not",
    )
    grace: str = Field(
        default="session",
        description="how long after the beginning doing it counts: within the session, and at most so long (up to 1d)",
    )
    outcome_days: int = Field(
        default=1, ge=1, le=365, description="the outcome: active within this time after the grace"
    )
    smallest_lift: float = Field(
        default=0.02, gt=0, le=1, description="a difference of return rates that would matter, as a fraction"
    )
    most_trials: int = Field(
        default=2_000_000,
        ge=1_000,
        description="trials of all features together beyond which a part of the users is drawn",
    )
    seed: int = Field(default=20260101, ge=0, description="seed of the cross-fitting folds and of that draw")

    @field_validator("grace")
    @classmethod
    def _nobody_has_to_stay_to_be_counted(cls, value: str) -> str:
        grace_us(value)
        return value


class ExperimentsParams(NotebookParams):
    experiments: list[PlannedExperiment] = Field(
        default=[], strict=False, max_length=50, description="plans of experiments, each in full"
    )
    experiment_id: ExperimentId | None = Field(
        default=None,
        description="in short: an experiment of one success metric, with control and metric_event; without them only "
        "this one of `experiments`",
    )
    control: VariantName | None = Field(default=None, description="its control variant")
    metric_event: EventName | None = Field(default=None, description="the outcome, counted after first exposure")
    guardrail_events: list[EventName] = Field(
        default=[], description="events that must not become rarer by more than the margin"
    )
    guardrail_margin: float = Field(
        default=0.1, gt=0, le=1, description="largest tolerated fall of a guardrail's rate, as a fraction"
    )
    window: str = Field(default="7d", description="time from first exposure to the outcome, with a unit")
    immature_units: Literal["leave_out", "count"] = Field(
        default="leave_out",
        description="units whose window is not over; count: with what they did so far, for a log that has ended",
    )
    shares: dict[VariantName, float] = Field(
        default={},
        description="planned share of each variant, the control included, as parts of their sum; empty: equal parts",
    )
    design: Literal["fixed", "sequential"] = Field(
        default="fixed", description="fixed: read once at the planned end; sequential: may be read at any time"
    )
    planned_units: int = Field(
        default=5000, ge=2, description="units of all arms at which a sequential interval is tightest; fixed before"
    )

    @model_validator(mode="after")
    def _an_experiment_is_declared_whole(self) -> ExperimentsParams:
        ids = [e.experiment_id for e in self.experiments]
        twice = next((i for i in ids if ids.count(i) > 1), None)
        if twice is not None:
            raise ValueError(f"experiment_id {twice!r} stands twice; plan each experiment once")
        if self.experiments and self.control is None and self.metric_event is None:
            if self.experiment_id not in (None, *ids):
                near = nearest(str(self.experiment_id), ids)
                raise ValueError(f"experiment_id={self.experiment_id!r}: is none of `experiments`; {near}")
            return self
        if self.experiment_id is not None and None in (self.control, self.metric_event):
            raise ValueError(
                f"experiment_id={self.experiment_id!r}: needs its control and its metric_event; declare both"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_a_plan(self) -> ExperimentsParams:
        fault = fault_of_shares(self.shares, control=self.control)
        if fault:
            raise ValueError(fault)
        return self


class ExperimentDesignParams(NotebookParams):
    unit_event: EventName | None = Field(
        default=None, description="who does it would be exposed, at the first time; empty for no design"
    )
    metrics: list[PlannedMetric] = Field(
        default=[], strict=False, max_length=20, description="what would decide or be guarded, as in `experiments`"
    )
    window: str = Field(default="7d", description="time from exposure to the outcome, with a unit")
    pre_period: str = Field(default="14d", description="time before exposure that CUPED would use, with a unit")
    variants: int = Field(default=2, ge=2, le=50, description="arms, the control included, of equal shares")
    power: float = Field(default=0.8, ge=0.5, lt=1, description="how often a difference of that size is to be found")
    durations: list[Annotated[int, Field(ge=1, le=730)]] = Field(
        default=[7, 14, 28], min_length=1, max_length=20, description="days of exposures that are compared"
    )
    effects: list[Annotated[float, Field(gt=0, le=10)]] = Field(
        default=[0.02, 0.05, 0.1],
        min_length=1,
        max_length=20,
        description="differences to be found, as parts of the value",
    )
    look_every_days: int = Field(default=1, ge=1, le=90, description="days between two looks of the peeking plan")
    seed: int = Field(default=20260101, ge=0, description="seed of the simulated looks")

    @field_validator("pre_period")
    @classmethod
    def _duration_has_a_unit(cls, value: str) -> str:
        parse_window(value)
        return value

    @model_validator(mode="after")
    def _a_metric_stands_once(self) -> ExperimentDesignParams:
        names = [m.called for m in self.metrics]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise ValueError(f"metrics: {twice!r} stands twice; give each its own name")
        return self


class RiskScoringParams(FeatureParams):
    horizon_days: int = Field(default=7, ge=1, le=30, description="how far ahead degradation is predicted")
    min_breach_days: int = Field(
        default=2, ge=1, le=30, description="days of breach within the horizon that count as degraded"
    )
    top: int = Field(default=3, ge=1, le=100, description="how many features a day can be looked at, for the recall")
    seed: int = Field(default=20260101, ge=0, description="seed of the bootstrap")


class DataQualityParams(NotebookParams):
    as_of: str | None = Field(
        default=None, description="ISO instant at which the age of the data is told; a run gives its own start"
    )
    drift_days: int = Field(default=14, ge=1, le=365, description="the last days, compared with all before")
    drift_columns: list[ColumnName] = Field(
        default=["platform", "country", "session_seconds", "feedback_score"],
        min_length=1,
        description="columns of events and telemetry, and properties of events, watched for drift",
    )
    seed: int = Field(default=20260101, ge=0, description="seed of the draw of one row per user")

    @field_validator("as_of")
    @classmethod
    def _as_of_is_an_instant(cls, value: str | None) -> str | None:
        try:
            return value if value is None else datetime.fromisoformat(value).isoformat()
        except ValueError as error:
            raise ValueError(f"{value!r} is no ISO instant; write for example 2026-01-31T06:00:00+00:00") from error


NOTEBOOKS: dict[str, type[NotebookParams]] = {
    "scorecard": ScorecardParams,
    "engagement": EngagementParams,
    "funnels": FunnelsParams,
    "cohorts": CohortsParams,
    "retention_lift": RetentionLiftParams,
    "experiments": ExperimentsParams,
    "experiment_design": ExperimentDesignParams,
    "latency_trends": LatencyTrendsParams,
    "incidents": IncidentsParams,
    "risk_scoring": RiskScoringParams,
    "data_quality": DataQualityParams,
}
