"""Compaction: the same events in fewer files, users side by side, one row per id, kept versions readable. Hand counts."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.lake import compaction, open_lake
from launchpad_lib.lake.clean_up import clean_up
from launchpad_lib.lake.compaction import compact, merge_small
from launchpad_lib.lake.copies import Copies, copies
from launchpad_lib.lake.delta_log import DeltaLog
from launchpad_lib.lake.kept_reports import kept_versions, pin_versions, reports_of, tell_of_reports
from tests.streaming.test_spool_to_lake import drain, event, ids

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    """Six commits over three dates, one event each; e0 comes a second time, received later, through a second writer and another lake window."""
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    for number in range(6):
        (spool / f"w-{number:012d}.ndjson").write_text(event(number, received_at=f"2026-01-09T00:00:0{number}Z"))
        drain(spool, lake)
    return tmp_path


def write_copy(place, number: int, received_at: str, **more: object) -> None:
    """A copy that the window of the stream did not know: it is written past it."""
    from launchpad_lib.ingestion.stream.decoding import Block, decode
    from launchpad_lib.ingestion.stream.sink import StreamSink

    sink = StreamSink(place / "lake", source_name="other")
    sink._seen.clear()
    line, at = event(number, received_at=received_at, **more).encode(), sink.offset("p")
    sink.commit(
        sink.prepare(
            [decode(Block("p", 1, [line], [0], [True], None), moment=NOW)],
            gaps=[],
            offsets={"p": (at, (at or 0) + 1)},
        )
    )


def test_small_files_become_one_a_date_and_the_earliest_received_copy_stays(place):
    write_copy(place, 0, "2026-01-08T00:00:00Z")
    assert len(ids(place / "lake")) == 7
    result = compact(place / "lake", reports=place / "reports", say=lambda _: None)
    assert (result.files_before, result.files_after, result.duplicates) == (7, 3, 1)
    assert ids(place / "lake") == [f"e{n}" for n in range(6)]
    row = [
        r for r in DeltaTable(str(place / "lake" / "events")).to_pyarrow_table().to_pylist() if r["event_id"] == "e0"
    ]
    assert [str(r["received_at"]) for r in row] == ["2026-01-08 00:00:00"]
    for uri in DeltaTable(str(place / "lake" / "events")).file_uris():
        users = [u for (u,) in duckdb.sql("SELECT user_id FROM read_parquet($f)", params={"f": uri}).fetchall()]
        assert users == sorted(users)
    assert open_lake(place / "lake").events.count().execute() == 6


def test_a_copy_under_another_date_is_found_too(place):
    from launchpad_lib.ingestion.stream.decoding import Block, decode
    from launchpad_lib.ingestion.stream.sink import StreamSink

    sink = StreamSink(place / "lake", source_name="other")
    sink._seen.clear()
    line = event(0, event_at="2026-01-07T00:00:00Z", received_at="2026-01-10T00:00:00Z").encode()
    sink.commit(
        sink.prepare([decode(Block("p", 1, [line], [0], [True], None), moment=NOW)], gaps=[], offsets={"p": (None, 1)})
    )
    assert compact(place / "lake", reports=place / "reports", say=lambda _: None).duplicates == 1
    days = DeltaTable(str(place / "lake" / "events")).to_pyarrow_table()
    assert sorted(str(r["event_on"]) for r in days.to_pylist() if r["event_id"] == "e0") == ["2026-01-01"]


@pytest.mark.parametrize("merge", [True, False])
def test_a_dropped_copy_is_counted_and_one_that_says_something_else_is_a_refused_row_once(place, merge, monkeypatch):
    """Of e0 a copy with another user, of e1 one that says the same: both are dropped, hand counts 1 and 1."""
    write_copy(place, 0, "2026-01-10T00:00:00Z", user_id="somebody else")
    write_copy(place, 1, "2026-01-10T00:00:00Z")
    assert copies(place / "lake") == Copies(0, 0)
    real, place_of = DeltaLog.commit, place / "lake" / "events"

    def dies(self, **arguments):
        if self.place == place_of:
            raise OSError("killed here")
        return real(self, **arguments)

    def drop():
        if merge:
            return merge_small(place / "lake", min_files=2)
        return compact(place / "lake", reports=place / "reports", say=lambda _: None)

    monkeypatch.setattr(DeltaLog, "commit", dies)
    with pytest.raises(OSError, match="killed here"):
        drop()
    monkeypatch.setattr(DeltaLog, "commit", real)
    drop()
    assert ids(place / "lake") == [f"e{n}" for n in range(6)]
    assert copies(place / "lake") == Copies(1, 1)
    told = DeltaTable(str(place / "lake" / "rejected")).to_pyarrow_table().to_pylist()
    assert [(r["table_name"], r["source"], r["reason"]) for r in told] == [
        ("events", "compaction", "event_id: e0 came with other content before; the copy received first is kept")
    ]
    assert json.loads(told[0]["raw"])["user_id"] == "somebody else"
    drop()
    assert copies(place / "lake") == Copies(1, 1)


def test_reading_goes_on_where_it_was_after_a_compaction(place):
    compact(place / "lake", reports=place / "reports", say=lambda _: None)
    assert drain(place / "spool", place / "lake").rows == 0
    (place / "spool" / "w-000000000006.ndjson").write_text(event(6))
    drain(place / "spool", place / "lake")
    assert ids(place / "lake") == [f"e{n}" for n in range(7)]


def test_a_version_that_a_kept_report_names_stays_readable_and_the_rest_goes(place):
    version = DeltaTable(str(place / "lake" / "events")).version()
    for name, named in (("a", version), ("b", version - 2)):
        (place / "reports" / name).mkdir(parents=True)
        (place / "reports" / name / "manifest.json").write_text(json.dumps({"inputs": {"events": {"version": named}}}))
    (place / "reports" / "broken").mkdir()
    (place / "reports" / "broken" / "manifest.json").write_text("{")
    assert kept_versions(place / "reports", "events") == [version - 2, version]
    compact(place / "lake", reports=place / "reports", say=lambda _: None, grace_seconds=0)
    assert len(open_lake(place / "lake", versions={"events": version - 2}).events.to_pyarrow()) == 4
    (place / "reports" / "a" / "manifest.json").unlink()
    (place / "reports" / "b" / "manifest.json").unlink()
    # Six small files had been replaced by three: now nobody names them.
    assert compact(place / "lake", reports=place / "reports", say=lambda _: None, grace_seconds=0).deleted_files == 6
    assert ids(place / "lake") == [f"e{n}" for n in range(6)]


def keep(place, name: str, version: int) -> None:
    (place / "reports" / name).mkdir(parents=True)
    pin_versions(place / "reports" / name, {"events": version})


def test_kept_versions_are_found_from_whatever_folder_and_after_the_workbook_was_moved(place, monkeypatch):
    version = DeltaTable(str(place / "lake" / "events")).version()
    keep(place, "a", version - 2)
    monkeypatch.chdir(place)
    tell_of_reports(Path("lake"), Path("reports"))
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert reports_of(Path("../lake")) == [place / "reports"]
    (place / "moved").mkdir()
    for name in ("lake", "reports"):
        (place / name).rename(place / "moved" / name)
    assert main(["compact", "--lake", "../moved/lake", "--grace-minutes", "0"]) == 0
    assert len(open_lake("../moved/lake", versions={"events": version - 2}).events.to_pyarrow()) == 4


def test_a_reports_folder_that_is_named_and_not_there_is_refused_before_anything_is_deleted(place, capsys):
    before = sorted(place.rglob("*.parquet"))
    assert main(["compact", "--lake", str(place / "lake"), "--reports", "report", "--grace-minutes", "0"]) == 2
    assert "reports='report': there is no such folder" in capsys.readouterr().err
    assert sorted(place.rglob("*.parquet")) == before


def test_the_versions_of_a_run_under_way_are_kept_and_those_of_one_killed_long_ago_are_not(place):
    version = DeltaTable(str(place / "lake" / "events")).version()
    keep(place, ".run.x.partial", version - 2)
    assert kept_versions(place / "reports", "events") == [version - 2]
    os.utime(place / "reports" / ".run.x.partial" / "manifest.json", (0, 0))
    assert kept_versions(place / "reports", "events") == []


def test_a_file_no_commit_names_stays_a_day_for_it_may_belong_to_a_commit_under_way(place):
    stray = place / "lake" / "events" / "event_on=2026-01-01" / "stray.parquet"
    stray.write_bytes(b"x")
    assert clean_up(place / "lake" / "events", keep_versions=[], grace_seconds=0) == 0
    os.utime(stray, (time.time() - 90_000,) * 2)
    assert clean_up(place / "lake" / "events", keep_versions=[], grace_seconds=0) == 1


def test_a_commit_that_arrives_during_a_merge_is_kept_and_a_second_merge_is_fenced(place, monkeypatch):
    real = compaction.DeltaLog.commit

    def late(self, **arguments):
        if arguments["operation"] == "OPTIMIZE" and not done:
            done.append(1)
            (place / "spool" / "w-000000000006.ndjson").write_text(event(6))
            drain(place / "spool", place / "lake")
            assert merge_small(place / "lake", min_files=2) == 3
        return real(self, **arguments)

    done: list[int] = []
    monkeypatch.setattr(compaction.DeltaLog, "commit", late)
    merge_small(place / "lake", min_files=2)
    assert ids(place / "lake") == [f"e{n}" for n in range(7)]


def test_a_lake_without_events_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is no events table"):
        compact(tmp_path, reports=tmp_path, say=lambda _: None)
