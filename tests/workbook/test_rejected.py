"""`launchpad rejected`. Rows are counted by hand."""

from __future__ import annotations

import json
import shutil
from datetime import datetime

import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.ingestion import SourceSpec, ingest


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Beside a good row each: two rows without a user in a file, one with a control character as its instant in another."""
    place = tmp_path_factory.mktemp("rejected")
    row = {"event_id": "e", "event_name": "x", "event_at": "2026-01-08T10:00:00Z"}
    (place / "a.jsonl").write_text(
        "".join(json.dumps(row | {"event_id": f"e{i}", "user_id": [None, None, "u"][i]}) + "\n" for i in range(3))
    )
    (place / "it's.csv").write_text("event_id,event_name,user_id,event_at\ne,x,u,\x1b[2J\ng,x,u,2026-01-08T10:00:00Z\n")
    for name in ("a.jsonl", "it's.csv"):
        ingest(
            SourceSpec(table="events", path=str(place / name)), lake=place / "lake", ingested_at=datetime(2026, 2, 1)
        )
    return place / "lake"


def told(capsys, *words) -> list[dict]:
    assert main(["rejected", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_refused_rows_are_counted_by_reason_with_the_first_as_example(lake, capsys):
    found = told(capsys, lake)
    assert [r["rows"] for r in found] == [2, 1]
    assert found[0]["line"] == 1 and "e0" in found[0]["raw"] and "user_id" in found[0]["reason"]


def test_filters_are_literal(lake, capsys):
    assert [r["rows"] for r in told(capsys, lake, "--source", "it's")] == [1]
    assert [r["rows"] for r in told(capsys, lake, "--reason", "user_id")] == [2]
    assert told(capsys, lake, "--source", "%") == []


def test_no_control_character_reaches_the_terminal(lake, capsys):
    assert main(["rejected", str(lake)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\\x1b" in "".join(out.split())


def test_a_folder_that_is_no_lake_is_one_sentence(tmp_path, capsys):
    assert main(["rejected", str(tmp_path / "none")]) == 2
    assert "has no table" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", [lambda f: f.unlink(), lambda f: f.write_bytes(b""), lambda f: f.write_bytes(b"PAR1")]
)
@pytest.mark.parametrize("what", ["*.parquet", "_delta_log/*.json"])
def test_a_damaged_table_is_one_sentence_with_its_folder(lake, tmp_path, capsys, what, damage):
    copy = shutil.copytree(lake, tmp_path / "lake")
    for file in (copy / "rejected").glob(what):
        damage(file)
    assert main(["rejected", str(copy)]) == 2
    assert "rejected" in capsys.readouterr().err
