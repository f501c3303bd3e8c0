"""Did it work: experiments."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable

METRICS: tuple[Metric, ...] = ()

TABLES: tuple[ResultTable, ...] = ()
