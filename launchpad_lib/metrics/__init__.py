"""Metrics: Ibis table in, Ibis table out; no connection, file or clock inside."""

from launchpad_lib.metrics.engagement import adoption, completion, daily_active_users, depth, session_duration, share_rate, stickiness
from launchpad_lib.metrics.funnel import Step, funnel
from launchpad_lib.metrics.quality import daily_rows, missing_share, rejects_by_reason
from launchpad_lib.metrics.reliability import apdex, crash_free_sessions, crash_free_users
from launchpad_lib.metrics.retention import retention_curve
from launchpad_lib.metrics.windows import parse_window

__all__ = [
    "Step",
    "adoption",
    "apdex",
    "completion",
    "crash_free_sessions",
    "crash_free_users",
    "daily_active_users",
    "daily_rows",
    "depth",
    "funnel",
    "missing_share",
    "parse_window",
    "rejects_by_reason",
    "retention_curve",
    "session_duration",
    "share_rate",
    "stickiness",
]
