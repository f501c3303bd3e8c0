"""A lake opened at pinned versions, up to the instant through which it was observed. Expected rows are counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import Outside, newest_versions, open_lake, take_snapshot

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5)


def add(place: Path, name: str, times: list[datetime], *, table: str = "events") -> None:
    """One row a time: events by four users, or telemetry of one feature."""
    if table == "events":
        lines = ["event_id,event_name,user_id,event_at"]
        lines += [f"{name}{i},seen,u{i % 4},{t.isoformat()}Z" for i, t in enumerate(times)]
    else:
        lines = ["feature_id,user_id,observed_at,latency_ms"]
        lines += [f"f,u{i % 4},{t.isoformat()}Z,100" for i, t in enumerate(times)]
    place.mkdir(exist_ok=True)
    (place / f"{name}.csv").write_text("\n".join(lines) + "\n")
    ingest(SourceSpec(table=table, path=str(place / f"{name}.csv")), lake=place / "lake", ingested_at=NOW)


def steady(days: int, per_day: int) -> list[datetime]:
    return [MONDAY + timedelta(days=i / per_day) for i in range(days * per_day)]


@pytest.fixture
def place(tmp_path):
    add(tmp_path, "own", steady(10, 50))
    add(tmp_path, "late", [MONDAY + timedelta(days=40)])
    add(tmp_path, "early", [datetime(2001, 1, 1), datetime(2001, 1, 2)])
    add(tmp_path, "health", [*steady(5, 50), MONDAY + timedelta(days=90)], table="telemetry")
    return tmp_path


def test_rows_beside_the_window_are_in_no_table_of_a_page_and_are_counted(place):
    data = open_lake(place / "lake")
    last = steady(10, 50)[-1]
    assert (data.observed_through, data.telemetry_observed_through) == (last, steady(5, 50)[-1])
    assert data.outside == (
        Outside("events", "before", 2, datetime(2001, 1, 1), datetime(2001, 1, 2)),
        Outside("events", "after", 1, *[MONDAY + timedelta(days=40)] * 2),
        Outside("telemetry", "after", 1, *[MONDAY + timedelta(days=90)] * 2),
    )
    assert (data.versions["events"].rows, data.versions["events"].observed_from) == (500, MONDAY)
    assert (data.events.count().execute(), data.telemetry.count().execute()) == (500, 250)
    assert data.events.event_at.max().execute() == last
    assert (data.sessions.ended_at.max().execute(), data.users.first_seen_at.min().execute()) == (last, MONDAY)
    assert data.feature_metrics.observed_on.max().execute().date() == steady(5, 50)[-1].date()


@pytest.mark.parametrize("named", ["2026-01-07", {"events": "2026-01-07"}, {"events": "2026-01-07T23:59:59.999999Z"}])
def test_a_named_end_is_taken_as_it_is_named(place, named):
    """50 rows on each of 5, 6 and 7 January."""
    data = open_lake(place / "lake", observed_through=named)
    assert data.observed_through == datetime(2026, 1, 7, 23, 59, 59, 999999)
    assert data.events.count().execute() == 150
    assert [(o.where, o.rows) for o in data.outside if o.table == "events"] == [("before", 2), ("after", 351)]
    assert data.telemetry.count().execute() == (150 if isinstance(named, str) else 250)


def test_a_named_end_before_every_row_leaves_none(place):
    data = open_lake(place / "lake", observed_through="2000-01-01")
    assert (data.events.count().execute(), data.observed_through) == (0, datetime(2000, 1, 1, 23, 59, 59, 999999))
    assert [(o.table, o.where, o.rows) for o in data.outside] == [("events", "after", 503), ("telemetry", "after", 251)]


def test_a_named_end_does_not_claim_that_a_table_without_rows_was_observed(tmp_path):
    add(tmp_path, "own", steady(2, 50))
    assert open_lake(tmp_path / "lake", observed_through="2026-01-07").telemetry_observed_through is None


def test_a_log_of_dates_only_is_observed_through_the_end_of_its_last_date(tmp_path):
    add(tmp_path, "own", [MONDAY + timedelta(days=d) for d in range(5) for _ in range(50)])
    assert open_lake(tmp_path / "lake").observed_through == datetime(2026, 1, 9, 23, 59, 59, 999999)


def test_dates_of_another_zone_end_with_the_date_of_that_zone(tmp_path):
    """Midnight of Berlin is 23:00 UTC in winter and 22:00 in summer; clocks changed on 29 March 2026."""
    add(
        tmp_path,
        "own",
        [datetime(2026, 3, 26, 23) + timedelta(days=d, hours=-(d > 1)) for d in range(5) for _ in range(50)],
    )
    assert open_lake(tmp_path / "lake").observed_through == datetime(2026, 3, 31, 21, 59, 59, 999999)


def test_a_snapshot_names_versions_and_ends_once_and_is_read_the_same_though_the_lake_grows(place):
    snapshot = take_snapshot(place / "lake")
    assert snapshot.versions == newest_versions(place / "lake")
    assert snapshot.observed_through == {"events": steady(10, 50)[-1], "telemetry": steady(5, 50)[-1]}
    add(place, "more", [t + timedelta(days=10) for t in steady(10, 50)])
    given = snapshot.for_notebook()
    data = open_lake(place / "lake", versions=given["lake_versions"], observed_through=given["observed_through"])
    assert (data.events.count().execute(), data.observed_through) == (500, steady(10, 50)[-1])
    assert open_lake(place / "lake").events.count().execute() == 1_000
    by_hand = open_lake(place / "lake", versions=given["lake_versions"])
    assert (by_hand.observed_through, by_hand.outside) == (data.observed_through, data.outside)


def test_a_snapshot_keeps_what_somebody_named(place):
    snapshot = take_snapshot(place / "lake", versions={"events": 0}, observed_through={"telemetry": "2026-01-06"})
    assert snapshot.versions["events"] == 0
    assert snapshot.observed_through["telemetry"] == datetime(2026, 1, 6, 23, 59, 59, 999999)


@pytest.mark.parametrize(("named", "days"), [(None, 10), ("2026-01-07", 3), ("2000-01-01", 0)])
def test_day_files_leave_out_the_days_outside_the_window_and_know_its_end(place, named, days):
    data = open_lake(place / "lake", observed_through=named)
    log = data.events.get_backend().log
    assert [d.rows for d in log.days] == [50] * days
    assert log.observed_through == data.observed_through


def test_a_lake_in_a_folder_with_a_space_and_other_signs_opens(tmp_path):
    """Addresses of data files write such signs with %, paths do not."""
    odd = tmp_path / "my lake ü # (1)"
    add(odd, "own", steady(3, 50))
    data = open_lake(odd / "lake")
    assert (data.events.count().execute(), data.sessions.count().execute() > 0) == (150, True)
