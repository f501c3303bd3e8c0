"""An experiment as it was planned: variants with their shares, metrics with their roles, when it is read.

Declared in a params file (`experiments:` of the notebook) or in the lake's table `experiments`; both have the same
fields. What a plan gets wrong by itself is told here, what it names and the log lacks by the runner, before a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.named import ExperimentId, PropertyName, VariantName
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.planned_metrics import Aggregate, Declared, PlannedMetric

Design = Literal["fixed", "sequential"]
Reported = Literal["unadjusted", "cuped", "post-stratified"]
Immature = Literal["leave_out", "count"]
MOST_METRICS, MOST_SHARES = 20, 1_000


def _day(said: object) -> object:
    """A date as YAML writes it without quotes stays one; as text it is read as ISO 8601."""
    return date.fromisoformat(said) if isinstance(said, str) else said


Day = Annotated[date, BeforeValidator(_day)]


class PlannedExperiment(Declared):
    """One experiment."""

    experiment_id: ExperimentId = Field(description="the experiment, as in its exposures")
    control: VariantName = Field(description="its control variant")
    shares: dict[VariantName, float] = Field(
        default={},
        max_length=MOST_SHARES,
        description="planned share of each variant, the control included: fractions that add up to 1, percent, or "
        "parts such as 2 and 1; empty: equal parts of what was seen",
    )
    metrics: list[PlannedMetric] = Field(
        min_length=1, max_length=MOST_METRICS, description="what decides, what must not get worse, what is looked at"
    )
    window: str = Field(default="7d", description="time from first exposure to the outcome, with a unit")
    immature_units: Immature = Field(
        default="leave_out",
        description="units whose window is not over; count: with what they did so far, for a log that has ended",
    )
    design: Design = Field(
        default="fixed", description="fixed: read once at the planned end; sequential: may be read at any time"
    )
    planned_units: int | None = Field(
        default=None,
        ge=4,
        description="units of all variants at which it is read, or a sequential interval is tightest",
    )
    starts_on: Day | None = Field(default=None, description="first local day; who was exposed before is left out")
    ends_on: Day | None = Field(default=None, description="last local day of exposures; who came later is left out")
    unit: PropertyName | None = Field(
        default=None,
        description="what is shown one variant and counted, where it is not the user: session_key for sessions, or a "
        "column or property of exposures and outcomes alike, such as device_id",
    )
    cluster: PropertyName | None = Field(
        default=None, description="what was randomised where it is more than one unit: a property of the exposure"
    )
    strata: PropertyName | None = Field(default=None, description="a property of the exposure to post-stratify by")
    segments: list[PropertyName] = Field(
        default=[], max_length=5, description="properties of the exposure whose values are shown apart, corrected"
    )
    pre_period: str = Field(default="14d", description="time before exposure for CUPED and the comparison before")
    decide_on: Reported = Field(default="unadjusted", description="which estimate decides; the others stand beside it")
    aggregates: list[Aggregate] = Field(
        default=[], max_length=MOST_METRICS * MOST_SHARES, description="counted elsewhere: no log is read"
    )

    @field_validator("window", "pre_period")
    @classmethod
    def _duration_has_a_unit(cls, value: str) -> str:
        parse_window(value)
        return value

    @property
    def variants(self) -> tuple[str, ...]:
        """The planned variants, the control first; empty where no shares are planned."""
        return tuple(sorted(self.shares, key=lambda v: (v != self.control, v)))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """How its metrics are called, in the order of the plan."""
        return tuple(m.called for m in self.metrics)

    @model_validator(mode="after")
    def _shares_are_a_plan(self) -> PlannedExperiment:
        fault = fault_of_shares(self.shares, control=self.control)
        if fault:
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _is_read_when_it_says(self) -> PlannedExperiment:
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            raise ValueError(
                f"ends_on={self.ends_on}: lies before starts_on={self.starts_on} of {self.experiment_id!r}; "
                "correct one of them"
            )
        if self.design == "fixed" and not self.aggregates and self.planned_units is None and self.ends_on is None:
            raise ValueError(
                f"experiment {self.experiment_id!r}: a fixed design is read once, so it needs planned_units or "
                "ends_on; declare one, or choose design: sequential"
            )
        if self.design == "sequential" and self.planned_units is None:
            raise ValueError(
                f"experiment {self.experiment_id!r}: a sequential design needs planned_units, at which its intervals "
                "are tightest; declare it"
            )
        return self

    @model_validator(mode="after")
    def _its_names_are_its_own(self) -> PlannedExperiment:
        names = self.metric_names
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise ValueError(f"metrics: {twice!r} stands twice; give each its own name")
        if not any(m.role == "success" for m in self.metrics):
            raise ValueError("metrics: none has the role success, so nothing could be shipped; give one that role")
        if self.unit == "session_id":
            raise ValueError(
                "unit='session_id': is unique within its user only, so sessions of two users would be one; name "
                "session_key, which holds both"
            )
        if self.decide_on == "post-stratified" and self.strata is None:
            raise ValueError("decide_on='post-stratified': needs `strata`; name the property")
        if self.decide_on != "unadjusted" and self.cluster is not None and self.decide_on == "post-stratified":
            raise ValueError("decide_on='post-stratified': is not made for clusters; choose unadjusted or cuped")
        for row in self.aggregates:
            if row.metric not in names:
                raise ValueError(f"aggregates: no metric {row.metric!r} in the plan; {nearest(row.metric, names)}")
            if self.shares and row.variant not in self.shares:
                raise ValueError(
                    f"aggregates: variant {row.variant!r} has no planned share; "
                    f"{nearest(row.variant, list(self.shares))}"
                )
        cells = [(a.variant, a.metric) for a in self.aggregates]
        again = next((c for c in cells if cells.count(c) > 1), None) if len(cells) < 5_000 else None
        if again:
            raise ValueError(f"aggregates: {again[1]!r} of {again[0]!r} stands twice; give it once")
        return self


def fault_of_shares(shares: Mapping[str, float], *, control: str | None) -> str | None:
    """What is wrong with planned shares, in one sentence; None where nothing is.

    >>> fault_of_shares({"a": 0.5, "b": 0.4}, control="a").partition(";")[0]
    'shares: add up to 0.9, neither to 1 nor to 100, and are no parts'
    >>> fault_of_shares({"a": 2, "b": 1}, control="a") is None
    True
    """
    if not shares:
        return None
    wrong = next((name for name, share in shares.items() if not 0 < share < float("inf")), None)
    if wrong is not None:
        return f"shares.{wrong}={shares[wrong]!r}: must be above 0; leave an unplanned variant out"
    if control not in shares or len(shares) < 2:
        return f"shares={dict(shares)!r}: must name the control {control!r} and another variant"
    total = sum(shares.values())
    are_parts = all(s == int(s) for s in shares.values()) and min(shares.values()) == 1
    if not are_parts and min(abs(total - 1), abs(total / 100 - 1)) > 0.005:
        return (
            f"shares: add up to {total:g}, neither to 1 nor to 100, and are no parts; write fractions that add up to "
            "1, percent that add up to 100, or whole parts of which the smallest is 1"
        )
    return None


def short_plan(
    *,
    experiment_id: str,
    control: str,
    metric_event: str,
    guardrail_events: Iterable[str] = (),
    guardrail_margin: float = 0.1,
    **rules: Any,
) -> PlannedExperiment:
    """The plan of one success conversion and guardrails of one margin, as the short form of the params says it.

    Its end is not declared: it is read whenever it is asked for, and the page says so.
    """
    metrics = [PlannedMetric(event=metric_event)]
    for event in dict.fromkeys(e for e in guardrail_events if e != metric_event):
        metrics.append(PlannedMetric(event=event, role="guardrail", margin=guardrail_margin))
    fields = PlannedExperiment.model_fields
    given = {name: f.get_default(call_default_factory=True) for name, f in fields.items()} | rules
    own = {"experiment_id": experiment_id, "control": control, "metrics": metrics}
    return PlannedExperiment.model_construct(**(given | own))


def planned_experiments(
    declared: Iterable[PlannedExperiment | Mapping[str, Any]] = (), table: Any = (), *, experiment_id: str | None = None
) -> tuple[PlannedExperiment, ...]:
    """The experiments that are asked about: those of the params first, then those of the lake's table `experiments`.

    One that stands in both is that of the params. In the table `plan` holds the further fields as a JSON object.

    Raises:
        ValueError: a plan that cannot be read; experiment, field, value, rule.

    >>> plan = {"metrics": [{"event": "buy"}], "planned_units": 100}
    >>> rows = [{"experiment_id": "e", "control": "a", "plan": json.dumps(plan)}]
    >>> [(p.experiment_id, p.metric_names) for p in planned_experiments([], rows)]
    [('e', ('buy',))]
    """
    frame = table.to_pandas() if hasattr(table, "to_pandas") else table
    rows = frame.to_dict("records") if hasattr(frame, "to_dict") else [dict(row) for row in frame]
    found: dict[str, PlannedExperiment] = {}
    for said in declared:
        plan = said if isinstance(said, PlannedExperiment) else _read(said, "experiments")
        found.setdefault(plan.experiment_id, plan)
    for row in rows:
        if str(row.get("experiment_id")) not in found:
            plan = _read(_of_the_table(row), "table experiments")
            found[plan.experiment_id] = plan
    return tuple(p for p in found.values() if experiment_id in (None, p.experiment_id))


def _of_the_table(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {k: v for k, v in row.items() if k in ("experiment_id", "control") and v is not None and v == v}
    try:
        said = json.loads(row.get("plan") or "{}")
    except ValueError as error:
        raise ValueError(
            f"table experiments, {str(row.get('experiment_id'))!r}: plan is no JSON object ({error}); correct it"
        ) from error
    if not isinstance(said, dict):
        raise ValueError(
            f"table experiments, {str(row.get('experiment_id'))!r}: plan must be a JSON object; correct it"
        )
    return said | known


def _read(fields: Mapping[str, Any], place: str) -> PlannedExperiment:
    try:
        return PlannedExperiment.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        rule = first["msg"].removeprefix("Value error, ")
        at = f"{place}, experiment {str(fields.get('experiment_id'))!r}"
        raise ValueError(f"{at}: {where}: {rule}" if where else f"{at}: {rule}") from error
