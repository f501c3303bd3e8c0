"""Damage to a lake of every kind that could be thought of: `launchpad doctor` names the file and says what to do, and no
number is published of it; what is made again by itself changes no number.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.contract.damage import Damaged
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake, take_snapshot
from launchpad_lib.lake.checkpoints import checkpoint
from launchpad_lib.lake.compaction import compact
from launchpad_lib.lake.index_damage import index_damage
from launchpad_lib.lake.kept_reports import tell_of_reports
from launchpad_lib.lake.refused_damage import refuse_damage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5)
LOG = "events/_delta_log"


def filled(lake: Path) -> Path:
    """Three commits of two days of events each, telemetry, features, refused rows, an index, a file of views."""
    place = lake.parent

    def bring(table: str, name: str, lines: list[str]) -> None:
        (place / name).write_text("\n".join(lines) + "\n")
        ingest(SourceSpec(table=table, path=str(place / name)), lake=lake, ingested_at=NOW)

    for part in range(3):
        rows = [
            f"e{part}-{n},seen,u{n % 5},{(MONDAY + timedelta(days=part + n % 2, minutes=n)).isoformat()}Z"
            for n in range(40)
        ]
        bad = [f"bad{part},seen,,{MONDAY.isoformat()}Z"]
        bring("events", f"e{part}.csv", ["event_id,event_name,user_id,event_at", *rows, *bad])
    health = [f"quiz,u{n % 5},{(MONDAY + timedelta(hours=n)).isoformat()}Z,{100 + n}" for n in range(48)]
    bring("telemetry", "t.csv", ["feature_id,user_id,observed_at,latency_ms", *health])
    bring("features", "f.csv", ["feature_id,feature_name", "quiz,Quiz"])
    tell_of_reports(lake, place / "reports")
    assert main(["sql", "--lake", str(lake), "SELECT 1"]) == 0
    return lake


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    lake = filled(tmp_path_factory.mktemp("doctor") / "lake")
    return lake, answers(lake)


@pytest.fixture
def lake(made, tmp_path):
    """A copy, once read, so that what was found intact is noted with the times of the copy."""
    shutil.copytree(made[0], tmp_path / "lake")
    refuse_damage(tmp_path / "lake")
    return tmp_path / "lake"


def answers(lake: Path) -> list:
    data = open_lake(lake)
    by_user = data.events.group_by("user_id").agg(n=data.events.count(), last=data.events.event_at.max())
    health = data.telemetry.group_by("feature_id").agg(n=data.telemetry.count(), mean=data.telemetry.latency_ms.sum())
    return [sorted(t.to_pyarrow().to_pylist(), key=str) for t in (by_user, health, data.features, data.sessions)]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def flip_first_page(path: Path) -> None:
    """A bit of the values themselves: many a reader takes the other value."""
    content = bytearray(path.read_bytes())
    content[40] ^= 0x01
    path.write_bytes(content)


def flip_footer(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x04
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 100)


def as_text(path: Path) -> None:
    path.write_text("event_id,event_name\n" * 20)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def keeping_its_times(path: Path) -> None:
    """As a failing disk does it, as far as a program can: size and time of change are what they were."""
    held = path.stat()
    flip(path)
    os.utime(path, ns=(held.st_atime_ns, held.st_mtime_ns))


def data_file(lake: Path, table: str, number: int = 0) -> Path:
    return sorted(p for p in (lake / table).rglob("*.parquet") if LOG.split("/")[1] not in p.parts)[number]


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def commit(lake: Path, number: int, table: str = "events") -> Path:
    return lake / table / "_delta_log" / f"{number:020d}.json"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def last(lake: Path, table: str = "events") -> int:
    return DeltaTable(str(lake / table)).version()


def with_checkpoint(lake: Path) -> Path:
    checkpoint(lake / "events", keep_last=0, grace_seconds=-7200)
    refuse_damage(lake)
    (found,) = (lake / LOG).glob("*.checkpoint.parquet")
    return found


IN_FILES = (
    Path.unlink, empty, cut, flip, flip_first_page, flip_footer, lengthen, as_text, as_folder, as_link_to_nothing,
    as_pipe, keeping_its_times,
)  # fmt: skip
OF_FILES = {
    f"{table} {harm.__name__}": lambda lake, table=table, harm=harm: harm(data_file(lake, table))
    for table in ("events", "telemetry", "features", "rejected")
    for harm in (IN_FILES if table == "events" else (Path.unlink, flip))
}
OF_LOGS: dict[str, Callable[[Path], object]] = {
    "two files swapped": lambda lake: swap(data_file(lake, "events", 0), data_file(lake, "events", 1)),
    "another day's file": lambda lake: shutil.copy(data_file(lake, "events", 1), data_file(lake, "events", 0)),
    "a day's folder": lambda lake: shutil.rmtree(data_file(lake, "events").parent),
    "last commit empty": lambda lake: empty(commit(lake, last(lake))),
    "last commit torn": lambda lake: cut(commit(lake, last(lake))),
    "last commit missing": lambda lake: commit(lake, last(lake)).unlink(),
    "two last commits missing": lambda lake: [commit(lake, last(lake)).unlink() for _ in range(2)],
    "middle commit empty": lambda lake: empty(commit(lake, 1)),
    "middle commit torn": lambda lake: cut(commit(lake, 1)),
    "middle commit missing": lambda lake: commit(lake, 1).unlink(),
    "middle commit one line": lambda lake: edited(commit(lake, 1), "\n", "\n\n{}\n"),
    "first commit missing": lambda lake: commit(lake, 0).unlink(),
    "first commit empty": lambda lake: empty(commit(lake, 0)),
    "no commit": lambda lake: [p.unlink() for p in (lake / LOG).glob("*.json")],
    "no log": lambda lake: shutil.rmtree(lake / LOG),
    "a log and all rows": lambda lake: [p.unlink() for p in (lake / "features").rglob("*") if p.is_file()],
    "no log of features": lambda lake: shutil.rmtree(lake / "features" / "_delta_log"),
    "commits swapped": lambda lake: swap(commit(lake, 1), commit(lake, 2)),
    "commit twice": lambda lake: shutil.copy(commit(lake, 2), commit(lake, 1)),
    "commit of another table": lambda lake: shutil.copy(commit(lake, 1, "telemetry"), commit(lake, 2)),
    "another day in a commit": lambda lake: edited(
        commit(lake, 1), '"event_on":"2026-01-05"', '"event_on":"2026-01-07"'
    ),
    "another path in a commit": lambda lake: edited(commit(lake, 1), "part-", "qart-"),
    "an action out of a commit": lambda lake: edited(commit(lake, 1), '{"add"', '{"odd"'),
    "a row count in a commit": lambda lake: edited(commit(lake, 1), '\\"numRecords\\": ', '\\"numRecords\\": 1'),
    "commit in another coding": lambda lake: commit(lake, 1).write_bytes(commit(lake, 1).read_text().encode("utf-16")),
    "commit a list": lambda lake: commit(lake, 1).write_text("[1]\n"),
    "commit a folder": lambda lake: as_folder(commit(lake, 1)),
    "first commit changed": lambda lake: edited(commit(lake, 0), '"partitionColumns":["event_on"]', '"partitionColumns":[]'),
    "a file for a table": lambda lake: (shutil.rmtree(lake / "events"), (lake / "events").write_text("x")),
    "a link to nothing for a table": lambda lake: (
        shutil.rmtree(lake / "events"),
        (lake / "events").symlink_to("nowhere"),
    ),
    "checkpoint torn": lambda lake: cut(with_checkpoint(lake)),
    "checkpoint flipped": lambda lake: flip(with_checkpoint(lake)),
    "checkpoint missing": lambda lake: with_checkpoint(lake).unlink(),
    "last checkpoint no JSON": lambda lake: (with_checkpoint(lake), (lake / LOG / "_last_checkpoint").write_text("{")),
    "last checkpoint of nothing": lambda lake: (
        with_checkpoint(lake),
        (lake / LOG / "_last_checkpoint").write_text('{"version":2,"size":1}'),
    ),
}  # fmt: skip


def told(capsys, lake: Path) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["doctor", str(lake), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", [*OF_FILES, *OF_LOGS])
def test_damage_is_told_and_no_number_is_made_of_it(lake, capsys, name):
    (OF_FILES | OF_LOGS)[name](lake)
    with pytest.raises(Damaged) as refused:
        take_snapshot(lake)
    status, said = told(capsys, lake)
    found = [one for one in said["found"] if one["kind"] == "damaged"]
    assert status == 1 and said["is_damaged"] and found
    assert all(one["what"] and one["remedy"] for one in found)
    assert any(one["file"].rstrip("/") in str(refused.value) for one in found)
    assert "\n" not in str(refused.value) and "launchpad doctor" in str(refused.value)
    assert main(["sql", "--lake", str(lake), "SELECT count(*) FROM fact_events"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    ["events flip_first_page", "events flip_footer", "features flip", "two files swapped", "commits swapped", "commit twice",
     "another day in a commit", "a row count in a commit", "an action out of a commit", "middle commit empty"],
)  # fmt: skip
def test_what_states_its_checksum_is_found_damaged_at_first_sight(lake, name):
    """Nothing was noted of it before."""
    shutil.rmtree(lake / "_index")
    (OF_FILES | OF_LOGS)[name](lake)
    with pytest.raises(Damaged):
        refuse_damage(lake)


def test_a_whole_lake_is_as_it_was_written(made, lake, capsys):
    before = {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file() and "_index" not in p.parts}
    assert told(capsys, lake) == (
        0, {"folder": str(lake), "is_damaged": False, "files": 24, "without_checksum": 4, "found": []}
    )  # fmt: skip
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert answers(lake) == made[1]


IN_INDEX = {
    "day file": "_index/events/days/*",
    "numbers of users": "_index/events/users/*",
    "dictionary": "_index/events/dictionary.json",
    "manifest of days": "_index/events/versions/*",
    "manifest of parts": "_index/events_parts/versions/*",
    "sessions": "_index/events_parts/session_parts/*",
    "block": "_index/events_parts/blocks/*",
    "window": "_index/events_parts/windows/*",
    "telemetry by day": "_index/telemetry_parts/feature_metrics/*",
    "file of views": "warehouse.duckdb",
    "note of the views": "_index/warehouse/named.json",
    "what was seen": "_index/seen/events.json",
}


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink, as_text])
def test_damage_to_what_is_made_again_is_told_and_changes_no_number(made, lake, capsys, harm):
    files = {name: sorted(lake.glob(where))[0] for name, where in IN_INDEX.items()}
    if harm is Path.unlink:  # a list that is gone leaves nothing to tell of
        files = {name: file for name, file in files.items() if file.suffix != ".json"}
    for name, file in files.items():
        copy = Path(shutil.copytree(made[0], lake.parent / name))
        harm(copy / file.relative_to(lake))
        found = {one.file: one.kind for one in index_damage(copy / "_index")}
        assert found == {file.relative_to(lake).as_posix(): "rebuilt"}
        shutil.rmtree(copy)
        harm(file)
    status, said = told(capsys, lake)
    assert (status, said["is_damaged"]) == (0, False)
    assert answers(lake) == made[1]
    assert main(["sql", "--lake", str(lake), "SELECT count(*) FROM fact_events"]) == 0


def test_an_index_of_an_older_layout_is_told_and_made_again(made, lake, capsys):
    for path in (lake / "_index" / "events" / "versions").iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 1}))
    assert "another layout" in told(capsys, lake)[1]["found"][0]["what"]
    assert answers(lake) == made[1]


def test_what_others_put_there_is_named_and_stays(made, lake, capsys):
    theirs = ["notes.txt", "events/readme\n.md", "events/event_on=2026-01-05/mine.parquet", "_staging/dead/rows"]
    for name in theirs:
        (lake / name).parent.mkdir(parents=True, exist_ok=True)
        (lake / name).write_bytes(b"theirs")
    status, said = told(capsys, lake)
    assert status == 0 and len(said["found"]) == 4
    assert {"foreign", "rebuilt"} == {one["kind"] for one in said["found"]}
    assert main(["doctor", str(lake)]) == 0
    assert "as it was written" in capsys.readouterr().out
    assert answers(lake) == made[1]
    assert all((lake / name).exists() for name in theirs)


def test_a_note_of_reports_that_cannot_be_read_is_told(lake, capsys):
    (note,) = (lake / "_reports").iterdir()
    cut(note)
    status, said = told(capsys, lake)
    assert status == 1 and said["found"][0]["file"] == f"_reports/{note.name}"


def test_files_of_another_writer_are_held_against_what_they_were_when_first_read(tmp_path, capsys):
    import pyarrow as pa
    from deltalake import write_deltalake

    lake = tmp_path / "lake"
    rows = {"feature_id": [f"f{n}" for n in range(500)], "feature_name": [f"n{n % 7}" for n in range(500)]}
    write_deltalake(str(lake / "features"), pa.table(rows))
    status, said = told(capsys, lake)
    assert status == 0 and said["without_checksum"] == said["files"] == 2
    refuse_damage(lake)
    harm = keeping_its_times
    harm(data_file(lake, "features"))
    with pytest.raises(Damaged, match="when it was first read"):
        refuse_damage(lake)
    shutil.rmtree(lake / "features")  # made anew by somebody: no commit is missing
    write_deltalake(str(lake / "features"), pa.table(rows))
    refuse_damage(lake)
    for harm in (cut, as_text):
        shutil.rmtree(lake)
        write_deltalake(str(lake / "features"), pa.table(rows))
        harm(data_file(lake, "features"))
        assert told(capsys, lake)[0] == 1


def test_a_bit_that_flipped_is_not_given_a_checksum_by_compaction(lake):
    file, before = data_file(lake, "events"), last(lake)
    flip_first_page(file)
    with pytest.raises(Damaged, match="checksum is another"):
        compact(lake, say=lambda _: None)
    assert file.exists() and last(lake) == before


def test_what_a_compaction_would_do_is_said_and_not_done(lake, capsys):
    (lake / "warehouse.duckdb").unlink()
    shutil.rmtree(lake / "_index" / "warehouse")  # which keeps the version of its views
    before = {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()}
    capsys.readouterr()
    command = ["compact", "--lake", str(lake), "--grace-minutes", "0", "--dry-run"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[0] == "events: would merge 4 files into 2"
    assert before == {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()}
    assert len(DeltaTable(str(lake / "events")).file_uris()) == 6
    compact(lake, say=lambda _: None)
    shutil.rmtree(lake / "_index" / "warehouse")
    assert main(command) == 0
    assert "events: would delete 4 files and 0 log entries" in capsys.readouterr().out


def test_after_compaction_and_checkpoint_the_lake_is_as_it_was_written(made, lake, capsys):
    compact(lake, say=lambda _: None, grace_seconds=0)
    with_checkpoint(lake)
    status, said = told(capsys, lake)
    assert (status, [o for o in said["found"] if o["kind"] != "rebuilt"]) == (0, [])
    assert answers(lake)[0] == made[1][0]
    assert all("crc32c-" in path.name for path in map(Path, DeltaTable(str(lake / "events")).file_uris()))


def test_a_table_that_is_just_being_made_is_not_damaged(tmp_path):
    (tmp_path / "lake" / "events" / "_delta_log").mkdir(parents=True)
    refuse_damage(tmp_path / "lake")


def test_a_version_that_is_gone_is_told_as_such(lake):
    with_checkpoint(lake)
    assert not commit(lake, 1).exists()
    with pytest.raises(ValueError, match=r"lake_versions\.events=1: .* has no such version any more"):
        take_snapshot(lake, versions={"events": 1})
    take_snapshot(lake)


def test_reading_again_costs_no_reading(lake, monkeypatch):
    from launchpad_lib.lake import seen_files

    read = []
    monkeypatch.setattr(seen_files, "file_checksum", lambda path: read.append(path))
    refuse_damage(lake)
    assert read == []


def test_no_folder_and_no_lake_are_one_sentence(tmp_path, capsys):
    for folder, said in ((tmp_path / "none", "no such folder"), (tmp_path, "has no table")):
        assert main(["doctor", str(folder)]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def spool(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"collector-1-{number:012d}.ndjson" for number in range(3)]
    for path in paths:
        path.write_text("".join(json.dumps({"event_id": f"{path.stem}-{n}"}) + "\n" for n in range(5)))
    return paths


def test_segments_of_a_spool(tmp_path, capsys):
    first, second, third = spool(tmp_path / "spool")
    assert told(capsys, tmp_path / "spool")[0] == 0
    edited(first, '"event_id"', '"event_id\0')
    second.unlink()
    third.write_bytes(third.read_bytes()[:-4])
    status, said = told(capsys, tmp_path / "spool")
    assert status == 1
    assert [(one["kind"], one["file"]) for one in said["found"]] == [
        ("damaged", first.name),
        ("foreign", third.name),
        ("damaged", second.name),
    ]
