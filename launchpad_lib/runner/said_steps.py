"""How a funnel step and an exclusion are said in a params file: a name, or a mapping with its filters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from launchpad_lib.contract.named import EventName, PropertyName

Value = str | int | float | bool
Filters = dict[PropertyName, Value | list[Value]]


class StepParams(BaseModel):
    """A funnel step that is more than an event: only events whose properties have one of the values, or a step that may
    be missed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    event: EventName = Field(description="the event")
    where: Filters = Field(default={}, description="property: value, or a list of values one of which it must have")
    optional: bool = Field(default=False, description="counted where it was done, never asked for")


class ExclusionParams(BaseModel):
    """An exclusion that is more than an event."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    event: EventName = Field(description="the event")
    where: Filters = Field(default={}, description="property: value, or a list of values one of which it must have")
    effect: Literal["remove_user", "block_progress"] = Field(
        default="remove_user", description="out of every count, or no further than the step before"
    )


def _form(said: object) -> str:
    """Which of the two forms is meant, so that a fault in one is told in its own terms only."""
    return "name" if isinstance(said, str) else "mapping"


SaidStep = Annotated[Annotated[EventName, Tag("name")] | Annotated[StepParams, Tag("mapping")], Discriminator(_form)]
SaidExclusion = Annotated[
    Annotated[EventName, Tag("name")] | Annotated[ExclusionParams, Tag("mapping")], Discriminator(_form)
]
