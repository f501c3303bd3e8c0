"""What the parameters of several notebooks have in common, and what holds for all of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from launchpad_lib.contract.durations import check_timezone, parse_window
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.named import FeatureId
from launchpad_lib.lake.observed import named_instants

Named = str | dict[str, str] | None


def _readable(value: Named) -> Named:
    named_instants(value)
    return value


ObservedThrough = Annotated[Named, AfterValidator(_readable)]


class ParameterError(ValueError):
    """A parameter that cannot be used; one sentence with argument, value, rule and remedy."""


class CheckedParams(BaseModel):
    """What holds for the parameters of every notebook, brought or own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_text_is_none(cls, said: object) -> object:
        """`breakdown: ""`, `breakdown: null` and no breakdown at all are the same."""
        if not isinstance(said, dict):
            return said
        optional = {name for name, f in cls.model_fields.items() if not f.is_required() and f.default is None}
        return {k: None if v == "" and k in optional else v for k, v in said.items()}

    @field_validator("report_timezone", check_fields=False)
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        check_timezone(value)
        return value


class NotebookParams(CheckedParams):
    """What every brought notebook takes."""

    lake: str = Field(default="../data/lake", description="folder of the Delta tables; a run gives its own")
    lake_versions: dict[str, int] = Field(
        default={}, description="table: the version of it to read; the newest of every other"
    )
    observed_through: ObservedThrough = Field(
        default=None,
        description="date or UTC instant through which data are complete, or table: instant; empty: derived",
    )
    report_timezone: str = Field(default="UTC", description="IANA name; decides calendar days")
    min_cell: int = Field(default=30, ge=1, le=100_000, description="cells with fewer units are marked")

    @field_validator("window", check_fields=False)
    @classmethod
    def _window_has_a_unit(cls, value: str) -> str:
        parse_window(value)
        return value


class FeatureParams(NotebookParams):
    """What a notebook takes that can answer for one feature or for all that are declared."""

    features: list[Feature] = Field(
        default=[],
        strict=False,
        description="declared features; a run gives its own, the table `features` adds to them",
    )
    feature_id: FeatureId | None = Field(default=None, description="only this feature; empty for all declared ones")


class ChangeParams(FeatureParams):
    """What a notebook takes that counts in periods and says whether a rate moved."""

    week_starts_on: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        default="monday", description="first day of a local week"
    )
    smallest_change: float = Field(
        default=0.02, gt=0, lt=1, description="a change of a rate known to be smaller counts as none, as a fraction"
    )
