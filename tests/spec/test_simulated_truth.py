"""The simulated product ingested once and twice, held against its declared truth."""

from __future__ import annotations

from datetime import datetime

import pytest

from launchpad_lib.ingestion import IngestError, SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import completion
from launchpad_lib.simulation import TRUTH, simulate

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
