"""Each row once: the same file again, renamed, longer; in pieces; killed in the middle; two processes at once. Expected counts are by hand."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.ingestion.files.sink import commit, prepare
from launchpad_lib.lake.copies import Copies, copies

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from datetime import datetime
from pathlib import Path
from launchpad_lib.ingestion import SourceSpec, ingest
print("ready", flush=True)
sys.stdin.readline()
for table, path in (("events", "in"), ("telemetry", "telemetry.jsonl")):
    found = ingest(SourceSpec(table=table, path=path), lake=Path("lake"), ingested_at=datetime(2026, 2, 1))
    print(found.accepted, found.rejected, flush=True)
"""


def started(place) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=place.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fill(place, line, *, files: int = 4, rows: int = 500) -> None:
    """`files` x `rows` events of which every tenth lacks its user, and as many telemetry rows."""
    for number in range(files):
        place.put(
            f"in/{number}.jsonl",
            "".join(
                line(
                    f"{number}-{i}",
                    user_id=None if i % 10 == 0 else "u",
                    event_at=f"2026-01-{1 + i % 20:02d}T00:00:00Z",
                )
                for i in range(rows)
            ),
        )
    place.put(
        "telemetry.jsonl",
        "".join(
            json.dumps({"feature_id": "f", "observed_at": f"2026-01-{1 + i % 20:02d}", "latency_ms": i}) + "\n"
            for i in range(rows)
        ),
    )


def holds(place, *, files: int = 4, rows: int = 500) -> None:
    events, rejected = place.events(), place.rejected()
    assert (len(events), events["event_id"].nunique()) == (files * rows * 9 // 10,) * 2
    assert (len(rejected), len(rejected.drop_duplicates(["source", "line"]))) == (files * rows // 10,) * 2
    assert len(place.telemetry()) == rows


def test_the_same_file_twice_or_renamed_changes_nothing(place, line):
    place.put("in/a.jsonl", line("1") + line("2", user_id=None))
    place.ingest("in")
    before = place.snapshot()
    assert place.ingest("in")[2:] == (1, 0, 0, 0, 0)
    (place.root / "in/a.jsonl").rename(place.root / "in/b.jsonl")
    place.put("in/copy.jsonl", (place.root / "in/b.jsonl").read_bytes())
    assert place.ingest("in")[2:] == (2, 0, 0, 0, 0)
    assert place.snapshot() == before


def test_a_file_that_grew_gives_only_its_new_rows(place):
    """Without ids: equal rows are several events, and the earlier ones keep the ids they were given."""
    head, same = "event_name,user_id,event_at\n", "a,u,2026-01-01\n"
    place.put("x.csv", head + same * 2 + "a,,2026-01-01\n")
    first = place.ingest("x.csv")
    place.put("x.csv", head + same * 2 + "a,,2026-01-01\n" + same + "b,u,2026-01-01\nb,,2026-01-01\n")
    second = place.ingest("x.csv")
    assert (first.accepted, first.rejected) == (2, 1)
    assert (second.read, second.accepted, second.duplicates, second.rejected) == (6, 2, 2, 2)
    assert place.events()["event_id"].nunique() == 4
    assert place.rejected()["line"].tolist() == [4, 7]


def test_the_earliest_receipt_wins_within_a_file_over_files_and_over_ingestions(place, line):
    def received(hour: int, event_id: str = "1", day: int = 1) -> str:
        return line(
            event_id, received_at=f"2026-01-02T{hour:02d}:00:00Z", event_at=f"2026-01-{day:02d}T00:00:00Z", copy=hour
        )

    place.put("a.jsonl", received(9) + received(8) + received(5, "2"))
    assert place.ingest("a.jsonl").duplicates == 1
    place.put("b.jsonl", received(7, day=3) + received(6, "2") + received(4, "3"))
    found = place.ingest("b.jsonl")
    assert (found.accepted, found.duplicates) == (1, 2)
    place.put("c.jsonl", received(8))
    place.ingest("c.jsonl")
    kept = place.events()
    assert [json.loads(p)["copy"] for p in kept["properties"]] == [7, 5, 4]
    assert kept["event_at"].dt.day.tolist() == [3, 1, 1]
    assert len(kept) == 3


def test_a_replaced_event_is_in_the_partition_of_its_own_date(place, line):
    place.put("a.jsonl", line("1", received_at="2026-01-09"))
    place.ingest("a.jsonl")
    place.put("b.jsonl", line("1", received_at="2026-01-08", event_at="2026-01-05"))
    place.ingest("b.jsonl")
    table = DeltaTable(str(place.lake / "events"))
    parts = table.partitions()
    assert {str(p["event_on"]) for p in parts if p} <= {"2026-01-01", "2026-01-05"}
    assert table.to_pyarrow_table().to_pydict()["event_on"][0].isoformat() == "2026-01-05"


def test_rows_that_were_committed_between_reading_and_writing_are_not_written_again(place, line):
    """The other process is this one: it ingests after the files were read and before they are committed."""
    place.put("x.jsonl", line("1") + line("2", user_id=None))
    source = SourceSpec(table="events", path="x.jsonl")
    slow = prepare(source, lake=place.lake, ingested_at=datetime(2026, 2, 1), root=place.root)
    assert place.ingest("x.jsonl").accepted == 1
    before = place.snapshot()
    assert commit(slow, lake=place.lake).accepted == 0
    assert place.snapshot() == before


def test_three_processes_on_one_lake_double_and_lose_nothing(place, line):
    fill(place, line)
    three = [started(place) for _ in range(3)]
    for process in three:
        process.stdout.readline()
    for process in three:
        process.stdin.write("go\n")
        process.stdin.flush()
    accepted = 0
    for process in three:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        accepted += sum(int(row.split()[0]) for row in out.splitlines())
    assert accepted == 4 * 450 + 500
    holds(place)


def test_after_kills_at_random_moments_nothing_is_lost_or_doubled(place, line):
    fill(place, line, files=4, rows=2_000)
    rng = random.Random(20260101)
    killed = 0
    for _ in range(4):
        process = started(place)
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(rng.uniform(0.05, 0.7))
        process.kill()
        killed += process.wait(timeout=180) != 0
        process.communicate()
    last = started(place)
    _, err = last.communicate("go\n", timeout=300)
    assert last.returncode == 0, err
    holds(place, files=4, rows=2_000)
    assert killed > 0


def test_a_death_between_the_refused_rows_and_the_rows_is_mended(place, line, monkeypatch):
    """The one moment that a kill seldom hits: the refused rows are in, the rows are not."""
    from launchpad_lib.ingestion.files import sink

    place.put("x.jsonl", line("1") + line("2", user_id=None))
    true = sink.Commit._write_rows

    def dies(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sink.Commit, "_write_rows", dies)
    try:
        place.ingest("x.jsonl")
    except KeyboardInterrupt:
        assert len(place.rejected()) == 1
    monkeypatch.setattr(sink.Commit, "_write_rows", true)
    found = place.ingest("x.jsonl", now=datetime(2026, 2, 1) + timedelta(hours=1))
    assert (found.accepted, found.rejected) == (1, 1)
    assert (len(place.events()), len(place.rejected())) == (1, 1)


def test_a_row_from_a_clock_more_than_a_day_ahead_is_refused_so_that_it_cannot_end_every_window(tmp_path):
    (tmp_path / "e.csv").write_text(
        "event_id,event_name,user_id,event_at\n1,a,u,2026-03-01T00:00:00Z\n2,a,u,2026-03-02T11:00:00Z\n3,a,u,2099-01-01T00:00:00Z\n"
    )
    done = ingest(
        SourceSpec(table="events", path=str(tmp_path / "e.csv")),
        lake=tmp_path / "lake",
        ingested_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert (done.accepted, done.rejected) == (2, 1)


def test_events_that_came_without_an_id_are_counted_since_no_copy_of_them_can_be_told(place):
    """By hand: two of the four rows are equal; without an id they are two events. A natural key tells them again."""
    place.put(
        "plain.csv", "event_name,user_id,event_at\n" + "a,u,2026-01-01T00:00:00Z\n" * 2 + "b,u,2026-01-02\nb,,x\n"
    )
    found = place.ingest("plain.csv")
    assert (found.accepted, found.rejected) == (3, 1)
    assert copies(place.lake) == Copies(same=0, other=0, made=3)
    place.ingest("plain.csv")
    assert copies(place.lake).made == 3
    place.put("keyed.csv", "event_name,user_id,event_at\n" + "k,u,2026-01-01T00:00:00Z\n" * 2)
    place.ingest("keyed.csv", natural_key=["event_name", "user_id", "event_at"])
    assert copies(place.lake) == Copies(same=1, other=0, made=3)


def test_copies_with_other_content_are_told_and_copies_of_both_kinds_are_counted_once(place, line):
    """Of id 1 the copy in line 2 says the same and that in line 3 another thing; id 2 comes a second time by another file, changed."""
    place.put("a.jsonl", line("1", n=1) * 2 + line("1", n=2) + line("2", n=1))
    found = place.ingest("a.jsonl")
    assert (found.read, found.accepted, found.duplicates, found.rejected) == (4, 1 + 1, 2, 0)
    assert copies(place.lake) == Copies(same=1, other=1)
    place.put("b.jsonl", line("2", n=7) + line("1", n=1) + line("3"))
    place.ingest("b.jsonl")
    place.ingest("b.jsonl")
    assert copies(place.lake) == Copies(same=1, other=2), (
        "a copy of what the lake holds that says the same is an overlap"
    )
    told = place.rejected()
    assert told[["source", "line"]].values.tolist() == [["a.jsonl", 3], ["b.jsonl", 1]]
    assert told["reason"].tolist() == [
        f"event_id: {i} came with other content before; the copy received first is kept" for i in (1, 2)
    ]
    assert [json.loads(json.loads(raw)["properties"]) for raw in told["raw"]] == [{"n": 2}, {"n": 7}]
    assert [json.loads(p) for p in place.events()["properties"]] == [{"n": 1}, {"n": 1}, {}]
    assert copies(place.lake, version=DeltaTable(str(place.lake / "events")).version() - 1) == Copies(same=1, other=1)
