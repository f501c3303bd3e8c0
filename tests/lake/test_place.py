"""A lake's folder may be called anything that all programs read as it stands; anything else is one sentence before a byte is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import newest_versions, open_lake
from launchpad_lib.lake.compaction import compact
from launchpad_lib.lake.warehouse import refresh_warehouse
from tests.lake.test_snapshot import NOW

LITERAL = ["a b", "it's", 'q"q', "100 %", "a%b", "#1", "❤", "ü", "a{b}", "a;b&c", "~x", "-a", "$HOME", "a<b>|c", "a]b"]
TAKEN_AMISS = ["a*b", "a?b", "a[b]c", "a%20b", "a%2Fb", "a\\b", "a\nb", "a\x7fb"]


def rows(begin: int, end: int) -> str:
    return "".join(
        json.dumps({"event_id": f"e{i}", "event_name": "x", "user_id": f"u{i % 7}", "event_at": f"2026-01-{1 + i % 9:02d}T10:00:00Z"}) + "\n"
        for i in range(begin, end)
    )  # fmt: skip


def source(place: Path, begin: int, end: int) -> SourceSpec:
    (place / f"{begin}.jsonl").write_text(rows(begin, end) + "{}\n")
    return SourceSpec(table="events", path=str(place / f"{begin}.jsonl"))


@pytest.mark.parametrize("name", LITERAL)
def test_a_lake_may_be_called_so_through_every_door(tmp_path, capsys, name):
    """100 rows, then 100 of which 50 are there already: 150 of them and two refused, counted by hand."""
    lake = tmp_path / name / "lake"
    ingest(source(tmp_path, 0, 100), lake=lake, ingested_at=NOW)
    second = ingest(source(tmp_path, 50, 150), lake=lake, ingested_at=NOW)
    assert (second.accepted, second.duplicates, second.rejected) == (50, 50, 1)
    for _ in range(2):
        data = open_lake(lake)
        assert (data.events.count().execute(), data.rejected.count().execute()) == (150, 2)
        assert main(["sql", "--lake", str(lake), "--csv", "SELECT count(*) AS n FROM fact_events"]) == 0
        assert capsys.readouterr().out == "n\n150\n"
        with duckdb.connect(str(lake / "warehouse.duckdb"), read_only=True) as con:
            assert con.execute("SELECT count(*) FROM fact_events").fetchall() == [(150,)]
        compact(lake, say=lambda _: None, grace_seconds=0)
    assert sorted(os.listdir(tmp_path / name)) == ["lake"]


@pytest.mark.parametrize("name", TAKEN_AMISS)
def test_what_another_program_takes_amiss_is_one_sentence_and_nothing_is_written(tmp_path, name):
    lake = tmp_path / name / "lake"
    asked = source(tmp_path, 0, 10)
    said: list[str] = []
    doors = [
        lambda: ingest(asked, lake=lake, ingested_at=NOW),
        lambda: open_lake(lake),
        lambda: newest_versions(lake),
        lambda: compact(lake, say=said.append),
    ]
    for door in doors:
        with pytest.raises(ValueError, match="name a folder without") as told:
            door()
        assert "\n" not in str(told.value) and str(told.value).startswith("lake=")
    refresh_warehouse(lake, say=said.append)
    assert len(said) == 1 and "name a folder without" in said[0]
    assert not (tmp_path / name).exists()


def test_a_folder_beside_that_the_name_as_a_pattern_would_match_is_never_read(tmp_path):
    """DuckDB reads `a[b]c/x.parquet` from `abc`, and `a*c` from both."""
    ingest(source(tmp_path, 0, 10), lake=tmp_path / "abc", ingested_at=NOW)
    for name in ("a[b]c", "a*c", "a?c"):
        os.rename(tmp_path / "abc", tmp_path / name)
        ingest(source(tmp_path, 20, 22), lake=tmp_path / "abc", ingested_at=NOW)
        with pytest.raises(ValueError, match="name a folder without"):
            open_lake(tmp_path / name)
        os.rename(tmp_path / name, tmp_path / f"done-{len(name)}-{ord(name[1])}")


def test_a_report_into_such_a_lake_ends_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "p.yaml").write_text(
        "name: p\nlake: 'data/a*b'\nsimulate: {users: 10, days: 3, seed: 1}\nsequence: [[funnels]]\n"
    )
    assert main(["ingest", "params/p.yaml"]) == 2
    told = capsys.readouterr()
    assert "name a folder without" in told.err + told.out
    assert not (tmp_path / "data").exists()
