"""Refused rows are judged again after a mapping or a rule was mended: each is accepted once, however often it is asked
and wherever it was cut off. Rows are counted by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.contract.arrow import EVENTS_SCHEMA
from launchpad_lib.ingestion import SourceSpec, ingest, replay
from launchpad_lib.ingestion.files import replay as module
from launchpad_lib.ingestion.stream.decoding import Block, decode
from launchpad_lib.ingestion.stream.sink import StreamSink
from tests.streaming.test_spool_to_lake import drain

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def rows(lake: Path, table: str = "events") -> list[dict]:
    found = DeltaTable(str(lake / table)).to_pyarrow_table().to_pylist()
    return sorted(found, key=str)


def both(lake: Path) -> tuple[list[dict], list[dict]]:
    return rows(lake), rows(lake, "rejected")


def lines(path: Path, *given: dict) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in given))


def event(number: int, **more) -> dict:
    return {"event_id": f"e{number}", "event_name": "seen", "user_id": "u", "event_at": "2026-01-05T10:00:00Z"} | more


@pytest.fixture
def mended(tmp_path):
    """Two good rows, two without a user by the mapping of then, one with no instant; and the mended mapping."""
    lines(
        tmp_path / "a.jsonl",
        event(0),
        event(1, user_id=None, who="w1"),
        event(2, user_id=None, who="w2"),
        event(3, event_at="never"),
        event(4, user_id="u4", who="w4"),
    )
    old = SourceSpec(table="events", path="a.jsonl")
    ingest(old, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    assert [len(part) for part in both(tmp_path / "lake")] == [2, 3]
    return tmp_path, old.model_copy(update={"columns": {"user_id": "who"}})


def again(place: Path, *sources: SourceSpec, **more):
    return replay(place / "lake", list(sources), root=place, now=NOW, **more)


def test_rows_that_a_mended_mapping_accepts_leave_the_refused_ones(mended):
    place, source = mended
    assert again(place, source)[:4] == (3, 2, 0, 1)
    events, refused = both(place / "lake")
    assert {r["event_id"]: r["user_id"] for r in events} == {"e0": "u", "e1": "w1", "e2": "w2", "e4": "u4"}
    assert [(r["source"], r["line"], "never" in r["reason"]) for r in refused] == [("a.jsonl", 4, True)]
    assert again(place, source)[:4] == (1, 0, 0, 1)
    assert both(place / "lake") == (events, refused)


def test_bringing_the_file_in_again_doubles_nothing(mended):
    place, source = mended
    again(place, source)
    done = ingest(source, lake=place / "lake", ingested_at=NOW, root=place)
    assert done.accepted == 0 and len(rows(place / "lake")) == 4


def test_what_was_brought_in_again_before_only_leaves_the_refused_ones(mended):
    place, source = mended
    ingest(source, lake=place / "lake", ingested_at=NOW, root=place)
    before = rows(place / "lake")
    assert again(place, source)[:4] == (4, 0, 2, 2)  # line 1 lacks the new field, line 4 its instant
    assert rows(place / "lake") == before and len(before) == 4
    assert {r["line"] for r in rows(place / "lake", "rejected")} == {1, 4, 5}  # of line 5 the copy has another user


def test_without_writing_it_says_the_same(mended):
    place, source = mended
    before = both(place / "lake")
    assert again(place, source, is_dry=True) == again(place, source, is_dry=True)
    assert both(place / "lake") == before
    assert again(place, source, is_dry=True)[:4] == again(place, source)[:4]


def test_a_death_between_the_two_commits_is_mended_by_the_next(mended, monkeypatch):
    place, source = mended
    with monkeypatch.context() as patch:
        patch.setattr(module, "_taken_out", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            again(place, source)
    events = rows(place / "lake")
    assert len(events) == 4 and len(rows(place / "lake", "rejected")) == 3
    assert again(place, source)[:4] == (3, 0, 2, 1)
    assert rows(place / "lake") == events and len(rows(place / "lake", "rejected")) == 1
    assert not list((place / "lake").glob("_staging/*"))


def test_only_rows_that_are_asked_for(mended):
    place, source = mended
    assert again(place, source, reason="never")[:4] == (1, 0, 0, 1)
    assert again(place, source, source="%")[0] == 0
    assert again(place, source, source="a.jsonl", reason="user_id")[:2] == (2, 2)


def test_the_file_may_be_gone_and_the_row_of_a_file_that_nobody_names_stays(mended):
    place, source = mended
    (place / "a.jsonl").unlink()
    assert again(place)[0] == 0 and sum(again(place).left.values()) == 3
    assert again(place, source.model_copy(update={"path": "*.jsonl"}))[:2] == (3, 2)


def test_rows_without_an_id_are_given_none_where_their_file_has_ids(tmp_path):
    lines(tmp_path / "a.jsonl", event(0), {k: v for k, v in event(1).items() if k != "event_id"})
    source = SourceSpec(table="events", path="a.jsonl")
    ingest(source, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    for _ in range(2):
        assert again(tmp_path, source)[:4] == (1, 0, 0, 1)
        (tmp_path / "a.jsonl").unlink(missing_ok=True)


def test_equal_rows_without_ids_are_as_many_events_as_by_a_whole_new_ingestion(tmp_path):
    text = "user,what,at\nu,seen,05.01.2026\nu,seen,05.01.2026\nv,seen,2026-01-05\n"
    (tmp_path / "a.csv").write_text(text)
    columns = {"user_id": "user", "event_name": "what", "event_at": "at"}
    old = SourceSpec(table="events", path="a.csv", columns=columns)
    new = old.model_copy(update={"formats": {"event_at": "%d.%m.%Y"}})
    ingest(old, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    assert again(tmp_path, new)[:4] == (2, 2, 0, 0)
    assert len(rows(tmp_path / "lake")) == 3
    assert ingest(new, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path).accepted == 0


def test_a_csv_is_read_by_its_own_header_and_records_with_line_feeds_and_open_quotes_stay_apart(tmp_path):
    (tmp_path / "a.csv").write_text(
        "event_id,event_name,user_id,event_at,note\n"
        'e0,seen,u,2026-01-05T10:00:00Z,"two\nlines"\n'
        'e1,seen,,2026-01-05T10:00:00Z,"two\nlines"\n'
        'e2,seen,,2026-01-05T10:00:00Z,"open\n'
        "e3,seen,,2026-01-05T10:00:00Z,short\n"
    )
    old = SourceSpec(table="events", path="a.csv")
    ingest(old, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    refused = rows(tmp_path / "lake", "rejected")
    new = SourceSpec(table="events", path="a.csv", columns={"user_id": "note"})
    done = again(tmp_path, new)
    assert done[:4] == (2, 2, 0, 0) and sum(done.left.values()) == len(refused) - 2
    assert {r["event_id"]: r["user_id"] for r in rows(tmp_path / "lake")} == {
        "e0": "u",
        "e1": "two\nlines",
        "e3": "short",
    }
    (tmp_path / "a.csv").unlink()
    assert sum(again(tmp_path, new).left.values()) == len(refused) - 2


def test_telemetry(tmp_path):
    (tmp_path / "t.csv").write_text(
        "feature_id,observed_at,latency_ms\nf,2026-01-05,9\nf,2026-01-05,1 s\nf,2026-01-06,-1\n"
    )
    old = SourceSpec(table="telemetry", path="t.csv")
    ingest(old, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    new = old.model_copy(update={"columns": {"error_count": "latency_ms"}})
    for counts in ((2, 0, 0, 2),):
        assert again(tmp_path, new)[:4] == counts
    new = SourceSpec(table="telemetry", path="t.csv", columns={"platform": "latency_ms"}, constants={"latency_ms": 5})
    assert again(tmp_path, new)[:4] == (2, 2, 0, 0)
    assert len(rows(tmp_path / "lake", "telemetry")) == 3 and rows(tmp_path / "lake", "rejected") == []


def test_an_event_of_a_stream_is_received_when_it_was_refused(tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    sink = StreamSink(lake, source_name="kafka:t")
    texts = [json.dumps(event(0, user_id="anonymous")), "{", '{"event_id":"x\xff"}', json.dumps(event(1))]
    block = Block(
        "0", 4, [t.encode("latin-1") for t in texts], [0, 1, 2, 3], [False] * 4, lambda: [1767607200000000] * 4
    )
    sink.commit(sink.prepare([decode(block, moment=NOW)], gaps=[], offsets={"0": (None, 4)}))
    assert [len(part) for part in both(lake)] == [1, 3]
    assert again(tmp_path) == (1, 0, 0, 1, {"are no JSON object in one line": 2})
    from launchpad_lib.contract.event import rules

    monkeypatch.setattr(rules, "PLACEHOLDER_USERS", frozenset())
    refused_at = rows(lake, "rejected")[0]["rejected_at"]
    assert again(tmp_path)[:4] == (1, 1, 0, 0)
    (kept,) = [r for r in rows(lake) if r["user_id"] == "anonymous"]
    assert kept["received_at"] == refused_at
    assert again(tmp_path)[:4] == (0, 0, 0, 0) and len(rows(lake)) == 2
    assert StreamSink(lake, source_name="kafka:t").offset("0") == 4
    assert set(rows(lake)[0]) == {*EVENTS_SCHEMA.names}


def test_an_event_of_a_spool_and_a_file_in_a_folder_of_that_name_are_told_apart(tmp_path, monkeypatch):
    lake, spool = tmp_path / "lake", tmp_path / "spool"
    spool.mkdir()
    lines(spool / "w-000000000000.ndjson", event(0, user_id="anonymous"), event(1))
    drain(spool, lake)
    lines(spool / "other", event(2, user_id="anonymous"), event(3))
    source = SourceSpec(table="events", path="spool/other", format="jsonl")
    ingest(source, lake=lake, ingested_at=NOW, root=tmp_path)
    assert sorted(r["source"] for r in rows(lake, "rejected")) == ["spool/other", "spool/w"]
    from launchpad_lib.contract.event import rules

    monkeypatch.setattr(rules, "PLACEHOLDER_USERS", frozenset())
    assert again(tmp_path) == (1, 1, 0, 0, {"are of a file that no source of the params file names": 1})
    assert again(tmp_path, source)[:4] == (1, 1, 0, 0)
    assert [r["event_id"] for r in rows(lake) if r["user_id"] == "anonymous"] == ["e0", "e2"]
    assert rows(lake, "rejected") == []


def test_a_copy_with_other_content_is_never_accepted(tmp_path):
    lines(tmp_path / "a.jsonl", event(0), event(0, event_name="other"), event(1, user_id=None, who="w"))
    source = SourceSpec(table="events", path="a.jsonl")
    ingest(source, lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    lines(tmp_path / "b.jsonl", event(1))
    ingest(SourceSpec(table="events", path="b.jsonl"), lake=tmp_path / "lake", ingested_at=NOW, root=tmp_path)
    before = both(tmp_path / "lake")
    done = again(tmp_path, source.model_copy(update={"columns": {"user_id": "who"}}))
    assert done[:4] == (1, 0, 0, 1) and list(done.left.values()) == [1]
    assert both(tmp_path / "lake") == before


def test_the_command(mended, capsys, monkeypatch):
    place, source = mended
    (place / "p.yaml").write_text(
        "name: p\nlake: lake\nsequence: [[funnels]]\nsources:\n  - {table: events, path: a.jsonl, columns: {user_id: who}}\n"
    )
    monkeypatch.chdir(place)
    assert main(["replay", "p.yaml", "--dry-run"]) == 0
    assert "2 would be accepted" in capsys.readouterr().out
    assert main(["replay", "p.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == 2
    assert main(["replay", "p.yaml"]) == 0
    assert "1 refused row judged again: 0 accepted" in capsys.readouterr().out
    (place / "p.yaml").write_text("name: p\nlake: none\nsequence: [[funnels]]\n")
    assert main(["replay", "p.yaml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
