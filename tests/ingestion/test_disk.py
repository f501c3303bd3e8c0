"""A disk that fills, a limit on files, and a lake that may only be read, while files come in: one sentence, the lake as before, and nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import resource
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.ingestion.files import commits, copies, sink, staging
from launchpad_lib.lake import open_lake

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def source(place: Path, begin: int, end: int) -> SourceSpec:
    rows = [
        {"event_id": f"e{i}", "event_name": "x", "user_id": f"u{i % 7}", "event_at": f"2026-01-{1 + i % 9:02d}T10:00:00Z", "text": hashlib.sha256(str(i).encode()).hexdigest()}
        for i in range(begin, end)
    ]  # fmt: skip
    (place / f"{begin}.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"x": 1}\n')
    return SourceSpec(table="events", path=str(place / f"{begin}.jsonl"))


def counts(lake: Path) -> tuple[int, int]:
    data = open_lake(lake)
    return data.events.count().execute(), data.rejected.count().execute()


def files_of(lake: Path) -> set[str]:
    return {str(p) for p in lake.rglob("*") if p.is_file() and "_index" not in p.parts}


PLACES = {
    "rows": (staging.pq, "write_table"),
    "sides": (staging.np, "save"),
    "commit": (commits.os, "link"),
    "folder": (Path, "mkdir"),
}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("what", PLACES)
def test_what_cannot_be_written_is_one_sentence_and_the_lake_is_as_before(tmp_path, monkeypatch, what, code):
    lake = tmp_path / "lake"
    ingest(source(tmp_path, 0, 50), lake=lake, ingested_at=NOW)
    before, more = files_of(lake), source(tmp_path, 25, 90)

    def fails(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(*PLACES[what], fails)
        with pytest.raises(ValueError, match="cannot be written") as told:
            ingest(more, lake=lake, ingested_at=NOW)
    assert "\n" not in str(told.value) and os.strerror(code) in str(told.value)
    assert files_of(lake) - before == set()
    assert counts(lake) == (50, 1)
    done = ingest(more, lake=lake, ingested_at=NOW)
    assert (done.accepted, done.duplicates, done.rejected, counts(lake)) == (40, 25, 1, (90, 2))


def test_a_real_limit_on_the_size_of_files_is_one_sentence(tmp_path):
    lake = tmp_path / "lake"
    ingest(source(tmp_path, 0, 50), lake=lake, ingested_at=NOW)
    before = files_of(lake)
    source(tmp_path, 100, 20_000)
    hear, tell = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=limited, args=(str(lake), str(tmp_path), tell))  # fmt: skip
    process.start()
    assert hear.poll(120)
    told = hear.recv()
    process.join(60)
    assert "cannot be written" in told and "File too large" in told and "\n" not in told
    assert files_of(lake) == before and counts(lake) == (50, 1)
    assert ingest(source(tmp_path, 100, 20_000), lake=lake, ingested_at=NOW).accepted == 19_900


def limited(lake: str, place: str, tell) -> None:
    """The source is there already: only the lake's own files meet the limit."""
    spec = SourceSpec(table="events", path=str(Path(place) / "100.jsonl"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        ingest(spec, lake=Path(lake), ingested_at=NOW)
        tell.send("done")
    except ValueError as error:
        tell.send(str(error))


def test_the_engine_that_looks_for_copies_may_have_no_room_either(tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    ingest(source(tmp_path, 0, 50), lake=lake, ingested_at=NOW)

    def fails(*_, **__):
        raise copies.duckdb.IOException("IO Error: Could not write file: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(copies.duckdb, "connect", fails)
        with pytest.raises(ValueError, match="No space left on device"):
            sink.ingest(source(tmp_path, 25, 90), lake=lake, ingested_at=NOW)
    assert counts(lake) == (50, 1)
    assert sum(pq.read_metadata(f).num_rows for f in files_of(lake) if f.endswith(".parquet")) == 51
