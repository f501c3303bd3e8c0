"""Damage to the index of a lake, and hostile circumstances: it is made again or one sentence says why not, and no number
is ever another.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from launchpad_lib.contract.scratch_folders import MARK, sweep
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import day_files, index, open_lake, opening
from launchpad_lib.lake.index import INDEX, index_folder
from launchpad_lib.lake.manifests import Manifests
from launchpad_lib.metrics import delivery
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.quality import missing_share
from launchpad_lib.runner.inputs import doubts_about_lake

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5)


def add(lake: Path, name: str, *, days: range, users: int = 5) -> None:
    """Every user does three things a day; four of five have a session."""
    rows = ["event_id,event_name,user_id,session_id,event_at,platform"]
    for day in days:
        for user in range(users):
            for n in range(3):
                at = MONDAY + timedelta(days=day, hours=2 * user, minutes=20 * n)
                session = f"s{day}" if user else ""
                rows.append(f"{name}-{day}-{user}-{n},seen{n},u{user},{session},{at.isoformat()}Z,web")
    (lake.parent / f"{name}.csv").write_text("\n".join(rows) + "\n")
    ingest(SourceSpec(table="events", path=str(lake.parent / f"{name}.csv")), lake=lake, ingested_at=NOW)


def answers(lake: Path, **more) -> dict:
    """All that the views of a lake say of its events."""
    data = open_lake(lake, **more)
    counts = data.events.group_by(["event_name", "user_id"]).agg(
        rows=data.events.count(), last=data.events.event_at.max()
    )
    by_session = {"at": data.events.event_at, "name": data.events.event_name, "user": data.events.user_number}
    units = [
        (part.starts.tolist(), *(part.columns[c].tolist() for c in by_session))
        for part in unit_rows(data.events, by_session, unit="session_key")
    ]
    return {
        "blocks": units,
        "arrivals": delivery(data.events).to_pyarrow().to_pylist(),
        "missing": missing_share(data.events).to_pyarrow().to_pylist(),
        "counts": sorted(counts.to_pyarrow().to_pylist(), key=str),
        "sessions": sorted(data.sessions.to_pyarrow().to_pylist(), key=str),
        "users": sorted(data.users.to_pyarrow().to_pylist(), key=str),
        "names": sorted(data.events.get_backend().log.names["event"].items()),
        "version": data.versions["events"],
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    add(root / "lake", "first", days=range(4))
    return root / "lake", answers(root / "lake")


@pytest.fixture
def lake(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "lake")
    return tmp_path / "lake"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def older(path: Path) -> None:
    """A manifest of the layout before, or what is no manifest, emptied."""
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 1}))
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, flip, older, Path.unlink])
def test_any_file_of_the_index_may_be_damaged_or_gone(made, lake, harm):
    files = [
        p.relative_to(lake) for p in sorted((lake / INDEX).rglob("*")) if p.is_file() and not p.name.startswith(".")
    ]
    kinds = {(p.parent, p.suffix): p for p in files}  # one of each folder
    assert {p.parent.name for p in kinds.values()} >= {
        "days", "users", "versions", "windows", "names", "user_days", "blocks", "delays",
    }  # fmt: skip
    for path in kinds.values():
        if (lake / path).exists():  # what was made again may have another name
            harm(lake / path)
        assert answers(lake) == made[1], path
    assert answers(lake) == made[1]


def test_a_copy_of_a_lake_is_read_whole_once_only(made, lake, monkeypatch):
    """It has other times, so contents are compared; that they were found the same is noted."""
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, how: read.append(file.name) or digest(file, how))
    assert answers(lake) == made[1]
    assert len(read) == len(set(read)) > 8
    read.clear()
    assert answers(lake) == made[1] and read == []
    flip(next((lake / INDEX / "events" / "days").iterdir()))  # and again where a file changes afterwards
    assert answers(lake) == made[1] and read


def test_a_restated_day_spoils_its_own_block_alone(lake):
    add(lake, "more", days=range(4, 24))
    before = answers(lake)
    blocks = {p.name: p.stat().st_ino for p in (lake / INDEX / "events_parts" / "blocks").iterdir()}
    assert len(blocks) == 5  # two of the first version, of which one is in the second, too
    add(lake, "late", days=range(20, 21), users=1)
    after = answers(lake)
    now = {p.name: p.stat().st_ino for p in (lake / INDEX / "events_parts" / "blocks").iterdir()}
    assert len(set(now.items()) - set(blocks.items())) == 1
    assert after["version"].rows == before["version"].rows + 3
    shutil.rmtree(lake / INDEX)
    assert answers(lake) == after
    assert answers(lake, versions={"events": before["version"].version}) == before


def test_a_deleted_index_costs_time_only(made, lake):
    shutil.rmtree(lake / INDEX)
    assert answers(lake) == made[1]
    assert (lake / INDEX / "events" / "versions").is_dir()


def test_what_a_killed_build_leaves_behind_does_not_count(made, lake):
    for version in Manifests(lake / INDEX / "events").newest_written():
        (lake / INDEX / "events" / "versions" / f"{version:020d}.json").unlink()
    (lake / INDEX / "events" / "days" / "2026-01-05.new").write_bytes(b"PAR1 half of it")
    (lake / INDEX / "events_parts" / "names" / "2026-01-05-0000.parquet.new").write_bytes(b"PAR1")
    assert answers(lake) == made[1]
    assert not [p for p in (lake / INDEX).rglob("*.new")]


def build(lake: str, ready, tell) -> None:
    ready.wait()
    tell.put(answers(Path(lake)))


def test_two_builders_at_once_make_one_index(made, lake):
    shutil.rmtree(lake / INDEX)
    context = multiprocessing.get_context("spawn")
    ready, tell = context.Barrier(2), context.Queue()
    both = [context.Process(target=build, args=(str(lake), ready, tell)) for _ in range(2)]
    for one in both:
        one.start()
    found = [tell.get(timeout=300) for _ in both]
    for one in both:
        one.join()
    assert found == [made[1]] * 2
    entries = [e["file"] for body in Manifests(lake / INDEX / "events").bodies() for e in body["days"].values()]
    assert sorted(set(entries)) == sorted(p.name for p in (lake / INDEX / "events" / "days").iterdir())


FULL = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EFBIG, "File too large")]


@pytest.mark.parametrize("error", FULL, ids=["disk", "limit"])
@pytest.mark.parametrize("nth", [0, 2, 3])
def test_a_disk_that_fills_while_building_is_one_sentence_and_the_last_version_stands(lake, monkeypatch, nth, error):
    before = answers(lake)
    add(lake, "second", days=range(3, 7))
    written, write = [], day_files.write_day

    def fills(*args, **kwargs):
        written.append(args)
        if len(written) > nth:
            raise error
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(day_files, "write_day", fills)
        with pytest.raises(ValueError, match=r"the disk is full; make room") as told:
            open_lake(lake)
        assert "\n" not in str(told.value)
        assert answers(lake, versions={"events": before["version"].version}) == before
    after = answers(lake)
    assert after["version"].rows == before["version"].rows + 4 * 15
    shutil.rmtree(lake / INDEX)
    assert answers(lake) == after


def limited(lake: str, tell) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
    try:
        open_lake(lake)
        tell.put("opened")
    except Exception as error:
        tell.put(str(error))


def test_a_limit_on_the_size_of_files_is_one_sentence(made, lake):
    """The engine's own writing fails, not only this package's."""
    shutil.rmtree(lake / INDEX)
    context = multiprocessing.get_context("spawn")
    tell = context.Queue()
    one = context.Process(target=limited, args=(str(lake), tell))
    one.start()
    told = tell.get(timeout=120)
    one.join()
    assert "the disk is full" in told and "\n" not in told
    assert answers(lake) == made[1]


def test_a_lake_that_cannot_be_written_has_its_index_in_a_private_temporary_folder(made, lake, tmp_path, monkeypatch):
    shutil.rmtree(lake / INDEX)
    make = Path.mkdir

    def refused(path, *args, **kwargs):
        if lake in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return make(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refused)
    monkeypatch.setattr(index.tempfile, "tempdir", str(tmp_path))
    assert answers(lake) == made[1]
    assert not (lake / INDEX).exists()
    opened = open_lake(lake)
    assert opened.index == index_folder(lake) and (tmp_path / f"launchpad-index-{os.getuid()}") in opened.index.parents
    assert opened.index.parent.stat().st_mode & 0o077 == 0
    (told,) = doubts_about_lake(opened, str(lake))
    assert "cannot be written" in told and str(opened.index) in told


def test_a_temporary_folder_of_somebody_else_is_refused(lake, tmp_path, monkeypatch):
    shutil.rmtree(lake / INDEX)
    (lake / INDEX).write_text("a file in its place")
    (tmp_path / "theirs").mkdir(mode=0o777)
    (tmp_path / f"launchpad-index-{os.getuid()}").symlink_to(tmp_path / "theirs")
    monkeypatch.setattr(index.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="belongs to somebody else; remove it, or set TMPDIR"):
        open_lake(lake)


def test_files_that_a_reader_holds_are_kept_however_many_versions_follow(lake):
    held = open_lake(lake)
    first = held.events.count().execute()
    paths = held.events.get_backend().log.paths
    for number in range(4):
        add(lake, f"more{number}", days=range(4))  # every day is restated
        open_lake(lake)
    assert all(Path(p).exists() for p in paths)
    assert held.events.count().execute() == first == 60
    for file in held.events.get_backend().held:
        file.close()
    add(lake, "last", days=range(4))
    open_lake(lake)
    assert not any(Path(p).exists() for p in paths)


def foreign(lake: Path, rows: list[dict], **more) -> None:
    table = pa.Table.from_pylist(rows)
    place = table.schema.get_field_index("event_at")
    times = table["event_at"].cast(pa.timestamp("us", tz="UTC"))
    write_deltalake(str(lake / "events"), table.set_column(place, "event_at", times), mode="append", **more)


def rows_of(days: range, *, first: int = 0) -> list[dict]:
    return [
        {
            "event_id": f"e{first}-{day}-{n}",
            "event_name": "seen",
            "user_id": f"u{n % 4}",
            "event_at": MONDAY + timedelta(days=day, hours=n),
            "event_on": (MONDAY + timedelta(days=day)).date(),
        }
        for day in days
        for n in range(20)
    ]


@pytest.mark.parametrize("columns", ["event_on", "none"])
def test_a_table_of_a_foreign_writer_without_the_partition_is_read_by_filtering_dates(tmp_path, columns):
    rows = rows_of(range(3))
    if columns == "none":
        rows = [{k: v for k, v in row.items() if k != "event_on"} for row in rows]
    foreign(tmp_path, rows)
    assert answers(tmp_path)["version"].rows == 60
    late = [{k: v for k, v in row.items() if k in rows[0]} for row in rows_of(range(2, 4), first=1)]
    foreign(tmp_path, late)
    found = answers(tmp_path)
    assert (found["version"].rows, found["version"].incomplete) == (100, 0)
    foreign(tmp_path / "partitioned", rows_of(range(3)), partition_by=["event_on"])
    foreign(tmp_path / "partitioned", rows_of(range(2, 4), first=1), partition_by=["event_on"])
    partitioned = answers(tmp_path / "partitioned")
    assert {k: found[k] for k in ("counts", "sessions", "users")} == {
        k: partitioned[k] for k in ("counts", "sessions", "users")
    }


@pytest.mark.parametrize("partition", [["event_on"], None])
def test_rows_that_lack_what_every_event_has_are_counted_and_told(tmp_path, partition):
    rows = rows_of(range(3))
    whole = answers_of(tmp_path / "whole", rows, partition)
    lacking = [
        {**rows[0], "event_id": "x1", "user_id": None},
        {**rows[0], "event_id": "x2", "event_name": None},
        {**rows[0], "event_id": None},
        {**rows[1], "event_id": None},
        {**rows[0], "event_id": "x3", "event_at": None},
        {**rows[0], "event_id": "x4", "event_at": None, "event_on": None},
    ]
    found = answers_of(tmp_path / "lacking", [*rows, *lacking], partition)
    assert found["version"].incomplete == 6
    assert {**found, "version": None} == {**whole, "version": None}
    (told,) = doubts_about_lake(open_lake(tmp_path / "lacking"), str(tmp_path / "lacking"))
    assert told.startswith("events: 6 rows without an event_id, user_id, event_name or event_at")


def answers_of(lake: Path, rows: list[dict], partition: list[str] | None) -> dict:
    foreign(lake, rows, partition_by=partition)
    return answers(lake)


def test_a_partition_that_holds_another_day_is_refused(tmp_path):
    rows = rows_of(range(1))
    foreign(tmp_path, [{**row, "event_on": date(2026, 2, 1)} for row in rows], partition_by=["event_on"])
    with pytest.raises(ValueError, match="the files of 2026-02-01 hold events from 2026-01-05 to 2026-01-05"):
        open_lake(tmp_path)


def test_memory_is_bounded_and_what_is_put_aside_goes_to_a_private_folder_that_ends(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MEMORY_LIMIT", "100MB")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = open_lake(lake)
    con = data.events.get_backend()
    limit, folder = con.raw_sql("SELECT current_setting('memory_limit'), current_setting('temp_directory')").fetchall()[
        0
    ]
    assert limit == "95.3 MiB" and Path(folder).parent == tmp_path
    assert Path(folder).stat().st_mode & 0o077 == 0
    many = "SELECT range AS n, repeat('x', 40) || (range * 7919 % 6000000) AS t FROM range(6000000) ORDER BY t"
    assert con.raw_sql(f"SELECT count(*), max(length(t)) FROM ({many} LIMIT 5000000)").fetchall()[0][0] == 5_000_000
    assert (Path(folder) / MARK).exists() and sweep(tmp_path) == 0, "DuckDB takes only its own files away"
    con.spill.cleanup()
    assert DeltaTable.is_deltatable(str(lake / "events")) and not Path(folder).exists()
