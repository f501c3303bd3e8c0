"""Headline metrics that have no period before: why."""

from __future__ import annotations

_MOVES = "it is itself a comparison with the time before"
_STATE = "it counts a state of the last days"
_WHO = "it compares those who did it with those who did not, over the whole log"
_ARMS = "it compares variants since their first exposure, not periods"
_SCORE = "it is tested on all days of the history together"
_PLAN = "it is about an experiment to come"
_LOG = "it is about the whole log as it was read"

NO_CHANGE: dict[str, str] = {
    **dict.fromkeys(
        ("funnel_conversion_change", "latency_regressions", "p95_latency_change_worst", "drifted_columns"), _MOVES
    ),
    **dict.fromkeys(
        (
            "incidents_now",
            "incidents_seen",
            "budget_alerts",
            "silent_features",
            "features_degraded_now",
            "features_needing_action",
        ),
        _STATE,
    ),
    **dict.fromkeys(
        (
            "retention_lift_naive",
            "retention_lift_adjusted",
            "retention_lift_completers",
            "retention_lift_overlap",
            "retention_lift_rollout",
            "retention_lift_shown",
            "retention_lift_compliers",
            "retention_lift_e_value",
            "robustness_value",
        ),
        _WHO,
    ),
    **dict.fromkeys(
        (
            "experiment_lift",
            "experiment_mean_lift",
            "experiment_relative_lift",
            "detectable_lift",
            "sample_ratio_p",
        ),
        _ARMS,
    ),
    **dict.fromkeys(("risk_model_used", "risk_pr_auc", "risk_recall_at_top", "risk_top_impact"), _SCORE),
    "design_units": _PLAN,
    "design_detectable_effect": _PLAN,
    **dict.fromkeys(
        (
            "gap_records",
            "late_share",
            "delivery_p99",
            "outside_rows",
            "placeholder_user_rows",
            "rejected_share",
            "conflicting_copies",
        ),
        _LOG,
    ),
}
"""By the metric's name. A metric that is neither here nor given a change is one whose change is not computed yet."""
