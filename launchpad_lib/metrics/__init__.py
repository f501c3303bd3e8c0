"""Metrics: Ibis table in, Ibis table out; no connection, file or clock inside."""

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.activity import active_days, active_users
from launchpad_lib.metrics.checks import nobody_mature, unknown_names
from launchpad_lib.metrics.cohorts import activity_spans, behavioural_cohorts
from launchpad_lib.metrics.correlates import funnel_correlates
from launchpad_lib.metrics.dropoff import funnel_next_events, funnel_times
from launchpad_lib.metrics.engagement import (
    completion,
    completions,
    depth,
    session_duration,
    share_rate,
    shares_per_viewer,
)
from launchpad_lib.metrics.feature_adoption import feature_adoption
from launchpad_lib.metrics.funnel import funnel
from launchpad_lib.metrics.funnel_change import funnel_changes
from launchpad_lib.metrics.funnel_periods import funnel_trend
from launchpad_lib.metrics.latency import latency_quantiles, with_trailing
from launchpad_lib.metrics.lifecycle import lifecycle
from launchpad_lib.metrics.paths import path_steps, transitions
from launchpad_lib.metrics.quality import (
    delivery,
    missing_share,
    rejects_by_reason,
    rejects_by_source,
    restated_days,
)
from launchpad_lib.metrics.reliability import apdex, crash_free_sessions, crash_free_users
from launchpad_lib.metrics.retention import on_or_after, pooled_retention, retention, retention_curve
from launchpad_lib.metrics.rules import RULES, FunnelRule, funnel_rules
from launchpad_lib.metrics.steps import Exclusion, Step
from launchpad_lib.metrics.usage import (
    adoption,
    adoption_weekly,
    daily_active_users,
    feature_overlap,
    frequency,
    stickiness,
)
from launchpad_lib.metrics.windows import property_value

__all__ = [
    "Exclusion",
    "FunnelRule",
    "RULES",
    "Step",
    "active_days",
    "active_users",
    "activity_spans",
    "adoption",
    "adoption_weekly",
    "apdex",
    "behavioural_cohorts",
    "completion",
    "completions",
    "crash_free_sessions",
    "crash_free_users",
    "daily_active_users",
    "delivery",
    "depth",
    "feature_adoption",
    "feature_overlap",
    "frequency",
    "funnel",
    "funnel_changes",
    "funnel_correlates",
    "funnel_next_events",
    "funnel_rules",
    "funnel_times",
    "funnel_trend",
    "latency_quantiles",
    "lifecycle",
    "missing_share",
    "nobody_mature",
    "on_or_after",
    "parse_window",
    "path_steps",
    "pooled_retention",
    "property_value",
    "rejects_by_reason",
    "rejects_by_source",
    "restated_days",
    "retention",
    "retention_curve",
    "session_duration",
    "share_rate",
    "shares_per_viewer",
    "stickiness",
    "transitions",
    "unknown_names",
    "with_trailing",
]
