"""Published counts of the ecom clickstream (retentioneering), computed there by ClickHouse `windowFunnel`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import ibis
import pandas as pd
import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.metrics import funnel

ECOM = Path(__file__).resolve().parents[2] / "data/sample/ecom/ecom.csv.gz"
FAR = datetime(2100, 1, 1)


@pytest.fixture(scope="module")
def events() -> ibis.Table:
    frame = pd.read_csv(ECOM).rename(columns={"event": "event_name"})
    return ibis.memtable(frame.assign(event_at=pd.to_datetime(frame["timestamp"]).astype("datetime64[us]"))[["user_id", "event_name", "event_at"]])


@pytest.mark.parametrize(
    ("steps", "window", "expected"),
    [
        (["catalog", "add_to_cart", "cart", "purchase"], None, [600, 511, 431, 225]),
        (["cart", "shipping_details", "purchase"], None, [489, 385, 213]),
        (["cart", "shipping_details", "purchase"], "7d", [489, 358, 165]),
        (["cart", "shipping_details", "purchase"], "30m", [489, 346, 142]),
    ],
)
def test_the_ordered_funnel_gives_the_published_counts(events, steps, window, expected):
    found = funnel(events, steps=steps, window=window, observed_through=FAR).order_by("step").to_pandas()
    assert found["users"].tolist() == expected


def test_all_published_rows_are_kept_since_no_key_says_that_equal_rows_are_one(tmp_path):
    source = SourceSpec(table="events", path="ecom.csv.gz", columns={"event_name": "event", "event_at": "timestamp"})
    first = ingest(source, lake=tmp_path / "lake", ingested_at=FAR, root=ECOM.parent)
    again = ingest(source, lake=tmp_path / "lake", ingested_at=FAR, root=ECOM.parent)
    assert (first.accepted, first.duplicates, first.rejected, again.accepted) == (31_106, 0, 0, 0)
