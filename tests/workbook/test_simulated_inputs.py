"""`simulate:` removes only what a simulation of this command made. Contents are counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.ingestion import SourceSpec
from launchpad_lib.ingestion.stream.decoding import Block, decode
from launchpad_lib.ingestion.stream.sink import StreamSink
from launchpad_lib.runner.inputs import bring_up_to_date, would_bring
from launchpad_lib.runner.parameters import RunParams
from tests.streaming.test_spool_to_lake import drain

NOW = datetime(2026, 2, 2, 6, tzinfo=UTC)
SOURCES = [{"table": "features", "path": "data/raw/simulated/features.csv"}]


def simulated(users: int, *, lake: str = "lake/simulated") -> RunParams:
    return RunParams.model_validate(
        {
            "name": "x",
            "lake": lake,
            "simulate": {"users": users, "days": 3},
            "sources": SOURCES,
            "sequence": [["funnels"]],
        }
    )


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Runs in a folder of its own; gives what was said."""
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    return lambda run: (lines.clear(), bring_up_to_date(run, now=NOW, say=lines.append), list(lines))[-1]


def test_another_simulation_takes_the_place_of_the_first_in_files_and_lake_and_leaves_what_is_not_its_own(said):
    assert len(said(simulated(40))) == 2
    kept = [Path("lake/simulated/notes.md"), Path("data/raw/simulated/mine.csv")]
    for path in kept:
        path.write_text("mine")
    assert said(simulated(40)) == ["features: 1 file (1 known), 0 new, 0 duplicates, 0 rejected"], "nothing changed"
    first = sorted(Path("lake/simulated/features").glob("*.parquet"))
    assert said(simulated(41))[0].startswith("simulated ")
    assert len(list(Path("lake/simulated/features").glob("*.parquet"))) == 1, "rows of two simulations never mix"
    assert not first[0].exists()
    assert all(path.read_text() == "mine" for path in kept)


@pytest.mark.parametrize("folder", ["lake/simulated", "data/raw/simulated"])
def test_a_folder_that_no_simulation_made_is_never_removed_whatever_its_name(said, folder):
    Path(folder, "events").mkdir(parents=True)
    Path(folder, "events", "years-of-work.parquet").write_text("mine")
    with pytest.raises(
        ValueError, match=f"simulate: {folder} holds what no simulation of this command made.*name another lake"
    ):
        said(simulated(40))
    assert Path(folder, "events", "years-of-work.parquet").read_text() == "mine"


def test_a_simulation_that_was_cut_off_is_made_again(said, monkeypatch):
    def cut_off(folder, **_):
        (folder / "features.csv").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr("launchpad_lib.runner.simulated.simulate", cut_off)
        with pytest.raises(KeyboardInterrupt):
            said(simulated(40))
    assert said(simulated(40))[0].startswith("simulated ")
    assert "half" not in Path("data/raw/simulated/features.csv").read_text()


def test_two_lakes_of_two_simulations_never_get_each_others_rows(said):
    said(simulated(40, lake="one"))
    said(simulated(41, lake="two"))
    assert said(simulated(41, lake="one"))[-1].endswith("9 new, 0 duplicates, 0 rejected"), "made room and read anew"
    assert said(simulated(41, lake="one"))[-1].startswith("features: 1 file (1 known), 0 new")


def test_a_lake_from_before_the_marks_goes_on_as_it_is(said):
    said(simulated(40))
    Path("lake/simulated/.simulated.json").unlink()
    assert said(simulated(40)) == ["features: 1 file (1 known), 0 new, 0 duplicates, 0 rejected"]


def test_files_of_a_simulator_with_another_truth_are_made_again(said, monkeypatch):
    said(simulated(40))
    with monkeypatch.context() as older:
        older.setattr("launchpad_lib.runner.simulated.TRUTH", ("another",))
        assert said(simulated(40))[0].startswith("simulated ")
    assert said(simulated(40))[0].startswith("simulated ")
    assert not said(simulated(40))[0].startswith("simulated ")


def test_a_file_of_somebody_else_among_the_simulated_ones_stays(said):
    said(simulated(40))
    mine = Path("data/raw/simulated/events/mine.csv")
    mine.write_text("mine")
    assert said(simulated(41))[0].startswith("simulated ")
    assert mine.read_text() == "mine"
    assert len(list(mine.parent.iterdir())) > 3


@pytest.mark.parametrize(("name", "partition"), [("kafka:clicks", "0"), ("spool", "sdk-1")])
def test_a_lake_that_a_stream_fills_too_is_never_removed(said, name, partition):
    said(simulated(40))
    text = b'{"event_id":"a","event_name":"x","user_id":"u","event_at":"2026-01-05T10:00:00Z"}\n'
    if name == "spool":
        Path("waiting").mkdir()
        Path(f"waiting/{partition}-000000000000.ndjson").write_bytes(text)
        drain(Path("waiting"), Path("lake/simulated"))
    else:
        sink = StreamSink(Path("lake/simulated"), source_name=name)
        block = Block(partition, 1, [text], [0], [False], None)
        sink.commit(sink.prepare([decode(block, moment=NOW)], gaps=[], offsets={partition: (None, 1)}))
    with pytest.raises(ValueError, match=f"holds rows of {name}/{partition} too, which no simulation makes again"):
        said(simulated(41))
    assert len(DeltaTable("lake/simulated/events").file_uris()) == 1


def everything() -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in Path(".").rglob("*") if p.is_file() and "_index" not in p.parts}


def test_without_writing_it_says_what_would_be_removed_and_read(said):
    assert would_bring(simulated(40), now=NOW)[-1].startswith("would simulate into data/raw/simulated")
    assert everything() == {}
    said(simulated(40))
    before = everything()
    assert would_bring(simulated(40), now=NOW) == [
        "features: would read 0 files (1 known) of 0 rows, 0 of them refused"
    ]
    told = would_bring(simulated(41), now=NOW)
    assert "would remove data/raw/simulated/features.csv" in told and "would remove lake/simulated/features" in told
    Path("f.csv").write_text('feature_id\nf\n""\n')
    other = simulated(40).model_copy(update={"sources": [SourceSpec(table="features", path="f.csv")]})
    assert would_bring(other, now=NOW) == ["features: would read 1 file (0 known) of 2 rows, 1 of them refused"]
    Path("f.csv").unlink()
    assert everything() == before
