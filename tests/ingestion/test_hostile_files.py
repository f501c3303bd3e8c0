"""Files from anywhere: each is read, read in part with its reasons, or refused in one sentence; nothing comes in half.

Seeded mutations by the thousand: `python -m tests.bench.hostile_files`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from launchpad_lib.ingestion import IngestError, SourceSpec, ingest
from launchpad_lib.ingestion.files.reading import Reader
from tests.bench.hostile_files import mutated, outcome, well_formed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AT = "2026-01-05T00:00:00Z"


def line(**more: object) -> str:
    return json.dumps({"event_id": "e1", "event_name": "seen", "user_id": "u1", "event_at": AT, **more}) + "\n"


def parquet(**columns: object) -> bytes:
    names = {"event_id": ["e1"], "event_name": ["seen"], "user_id": ["u1"], "event_at": [AT], **columns}
    target = io.BytesIO()
    pq.write_table(pa.table(names), target)
    return target.getvalue()


def taken(place: Path, name: str, content: bytes, **spec: object) -> tuple[list[dict], list[str]]:
    """The rows and the reasons of refused rows."""
    (place / name).write_bytes(content)
    ingest(SourceSpec(table="events", path=str(place / name), **spec), lake=place / "lake", ingested_at=NOW)
    found = []
    for table in ("events", "rejected"):
        there = (place / "lake" / table).exists()
        found.append(DeltaTable(str(place / "lake" / table)).to_pyarrow_table().to_pylist() if there else [])
    return found[0], [row["reason"] for row in found[1]]


def refusal(place: Path, name: str, content: bytes) -> str:
    """The sentence; nothing of the file is in the lake."""
    with pytest.raises(IngestError) as told:
        taken(place, name, content)
    assert "\n" not in str(told.value) and not (place / "lake" / "events").exists()
    return str(told.value)


WORKBOOK = b"PK\x03\x04\x14\x00\x06\x00" + bytes(range(256)) * 40
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>\n<p>a, b</p>\n</body></html>\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bomb.jsonl.gz", gzip.compress((b"x" * 9_999 + b"\n") * 8_000, 9), "unpacks to more than 200 times its size"),
        (
            "bomb.csv.gz",
            gzip.compress(b"a,b\n" + (b"1" * 9_999 + b",2\n") * 8_000, 9),
            "unpacks to more than 200 times its size",
        ),
        ("bomb.csv", gzip.compress(b"\0" * 80_000_000, 9), "unpacks to more than 200 times its size"),
        ("long.jsonl", b"{}\n" + b"x" * 100_000_000, "line 2: is longer than 67,108,864 bytes"),
        ("long.csv", line().encode() + b"x" * 100_000_000 + b"\n", "line 2: is longer than 67,108,864 bytes"),
        ("events.zst", b"\x28\xb5\x2f\xfd" + bytes(100), "unknown kind of file"),
        ("packed.jsonl", b"\x28\xb5\x2f\xfd" + bytes(100), "is packed by zstd"),
        ("book.csv", WORKBOOK, "is a ZIP file or a workbook"),
        ("page.csv", HTML, ""),
        ("page.jsonl", HTML, "no line of the file is a JSON object"),
        ("book.parquet", WORKBOOK, "not a readable Parquet file"),
        ("cut.parquet", parquet()[:-9], "not a readable Parquet file"),
        ("two\nlines\x1b[31m.csv", b"\xff\xfe", "two\\nlines\\x1b[31m.csv"),
        ("deep.jsonl", b"[" * 100_000, "no line of the file is a JSON object"),
        ("empty.csv", b"", "no header"),
        ("struct.parquet", parquet(user_id=[{"id": "u1"}]), ""),
    ],
    ids=lambda value: (
        value.replace("\n", " ").replace("\x1b", "") if isinstance(value, str) and len(value) < 30 else ""
    ),
)
def test_what_is_no_table_of_rows_is_one_sentence(tmp_path, name, content, said):
    assert said in refusal(tmp_path, name, content)


def test_odd_types_of_parquet_are_values_as_they_are_written(tmp_path):
    rows, reasons = taken(
        tmp_path,
        "odd.parquet",
        parquet(
            half=pa.array(np.array([1.5], np.float16)),
            money=pa.array([Decimal("12.30")], pa.decimal128(9, 2)),
            large=pa.array([Decimal("1" * 60)], pa.decimal256(70, 0)),
            tree=[{"a": [{"b": [1, None]}]}],
            pairs=pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            raw=pa.array([b"\xff\x00"], pa.binary()),
            nothing=pa.nulls(1),
        ),
    )
    assert reasons == [] and len(rows) == 1
    told = json.loads(rows[0]["properties"])
    assert (float(told["half"]), float(told["money"])) == (1.5, 12.3) and "nothing" not in told
    assert told["tree"] in ({"a": [{"b": [1, None]}]}, json.dumps({"a": [{"b": [1, None]}]}))


def test_ten_thousand_columns_are_properties(tmp_path):
    names = [f"c{n}" for n in range(10_000)]
    head = ",".join(["event_id", "event_name", "user_id", "event_at", *names])
    wide = f"{head}\ne1,seen,u1,{AT},{','.join('7' for _ in names)}\n"
    assert "properties has 118,891 bytes: at most 65,536 are taken" in refusal(tmp_path, "wide.csv", wide.encode())
    rows, _ = taken(
        tmp_path,
        "some.csv",
        f"{head}\ne2,seen,u1,{AT},{','.join('7' if n < 9 else '' for n in range(10_000))}\n".encode(),
    )
    assert [row["event_id"] for row in rows][-1] == "e2"


def test_devices_pipes_links_in_a_circle_and_folders_are_no_files_and_are_not_waited_for(tmp_path):
    place = tmp_path / "in"
    (place / "deeper").mkdir(parents=True)
    os.mkfifo(place / "pipe.csv")
    (place / "circle.csv").symlink_to("circle.csv")
    (place / "device.csv").symlink_to("/dev/zero")
    (place / "deeper" / "up").symlink_to("..")
    for path in (*sorted(place.glob("*.csv")), place, place / "*.csv"):
        with pytest.raises(IngestError, match="no such file or folder") as told:
            ingest(SourceSpec(table="events", path=str(path)), lake=tmp_path / "lake", ingested_at=NOW)
        assert "\n" not in str(told.value)
    (place / "deeper" / "e\n1.jsonl").write_text(line())
    done = ingest(SourceSpec(table="events", path=str(place)), lake=tmp_path / "lake", ingested_at=NOW)
    assert (done.files, done.accepted) == (1, 1)


@pytest.mark.parametrize("change", ["grows", "is another", "goes"])
def test_a_file_that_changes_while_it_is_read_comes_in_whole_the_next_time(tmp_path, monkeypatch, change):
    path, real = tmp_path / "e.jsonl", Reader._check

    def changed(self, *arguments):
        done = real(self, *arguments)
        if change == "grows":
            path.write_text(path.read_text() + line(event_id="e2"))
        elif change == "is another":
            (tmp_path / "new").write_text(line(event_id="e3"))
            os.replace(tmp_path / "new", path)
        else:
            path.unlink()
        return done

    path.write_text(line())
    with monkeypatch.context() as patch, pytest.raises(IngestError, match="was changed while it was read"):
        patch.setattr(Reader, "_check", changed)
        taken(tmp_path, "e.jsonl", path.read_bytes())
    assert not (tmp_path / "lake" / "events").exists()
    rows, _ = taken(tmp_path, "e.jsonl", line(event_id="e2").encode() + line().encode())
    assert sorted(row["event_id"] for row in rows) == ["e1", "e2"]


def test_mutated_files_are_read_or_refused(tmp_path):
    rng, files = random.Random(7), well_formed()
    said = [outcome(*mutated(files, rng), tmp_path / "place") for _ in range(25)]
    assert set(said) <= {"read", "refused"}, said
