"""Compiled forms of the product metrics over day files: the same answers as the expressions, at the speed
of the scan.
"""

from launchpad_lib.metrics.kernels import compiling  # noqa: F401  # first: finds where compiled kernels are kept
from launchpad_lib.metrics.kernels.funnel import FunnelFold, fast_funnel
from launchpad_lib.metrics.kernels.quantiles import daily_histograms, trailing_quantiles
from launchpad_lib.metrics.kernels.reading import EventLog, PlainLog
from launchpad_lib.metrics.kernels.retention import RetentionFold, fast_retention
from launchpad_lib.metrics.kernels.sessions import SessionFold, fast_sessions

__all__ = [
    "EventLog",
    "FunnelFold",
    "PlainLog",
    "RetentionFold",
    "SessionFold",
    "daily_histograms",
    "fast_funnel",
    "fast_retention",
    "fast_sessions",
    "trailing_quantiles",
]
