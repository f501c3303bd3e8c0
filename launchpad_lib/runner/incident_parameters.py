"""Typed parameters of the notebook `incidents`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from launchpad_lib.runner.shared_parameters import FeatureParams


class IncidentsParams(FeatureParams):
    bucket: Literal["5 minutes", "hour", "day"] = Field(default="day", description="what is judged at once")
    false_alarms: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="most false alarms of a healthy feature in 30 days, over its signals; empty: 25, 5 or 1 by bucket",
    )
