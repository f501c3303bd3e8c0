"""Types that say what a text names in the data: an event, a property, a feature, an experiment, a variant, a column.

A parameter model annotates its fields with them; before a run executes anything, all that is named is looked up in the
lake (`runner.named_things`). A name is data: any text but the empty one.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

Kind = Literal["event", "property", "feature", "experiment", "variant", "column"]


class Names(NamedTuple):
    """What a text names. A variant belongs to the experiment of the field `within` of the same model."""

    kind: Kind
    within: str | None = None


def as_in_the_data(said: object) -> object:
    """A number as its JSON text: `control: 0` in YAML is the variant 0. A truth value may have been `no` or `off`."""
    return json.dumps(said) if isinstance(said, int | float) and not isinstance(said, bool) else said


EventName = Annotated[str, Field(min_length=1), Names("event")]
PropertyName = Annotated[str, Field(min_length=1), Names("property")]
FeatureId = Annotated[str, Field(min_length=1), Names("feature")]
ExperimentId = Annotated[str, Field(min_length=1), Names("experiment")]
VariantName = Annotated[
    str, BeforeValidator(as_in_the_data), Field(min_length=1), Names("variant", within="experiment_id")
]
ColumnName = Annotated[str, Field(min_length=1), Names("column")]

NAMED_TYPES: dict[str, object] = {
    "EventName": EventName,
    "PropertyName": PropertyName,
    "FeatureId": FeatureId,
    "ExperimentId": ExperimentId,
    "VariantName": VariantName,
    "ColumnName": ColumnName,
}
"""By the name that an own notebook's `parameters` cell writes: `step: "EventName" = "cart_viewed"`."""
