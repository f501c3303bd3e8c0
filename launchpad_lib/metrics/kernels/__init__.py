"""Compiled forms of the product metrics over day files: the same answers as the expressions, at the speed
of the scan.
"""

from launchpad_lib.metrics.kernels import compiling  # noqa: F401  # first: finds where compiled kernels are kept
from launchpad_lib.metrics.kernels.funnel import FunnelFold, fast_funnel
from launchpad_lib.metrics.kernels.quantiles import trailing_quantiles
from launchpad_lib.metrics.kernels.reading import EventLog
from launchpad_lib.metrics.kernels.retention import RetentionFold, fast_retention

__all__ = [
    "EventLog",
    "FunnelFold",
    "RetentionFold",
    "fast_funnel",
    "fast_retention",
    "trailing_quantiles",
]
