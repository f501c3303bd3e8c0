"""A declared feature: who owns it, what it promises, and which events say that somebody started, finished, saw, shared
or used it.

Features are declared in a params file (`features:`) or in the lake's `features` table; both have the same fields. What
is not declared is not asked: a page says so in one sentence, and no default belongs to any product.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from launchpad_lib.contract.named import EventName, ExperimentId, PropertyName, VariantName

OF_THE_PARAMS = ("rollout", "experiment", "negative_control", "slo_availability")
EVENT_FIELDS = ("start_event", "complete_event", "view_event", "share_event", "interaction_events")


class Rollout(BaseModel):
    """Where a feature was switched on, and when: the first use of it that nobody chose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: PropertyName = Field(description="column or property whose values are switched on one after the other: country")
    switched_on: dict[str, datetime] = Field(
        min_length=1, description="value -> date or instant (UTC where it has no zone); the others stay off"
    )
    period_days: int = Field(default=7, ge=1, le=28, description="days in which users are active or not")


class ShownBy(BaseModel):
    """The experiment that shows a feature to one variant and not to the control."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment_id: ExperimentId = Field(description="the experiment, as in its exposures")
    variant: VariantName = Field(description="the variant that is shown the feature")
    control: VariantName = Field(description="the variant that is not")
    share: float = Field(default=0.5, gt=0, lt=1, description="planned share of the variant among the two")


class Feature(BaseModel):
    """One feature, with the columns of the lake's table `features`, and `OF_THE_PARAMS`, which have no column there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feature_id: str = Field(min_length=1, description="key, as in events and telemetry")
    feature_name: str | None = Field(default=None, description="what people call it; the id where absent")
    owner_team: str | None = Field(default=None, description="who answers for it")
    lifecycle_stage: str | None = Field(default=None, description="alpha, beta, ga, sunset")
    released_on: date | None = Field(default=None, description="release date")
    slo_p95_latency_ms: float | None = Field(default=None, ge=0, description="objective: daily p95 latency at most")
    slo_crash_free_users: float | None = Field(
        default=None, ge=0, le=1, description="objective: share of users without a crash at least"
    )
    slo_error_rate: float | None = Field(
        default=None, ge=0, le=1, description="objective: share of observations with an error at most"
    )
    slo_feedback_score: float | None = Field(default=None, ge=1, le=5, description="objective: mean feedback at least")
    start_event: EventName | None = Field(default=None, description="an attempt begins")
    complete_event: EventName | None = Field(default=None, description="an attempt is finished")
    view_event: EventName | None = Field(default=None, description="its value is seen, for example a result")
    share_event: EventName | None = Field(default=None, description="its value is passed on")
    interaction_events: tuple[EventName, ...] = Field(
        default=(), description="uses, counted as depth: names, or one name"
    )
    rollout: Rollout | None = Field(default=None, description="where and when it was switched on")

    experiment: ShownBy | None = Field(default=None, description="the experiment that shows it to one variant only")
    negative_control: EventName | None = Field(
        default=None,
        description="an event of the same sessions that cannot make anybody come back; a lift of it is a doubt",
    )
    slo_availability: float | None = Field(
        default=None, ge=0, le=1, description="objective: share of observations without an error or a crash at least"
    )

    @field_validator(
        "feature_name",
        "owner_team",
        "lifecycle_stage",
        "start_event",
        "complete_event",
        "view_event",
        "share_event",
        mode="before",
    )
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("interaction_events", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: object) -> object:
        return ((value,) if value else ()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _control_is_not_its_own(self) -> Feature:
        if self.negative_control is not None and self.negative_control in self.event_names:
            raise ValueError(
                f"negative_control={self.negative_control!r}: is an event of {self.feature_id!r} itself, which may "
                "matter; name one that cannot"
            )
        return self

    @model_validator(mode="after")
    def _objectives_agree(self) -> Feature:
        errors, available = self.slo_error_rate, self.slo_availability
        if errors is not None and available is not None and errors > round(1 - available, 12):
            raise ValueError(
                f"slo_error_rate={errors:g} contradicts slo_availability={available:g}: an error is a failure of both, "
                f"and availability allows only {1 - available:.6g}; lower slo_error_rate to that or leave it out"
            )
        if self.slo_p95_latency_ms == 0:
            raise ValueError("slo_p95_latency_ms=0: nothing takes no time; name a limit above 0 or leave it out")
        return self

    @property
    def name(self) -> str:
        """What people call it."""
        return self.feature_name or self.feature_id

    @property
    def event_names(self) -> tuple[str, ...]:
        """Every event that it declares, each once, in the order start, complete, view, share, interactions."""
        single = (self.start_event, self.complete_event, self.view_event, self.share_event)
        return tuple(dict.fromkeys(e for e in (*single, *self.interaction_events) if e is not None))


def declared_features(
    declared: Iterable[Feature | Mapping[str, Any]] = (), table: Any = (), *, feature_id: str | None = None
) -> tuple[Feature, ...]:
    """The features that are asked about: those declared in the params first, then those of the lake's `features` table.

    A feature that stands in both is one: what the params leave open comes from the table. Two of one name get their ids
    into their names.

    Args:
        declared: of the params.
        table: rows of the table `features`: an Ibis table, a DataFrame or mappings; unknown columns are left out.
        feature_id: only this one. One that nobody declares has only its id.

    Raises:
        ValueError: a declaration that cannot be read; feature, field, value, rule.

    >>> rows = [{"feature_id": "search", "owner_team": "core"}, {"feature_id": "quiz", "owner_team": "growth"}]
    >>> [(f.feature_id, f.owner_team) for f in declared_features([{"feature_id": "quiz", "start_event": "go"}], rows)]
    [('quiz', 'growth'), ('search', 'core')]
    """
    said = [f if isinstance(f, Feature) else _feature(f, "features") for f in declared]
    stored = [_feature(_of_the_table(row), "table features") for row in _rows(table)]
    by_id: dict[str, dict[str, Any]] = {}
    for feature in (*said, *stored):
        own = by_id.setdefault(feature.feature_id, {})
        for name in feature.model_fields_set:
            if own.get(name) in (None, ()):
                own[name] = getattr(feature, name)
    features = _told_apart(_feature(fields, "features, with the table features") for fields in by_id.values())
    if feature_id is None:
        return features
    return tuple(f for f in features if f.feature_id == feature_id) or (Feature(feature_id=feature_id),)


def _told_apart(features: Iterable[Feature]) -> tuple[Feature, ...]:
    """Where two features are called the same, each is called by its name and its id."""
    given = tuple(features)
    called = Counter(f.name for f in given)
    return tuple(
        f.model_copy(update={"feature_name": f"{f.name} ({f.feature_id})"})
        if called[f.name] > 1 and f.name != f.feature_id
        else f
        for f in given
    )


def not_declared(features: Iterable[Feature], *fields: str) -> str | None:
    """None where some feature declares all the named fields; else one sentence, which a page prints in place of the
    question.

    >>> not_declared([Feature(feature_id="search")], "start_event").partition(";")[0]
    'not asked: no feature declares start_event'
    """
    if any(all(getattr(f, name) not in (None, ()) for name in fields) for f in features):
        return None
    remedy = "declare it under `features:` in the params file or in the table `features`"
    return f"not asked: no feature declares {' and '.join(fields)}; {remedy}"


def _feature(fields: Mapping[str, Any], place: str) -> Feature:
    try:
        return Feature.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        value = str(first["input"])[:80]
        if not where:  # a rule between fields names them itself
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{place}, feature {str(fields.get('feature_id'))!r}: {said}") from error
        raise ValueError(
            f"{place}, feature {str(fields.get('feature_id'))!r}: {where}={value!r}: {first['msg']}; correct it"
        ) from error


def _rows(table: Any) -> list[dict[str, Any]]:
    """Rows as mappings, whatever holds them; in the order of the table."""
    frame = table.to_pandas() if hasattr(table, "to_pandas") else table
    return frame.to_dict("records") if hasattr(frame, "to_dict") else [dict(row) for row in frame]


def _of_the_table(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table as fields: NULL is left out, an instant becomes a date, `interaction_events` a list."""
    columns = Feature.model_fields.keys() - set(OF_THE_PARAMS)
    fields = {k: v for k, v in row.items() if k in columns and v is not None and v == v}
    if isinstance(fields.get("released_on"), datetime):
        fields["released_on"] = fields["released_on"].date()
    if isinstance(fields.get("interaction_events"), str):
        fields["interaction_events"] = _names(fields["interaction_events"])
    return fields


def _names(text: str) -> tuple[str, ...]:
    """Event names as the table holds them: a JSON list, or one name as it is."""
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    if isinstance(said, list) and all(isinstance(n, str) for n in said):
        return tuple(said)
    return (text,) if text else ()
