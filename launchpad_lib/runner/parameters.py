"""Typed parameters of the run and of each notebook; everything is checked before anything runs."""

from __future__ import annotations

import difflib
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.ingestion import SourceSpec


class ParameterError(ValueError):
    """A parameter that cannot be used; one sentence with argument, value, rule and remedy."""


class NotebookParams(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    lake: str = Field(default="../data/lake/simulated", description="folder of the Delta tables")
    lake_versions: dict[str, int] = Field(
        default={}, description="table: the version of it to read; the newest of every other"
    )
    report_timezone: str = Field(default="UTC", description="IANA name; decides calendar days")
    min_cell: int = Field(default=30, ge=1, le=100_000, description="cells with fewer units are marked")

    @field_validator("report_timezone")
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        # Names, not ZoneInfo(value): that would also take a file below the zone folder that is no zone, such as posixrules.
        if value not in available_timezones() - {"localtime"}:
            near = difflib.get_close_matches(value, available_timezones(), n=1)
            raise ValueError(
                f"{value!r} is no IANA time zone; {f'did you mean {near[0]!r}?' if near else 'write for example Europe/Berlin'}"
            )
        return value

    @field_validator("window", check_fields=False)
    @classmethod
    def _window_has_a_unit(cls, value: str) -> str:
        parse_window(value)
        return value


class EngagementParams(NotebookParams):
    feature_id: str = Field(default="configurator", min_length=1, description="the feature")
    start_event: str = Field(default="quiz_started", description="an attempt begins")
    complete_event: str = Field(default="quiz_completed", description="an attempt is complete")
    view_event: str = Field(default="result_viewed", description="the result is seen")
    share_event: str = Field(default="result_shared", description="the result is passed on")
    interaction_events: list[str] = Field(
        default=["slider_adjusted", "option_selected"], min_length=1, description="interactions counted as depth"
    )
    window: str = Field(default="1d", description="time from start to completion, with a unit")
    activity_days: int = Field(
        default=14, ge=1, le=366, description="trailing days of the power-user curve and of frequency"
    )


class FunnelsParams(NotebookParams):
    steps: list[str] = Field(
        default=["quiz_started", "option_selected", "quiz_completed", "result_viewed", "result_shared"],
        min_length=2,
        max_length=12,
        description="events in order",
    )
    window: str = Field(default="1d", description="time from entry to the last step, with a unit")
    mode: Literal["ordered", "strict", "any_order", "strict_order"] = Field(
        default="ordered", description="what may come between and in which order"
    )
    entry: Literal["any", "first"] = Field(default="any", description="which entries count")
    by: Literal["user_id", "session_key"] = Field(default="user_id", description="the unit counted")
    exclusions: list[str] = Field(
        default=[], description="events that take a unit out when they come between entry and the last reached step"
    )
    hold_constant: str | None = Field(default=None, description="a property that must be equal on every step")
    breakdown: str | None = Field(default="platform", description="a property to split by; empty for none")
    attribution: Literal["first_touch", "last_touch"] = Field(
        default="first_touch", description="whose value of the property counts"
    )
    trend_period: Literal["day", "week", "month"] = Field(default="day", description="period of the trend")
    comparison_days: int = Field(
        default=6, ge=1, le=366, description="length of each compared period; the newer one ends where windows are over"
    )


class CohortsParams(NotebookParams):
    start_event: str | None = Field(default=None, description="begins a user's time; empty for any event")
    return_event: str | None = Field(default=None, description="counts as coming back; empty for any event")
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
    cohort_property: str = Field(
        default="platform", min_length=1, description="a property whose values at the start are cohorts too"
    )
    behaviour_event: str = Field(
        default="quiz_completed", min_length=1, description="users who did it early against those who did not"
    )
    behaviour_within: str = Field(default="1d", description="how early, with a unit")
    behaviour_at_least: int = Field(default=1, ge=1, le=1000, description="how often")
    lifecycle_period: Literal["day", "week", "month"] = Field(
        default="day", description="period of new, returning, resurrected and dormant users"
    )
    churn_gap: str = Field(default="3d", description="a user without an event for so long is gone, with a unit")
    path_anchor: str = Field(
        default="quiz_started", min_length=1, description="paths are told after its first occurrence in a session"
    )
    path_end: str = Field(default="result_shared", min_length=1, description="and before this one")

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


class RetentionLiftParams(NotebookParams):
    start_event: str = Field(default="quiz_started", description="who is compared: users who did this")
    complete_event: str = Field(default="quiz_completed", description="the exposure")
    landmark_days: int = Field(
        default=1, ge=1, le=90, description="treated = exposed within this time of the first start"
    )
    outcome_days: int = Field(
        default=1, ge=1, le=365, description="the outcome: active within this time after the landmark"
    )
    return_days: list[int] = Field(default=[1, 3, 7], min_length=1, description="days of the retention curve")
    seed: int = Field(default=20260101, ge=0, description="seed of the cross-fitting folds")


class ExperimentsParams(NotebookParams):
    experiment_id: str = Field(default="result_layout", description="the experiment")
    control: str = Field(default="control", description="the control variant")
    metric_event: str = Field(default="result_shared", description="the outcome, counted after first exposure")
    guardrail_events: list[str] = Field(
        default=["quiz_completed"], description="events that must not become rarer by more than the margin"
    )
    guardrail_margin: float = Field(
        default=0.1, gt=0, le=1, description="largest tolerated fall of a guardrail's rate, as a fraction"
    )
    window: str = Field(default="7d", description="time from first exposure to the outcome, with a unit")
    immature_units: Literal["leave_out", "count"] = Field(
        default="leave_out",
        description="units whose window is not over; count: with what they did so far, for a log that has ended",
    )
    design: Literal["fixed", "sequential"] = Field(
        default="fixed", description="fixed: read once at the planned end; sequential: may be read at any time"
    )


class LatencyTrendsParams(NotebookParams):
    window_days: int = Field(default=7, ge=1, le=90, description="length of each compared window")
    sustained_days: int = Field(
        default=4, ge=1, le=90, description="of the last window's days, how many must be up for a regression"
    )
    apdex_threshold_ms: float = Field(default=300.0, gt=0, le=600_000, description="satisfied at or under this latency")
    seed: int = Field(default=20260101, ge=0, description="seed of the bootstrap and of the simulated null")


class RiskScoringParams(NotebookParams):
    horizon_days: int = Field(default=7, ge=1, le=30, description="how far ahead degradation is predicted")
    min_breach_days: int = Field(
        default=2, ge=1, le=30, description="days of breach within the horizon that count as degraded"
    )
    top: int = Field(default=3, ge=1, le=100, description="how many features a day can be looked at, for the recall")
    seed: int = Field(default=20260101, ge=0, description="seed of the bootstrap")


class DataQualityParams(NotebookParams):
    drift_days: int = Field(default=14, ge=1, le=365, description="the last days, compared with all before")
    drift_columns: list[str] = Field(
        default=["platform", "country", "session_seconds", "feedback_score"],
        min_length=1,
        description="columns of events and telemetry watched for drift",
    )
    seed: int = Field(default=20260101, ge=0, description="seed of the draw of one row per user")


NOTEBOOKS: dict[str, type[NotebookParams]] = {
    "engagement": EngagementParams,
    "funnels": FunnelsParams,
    "cohorts": CohortsParams,
    "retention_lift": RetentionLiftParams,
    "experiments": ExperimentsParams,
    "latency_trends": LatencyTrendsParams,
    "risk_scoring": RiskScoringParams,
    "data_quality": DataQualityParams,
}


class Simulation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: int = Field(default=20260101, ge=0, description="the same seed gives the same data")
    users: int = Field(default=500, ge=10, le=100_000, description="users")
    days: int = Field(default=14, ge=2, le=365, description="days of events")


class RunParams(BaseModel):
    """A run: where rows come from, which notebooks in which order, with which parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="name of the run; lower case letters, digits, _ and -"
    )
    lake: str = Field(default="data/lake", description="folder of the Delta tables")
    lake_versions: dict[str, int] = Field(
        default_factory=dict, description="table: version; to render an earlier run again, from its manifest's inputs"
    )
    reports: str = Field(default="reports", description="folder of the reports")
    timeout_seconds: int = Field(default=300, ge=5, le=86_400, description="longest time of one cell")
    workers: int = Field(default=2, ge=1, le=64, description="notebooks run at the same time")
    simulate: Simulation | None = Field(default=None, description="simulate into data/raw/simulated first")
    sources: list[SourceSpec] = Field(default_factory=list, description="files to ingest")
    sequence: list[list[str]] = Field(min_length=1, description="stages; the notebooks of a stage run side by side")
    notebooks: dict[str, dict] = Field(default_factory=dict, description="parameters per notebook")

    def for_notebook(self, name: str) -> dict:
        """The parameters of one notebook, checked."""
        return NOTEBOOKS[name](**self.notebooks.get(name, {})).model_dump()


def _sentence(error: ValidationError, model: type[BaseModel], place: str) -> str:
    """The first fault in one sentence: place, parameter, value, rule, remedy."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        inner = {"sources": SourceSpec, "simulate": Simulation}
        names = list((model if len(first["loc"]) == 1 else inner.get(str(first["loc"][0]), model)).model_fields)
        near = difflib.get_close_matches(str(first["loc"][-1]), names, n=1, cutoff=0.4)
        return f"{place}: unknown parameter {where!r}; {f'did you mean {near[0]!r}?' if near else 'it takes ' + ', '.join(names)}"
    if first["type"] == "missing":
        return f"{place}: {where!r} is missing; add it"
    if first["type"] == "string_type" and isinstance(first["input"], date | int | float):
        kind = (
            "a date"
            if isinstance(first["input"], date)
            else "true or false"
            if isinstance(first["input"], bool)
            else "a number"
        )
        return f"{place}: {where}={str(first['input'])[:80]} is read by YAML as {kind} and must be text; put it in quotes: '{str(first['input'])[:80]}'"
    remedy = "correct it (`launchpad params` lists what is taken)"
    return f"{place}: {where}={str(first['input'])[:80]!r}: {first['msg'].removeprefix('Value error, ')}; {remedy}"


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that names a key twice; YAML itself would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode) and k.value != "<<"]
        twice = [k for k in keys if keys.count(k) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_run(path: Path) -> RunParams:
    """Reads and checks a params file with every notebook's parameters.

    Raises:
        ParameterError: one sentence.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except OSError as error:
        raise ParameterError(
            f"{path}: cannot be read ({error.strerror}); give the path of a params file such as params/weekly.yaml"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"{path}: not readable as YAML ({' '.join(str(error).split())[:160]}); correct that place"
        ) from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: must be a mapping of parameters; start from params/weekly.yaml")
    try:
        run = RunParams.model_validate(content)
    except ValidationError as error:
        raise ParameterError(_sentence(error, RunParams, str(path))) from error
    asked = [n for stage in run.sequence for n in stage]
    for name in [*asked, *run.notebooks]:
        if name not in NOTEBOOKS:
            near = difflib.get_close_matches(name, NOTEBOOKS, n=1)
            raise ParameterError(
                f"{path}: unknown notebook {name!r}; {f'did you mean {near[0]!r}?' if near else 'there are ' + ', '.join(NOTEBOOKS)}"
            )
    if len(set(asked)) < len(asked):
        raise ParameterError(f"{path}: sequence names a notebook twice; name each once")
    for name, model in NOTEBOOKS.items():
        try:
            model.model_validate(run.notebooks.get(name, {}))
        except ValidationError as error:
            raise ParameterError(_sentence(error, model, f"{path}, notebooks.{name}")) from error
    return run
