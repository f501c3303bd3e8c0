"""The declared truth of the simulated product: every number that a test or a report can be held against, in
one place.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Worked = Literal["works", "no effect", "hurts", "too early"]
Health = Literal["regression", "incident over", "silent", "healthy", "too early"]


class LatencyRegression(NamedTuple):
    """From day `day` (0 = first day of telemetry) the feature's latency is multiplied by `factor`."""

    feature_id: str
    day: int
    factor: float


class Flow(NamedTuple):
    """One feature's attempt: its events, how often it is started and completed, and what completing does.

    `start_rate` is per session of a user of average activity, `completion_rate` per attempt (luck, once started).
    `return_effect` is added to the probability of being active on each day after the first completion.
    `last_days`: the feature is there only so many days before the log ends; None: all the time.
    """

    feature_id: str
    start_event: str
    complete_event: str
    use_event: str
    share_event: str
    start_rate: float
    completion_rate: float
    share_rate: float
    return_effect: float
    has_amount: bool = False
    last_days: int | None = None


class ExperimentTruth(NamedTuple):
    """One experiment: what a report should find, given enough data, and how its units behave (control, treatment).

    `lost`: share of the treated who are never told as exposed; `last_days`: it began so many days before the log ends.
    """

    experiment_id: str
    finding: Literal["works", "does nothing", "hurts a guardrail", "broken assignment", "too early"]
    success_event: str
    success: tuple[float, float]
    guardrail: tuple[float, float] = (0.05, 0.05)
    lost: float = 0.0
    last_days: int | None = None

    @property
    def guardrail_event(self) -> str:
        """What must not happen more often; its own, so that no experiment disturbs another."""
        return f"{self.experiment_id}_complaint"


class FeatureTruth(NamedTuple):
    """What a report should find about one feature, given enough data."""

    feature_id: str
    worked: Worked | None
    return_effect: float | None
    completion_rate: float | None
    health: Health


class Truth(NamedTuple):
    """What the simulation does, stated. Rates are fractions; effects are differences of probabilities.

    `completion_rate`, `return_effect` and the share rates are those of the configurator; `flows` are the other
    features that users start and complete. Features in neither are only looked at.
    """

    completion_rate: float = 0.62
    interactions_low: int = 6
    interactions_high: int = 10
    share_rate_control: float = 0.20
    share_rate_treatment: float = 0.30
    return_effect: float = 0.08
    confounding_strength: float = 0.35
    start_rate_mean: float = 0.30
    flows: tuple[Flow, ...] = (
        Flow(
            "search", "search_started", "search_result_opened", "search_refined", "search_shared", 0.30, 0.70, 0.03, 0.0
        ),
        Flow(
            "checkout", "checkout_started", "checkout_completed", "checkout_edited", "order_shared",
            0.20, 0.50, 0.05, 0.15, has_amount=True,
        ),
        Flow(
            "notifications", "notifications_offered", "notifications_enabled", "notification_topic_chosen",
            "notification_shared", 0.20, 0.55, 0.02, -0.20,
        ),
        Flow(
            "price_alerts", "price_alert_started", "price_alert_set", "price_alert_edited", "price_alert_shared",
            0.35, 0.60, 0.10, 0.10, last_days=2,
        ),
    )  # fmt: skip
    experiments: tuple[ExperimentTruth, ...] = (
        ExperimentTruth("tips_on_start", "works", "tip_opened", (0.30, 0.55)),
        ExperimentTruth("button_colour", "does nothing", "banner_clicked", (0.30, 0.30)),
        ExperimentTruth("short_form", "hurts a guardrail", "form_sent", (0.30, 0.50), guardrail=(0.05, 0.30)),
        ExperimentTruth("new_menu", "broken assignment", "menu_opened", (0.30, 0.50), lost=0.4),
        ExperimentTruth("dark_mode", "too early", "dark_mode_kept", (0.30, 0.50), last_days=2),
    )
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
        "price_alerts",
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
    silent_feature: str = "support_chat"
    silent_last_days: int = 5

    def days_before_the_end(self, feature: str) -> int | None:
        """How many days before the log ends the feature was released; None: before the log begins."""
        return next((f.last_days for f in self.flows if f.feature_id == feature), None)

    def by_feature(self) -> list[FeatureTruth]:
        """One row per feature: what is true about it."""
        flows = {f.feature_id: f for f in self.flows}
        return [self._of_feature(feature, flows.get(feature)) for feature in self.features]

    def _of_feature(self, feature: str, flow: Flow | None) -> FeatureTruth:
        if flow is not None and flow.last_days is not None:
            return FeatureTruth(feature, "too early", flow.return_effect, flow.completion_rate, "too early")
        health: Health = "healthy"
        if any(r.feature_id == feature for r in self.regressions):
            health = "regression"
        elif feature == self.incident_feature:
            health = "incident over"
        elif feature == self.silent_feature:
            health = "silent"
        if feature == "configurator":
            return FeatureTruth(feature, _worked(self.return_effect), self.return_effect, self.completion_rate, health)
        if flow is None:
            return FeatureTruth(feature, None, None, None, health)
        return FeatureTruth(feature, _worked(flow.return_effect), flow.return_effect, flow.completion_rate, health)


def _worked(return_effect: float) -> Worked:
    if return_effect == 0:
        return "no effect"
    return "works" if return_effect > 0 else "hurts"


TRUTH = Truth()
