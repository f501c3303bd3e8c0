"""Instants as numbers; expected values by Python's own integer arithmetic on datetimes."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import pandas as pd

from launchpad_lib.metrics.windows import micros


def test_a_fraction_of_a_second_is_counted_once():
    """It was counted twice: from .400 to .900 took 1.0 s, and the last microsecond of a second came after the next second."""
    start = datetime(2026, 1, 1, 0, 0, 0, 400_000)
    ends = [start + timedelta(microseconds=us) for us in (0, 1, 500_000, 599_999, 600_000, 86_400_000_000)]
    rows = ibis.memtable(pd.DataFrame({"end": ends}))
    found = rows.select(us=micros(rows.end)).to_pandas()
    assert found["us"].tolist() == [(e - datetime(1970, 1, 1)) // timedelta(microseconds=1) for e in ends]
