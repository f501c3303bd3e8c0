"""Series that were aggregated elsewhere come in by mapping, keep their sign and their gaps, and are judged."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from launchpad_lib.findings.incidents import incident_results
from launchpad_lib.ingestion.files.sink import ingest
from launchpad_lib.ingestion.files.source import SourceSpec
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.signals import judged_through, signal_series


def test_a_file_of_time_and_value_is_a_series_and_its_strange_hour_is_told(tmp_path: Path):
    """240 hours about -20, of which hour 200 is +50, hour 100 has no value, and that of hour 101 is no number."""
    at = pd.date_range("2026-01-01", periods=240, freq="h")
    value = [f"{v:.3f}" for v in np.random.default_rng(11).normal(-20, 1, 240)]
    value[200], value[100], value[101] = "50", "", "cold"
    pd.DataFrame({"Timestamp": at.strftime("%Y-%m-%d %H:%M:%S"), "Average": value}).to_csv(
        tmp_path / "cw.csv", index=False
    )
    source = SourceSpec(
        table="series",
        path=str(tmp_path / "cw.csv"),
        columns={"at": "Timestamp", "value": "Average"},
        constants={"feature_id": "i-0abc", "signal": "Temperature"},
    )
    found = ingest(source, lake=tmp_path / "lake", ingested_at=datetime(2026, 2, 1))
    lake = open_lake(tmp_path / "lake")
    assert lake.series.count().execute() == 239 and lake.rejected.count().execute() == 1
    assert found is not None and lake.series.value.min().execute() < -20
    through = judged_through(lake.telemetry_observed_through, lake.series, bucket="hour")
    assert through == datetime(2026, 1, 11)
    series = signal_series(lake.telemetry, lake.series, bucket="hour", through=through)
    watched = incident_results(series, bucket="hour", through=through, false_alarms=0.1)
    assert watched.incidents["detected_at"].tolist() == [pd.Timestamp("2026-01-09 08:00")]
    assert watched.incidents["size"].iloc[0] > 50 and watched.series["missing"].tolist() == [2]
