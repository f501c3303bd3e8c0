"""What is kept of people is its owner's alone, unless the folder was made for others before."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from launchpad_lib.collector.spool import SpoolWriter
from launchpad_lib.contract.private import readers_of
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.ingestion.stream.decoding import Block, decode
from launchpad_lib.ingestion.stream.sink import StreamSink
from launchpad_lib.lake import open_lake
from launchpad_lib.lake.checkpoints import checkpoint
from launchpad_lib.lake.compaction import compact
from launchpad_lib.tracking.spool import Spool
from tests.lake.test_doctor import answers, filled

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def usual_mask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def fill(lake: Path) -> None:
    """By files, by a stream, and merged."""
    source = lake.parent / "a.csv"
    source.write_text("event_id,event_name,user_id,event_at\na,x,u,2026-01-05T10:00:00Z\nb,x,,2026-01-05T10:00:00Z\n")
    ingest(SourceSpec(table="events", path=str(source)), lake=lake, ingested_at=NOW)
    sink = StreamSink(lake, source_name="kafka:t")
    text = b'{"event_id":"c","event_name":"x","user_id":"u","event_at":"2026-01-05T10:00:00Z"}'
    block = Block("0", 1, [text], [0], [False], lambda: [1767607200000000])
    sink.commit(sink.prepare([decode(block, moment=NOW)], gaps=[], offsets={"0": (None, 1)}))
    compact(lake, say=lambda _: None)
    open_lake(lake)


def files_of_rows(lake: Path) -> list[Path]:
    commits = [p for p in lake.rglob("_delta_log/*.json") if b"sealedCrc32c" in p.read_bytes()]
    return [*commits, *(p for p in lake.rglob("*.crc32c-*.parquet"))]


def test_a_new_lake_is_its_owners_alone(tmp_path):
    lake = tmp_path / "deep" / "lake"
    lake.parent.mkdir()
    fill(lake)
    assert mode(lake) == 0o700 and mode(lake.parent) == 0o755
    assert len(files_of_rows(lake)) >= 7
    assert {mode(path) for path in files_of_rows(lake)} == {0o600}


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_nothing_in_a_new_lake_is_anybody_elses_whatever_the_umask(tmp_path, mask):
    os.umask(mask)
    lake = filled(tmp_path / "lake")  # files, an index, a file of views
    fill(lake)
    answers(lake)
    checkpoint(lake / "events")
    inside = list(lake.rglob("*"))
    assert {"_delta_log", "_index"} <= {p.name for p in inside} and len(inside) > 30
    told = sorted(f"{mode(p):o} {p.relative_to(lake)}" for p in inside if mode(p) & 0o077)
    assert told == []


@pytest.mark.parametrize(
    ("folder", "mask", "expected"), [(0o755, 0o022, 0o644), (0o750, 0o022, 0o640), (0o755, 0o077, 0o600)]
)
def test_a_lake_that_was_made_for_others_stays_theirs(tmp_path, folder, mask, expected):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake").chmod(folder)
    os.umask(mask)
    fill(tmp_path / "lake")
    assert mode(tmp_path / "lake") == folder
    assert {mode(path) for path in files_of_rows(tmp_path / "lake")} == {expected}


@pytest.mark.parametrize(("folder", "expected"), [(None, 0o600), (0o750, 0o640)])
def test_a_spool_of_the_collector(tmp_path, folder, expected):
    place = tmp_path / "spool"
    if folder is not None:
        place.mkdir()
        place.chmod(folder)

    async def write() -> None:
        writer = SpoolWriter(place)
        writer.start(asyncio.get_running_loop())
        await writer.append(b"{}\n")
        writer.close()

    asyncio.run(write())
    assert mode(place) == (folder or 0o700)
    assert {mode(path) for path in place.glob("*.ndjson")} == {expected}


def test_a_spool_of_the_sdk(tmp_path):
    spool = Spool(tmp_path / "spool", cap_bytes=None, is_source=True)
    spool.append(b"{}\n")
    assert mode(tmp_path / "spool") == 0o700
    assert {mode(path) for path in (tmp_path / "spool").glob("*.ndjson")} == {0o600}


@pytest.mark.parametrize(
    ("own", "above", "who"),
    [
        (0o755, 0o755, "everybody on this machine"),
        (0o755, 0o750, "its group"),
        (0o755, 0o700, "its owner alone"),
        (0o750, 0o755, "its group"),
        (0o711, 0o755, "its owner alone"),
        (0o700, 0o755, "its owner alone"),
    ],
)
def test_who_can_read_a_report(tmp_path, monkeypatch, own, above, who):
    folder = tmp_path / "reports" / "run"
    folder.mkdir(parents=True)
    folder.chmod(own)
    folder.parent.chmod(above)
    real = Path.stat

    def seen(path, **more):
        """The folders of the test itself are private."""
        found = real(path, **more)
        return os.stat_result((0o40755, *found[1:])) if path in folder.parent.parents else found

    monkeypatch.setattr(Path, "stat", seen)
    assert readers_of(folder) == who
