"""A spool read into a lake: exactly once over torn lines, crashes, other batch ends and a second worker. Hand counts."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from launchpad_lib.ingestion.stream.decoding import Block, decode
from launchpad_lib.ingestion.stream.sink import EVENTS_SCHEMA, StreamSink
from launchpad_lib.ingestion.stream.spool_source import SpoolSource
from launchpad_lib.ingestion.stream.worker import SourceError, StreamSettings, StreamWorker
from launchpad_lib.lake import open_lake
from launchpad_lib.lake.checkpoints import checkpoint
from launchpad_lib.lake.copies import Copies, copies
from launchpad_lib.lake.delta_log import DeltaLog, Fenced


class Quiet:
    """An observer that only counts."""

    def __init__(self):
        self.refused = self.rows = self.duplicates = self.gaps = self.fences = self.failures = 0

    def committed(self, written, prepared, *, seconds):
        self.rows, self.refused, self.duplicates, self.gaps = (
            self.rows + written.rows, self.refused + written.refused, self.duplicates + written.duplicates, self.gaps + written.gaps,
        )  # fmt: skip

    def waiting(self, *, lag):
        self.lag = lag

    def fenced(self, reason):
        self.fences += 1

    def failed(self, reason):
        self.failures += 1


def event(number: int, **more: object) -> str:
    return (
        json.dumps(
            {
                "event_id": f"e{number}",
                "event_name": "n",
                "user_id": f"u{number % 7}",
                "event_at": f"2026-01-{1 + number % 3:02d}T00:00:00Z",
                **more,
            }
        )
        + "\n"
    )


def drain(spool: Path, lake: Path, **settings) -> Quiet:
    source, seen = SpoolSource(spool), Quiet()
    worker = StreamWorker(
        source,
        StreamSink(lake, source_name=source.name, dedupe_window=1000),
        observer=seen,
        settings=StreamSettings(0.02, idle_exit_seconds=0.15, **settings),
    )
    worker.run(lambda: False)
    return seen


def ids(lake: Path) -> list[str]:
    return sorted(DeltaTable(str(lake / "events")).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist())


def rejects(lake: Path) -> list[tuple]:
    table = DeltaTable(str(lake / "rejected"))
    return sorted((r["source"], r["line"], r["reason"]) for r in table.to_pyarrow_table().to_pylist())


def test_a_torn_last_line_waits_until_it_is_whole_and_a_dead_writers_is_passed_over(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    first = spool / "w-1-000000000000.ndjson"
    first.write_text(event(1) + event(2)[:20])
    drain(spool, lake)
    assert ids(lake) == ["e1"]
    with open(first, "a") as file:
        file.write(event(2)[20:] + event(3)[:9])
    drain(spool, lake)
    assert ids(lake) == ["e1", "e2"]
    (spool / "w-1-000000000001.ndjson").write_text(event(4))
    (spool / "w-2-000000000000.ndjson").write_text(event(5))
    (spool / "notes.txt").write_text("no segment")
    drain(spool, lake)
    assert ids(lake) == ["e1", "e2", "e4", "e5"]
    assert open_lake(lake).events.count().execute() == 4


def test_refused_lines_are_kept_with_their_byte_offset_and_duplicates_are_left_out(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text(event(1) + "{}\n" + event(1) + event(2))
    seen = drain(spool, lake)
    assert (seen.rows, seen.refused, seen.duplicates) == (2, 1, 1)
    assert rejects(lake) == [("spool/w", len(event(1)), "event_id is missing")]
    (spool / "w-000000000001.ndjson").write_text(event(2) + event(3))
    assert drain(spool, lake).duplicates == 1  # known from the lake: the window is filled anew at the start
    assert ids(lake) == ["e1", "e2", "e3"]


def test_a_copy_with_other_content_than_an_event_from_before_the_worker_was_started_is_told_and_counted(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    told = {"properties": {"b": 1.5, "a": "ü"}, "platform": None, "country": "DE"}
    (spool / "w-000000000000.ndjson").write_text(event(1, **told) + event(2, **told) + event(3))
    drain(spool, lake)
    (spool / "w-000000000001.ndjson").write_text(
        event(1, **told, received_at="2026-02-01T00:00:00Z")
        + event(2, **told | {"country": "FR"})
        + event(3, properties={})
    )
    seen = drain(spool, lake)
    assert (seen.rows, seen.duplicates, seen.refused) == (0, 2, 1)
    assert [reason for _, _, reason in rejects(lake)] == [
        "event_id: e2 came with other content before; the copy received first is kept"
    ]
    assert copies(lake) == Copies(2, 1)


def test_of_copies_in_one_batch_the_earliest_received_stays(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text(
        event(1, received_at="2026-01-02T00:00:09Z") + event(1, received_at="2026-01-02T00:00:03Z")
    )
    drain(spool, lake)
    assert [str(x) for x in DeltaTable(str(lake / "events")).to_pyarrow_table()["received_at"]] == [
        "2026-01-02 00:00:03"
    ]


@pytest.mark.parametrize("crash_in", ["rejected", "events"])
def test_a_crash_between_the_tables_neither_loses_nor_doubles_whatever_the_next_batch_ends(
    tmp_path, crash_in, monkeypatch
):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    segment = spool / "w-000000000000.ndjson"
    segment.write_text(event(1) + "{}\n" + event(2) + "[]\n")
    real = DeltaLog.commit

    def dies(self, **arguments):
        if self.place.name == crash_in:
            raise RuntimeError("killed here")
        return real(self, **arguments)

    monkeypatch.setattr(DeltaLog, "commit", dies)
    with pytest.raises(RuntimeError, match="killed here"):
        drain(spool, lake)
    monkeypatch.setattr(DeltaLog, "commit", real)
    assert DeltaTable(str(lake / "events")).count() == 0
    with open(segment, "a") as file:
        file.write("null\n" + event(3))
    drain(spool, lake)
    assert ids(lake) == ["e1", "e2", "e3"]
    start = len(event(1))
    assert [r[1] for r in rejects(lake)] == [start, start + 3 + len(event(2)), start + 3 + len(event(2)) + 3]


def test_of_two_workers_on_one_partition_one_commits_and_the_other_is_fenced(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text("".join(event(i) for i in range(100)) + "{}\n")

    def batch():
        source, sink = SpoolSource(spool), StreamSink(lake, source_name="spool", dedupe_window=1000)
        source.partitions()
        source.seek("w", sink.offset("w"))
        found = source.poll(timeout_seconds=0.1).blocks[0]
        return sink, sink.prepare(
            [decode(found, moment=datetime.now(UTC))], gaps=[], offsets={"w": (None, found.next_offset)}
        )

    (one, first), (other, second) = batch(), batch()
    one.commit(first)
    with pytest.raises(Fenced):
        other.commit(second)
    other.reopen()
    assert other.offset("w") == first.offsets["w"][1]
    assert len(ids(lake)) == 100
    assert len(rejects(lake)) == 1


def test_two_workers_running_at_once_lose_and_double_nothing(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    segment = spool / "w-000000000000.ndjson"
    segment.write_text("")
    drain(spool, lake)
    threads = [threading.Thread(target=drain, args=(spool, lake), kwargs={"max_fences": 1000}) for _ in range(2)]
    for thread in threads:
        thread.start()
    with open(segment, "a") as file:
        for number in range(2000):
            file.write(event(number) if number % 50 else "{}\n")
            if number % 100 == 0:
                file.flush()
                threading.Event().wait(0.02)
    for thread in threads:
        thread.join()
    drain(spool, lake)
    assert ids(lake) == sorted(f"e{i}" for i in range(2000) if i % 50)
    assert len(rejects(lake)) == 40


def test_a_segment_removed_before_it_was_read_is_a_gap_and_a_shorter_one_an_error(tmp_path):
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text(event(1))
    drain(spool, lake)
    (spool / "w-000000000002.ndjson").write_text(event(2))
    assert drain(spool, lake).gaps == 1
    rows = DeltaTable(str(lake / "gaps")).to_pyarrow_table().to_pylist()
    assert [(r["partition"], r["from_offset"] >> 32, r["to_offset"] >> 32) for r in rows] == [("w", 1, 2)]
    assert ids(lake) == ["e1", "e2"]
    (spool / "w-000000000002.ndjson").write_text("")
    with pytest.raises(SourceError, match="shorter than what was read"):
        drain(spool, lake)


def test_the_lake_is_the_one_that_files_are_ingested_into(tmp_path):
    from datetime import datetime

    from launchpad_lib.ingestion import SourceSpec, ingest

    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (tmp_path / "x.jsonl").write_text(event(1) + event(2))
    ingest(SourceSpec(table="events", path="x.jsonl"), lake=lake, ingested_at=datetime(2026, 2, 1), root=tmp_path)
    (spool / "w-000000000000.ndjson").write_text(event(2) + event(3))
    assert drain(spool, lake).duplicates == 1
    (tmp_path / "y.jsonl").write_text(event(3) + event(4))
    ingest(SourceSpec(table="events", path="y.jsonl"), lake=lake, ingested_at=datetime(2026, 2, 1), root=tmp_path)
    assert ids(lake) == ["e1", "e2", "e3", "e4"]


def test_another_writer_of_the_table_is_seen_by_ours_and_ours_by_deltalake(tmp_path):
    log = DeltaLog(tmp_path / "events", schema=EVENTS_SCHEMA, partition_by=["event_on"])
    log.commit(transactions={"p": (None, 1)}, operation="TEST")
    stale = DeltaTable(str(tmp_path / "events"), version=0)
    from deltalake import CommitProperties, Transaction
    from deltalake.exceptions import CommitFailedError

    with pytest.raises(CommitFailedError, match="Concurrent transaction"):
        write_deltalake(
            stale,
            EVENTS_SCHEMA.empty_table(),
            mode="append",
            commit_properties=CommitProperties(app_transactions=[Transaction("p", 5)]),
        )
    write_deltalake(
        str(tmp_path / "events"),
        EVENTS_SCHEMA.empty_table(),
        mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction("q", 7)]),
    )
    with pytest.raises(Fenced):
        log.commit(transactions={"q": (None, 8)}, operation="TEST")
    log.refresh()
    assert (log.transaction("p"), log.transaction("q")) == (1, 7)


def test_after_the_log_is_cleaned_up_offsets_and_kept_versions_are_still_there(tmp_path):
    place = tmp_path / "events"
    log = DeltaLog(place, schema=EVENTS_SCHEMA, partition_by=["event_on"])
    for number in range(60):
        log.commit(transactions={"p": (number - 1 if number else None, number)}, operation="TEST")
        if number in (20, 40):
            checkpoint(place, keep_versions=[25], keep_last=5, grace_seconds=0, now_seconds=2e10)
    # Checkpoints at 21, 41 and now 60. Version 25 needs 21 to 25, readers of now 41 to 60: of what is left 26 to 40 go.
    assert checkpoint(place, keep_versions=[25], keep_last=5, grace_seconds=0, now_seconds=2e10) == 15
    assert DeltaTable(str(place)).transaction_version("p") == 59
    assert DeltaTable(str(place), version=25).transaction_version("p") == 24
    late = DeltaLog(place, schema=EVENTS_SCHEMA, partition_by=["event_on"])
    late.version = 3  # a writer that slept through it all
    with pytest.raises(Fenced, match="cleaned up"):
        late.commit(transactions={"p": (59, 60)}, operation="TEST")


def test_copies_with_other_content_are_told_and_both_kinds_are_counted_over_batches_and_a_checkpoint(tmp_path):
    """Of e1 one copy says the same and one another thing; e2 comes again, changed, in a later batch of the same worker."""
    lake, sink = tmp_path / "lake", StreamSink(tmp_path / "lake", source_name="spool", dedupe_window=1000)
    changed = event(1).replace('"n"', '"m"'), event(2).replace('"n"', '"m"')
    assert changed[0] != event(1)
    batches = [event(1) * 2 + changed[0] + event(2), changed[1] + event(3)]
    start = None
    for number, text in enumerate(batches):
        end = (start or 0) + len(text)
        block = Block("w", end, [text.encode()], [start or 0], [True], None, is_bytewise=True)
        prepared = sink.prepare([decode(block, moment=datetime.now(UTC))], gaps=[], offsets={"w": (start, end)})
        written = sink.commit(prepared)
        assert (written.rows, written.duplicates, written.refused) == [(2, 1, 1), (1, 0, 1)][number]
        start = end
    assert copies(lake) == Copies(same=1, other=2)
    reason = "came with other content before; the copy received first is kept"
    assert rejects(lake) == [
        ("spool/w", 2 * len(event(1)), f"event_id: e1 {reason}"),
        ("spool/w", len(batches[0]), f"event_id: e2 {reason}"),
    ]
    checkpoint(lake / "events", keep_last=0, grace_seconds=0)
    assert copies(lake) == Copies(same=1, other=2)
