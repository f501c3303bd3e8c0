"""The metric catalogue: every headline metric and every result table of a run, each declared once."""

from __future__ import annotations

from launchpad_lib.contract.catalogue import experiments, health, incidents, lift, product, quality, scorecard
from launchpad_lib.contract.catalogue.metric import Direction, Metric, ResultTable, Unit, filled

_ROOMS = (product, lift, experiments, health, incidents, quality, scorecard)

METRICS: dict[str, Metric] = {m.name: m for room in _ROOMS for m in room.METRICS}
RESULT_TABLES: dict[str, ResultTable] = {t.name: t for room in _ROOMS for t in room.TABLES}

__all__ = ["Direction", "METRICS", "Metric", "RESULT_TABLES", "ResultTable", "Unit", "filled"]
