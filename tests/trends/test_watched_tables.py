"""What `watched` hands back, whole: columns with their types and order, and the edges of silence; by hand."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.trends import watched

START = pd.Timestamp("2026-01-05")
HOURS = 24 * 12
VALUE = 50 + 3 * np.sin(np.arange(HOURS) * 1.7) + 2 * np.cos(np.arange(HOURS) * 0.9)  # healthy, and never the same
TIMES = ("started_at", "detected_at", "ended_at", "first_at", "last_at")
INCIDENTS = [
    "feature_id", "signal", "bucket", "started_at", "detected_at", "ended_at", "score", "size", "value", "expected",
    "observations",
]  # fmt: skip
SERIES = [
    "feature_id", "signal", "bucket", "first_at", "last_at", "buckets", "missing", "judged", "silent_buckets",
    "is_silent", "incidents", "is_incident_now", "refused_because",
]  # fmt: skip
WHOLE = ["buckets", "missing", "judged", "silent_buckets", "incidents"]


def told(value, *, feature_id: str = "search", signal: str = "latency") -> pd.DataFrame:
    at = pd.date_range(START, periods=len(value), freq="h")
    return pd.DataFrame({"feature_id": feature_id, "signal": signal, "at": at, "value": value})


def end_of(hours: int) -> datetime:
    return (START + pd.Timedelta(hours=hours)).to_pydatetime()


def spiked() -> np.ndarray:
    """Two hours far off, the second farther, and back."""
    value = VALUE.copy()
    value[200], value[201] = 150.0, 170.0
    return value


def test_one_incident_and_its_series_stand_whole():
    found = watched(told(spiked()), bucket="hour", through=end_of(HOURS), budget=0.1)
    row = found.incidents.iloc[0]
    assert len(found.incidents) == 1
    assert row[["feature_id", "signal", "bucket"]].tolist() == ["search", "latency", "hour"]
    assert row[["started_at", "detected_at", "ended_at"]].tolist() == [
        START + pd.Timedelta(hours=h) for h in (200, 200, 202)
    ]
    assert row["value"] == 170.0 and row["expected"] == pytest.approx(50, abs=6)
    assert row["size"] == pytest.approx(170.0 - row["expected"]) and row["score"] > 3
    looked = found.series.iloc[0].to_dict()
    assert looked == {
        "feature_id": "search", "signal": "latency", "bucket": "hour", "first_at": START,
        "last_at": START + pd.Timedelta(hours=HOURS - 1), "buckets": HOURS, "missing": 0, "judged": HOURS - 48,
        "silent_buckets": 0, "is_silent": False, "incidents": 1, "is_incident_now": False, "refused_because": None,
    }  # fmt: skip


@pytest.mark.parametrize("what", ["incidents", "nothing strange", "refused"])
def test_columns_have_their_order_and_types_whatever_was_found(what):
    series = {"incidents": told(spiked()), "nothing strange": told(VALUE), "refused": told([1.0])}[what]
    found = watched(series, bucket="hour", through=end_of(HOURS), budget=0.1)
    assert len(found.incidents) == (what == "incidents")
    assert list(found.incidents) == INCIDENTS and list(found.series) == SERIES
    assert found.series[[*WHOLE, "is_silent", "is_incident_now"]].dtypes.astype(str).tolist() == [
        *["Int64"] * 5, "boolean", "boolean",
    ]  # fmt: skip
    assert all(table[c].dtype.kind == "M" for table in found for c in TIMES if c in table)


@pytest.mark.parametrize(("hours_after", "is_silent"), [(5, False), (6, False), (7, True)])
def test_a_series_is_silent_after_more_than_twice_its_longest_gap(hours_after, is_silent):
    value = VALUE.copy()
    value[100:102] = np.nan  # from 99 to 102 are three steps: the longest
    found = watched(told(value), bucket="hour", through=end_of(HOURS + hours_after), budget=0.1).series.iloc[0]
    assert (found["silent_buckets"], found["is_silent"], found["missing"]) == (hours_after, is_silent, 2)


def test_a_value_that_is_no_number_is_a_gap_and_values_of_one_bucket_are_their_mean():
    value = VALUE.copy()
    series = told(value).astype({"value": object})
    series.loc[60, "value"] = "unknown"
    series.loc[70, "value"] = np.inf
    twice = pd.concat([series, told([value[0] + 2.0])])
    found = watched(twice, bucket="hour", through=end_of(HOURS), budget=0.1)
    assert found.series[["missing", "judged"]].values.tolist() == [[2, HOURS - 48 - 2]] and found.incidents.empty


def test_rows_stand_in_the_order_of_features_and_signals():
    series = pd.concat(
        [told(spiked(), feature_id="b"), told(spiked(), feature_id="a", signal="z"), told(VALUE, feature_id="a")]
    )
    found = watched(series, bucket="hour", through=end_of(HOURS), budget=0.1)
    assert found.series[["feature_id", "signal"]].values.tolist() == [["a", "latency"], ["a", "z"], ["b", "latency"]]
    assert found.incidents[["feature_id", "signal"]].values.tolist() == [["a", "z"], ["b", "latency"]]
