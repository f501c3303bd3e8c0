"""Can the numbers be trusted: rejects, delivery, gaps, drift."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable

METRICS: tuple[Metric, ...] = ()

TABLES: tuple[ResultTable, ...] = ()
