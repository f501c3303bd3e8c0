"""Compiled forms of the product metrics: loops over whole units, at the speed of the scan."""

from launchpad_lib.metrics.kernels import compiling  # noqa: F401  # first: finds where compiled kernels are kept
