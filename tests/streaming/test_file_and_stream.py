"""One event by two ways, through a spool and in a file, is one row."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main


@pytest.fixture
def signals():
    """The worker takes over SIGTERM and SIGINT; they are given back."""
    kept = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    yield
    for sign, handler in kept.items():
        signal.signal(sign, handler)


def line(number: int, *, at: str = "2026-01-05T12:00:00Z", received: str = "2026-01-05T12:00:02Z") -> str:
    return (
        json.dumps(
            {
                "event_id": f"e{number}",
                "event_name": "n",
                "user_id": f"u{number % 7}",
                "event_at": at,
                "received_at": received,
            }
        )
        + "\n"
    )


def stream(spool: Path, lake: Path) -> None:
    assert main(["stream", "--from", f"spool:{spool}", "--lake", str(lake), "--idle-exit-seconds", "0.3"]) == 0


@pytest.mark.parametrize("first", ["stream", "file"])
def test_an_event_that_comes_by_stream_and_by_file_is_one_row(tmp_path, monkeypatch, signals, first):
    monkeypatch.chdir(tmp_path)
    spool, lake = tmp_path / "spool", tmp_path / "lake"
    spool.mkdir()
    (spool / "w-1-000000000000.ndjson").write_text("".join(line(n) for n in range(10)))
    (tmp_path / "file.jsonl").write_text("".join(line(n) for n in range(5, 15)))
    (tmp_path / "p.yaml").write_text(
        f"name: x\nlake: {lake}\nsources: [{{table: events, path: file.jsonl}}]\nsequence: [[data_quality]]\n"
    )
    if first == "stream":
        stream(spool, lake)
    assert main(["ingest", "p.yaml"]) == 0
    if first == "file":
        stream(spool, lake)
    ids = DeltaTable(str(lake / "events")).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist()
    assert sorted(ids) == sorted(f"e{n}" for n in range(15))
