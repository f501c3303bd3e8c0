"""The declared truth of the simulated product: every number that a test or a report can be held against, in one place."""

from __future__ import annotations

from typing import NamedTuple


class LatencyRegression(NamedTuple):
    """From day `day` (0 = first day of telemetry) the feature's latency is multiplied by `factor`."""

    feature_id: str
    day: int
    factor: float


class Truth(NamedTuple):
    """What the simulation does, stated. Rates are fractions; effects are differences of probabilities."""

    completion_rate: float = 0.62
    interactions_low: int = 6
    interactions_high: int = 10
    share_rate_control: float = 0.20
    share_rate_treatment: float = 0.30
    return_effect: float = 0.08
    confounding_strength: float = 0.35
    start_rate_mean: float = 0.30
    malformed_rows: int = 60
    duplicate_rows: int = 300
    features: tuple[str, ...] = (
        "configurator",
        "search",
        "checkout",
        "recommendations",
        "profile",
        "notifications",
        "wishlist",
        "support_chat",
    )
    regressions: tuple[LatencyRegression, ...] = (
        LatencyRegression("search", 55, 1.6),
        LatencyRegression("checkout", 30, 1.4),
    )
    incident_feature: str = "recommendations"
    incident_days: tuple[int, int] = (40, 44)
    incident_crash_rate: float = 0.08
    baseline_crash_rate: float = 0.004
    drift_day: int = 45
    android_share_before: float = 0.25
    android_share_after: float = 0.45


TRUTH = Truth()
