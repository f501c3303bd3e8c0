"""`launchpad forget`: afterwards no byte under the lake, its index and the spools names the person, and nobody else has
lost anything; killed anywhere, the same command ends it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.contract.people import names_person
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import Lake, open_lake
from launchpad_lib.lake.compaction import compact
from launchpad_lib.lake.examination import examine
from launchpad_lib.lake.fold_state import FoldStates
from launchpad_lib.lake.kept_reports import tell_of_reports
from launchpad_lib.lake.occupied import Share
from launchpad_lib.runner.erasure import forget, retain
from launchpad_lib.spool import locks
from launchpad_lib.spool.records import sealed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5)
PERSON, OTHERS = "person-7", ("person-71", "xperson-7", "7", "person")
HOSTILE = ("o'neil\"; --", "ünï\u2028x", "%_*?[a]", "42", '{"a":1}', "../../etc")
USERS = (PERSON, *OTHERS, *HOSTILE)


def filled(lake: Path) -> Path:
    """Events of three days from two files, telemetry, refused rows of each kind, an index with a saved state, a
    compaction (old files stay for its grace), and a kept report of the version before it.
    """
    place = lake.parent

    def bring(table: str, name: str, text: str) -> None:
        (place / name).write_text(text)
        ingest(SourceSpec(table=table, path=str(place / name)), lake=lake, ingested_at=NOW)

    for part in range(2):
        rows = [
            {
                "event_id": f"e{part}-{n}",
                "event_name": "seen",
                "user_id": USERS[n % 11],
                "event_at": f"{(MONDAY + timedelta(days=n % 3, minutes=n)).isoformat()}Z",
                "properties": {"own": f"{USERS[n % 11]}'s", "n": n},
            }
            for n in range(66)
        ]
        bad = [{**row, "event_id": f"bad{part}-{n}", "event_at": "never"} for n, row in enumerate(rows[:11])]
        text = "".join(json.dumps(row) + "\n" for row in [*rows, *bad])
        bring("events", f"e{part}.jsonl", f"{text}{{torn, {PERSON}\n")
    health = [f"quiz,{quoted(USERS[n % 11])},{(MONDAY + timedelta(hours=n)).isoformat()}Z,{100 + n}" for n in range(33)]
    bring("telemetry", "t.csv", "\n".join(["feature_id,user_id,observed_at,latency_ms", *health, f"q,{PERSON},no,1"]))
    report = place / "reports" / "weekly-1"
    report.mkdir(parents=True)
    inputs = {t: {"version": DeltaTable(str(lake / t)).version()} for t in ("events", "telemetry")}
    (report / "manifest.json").write_text(json.dumps({"inputs": inputs}))
    tell_of_reports(lake, place / "reports")
    compact(lake, say=lambda _: None)
    assert events_of(lake) == 132
    states = FoldStates(lake / "_index" / "events" / "states").folder / "kept"
    states.mkdir(parents=True)
    (states / "users.npy").write_bytes(PERSON.encode())
    (lake / "_staging" / "killed").mkdir(parents=True)
    (lake / "_staging" / "killed" / "part.parquet").write_bytes(PERSON.encode())
    return lake


def events_of(lake: Path) -> int:
    """The events of an opened lake, whose index is made by this."""
    tables = open_lake(lake)
    rows = tables.events.count().execute()
    let_go(tables)
    return rows


def let_go(tables: Lake) -> None:
    """Ends a reading, as the end of its process would."""
    backend = tables.events.get_backend()
    for file in backend.held:
        file.close()
    backend.disconnect()


def quoted(text: str) -> str:
    """A field of a CSV."""
    return '"' + text.replace('"', '""') + '"'


def spool_of(folder: Path) -> Path:
    """A finished segment, one of a dead writer with a torn end, and how far they were sent."""
    folder.mkdir()
    for number in range(2):
        lines = [json.dumps({"event_id": f"s{n}", "user_id": USERS[n]}).encode() for n in range(11)]
        text = b"".join(sealed(line) + b"\n" for line in lines) + lines[0] + b"\n"
        (folder / f"collector-1-{number:012d}.ndjson").write_bytes(text + (sealed(lines[0])[:-11] if number else b""))
    (folder / "collector-1.lock").touch()
    (folder / ".forwarded.json").write_text(json.dumps({"segments": {"collector-1-000000000000.ndjson": 200}}))
    return folder


def named_in(folder: Path, person: str = PERSON) -> list[str]:
    """The files in which the id stands as a word: in their bytes, in their decoded Parquet pages, dictionaries and
    statistics, in their JSON decoded twice.
    """
    word = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(person)}(?![A-Za-z0-9-])")
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        texts = [path.read_bytes().decode("latin-1"), path.read_bytes().decode("utf-8", "replace"), path.name]
        if path.suffix == ".parquet":
            try:
                names = pq.read_schema(path).names
                texts.append(str(pq.read_table(path).to_pylist()))
                texts.append(str([c.to_pylist() for n in names for c in _dictionaries(path, n)]))
                texts.append(str(pq.read_metadata(path).to_dict()))
            except Exception as error:  # noqa: BLE001  no Parquet: its bytes were looked at
                texts.append(str(error))
        if path.suffix in (".json", ".ndjson"):
            texts.append(texts[0].encode("latin-1").decode("unicode_escape", "replace"))
        if any(word.search(text) for text in texts):
            found.append(str(path.relative_to(folder)))
    return found


def _dictionaries(path: Path, name: str) -> list:
    try:
        chunks = pq.read_table(path, columns=[name], read_dictionary=[name])[name].chunks
    except Exception:  # noqa: BLE001  a type or an encoding without a dictionary
        return []
    return [c.dictionary for c in chunks if hasattr(c, "dictionary")]


def rows_of(lake: Path) -> dict[str, list]:
    """Every row of the tables, in order."""
    con = duckdb.connect()
    return {
        table: con.execute(
            f"SELECT * FROM read_parquet($files, hive_partitioning = false) ORDER BY ALL",  # noqa: F541
            {"files": DeltaTable(str(lake / table)).file_uris()},
        ).fetchall()
        for table in ("events", "telemetry", "rejected")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("forget")
    filled(place / "lake")
    spool_of(place / "spool")
    return place


@pytest.fixture
def work(made, tmp_path):
    shutil.copytree(made, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


def test_no_byte_names_the_person_afterwards_and_nobody_else_lost_a_row(work):
    lake, spool = work / "lake", work / "spool"
    before = rows_of(lake)
    assert len(named_in(lake)) > 10 and len(named_in(spool)) == 2
    sizes = {p.name: p.stat().st_size for p in spool.glob("*.ndjson")}
    said: list[str] = []
    done = forget(lake, PERSON, spools=[spool], say=said.append)
    assert named_in(lake) == [] and named_in(spool) == []
    assert done.rows == {"events": 12, "telemetry": 3, "rejected": 5} and list(done.records.values()) == [5]
    after = rows_of(lake)
    for table, column in (("events", 2), ("telemetry", 2)):
        assert after[table] == [row for row in before[table] if row[column] != PERSON]
        assert {row[column] for row in after[table]} == set(USERS) - {PERSON}
    others = [row for row in before["rejected"] if PERSON not in row[4] or any(o in row[4] for o in OTHERS[:2])]
    assert after["rejected"] == others
    assert {p.name: p.stat().st_size for p in spool.glob("*.ndjson")} == sizes
    assert not [d for d in examine(lake).found if d.kind == "damaged"]
    assert events_of(lake) == 120
    assert named_in(lake) == []
    assert forget(lake, PERSON, spools=[spool], say=said.append).rows == {"events": 0, "telemetry": 0, "rejected": 0}


def test_a_dry_run_says_the_same_and_changes_no_byte(work):
    lake, spool = work / "lake", work / "spool"
    before = {p: p.read_bytes() for p in work.rglob("*") if p.is_file()}
    done = forget(lake, PERSON, spools=[spool], is_dry=True, say=lambda _: None)
    assert done.rows["events"] == 12 and list(done.records.values()) == [5]
    assert {p: p.read_bytes() for p in work.rglob("*") if p.is_file() and p.name != ".forwarder.lock"} == before


def test_kept_reports_that_count_the_person_are_named_and_those_that_cannot_be_told_too(work):
    lake = work / "lake"
    named, clear, unread = (work / "reports" / name for name in ("weekly-1", "weekly-2", "weekly-3"))
    for folder, inputs in ((clear, {"features": {"version": 0}}), (unread, {"events": {"version": 99}})):
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"inputs": inputs}))
    done = forget(lake, PERSON, is_dry=True, say=lambda _: None)
    assert (done.counting, done.untold) == ([str(named)], [str(unread)])
    assert forget(lake, "nobody", is_dry=True, say=lambda _: None).counting == []


def test_an_id_is_taken_literally(work):
    lake, spool = work / "lake", work / "spool"
    (lake / "warehouse.duckdb").unlink()
    for person in HOSTILE:
        done = forget(lake, person, spools=[spool], say=lambda _: None)
        assert (done.rows["events"], done.rows["telemetry"], list(done.records.values())) == (12, 3, [2])
    rows = rows_of(lake)
    assert {row[2] for row in rows["events"]} == {PERSON, *OTHERS} and len(rows["events"]) == 60
    assert {json.loads(row[4])["user_id"] for row in rows["rejected"] if row[4][:2] == '{"'} == {PERSON, *OTHERS}
    lines = [line for path in spool.glob("*.ndjson") for line in path.read_bytes().split(b"\n")[:11] if line.strip()]
    assert {json.loads(line[:-10])["user_id"] for line in lines} == {PERSON, *OTHERS}


@pytest.mark.parametrize("part", (1, 3, 5, 7))
def test_whatever_step_a_kill_comes_after_the_same_again_ends_it(work, tmp_path, part):
    """Of the changes that it makes to files the nth is its last; every n: `python -m tests.chaos.forgetting`."""
    changes = changes_until(work, at=None, copy=tmp_path / "whole")
    assert not forget_after_kill(work, at=max(changes * part // 8, 1), copy=tmp_path / "killed")


def changes_until(work: Path, *, at: int | None, copy: Path) -> int:
    """Forgets the person in a copy, whose process dies at change `at`; how many changes came about."""
    shutil.copytree(work, copy, symlinks=True)
    (copy / "lake" / "warehouse.duckdb").unlink(missing_ok=True)  # to make it and the index again costs seconds
    with dying(at) as changes:
        forget(copy / "lake", PERSON, spools=[copy / "spool"], say=lambda _: None)
    return len(changes)


def forget_after_kill(work: Path, *, at: int, copy: Path) -> list[str]:
    """What is wrong when a killed erasure is started again."""
    changes_until(work, at=at, copy=copy)
    before = rows_of(work / "lake")
    forget(copy / "lake", PERSON, spools=[copy / "spool"], say=lambda _: None)
    after = rows_of(copy / "lake")
    wrong = [*named_in(copy / "lake"), *named_in(copy / "spool")]
    wrong += [t for t in ("events", "telemetry") if after[t] != [r for r in before[t] if r[2] != PERSON]]
    return wrong + [d.sentence for d in examine(copy / "lake").found if d.kind == "damaged"]


class Killed(BaseException):
    """No handler takes it for an error; and whatever a handler would change afterwards does not come about either."""


@contextmanager
def dying(at: int | None) -> Iterator[list[str]]:
    """From change `at` on nothing changes any more."""
    changes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("unlink", "rename", "replace", "link", "rmdir", "mkdir"):
            patch.setattr(os, name, _counting(getattr(os, name), changes, at))
        try:
            yield changes
        except Killed:
            return


def _counting(real: Callable, changes: list[str], at: int | None) -> Callable:
    def changed(*arguments, **named):
        if at is not None and len(changes) >= at:
            raise Killed
        done = real(*arguments, **named)
        changes.append(real.__name__)
        return done

    return changed


def test_it_refuses_while_somebody_else_works_there(work, capsys):
    lake, spool = work / "lake", work / "spool"
    share = Share(lake)
    with pytest.raises(ValueError, match="another process is writing there"):
        forget(lake, PERSON, say=lambda _: None)
    share.close()
    tables = open_lake(lake)
    with pytest.raises(ValueError, match="an app is reading it"):
        forget(lake, PERSON, say=lambda _: None)
    let_go(tables)
    held = locks.hold(spool / "collector-1.lock")
    with pytest.raises(ValueError, match="collector-1 writes there"):
        forget(lake, PERSON, spools=[spool], say=lambda _: None)
    os.close(held)
    assert named_in(lake)
    with pytest.raises(ValueError, match="there is no such folder"):
        forget(lake, PERSON, spools=[work / "nothing"], say=lambda _: None)
    with pytest.raises(ValueError, match="is blank"):
        forget(lake, "  ", say=lambda _: None)


def test_a_writer_that_comes_meanwhile_is_told(work):
    code = (
        "import sys; from pathlib import Path; from launchpad_lib.lake.occupied import alone\n"
        "with alone(Path(sys.argv[1])):\n    print('alone', flush=True); sys.stdin.read()"
    )
    (work / "more.jsonl").write_text((work / "e0.jsonl").read_text().replace('"e0-', '"e9-'))
    with subprocess.Popen(
        [sys.executable, "-c", code, work / "lake"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"alone\n"
        for act in (
            lambda: compact(work / "lake", say=lambda _: None),
            lambda: open_lake(work / "lake"),
            lambda: ingest(
                SourceSpec(table="events", path=str(work / "more.jsonl")), lake=work / "lake", ingested_at=NOW
            ),
        ):
            with pytest.raises(ValueError, match="forget or retain is at work"):
                act()
        other.stdin.close()


def test_the_command_reads_lake_and_reports_from_the_params(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    (work / "params").mkdir()
    (work / "notebooks").mkdir()
    (work / "params" / "weekly.yaml").write_text("name: weekly\nlake: lake\nsequence: [[engagement]]\n")
    arguments = ["forget", PERSON, "--params", "params/weekly.yaml", "--spool", "spool"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "events: would remove 12 rows" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["events"] == 12 and told["counting"] == [str(work / "reports" / "weekly-1")]
    assert named_in(work / "lake") == []


def test_days_older_than_their_period_go_and_leave_nothing_of_themselves(work):
    lake = work / "lake"
    before = rows_of(lake)
    now = datetime(2026, 1, 10, 15, tzinfo=UTC)
    dry = retain(lake, {"events": 4, "telemetry": 4}, now=now, is_dry=True, say=lambda _: None)
    assert rows_of(lake) == before
    done = retain(lake, {"events": 4, "telemetry": 4}, now=now, say=lambda _: None)
    assert dry.rows == done.rows == {"events": 44, "telemetry": 24}
    after, first = rows_of(lake), datetime(2026, 1, 6)
    assert after["events"] == [row for row in before["events"] if row[4] >= first]
    assert after["telemetry"] == [row for row in before["telemetry"] if row[3] >= first]
    assert after["rejected"] == before["rejected"]
    files = [p for table in ("events", "telemetry") for p in (lake / table).rglob("*.parquet")]
    assert not [p for p in files if "=2026-01-05" in str(p)]
    parts = [p.name for p in (lake / "_index").rglob("2026-01-0*")]
    assert parts and not [name for name in parts if name.startswith("2026-01-05-")]


def test_a_field_is_compared_whole():
    assert names_person('e1,seen,"a ""b""",2026', frozenset({'a "b"'}))
    assert not names_person('{"user_id": "person-71"}', frozenset({PERSON}))
    assert names_person('{"user_id": "person-7', frozenset({PERSON}))  # cut off: searched
    assert names_person('{"user_id": "caf\\u00e9', frozenset({"café"}))
    assert names_person('{"properties": "{\\"user\\": 7}"}', frozenset({"7"}))
