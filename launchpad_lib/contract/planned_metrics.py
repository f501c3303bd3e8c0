"""One metric of a planned experiment, and what was counted of it elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.named import EventName, PropertyName, as_in_the_data

MetricKind = Literal["conversion", "count", "sum", "ratio", "retention", "quantile"]


Role = Literal["success", "guardrail", "exploratory"]


Direction = Literal["increase", "decrease"]


class Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedMetric(Declared):
    """One metric of an experiment, and what it is there for."""

    name: str | None = Field(default=None, min_length=1, description="how it is called; made of its event where absent")
    kind: MetricKind = Field(
        default="conversion",
        description="conversion: share of units that did it; count: how often a unit did it; sum: of a property per "
        "unit, such as revenue; ratio: of two sums; retention: share of units that did it between `begins` and "
        "`window`; quantile: of a property over the events",
    )
    event: EventName | None = Field(
        default=None,
        description="the outcome; empty: `value` stands on the exposure itself (a row per unit); of a retention any",
    )
    value: PropertyName | None = Field(default=None, description="the property that is summed, or whose quantile it is")
    per_event: EventName | None = Field(default=None, description="denominator of a ratio")
    per_value: PropertyName | None = Field(default=None, description="its property; empty: the number of its events")
    quantile: float = Field(default=0.95, gt=0, lt=1, description="which quantile")
    begins: str | None = Field(default=None, description="how long after exposure it begins to count, with a unit")
    window: str | None = Field(default=None, description="how long after exposure it counts; empty: as the experiment")
    role: Role = Field(default="success", description="success: decides; guardrail: must not get worse; exploratory")
    direction: Direction = Field(default="increase", description="which way is good")
    margin: float | None = Field(default=None, gt=0, description="guardrail: tolerated harm, in the metric's own unit")
    relative_margin: float | None = Field(
        default=None, gt=0, lt=1, description="guardrail: tolerated harm, as a fraction of the control's value"
    )
    winsorise: float | None = Field(
        default=None,
        gt=0.5,
        lt=1,
        description="beside the plain mean: values above this quantile of those not 0 capped",
    )
    covariate: PropertyName | None = Field(
        default=None, description="a number on the exposure, known before it, for CUPED; empty: the same metric before"
    )

    @property
    def called(self) -> str:
        """Its name on the page."""
        if self.name:
            return self.name
        of = self.value if self.event is None else self.event
        if self.kind in ("conversion",):
            return str(of)
        what = {
            "count": "events",
            "sum": f"sum of {self.value}",
            "quantile": f"{100 * self.quantile:g} % of {self.value}",
        }
        if self.kind == "ratio":
            return f"{self.value or self.event} per {self.per_value or self.per_event}"
        if self.kind == "retention":
            return f"{of or 'any event'} after {self.begins}"
        return f"{of}, {what[self.kind]}"

    @field_validator("begins", "window")
    @classmethod
    def _duration_has_a_unit(cls, value: str | None) -> str | None:
        if value is not None:
            parse_window(value)
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> PlannedMetric:
        needs = {"sum": ("value",), "quantile": ("event", "value"), "count": ("event",), "retention": ("begins",)}
        for field in needs.get(self.kind, ()):
            if getattr(self, field) is None:
                raise ValueError(
                    f"metric {self.name or self.event or ''!r}: kind={self.kind} needs {field}; declare it"
                )
        if self.kind == "conversion" and self.event is None and self.value is None:
            raise ValueError("metric: needs its event, or the value that stands on the exposure; declare one")
        if self.kind == "ratio" and (self.per_event is None and self.per_value is None):
            raise ValueError(
                f"metric {self.name or self.event or ''!r}: a ratio needs per_event or per_value; declare one"
            )
        if self.kind == "ratio" and self.event is None and self.value is None:
            raise ValueError(f"metric {self.name or ''!r}: a ratio needs its event or value; declare one")
        is_guarded = self.margin is not None or self.relative_margin is not None
        if self.role == "guardrail" and (self.margin is None) == (self.relative_margin is None):
            raise ValueError(f"guardrail {self.called!r}: needs margin or relative_margin, one of them; declare it")
        if self.role != "guardrail" and is_guarded:
            raise ValueError(
                f"metric {self.called!r}: a margin belongs to a guardrail; set role: guardrail or leave it out"
            )
        if self.winsorise is not None and self.kind != "sum":
            raise ValueError(f"metric {self.called!r}: only a sum can be winsorised; leave `winsorise` out")
        return self


class Aggregate(Declared):
    """One metric of one variant, counted elsewhere: sums over units, with their squares and products."""

    variant: Annotated[str, BeforeValidator(as_in_the_data)] = Field(min_length=1, description="the variant")
    metric: str = Field(description="the metric, as it is called in the plan")
    n: int = Field(ge=0, description="units (or clusters)")
    sum: float = Field(description="sum of the metric over units, or of its numerator; of a conversion the units")
    sum_squares: float = Field(ge=0, description="sum of its squares; of a conversion the units again")
    denominator_sum: float | None = Field(default=None, description="of a ratio: sum of its denominator")
    denominator_squares: float | None = Field(default=None, ge=0, description="of a ratio: sum of its squares")
    denominator_product: float | None = Field(default=None, description="of a ratio: sum of both multiplied")
    pre_sum: float | None = Field(default=None, description="sum of the covariate before the exposure")
    pre_squares: float | None = Field(default=None, ge=0, description="sum of its squares")
    pre_product: float | None = Field(default=None, description="sum of metric and covariate multiplied")

    @model_validator(mode="after")
    def _belongs_together(self) -> Aggregate:
        for fields in (
            ("denominator_sum", "denominator_squares", "denominator_product"),
            ("pre_sum", "pre_squares", "pre_product"),
        ):
            given = [f for f in fields if getattr(self, f) is not None]
            if 0 < len(given) < len(fields):
                missing = next(f for f in fields if f not in given)
                raise ValueError(
                    f"aggregates, {self.metric!r} of {self.variant!r}: {missing} is missing; give all or none"
                )
        if self.n and self.sum**2 > self.sum_squares * self.n * (1 + 1e-9):
            raise ValueError(
                f"aggregates, {self.metric!r} of {self.variant!r}: sum_squares={self.sum_squares:g} is less than "
                f"sum² / n = {self.sum**2 / self.n:g}, which no numbers have; correct one of them"
            )
        return self
