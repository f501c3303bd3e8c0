"""Seeded events and telemetry with declared truth."""

from launchpad_lib.simulation.product import SimulationResult, simulate, users_for
from launchpad_lib.simulation.truth import TRUTH, LatencyRegression, Truth

__all__ = ["TRUTH", "LatencyRegression", "SimulationResult", "Truth", "simulate", "users_for"]
