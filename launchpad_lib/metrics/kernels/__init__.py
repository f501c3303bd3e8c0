"""Compiled forms of the product metrics over day files: the same answers as the expressions, at the speed of the scan."""

from launchpad_lib.metrics.kernels.funnel import FunnelFold, fast_funnel
from launchpad_lib.metrics.kernels.reading import EventLog, PlainLog

__all__ = ["EventLog", "FunnelFold", "PlainLog", "fast_funnel"]
