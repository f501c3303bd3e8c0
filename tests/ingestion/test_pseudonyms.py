"""Pseudonyms at ingestion: no id of a person lies in the lake, the same person is the same, `forget` takes the raw id."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.contract.pseudonyms import VARIABLE, Pseudonyms
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.runner.erasure import forget
from tests.runner.test_forget import named_in

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SALT = "of these tests, long enough"
# Made by another program: printf ID | openssl dgst -sha256 -hmac "of these tests, long enough"
U1 = "p_7eb5d0697283b7d94d1a14f3b313549c"


def rows(lake: Path, table: str) -> list[dict]:
    return DeltaTable(str(lake / table)).to_pyarrow_table().to_pylist()


def line(number: int, user: str, at: str = "2026-01-05T00:00:00Z") -> str:
    return json.dumps({"event_id": f"e{number}", "event_name": "seen", "user_id": user, "event_at": at}) + "\n"


def test_files_and_streams_give_the_same_pseudonym_and_keep_no_id(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, SALT)
    lake, spool = tmp_path / "lake", tmp_path / "spool"
    (tmp_path / "e.jsonl").write_text(
        line(1, "raw-1") + line(2, "raw-2") + line(3, "raw-1") + line(4, "raw-1", "never")
    )
    (tmp_path / "t.csv").write_text(
        "feature_id,user_id,observed_at\nf,raw-1,2026-01-05\nf,,2026-01-05\nf,raw-2,never\n"
    )
    for table, name in (("events", "e.jsonl"), ("telemetry", "t.csv")):
        source = SourceSpec(table=table, path=str(tmp_path / name), pseudonymise=True)
        ingest(source, lake=lake, ingested_at=NOW)
    spool.mkdir()
    (spool / "w-000000000000.ndjson").write_text(line(5, "raw-1") + line(6, "raw-2", "never"))
    arguments = ["stream", "--from", f"spool:{spool}", "--lake", str(lake), "--idle-exit-seconds", "0.2"]
    assert main([*arguments, "--pseudonymise"]) == 0
    users = {row["event_id"]: row["user_id"] for row in rows(lake, "events")}
    assert users["e1"] == users["e3"] == users["e5"] == Pseudonyms(SALT).of("raw-1") != users["e2"]
    assert sorted(row["user_id"] or "" for row in rows(lake, "telemetry")) == ["", users["e1"]]
    assert [row["raw"] for row in rows(lake, "rejected")] == [""] * 3
    assert named_in(lake, "raw-1") == named_in(lake, "raw-2") == []
    done = forget(lake, "raw-1", pseudonyms=Pseudonyms(SALT), say=lambda _: None)
    assert done.rows["events"] == 3 and done.rows["telemetry"] == 1
    assert named_in(lake, users["e1"]) == [] and [r["event_id"] for r in rows(lake, "events")] == ["e2"]
    out = capsys.readouterr()
    assert SALT not in out.out + out.err and SALT not in repr(Pseudonyms(SALT)) and named_in(lake, SALT) == []


@pytest.mark.parametrize("salt", [None, "", "short"])
def test_without_a_salt_nothing_comes_in(tmp_path, monkeypatch, salt):
    monkeypatch.delenv(VARIABLE, raising=False)
    if salt is not None:
        monkeypatch.setenv(VARIABLE, salt)
    (tmp_path / "e.jsonl").write_text(line(1, "raw-1"))
    with pytest.raises(ValueError, match=VARIABLE) as told:
        source = SourceSpec(table="events", path=str(tmp_path / "e.jsonl"), pseudonymise=True)
        ingest(source, lake=tmp_path / "lake", ingested_at=NOW)
    assert not salt or salt not in str(told.value).replace("is not", "")
    assert not (tmp_path / "lake" / "events").exists()


def test_a_pseudonym_is_the_first_half_of_the_keyed_hash():
    assert Pseudonyms(SALT).of("raw-1") == U1
    assert os.environ.get(VARIABLE) is None
