"""Published counts of the ecom clickstream (retentioneering), computed there by ClickHouse `windowFunnel`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import ibis
import pandas as pd
import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import funnel

ECOM = Path(__file__).resolve().parents[2] / "data/sample/ecom/ecom.csv.gz"
FAR = datetime(2100, 1, 1)


@pytest.fixture(scope="module")
def events() -> ibis.Table:
    frame = pd.read_csv(ECOM).rename(columns={"event": "event_name"})
    return ibis.memtable(
        frame.assign(event_at=pd.to_datetime(frame["timestamp"]).astype("datetime64[us]"))[
            ["user_id", "event_name", "event_at"]
        ]
    )


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


def test_strict_order_gives_the_published_counts_of_clickhouse(events):
    found = (
        funnel(
            events,
            steps=["cart", "shipping_details", "purchase"],
            window=None,
            observed_through=FAR,
            mode="strict_order",
        )
        .order_by("step")
        .to_pandas()
    )
    assert found["users"].tolist() == [489, 60, 9]


def test_the_strict_funnel_allows_a_second_try_and_no_event_between(events):
    """No published count: held against plain loops over every user's log."""
    steps = ["cart", "shipping_details", "purchase"]
    rows = events.to_pandas().sort_values("event_at", kind="stable")
    depth = []
    for _, log in rows.groupby("user_id"):
        names = log["event_name"].tolist()
        runs = [sum(names[i : i + k] == steps[:k] for k in (1, 2, 3)) for i in range(len(names))]
        depth.append(max(runs))
    found = funnel(events, steps=steps, window=None, observed_through=FAR, mode="strict").order_by("step").to_pandas()
    assert found["users"].tolist() == [sum(d >= k for d in depth) for k in (1, 2, 3)]


def test_a_session_is_a_gap_of_thirty_minutes_as_published(tmp_path):
    """The file names 3,605 sessions itself; without its session column the gaps give the same number."""
    columns = {"event_name": "event", "event_at": "timestamp"}
    given = SourceSpec(table="events", path="ecom.csv.gz", columns=columns)
    ingest(given, lake=tmp_path / "given", ingested_at=FAR, root=ECOM.parent)
    assert open_lake(tmp_path / "given").sessions.count().execute() == 3_605
    plain = tmp_path / "plain.csv"
    pd.read_csv(ECOM)[["user_id", "event", "timestamp"]].to_csv(plain, index=False)
    ingest(
        SourceSpec(table="events", path="plain.csv", columns=columns),
        lake=tmp_path / "made",
        ingested_at=FAR,
        root=tmp_path,
    )
    assert open_lake(tmp_path / "made").sessions.count().execute() == 3_605


def test_all_published_rows_are_kept_since_no_key_says_that_equal_rows_are_one(tmp_path):
    source = SourceSpec(table="events", path="ecom.csv.gz", columns={"event_name": "event", "event_at": "timestamp"})
    first = ingest(source, lake=tmp_path / "lake", ingested_at=FAR, root=ECOM.parent)
    again = ingest(source, lake=tmp_path / "lake", ingested_at=FAR, root=ECOM.parent)
    assert (first.accepted, first.duplicates, first.rejected, again.accepted) == (31_106, 0, 0, 0)
