"""The simulated product ingested once and twice, held against its declared truth."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.ingestion import IngestError, SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import completion
from launchpad_lib.simulation import TRUTH, simulate, users_for

NOW = datetime(2026, 2, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated")
    simulate(root / "raw", users=300, telemetry_days=14)
    return root


def test_every_row_is_accepted_doubled_or_rejected_and_a_second_time_changes_nothing(place):
    source = SourceSpec(table="events", path="raw/events")
    first = ingest(source, lake=place / "lake", ingested_at=NOW, root=place)
    assert (first.duplicates, first.rejected) == (TRUTH.duplicate_rows, TRUTH.malformed_rows)
    assert first.read == first.accepted + first.duplicates + first.rejected
    second = ingest(source, lake=place / "lake", ingested_at=NOW, root=place)
    assert (second.skipped_files, second.accepted) == (first.files, 0)
    lake = open_lake(place / "lake")
    assert lake.events.count().execute() == first.accepted
    assert lake.rejected.count().execute() == first.rejected
    found = completion(
        lake.events,
        start_event="quiz_started",
        complete_event="quiz_completed",
        window="1d",
        observed_through=lake.observed_through,
        by="session_key",
    ).to_pandas()
    # Truth 0.62; about 1,200 sessions give a standard error of 0.014, so 4 of them are 0.056.
    assert abs(found["completion_rate"][0] - TRUTH.completion_rate) < 0.056


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        simulate(tmp_path / name, users=20, days=3, telemetry_days=14)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    """The same product in each form of file, its users drawn in parts of 25."""
    root = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launchpad_lib.simulation.product.USERS_AT_ONCE", 25)
        for form in ("jsonl.gz", "jsonl", "parquet"):
            simulate(root / form, users=60, days=3, telemetry_days=14, file_format=form)
    return root


def rows_of(root, form):
    """What an ingestion of one form leaves in the lake, in order of id."""
    lake = root / f"lake-{form}"
    result = ingest(SourceSpec(table="events", path=f"{form}/events"), lake=lake, ingested_at=NOW, root=root)
    return result, open_lake(lake).events.order_by("event_id").to_pandas()


def test_every_form_of_file_holds_the_same_events_and_the_same_planted_rows(in_parts):
    """Three parts of users on three days: nine files. The planted rows are spread over them and none is lost."""
    result, rows = rows_of(in_parts, "jsonl.gz")
    assert (result.files, result.duplicates, result.rejected) == (9, TRUTH.duplicate_rows, TRUTH.malformed_rows)
    assert rows["event_id"].is_unique and rows["user_id"].nunique() > 55
    for form in ("jsonl", "parquet"):
        other, found = rows_of(in_parts, form)
        assert other == result
        pd.testing.assert_frame_equal(found, rows)


def test_a_wished_number_of_events_is_met_by_the_number_of_users(tmp_path):
    """Users differ: of some hundred the total has a spread of about 4 %, four of which are allowed."""
    users = users_for(40_000, days=5)
    made = simulate(tmp_path, users=users, days=5, telemetry_days=14).rows["events"]
    assert abs(made / 40_000 - 1) < 0.16
    with pytest.raises(ValueError, match="events=0: must be at least 1"):
        users_for(0, days=5)


def test_a_file_that_cannot_be_read_leaves_the_lake_as_before(tmp_path):
    (tmp_path / "x.csv").write_text("event_id,user,event_name,event_at\n1,u,a,2026-01-01\n")
    source = SourceSpec(table="events", path="x.csv", columns={"user_id": "usr"})
    with pytest.raises(IngestError, match="did you mean 'user'"):
        ingest(source, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    assert not (tmp_path / "lake").exists()


def test_a_bad_line_is_kept_with_its_line_and_reason(tmp_path):
    good = '{"event_id":"1","event_name":"a","user_id":"u","event_at":"2026-01-01T00:00:00Z"}'
    (tmp_path / "x.jsonl").write_text(f'{good}\n{{"event_id": NaN}}\n[1]\n')
    result = ingest(SourceSpec(table="events", path="x.jsonl"), lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    assert (result.accepted, result.rejected) == (1, 2)
    kept = open_lake(tmp_path / "lake").rejected.order_by("line").to_pandas()
    assert kept["line"].tolist() == [2, 3]
    assert "NaN is not JSON" in kept["reason"][0]


USERS, DAYS = 2500, 8


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A larger product, read from its files with pandas alone."""
    folder = tmp_path_factory.mktemp("larger")
    paths = simulate(folder, users=USERS, days=DAYS, telemetry_days=60, seed=7).paths
    events = pd.concat(pd.read_json(f, lines=True) for f in sorted(paths["events"].iterdir()))
    events = events.drop_duplicates("event_id")
    events = events[~events["event_id"].str.startswith("bad")]  # the malformed rows that are planted
    events["day"] = pd.to_datetime(events["event_at"].astype(str).str[:10]).dt.day - 5
    return events, pd.read_parquet(paths["telemetry"] / "telemetry.parquet"), pd.read_csv(paths["features"])


@pytest.mark.parametrize("flow", TRUTH.flows, ids=lambda f: f.feature_id)
def test_attempts_are_completed_as_often_as_declared(log, flow):
    """Attempts are one a session; the tolerance is four standard errors of a proportion."""
    mine = log[0][log[0]["feature_id"] == flow.feature_id]
    started = mine[mine["event_name"] == flow.start_event]["session_id"]
    done = mine[mine["event_name"] == flow.complete_event]["session_id"]
    assert started.is_unique and set(done) <= set(started)
    tolerance = 4 * np.sqrt(flow.completion_rate * (1 - flow.completion_rate) / len(started))
    assert abs(len(done) / len(started) - flow.completion_rate) < tolerance


@pytest.mark.parametrize("flow", [f for f in TRUTH.flows if f.last_days is None], ids=lambda f: f.feature_id)
def test_completing_moves_the_next_days_activity_by_the_declared_effect(log, flow):
    """Who completes the first attempt is luck, so the difference of the next day's activity is the effect.

    A second attempt on the same day dilutes it by at most a tenth. With about 2,000 starters the standard error is
    0.022; 0.06 holds an effect of 0.15 or -0.2 apart from none.
    """
    events = log[0]
    mine = events[events["feature_id"] == flow.feature_id].sort_values("event_at")
    first = mine[mine["event_name"] == flow.start_event].drop_duplicates("user_id")
    first = first[first["day"] < DAYS - 1]
    done = first["session_id"].isin(mine[mine["event_name"] == flow.complete_event]["session_id"])
    active = set(zip(events["user_id"], events["day"], strict=True))
    returned = np.array([(u, d + 1) in active for u, d in zip(first["user_id"], first["day"], strict=True)])
    assert abs(returned[done].mean() - returned[~done].mean() - flow.return_effect) < 0.06


def test_every_declared_truth_about_a_feature_is_there_and_the_four_answers_differ():
    """Hand list of the declaration: a product page can meet each answer, a health page each state."""
    worked = {row.feature_id: row.worked for row in TRUTH.by_feature()}
    assert worked["configurator"] == worked["checkout"] == "works"
    assert (worked["search"], worked["notifications"], worked["price_alerts"]) == ("no effect", "hurts", "too early")
    health = {row.feature_id: row.health for row in TRUTH.by_feature()}
    assert {f for f, state in health.items() if state == "regression"} == {"search", "checkout"}
    assert (health["recommendations"], health["support_chat"]) == ("incident over", "silent")
    assert (health["profile"], health["price_alerts"]) == ("healthy", "too early")


def test_a_feature_released_within_the_log_has_events_and_telemetry_only_from_its_release_on(log):
    """Released two days before the end: days 6 and 7 of 0 to 7; telemetry covers 60 days and ends on the same one."""
    events, telemetry, features = log
    assert sorted(events[events["feature_id"] == "price_alerts"]["day"].unique()) == [6, 7]
    days = telemetry[telemetry["feature_id"] == "price_alerts"]["observed_at"].dt.date
    released_on = features.set_index("feature_id").loc["price_alerts", "released_on"]
    assert [str(d) for d in sorted(days.unique())] == ["2026-01-11", "2026-01-12"] and released_on == "2026-01-11"
    assert features.set_index("feature_id").loc["price_alerts"].filter(like="slo_").isna().all()


def test_the_silent_feature_has_no_telemetry_on_its_last_days_and_the_incident_is_over(log):
    telemetry = log[1]
    day = (telemetry["observed_at"] - telemetry["observed_at"].min().normalize()).dt.days
    assert day[telemetry["feature_id"] == "support_chat"].max() == 60 - 1 - TRUTH.silent_last_days
    mine = telemetry["feature_id"] == TRUTH.incident_feature
    first, last = TRUTH.incident_days
    # About 60 observations a day: 300 in the incident, standard error of 0.08 is 0.016; afterwards 0.004.
    assert telemetry[mine & day.between(first, last)]["crashed"].mean() > 0.04
    assert telemetry[mine & (day > last)]["crashed"].mean() < 0.02


def test_the_declared_truth_is_written_beside_the_data(tmp_path):
    paths = simulate(tmp_path, users=20, days=3, telemetry_days=14).paths
    told = pd.read_csv(paths["truth"]).set_index("feature_id")
    assert told.loc["notifications", ["worked", "return_effect"]].tolist() == ["hurts", -0.2]
