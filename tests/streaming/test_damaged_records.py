"""A flipped bit in a spool: whoever reads the segment notices, says so, and takes no event that nobody sent."""

from __future__ import annotations

import json
from pathlib import Path

from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.collector.forwarder import Forwarder
from launchpad_lib.ingestion.stream.sink import StreamSink
from launchpad_lib.ingestion.stream.spool_source import SpoolSource
from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
from launchpad_lib.spool.records import DAMAGED, checked, opened, sealed, sealed_lines
from launchpad_lib.tracking.spool import Spool
from tests.streaming.test_spool_to_lake import Quiet


def event(number: int) -> bytes:
    told = {"event_id": f"e{number}", "event_name": "seen", "user_id": f"u{number}", "event_at": "2026-01-05T00:00:00Z"}
    return json.dumps(told).encode()


def segment(folder: Path, *, flipped: int | None = None) -> Path:
    """Four records; of the second the user's number is another (one bit), or the bit at that place."""
    folder.mkdir(exist_ok=True)
    text = bytearray(b"".join(sealed(event(n)) + b"\n" for n in range(4)))
    text[text.index(b"u1") + 1 if flipped is None else flipped // 8] ^= 1 if flipped is None else 1 << flipped % 8
    path = folder / "w-000000000000.ndjson"
    path.write_bytes(text)
    return path


def drain(spool: Path, lake: Path) -> None:
    source = SpoolSource(spool)
    sink = StreamSink(lake, source_name=source.name, dedupe_window=1000)
    settings = StreamSettings(0.02, idle_exit_seconds=0.15)
    StreamWorker(source, sink, observer=Quiet(), settings=settings).run(lambda: False)


def test_of_every_single_bit_no_flip_makes_another_event():
    """All flips of 3 records: each line is as it was sent, is told, or is no JSON object, which every reader refuses."""
    sent = [event(n) for n in range(3)]
    whole = sealed_lines(b"".join(one + b"\n" for one in sent))
    silent = told = 0
    for bit in range(8 * (len(whole) - 1)):
        text = bytearray(whole)
        text[bit // 8] ^= 1 << bit % 8
        read = [opened(line) for line in bytes(text)[:-1].split(b"\n")]
        again, damaged = checked(bytes(text))
        assert len(again) == len(whole) and len(damaged) == read.count(None)
        strange = [one for one in read if one is not None and one not in sent]
        silent += any(_is_object(one) for one in strange)
        told += bool(strange) or None in read
    assert (silent, told) == (0, 8 * (len(whole) - 1))


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def test_the_stream_refuses_it_and_takes_the_others(tmp_path):
    segment(tmp_path / "spool")
    drain(tmp_path / "spool", tmp_path / "lake")
    events = DeltaTable(str(tmp_path / "lake" / "events")).to_pyarrow_table().to_pylist()
    assert sorted(row["user_id"] for row in events) == ["u0", "u2", "u3"]
    refused = DeltaTable(str(tmp_path / "lake" / "rejected")).to_pyarrow_table().to_pylist()
    assert [(row["line"], row["reason"]) for row in refused] == [(len(event(0)) + 11, DAMAGED)]
    assert refused[0]["raw"].startswith('{"event_id": "e1", "event_name": "seen", "user_id": "u0"')


class Listed:
    """A target in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def send(self, lines: list[bytes]) -> None:
        self.lines += lines

    def close(self) -> None:
        pass


def test_the_forwarder_says_file_and_line_keeps_the_record_and_sends_the_others_bare(tmp_path):
    path, target = segment(tmp_path / "spool"), Listed()
    forwarder = Forwarder(tmp_path / "spool", target, keep="unsent")
    moved = forwarder.step()
    assert target.lines == [event(0), event(2), event(3)]
    assert moved.damaged == (f"{path}: line 2: {DAMAGED}; it is not sent and lies in {path.name}.damaged",)
    forwarder.step()
    forwarder.close()
    assert not path.exists() and b'"user_id": "u0"' in path.with_name(f"{path.name}.damaged").read_bytes()


def test_the_doctor_names_the_line_and_what_was_put_aside(tmp_path, capsys):
    path = segment(tmp_path / "spool")
    assert main(["doctor", str(tmp_path / "spool")]) == 1
    said = capsys.readouterr().out
    assert f"{path.name} has in line 2 a record that is not as it was written" in said
    Forwarder(tmp_path / "spool", Listed()).step()
    assert main(["doctor", str(tmp_path / "spool"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in found["found"]] == [path.name, f"{path.name}.damaged"]
    assert found["without_checksum"] == 0


def test_the_sdk_hands_it_back_beside_the_others(tmp_path):
    spool = Spool(tmp_path, cap_bytes=None, is_source=False)
    for number in range(3):
        spool.append(event(number) + b"\n")
    path = next(tmp_path.glob("*.ndjson"))
    text = path.read_bytes().replace(b'"u1"', b'"u9"')
    path.write_bytes(text + sealed(event(5)) + b"\n")
    batch = spool.read(max_events=10, max_bytes=1 << 20)
    assert batch is not None and batch.lines == [event(0), event(2), event(5)]
    assert len(batch.damaged) == 1 and b'"u9"' in batch.damaged[0] and batch.end.byte == path.stat().st_size
    spool.settle(batch)
    spool.close()


def test_segments_without_checksums_and_erased_records_are_read_as_they_are(tmp_path):
    (tmp_path / "spool").mkdir()
    lines = [event(0), sealed(event(1)), b" " * 40, event(2)]
    (tmp_path / "spool" / "w-000000000000.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
    target = Listed()
    forwarder = Forwarder(tmp_path / "spool", target)
    assert forwarder.step().damaged == ()
    forwarder.close()
    assert target.lines == [event(0), event(1), event(2)]
    drain(tmp_path / "spool", tmp_path / "lake")
    events = DeltaTable(str(tmp_path / "lake" / "events")).to_pyarrow_table().to_pylist()
    assert sorted(row["event_id"] for row in events) == ["e0", "e1", "e2"]
    assert not DeltaTable(str(tmp_path / "lake" / "rejected")).to_pyarrow_table().num_rows
