"""Delivery, restatement and missing values against hand counts."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import delivery, missing_share, restated_days

NOON = datetime(2026, 1, 1, 12)


def arrivals(*delays: float, at: datetime = NOON) -> ibis.Table:
    """Events at noon that arrived so many seconds later; 0 is what a filled received_at looks like."""
    frame = pd.DataFrame({"event_at": [at] * len(delays), "received_at": [at + timedelta(seconds=d) for d in delays]})
    return ibis.memtable(frame.astype("datetime64[us]"))


def test_no_delay_is_told_where_every_time_of_arrival_was_filled():
    row = delivery(arrivals(0, 0, 0)).to_pandas().iloc[0]
    assert (row["events"], row["delay_observed"], row["delay_unknown"]) == (3, 0, 3)
    told = ["median_seconds", "p90_seconds", "p99_seconds", "late", "late_share", "ci_low", "ci_high", "ahead"]
    assert row[told].isna().all()
    assert row["refused_because"].startswith("received_at is event_at in every event, so it was filled")


def test_delays_are_those_of_events_whose_arrival_was_observed():
    """Hand count: of 6 events 2 are filled; delays 0.5, 2, 90,000 (25 h: late) and -120 (a clock ahead): median 1.25."""
    row = delivery(arrivals(0, 0, 0.5, 2, 90_000, -120)).to_pandas().iloc[0]
    assert (row["events"], row["delay_observed"], row["delay_unknown"]) == (6, 4, 2)
    assert row["median_seconds"] == pytest.approx(1.25)
    assert (row["late"], row["late_share"], row["ahead"]) == (1, 0.25, 1)
    assert pd.isna(row["refused_because"])


def test_days_are_restated_by_late_events_only_and_nothing_is_told_of_filled_arrivals():
    """Hand count: one of three events of the day came on the next; where none was observed, a row says why."""
    rows = restated_days(arrivals(0, 5, 90_000)).to_pandas()
    assert rows[["rows", "late_rows"]].values.tolist() == [[3, 1]]
    assert rows["late_share"][0] == pytest.approx(1 / 3) and rows["refused_because"].isna().all()
    assert restated_days(arrivals(0, 5)).to_pandas().empty
    filled = restated_days(arrivals(0, 0)).to_pandas()
    assert len(filled) == 1 and filled["late_rows"].isna().all() and "filled" in filled["refused_because"][0]


def test_a_table_without_rows_has_no_share_of_missing_values():
    rows = missing_share(arrivals(0).filter(ibis.literal(False))).to_pandas()
    assert rows["missing_share"].isna().all() and set(rows["refused_because"]) == {"the table holds no rows"}
