"""Typed parameters of the notebook `latency_trends`."""

from __future__ import annotations

from pydantic import Field

from launchpad_lib.runner.shared_parameters import FeatureParams


class LatencyTrendsParams(FeatureParams):
    window_days: int = Field(default=7, ge=1, le=90, description="length of each compared window")
    sustained_days: int = Field(
        default=4, ge=1, le=90, description="of the last window's days, how many must be up for a regression"
    )
    smallest_rise: float = Field(
        default=0.05,
        ge=0,
        le=10,
        description="a lasting rise of p95 latency that is surely smaller is no regression; 0.05 is 5 %",
    )
    apdex_threshold_ms: float = Field(default=300.0, gt=0, le=600_000, description="satisfied at or under this latency")
    seed: int = Field(default=20260101, ge=0, description="seed of the bootstrap")
