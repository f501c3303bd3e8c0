"""The real runs of `params/` against what was published of their data. Sources: each data set's own documentation, named per test."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.findings.experiment_results import ExperimentPlan, ask_experiment, experiment_results
from launchpad_lib.findings.experiments import experiment_conclusion
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics.exposure_counts import conversions
from launchpad_lib.metrics.exposures import Outcome, experiment_units
from launchpad_lib.runner.parameters import load_run

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 2, 1)
WIKITICKER = "data/sample/wikiticker/wikiticker-2015-09-12-first-2000.json.gz"
WHOLE_WIKITICKER = next(
    (
        p
        for p in (d / "shared/data/wikiticker/wikiticker-2015-09-12-sampled.json.gz" for d in ROOT.parents)
        if p.exists()
    ),
    None,
)


def lake_of(name: str, place: Path):
    for source in load_run(ROOT / f"params/{name}.yaml").sources:
        ingest(source, lake=place, ingested_at=NOW, root=ROOT)
    return open_lake(place)


@pytest.fixture(scope="module")
def optimizely(tmp_path_factory):
    return lake_of("optimizely", tmp_path_factory.mktemp("optimizely") / "lake")


@pytest.fixture(scope="module")
def ecom(tmp_path_factory):
    return lake_of("ecom", tmp_path_factory.mktemp("ecom") / "lake")


@pytest.fixture(scope="module")
def nab(tmp_path_factory):
    return lake_of("nab_latency", tmp_path_factory.mktemp("nab") / "lake")


def asked_of(lake, run: str) -> ExperimentPlan:
    """The plan of the run's experiments page."""
    plan = load_run(ROOT / f"params/{run}.yaml").notebooks["experiments"]
    return ask_experiment(lake.events, **plan, observed_through=lake.observed_through)


def test_the_experiment_of_optimizely_has_its_published_arms(optimizely):
    """Units 3304/3367/3329; purchasers within 48 h after first exposure 163/169/223; the split is the planned one."""
    found = experiment_results(optimizely.events, asked_of(optimizely, "optimizely"))
    arms = found.rows.set_index("variant")
    published = {
        "18802093142": (3304, 163, 0.049334),
        "18818611832": (3367, 169, 0.050193),
        "18817551468": (3329, 223, 0.066987),
    }
    for variant, (units, converted, rate) in published.items():
        row = arms.loc[variant]
        assert (row["n"], row["converted"], round(row["value"], 6)) == (units, converted, rate)
    assert found.units["standing"].tolist() == ["assigned"] * 3
    assert round(found.sample_ratio.value, 3) == 0.739
    assert experiment_conclusion(found).verdict == (
        "Ship “18817551468”: purchase is above control, no guardrail was declared."
    )


def test_half_of_the_events_of_optimizely_precede_the_exposure_and_a_naive_join_doubles_the_purchasers(optimizely):
    """19,315 events before exposure and 19,333 within 48 h after it; 1,101 purchasers by a naive join, 555 by the definition."""
    names = optimizely.events.filter(optimizely.events.event_name != EXPOSURE_EVENT).event_name
    outcomes = [Outcome(name, timedelta(hours=48)) for name in names.to_pandas().unique()]
    asked = {"outcomes": outcomes, "observed_through": None}
    (units,) = experiment_units(optimizely.events, experiment_id="18786493712", **asked)
    counted = conversions(units)
    assert (counted["events_before_exposure"].sum(), counted["events_in_window"].sum()) == (19_315, 19_333)
    bought = counted[counted["metric"] == "purchase"]
    assert (bought["naive_converted"].sum(), bought["converted"].sum()) == (1_101, 555)


def test_sessions_by_gaps_are_the_sessions_that_ecom_itself_names(ecom, tmp_path):
    """retentioneering: 3,605 sessions of 600 users; a 30-minute gap finds the same ones event by event."""
    frame = pd.read_csv(ROOT / "data/sample/ecom/ecom.csv.gz")
    frame.drop(columns="session_id").to_csv(tmp_path / "ecom.csv", index=False)
    source = SourceSpec(table="events", path="ecom.csv", columns={"event_name": "event", "event_at": "timestamp"})
    ingest(source, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    cut = open_lake(tmp_path / "lake").sessions.select("user_id", "started_at", "ended_at", "events").to_pandas()
    named = ecom.sessions.select("user_id", "started_at", "ended_at", "events").to_pandas()
    assert len(cut) == len(named) == 3_605
    order = ["user_id", "started_at"]
    pd.testing.assert_frame_equal(
        cut.sort_values(order, ignore_index=True), named.sort_values(order, ignore_index=True)
    )


def test_the_incidents_planted_in_ecom_are_found_where_they_were_planted(ecom):
    """retentioneering: payment errors 19 May-7 June in 95 sessions, conversion 7.7 against 14.1 %; mobile checkout bug 9 April-9 May in 32 sessions."""
    events = ecom.events.select("session_key", "event_name", "event_at", "platform").to_pandas()
    sessions = events.groupby("session_key").agg(
        started_at=("event_at", "min"), platform=("platform", "first"),
        is_buyer=("event_name", lambda n: (n == "purchase").any()), has_error=("event_name", lambda n: (n == "payment_error").any()),
        has_bug=("event_name", lambda n: (n == "checkout_bug").any()),
    )  # fmt: skip
    in_incident = sessions["started_at"].between("2024-05-19", "2024-06-08", inclusive="left")
    # 95 in all; by their first event 90 begin within those days and 5 on 8 June.
    assert (sessions["has_error"].sum(), sessions[in_incident]["has_error"].sum()) == (95, 90)
    assert sessions[sessions["has_error"]]["started_at"].max() < pd.Timestamp("2024-06-09")
    assert round(100 * sessions[in_incident]["is_buyer"].mean(), 1) == 7.7
    assert round(100 * sessions[~in_incident]["is_buyer"].mean(), 1) == 14.1
    bugged = sessions[sessions["has_bug"]]
    assert (len(bugged), bugged["platform"].unique().tolist()) == (32, ["mobile"])
    assert bugged["started_at"].between("2024-04-09", "2024-05-10", inclusive="left").all()


def test_the_latency_series_of_nab_is_whole_and_its_labelled_windows_lie_within_it(nab):
    """Numenta Anomaly Benchmark: 4,032 rows at 5 minutes, three labelled windows; the highest value lies in one of them."""
    series = nab.telemetry.order_by("observed_at").select("observed_at", "latency_ms").to_pandas()
    assert len(series) == 4_032
    # As published, the 12 observations of the hour that did not exist on 9 March 2014 (US clocks go forward) all stand at 03:00:00: equal instants, not duplicates.
    steps = series["observed_at"].diff().value_counts()
    assert (steps[pd.Timedelta(minutes=5)], steps[pd.Timedelta(0)]) == (4_017, 11)
    windows = json.loads((ROOT / "data/sample/nab/combined_windows.json").read_text())[
        "realKnownCause/ec2_request_latency_system_failure.csv"
    ]
    inside = [series["observed_at"].between(start, end) for start, end in windows]
    assert [int(i.sum()) for i in inside] == [135, 135, 76]
    highest = series["latency_ms"].idxmax()
    assert any(i[highest] for i in inside)


def wikiticker(path: str, place: Path, root: Path):
    source = SourceSpec(
        table="events", path=path, columns={"event_at": "time", "user_id": "user", "event_name": "namespace", "country": "countryIsoCode"},
        valid_from=datetime(2015, 9, 12), valid_until=datetime(2015, 9, 13),
    )  # fmt: skip
    return ingest(source, lake=place, ingested_at=NOW, root=root), open_lake(place)


def test_the_first_45_rows_of_wikiticker_lie_outside_its_day_and_are_refused_not_dropped(tmp_path):
    """As shipped, lines 1 to 45 of the sample carry dates from 2015-09-08 to 2015-11-01."""
    found, lake = wikiticker(WIKITICKER, tmp_path, ROOT)
    assert (found.read, found.accepted, found.rejected, found.duplicates) == (2_000, 1_955, 45, 0)
    refused = lake.rejected.order_by("line").to_pandas()
    assert refused["line"].tolist() == list(range(1, 46))
    assert set(refused["reason"]) == {
        "event_at is before 2015-09-12 00:00:00",
        "event_at is not before 2015-09-13 00:00:00",
    }
    with gzip.open(ROOT / WIKITICKER, "rt", encoding="utf-8") as lines:
        assert refused["raw"].tolist() == [next(lines).strip() for _ in range(45)]


@pytest.mark.skipif(WHOLE_WIKITICKER is None, reason="the whole wikiticker file is not beside the repository")
def test_the_whole_of_wikiticker_is_read(tmp_path):
    """39,244 lines of 10,531 users, counted on the file as shipped."""
    found, lake = wikiticker(WHOLE_WIKITICKER.name, tmp_path, WHOLE_WIKITICKER.parent)
    assert (found.read, found.accepted, found.rejected) == (39_244, 39_199, 45)
    users = set(lake.events.user_id.execute()) | {json.loads(r)["user"] for r in lake.rejected.raw.execute()}
    assert len(users) == 10_531
