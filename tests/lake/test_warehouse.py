"""`warehouse.duckdb`: the tables of `open_lake` for any DuckDB client. Expected rows are counted by hand or by `open_lake`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta

import duckdb
import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.lake.compaction import compact
from launchpad_lib.lake.warehouse import named_through, refresh_warehouse
from tests.lake.test_snapshot import MONDAY, NOW, add, steady

ISSUE = """SELECT feature_id, event_date, AVG(latency_ms) OVER (
    PARTITION BY feature_id ORDER BY event_date ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS rolling_7d_latency
    FROM fact_feature_metrics"""
HOSTILE = ["$browser", "utm.source", "a*b", "cart[0]", 'it\'s "q"', "; DROP VIEW sessions; --", "❤", "a\\b"]


def refreshed(lake, **more) -> None:
    said: list[str] = []
    refresh_warehouse(lake, say=said.append, **more)
    assert said == []


def asked(lake, sql: str, **more) -> list[tuple]:
    """As another program would: by its own connection to the file."""
    with duckdb.connect(str(lake / "warehouse.duckdb"), **more) as con:
        return con.execute(sql).fetchall()


@pytest.fixture
def place(tmp_path):
    """500 events of ten days within the window, one late and two early beside it; 250 observations and one late; one refused row."""
    place = tmp_path / 'it\'s a "place"'
    place.mkdir()
    add(place, "own", steady(10, 50))
    add(place, "late", [MONDAY + timedelta(days=40)])
    add(place, "early", [datetime(2001, 1, 1), datetime(2001, 1, 2)])
    add(place, "health", [*steady(5, 50), MONDAY + timedelta(days=90)], table="telemetry")
    lines = [
        json.dumps(
            {"event_id": f"h{i}", "event_name": name, "user_id": name, "event_at": "2026-01-08T10:00:00Z"} | {name: i}
        )
        for i, name in enumerate(HOSTILE)
    ]
    (place / "names.jsonl").write_text("\n".join([*lines, '{"event_name": "x"}']) + "\n")
    ingest(SourceSpec(table="events", path=str(place / "names.jsonl")), lake=place / "lake", ingested_at=NOW)
    return place


def test_every_view_has_the_rows_that_pages_see(place):
    lake = place / "lake"
    refreshed(lake)
    data = open_lake(lake)
    assert asked(lake, "SELECT count(*) FROM fact_events") == [
        (508,)
    ]  # 500 and 8 names; the three beside are not in it
    for name in (
        "fact_events",
        "sessions",
        "dim_users",
        "dim_feature_metadata",
        "fact_feature_metrics",
        "fact_feature_hours",
        "telemetry",
        "annotations",
        "rejected",
        "gaps",
    ):
        table = {
            "fact_events": "events",
            "dim_users": "users",
            "dim_feature_metadata": "features",
            "fact_feature_metrics": "feature_metrics",
            "fact_feature_hours": "feature_hours",
        }.get(name, name)
        expected = getattr(data, table)
        columns = ", ".join(f'"{c}"' for c in expected.columns)
        here = asked(lake, f"SELECT {columns} FROM {name}", read_only=True)
        there = expected.get_backend().raw_sql(f"SELECT {columns} FROM {name}").fetchall()
        assert sorted(map(str, here)) == sorted(map(str, there)), name
    assert asked(lake, "SELECT table_name, rows_outside FROM lake_tables WHERE rows_outside > 0 ORDER BY 1") == [
        ("events", 3),
        ("telemetry", 1),
    ]
    assert asked(lake, "SELECT count(*) FROM rejected") == [(1,)]


def test_the_query_of_the_dashboards_works_as_it_is_written(place):
    refreshed(place / "lake")
    rows = asked(place / "lake", ISSUE)
    assert [(feature, latency) for feature, _, latency in rows] == [
        ("f", 100.0)
    ] * 5  # 100 ms in every row of five days


def test_names_in_the_data_are_literal(place):
    refreshed(place / "lake")
    for i, name in enumerate(HOSTILE):
        key = name.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
        quoted = name.replace("'", "''")
        sql = f"SELECT json_extract_string(properties, '$.\"{key}\"') FROM fact_events WHERE event_name = '{quoted}'"
        assert asked(place / "lake", sql) == [(str(i),)], name
    assert asked(place / "lake", "SELECT count(*) FROM sessions WHERE user_id = 'it''s \"q\"'") == [(1,)]


def test_a_named_end_stays_where_nobody_names_another(place):
    lake = place / "lake"
    refreshed(lake, observed_through="2026-01-06")
    assert asked(lake, "SELECT count(*) FROM fact_events") == [(100,)]  # two days of fifty
    compact(lake, say=lambda _: None)
    assert (named_through(lake), asked(lake, "SELECT count(*) FROM fact_events")) == ("2026-01-06", [(100,)])
    refreshed(lake)
    assert asked(lake, "SELECT count(*) FROM fact_events") == [(508,)]


def test_what_the_views_name_stays_until_they_are_refreshed(place):
    """The index keeps the last two versions besides; a clean-up without grace deletes all that nobody names."""
    lake = place / "lake"
    refreshed(lake)
    everything = (
        "SELECT (SELECT count(*) FROM fact_events), (SELECT count(*) FROM sessions), (SELECT count(*) FROM telemetry), "
        "(SELECT sum(observations) FROM fact_feature_metrics), (SELECT count(*) FROM rejected)"
    )
    before = asked(lake, everything)
    for n in range(4):
        add(place, f"more{n}", [t + timedelta(seconds=n + 1) for t in steady(10, 50)])
        add(place, f"health{n}", [t + timedelta(seconds=n + 1) for t in steady(5, 50)], table="telemetry")
        open_lake(lake)
        assert asked(lake, everything) == before
    with duckdb.connect(str(lake / "warehouse.duckdb"), read_only=True) as con:
        compact(lake, say=lambda _: None, grace_seconds=0)
        assert con.execute(everything).fetchall() == before  # opened before, asked after
    assert asked(lake, "SELECT count(*) FROM fact_events") == [(2508,)]
    assert asked(lake, "SELECT count(*) FROM telemetry") == [(1250,)]


def test_a_compaction_keeps_the_files_that_the_views_named_when_it_began(place):
    """The observations are written anew, and the old files are older than any grace; the next compaction deletes them."""
    lake = place / "lake"
    refreshed(lake)
    DeltaTable(str(lake / "telemetry")).optimize.compact(target_size=1 << 30)
    add(place, "more", [MONDAY + timedelta(days=1)], table="telemetry")
    DeltaTable(str(lake / "telemetry")).optimize.compact(target_size=1 << 30)
    for file in (lake / "telemetry").rglob("*.parquet"):
        os.utime(file, (0, 0))
    with duckdb.connect(str(lake / "warehouse.duckdb"), read_only=True) as con:
        compact(lake, say=lambda _: None, grace_seconds=0)
        assert con.execute("SELECT count(*) FROM telemetry").fetchall() == [(250,)]
        compact(lake, say=lambda _: None, grace_seconds=0)
        with pytest.raises(duckdb.IOException):
            con.execute("SELECT count(*) FROM telemetry").fetchall()
    assert asked(lake, "SELECT count(*) FROM telemetry") == [(251,)]


def test_clients_of_another_process_read_on_while_rows_come_in_and_the_file_is_renewed(place):
    lake = place / "lake"
    refreshed(lake)
    program = (
        "import duckdb, sys, time\n"
        "end, seen = time.time() + 4, set()\n"
        "while time.time() < end or len(seen) < 2 and time.time() < end + 200:\n"
        "    with duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'ro') as con:\n"
        "        events = con.execute('SELECT count(*) FROM fact_events').fetchall()[0][0]\n"
        "        assert con.execute('SELECT sum(events) FROM sessions').fetchall()[0][0] == events\n"
        "        assert con.execute('SELECT sum(events) FROM dim_users').fetchall()[0][0] == events\n"
        "    if not seen:\n"
        "        print('begun', flush=True)\n"
        "    seen.add(events)\n"
        "print(sorted(seen))\n"
    )
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(lake / "warehouse.duckdb"), mode],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for mode in ("ro",)
    ]  # fmt: skip
    assert clients[0].stdout.readline() == "begun\n"
    for n in range(3):
        add(place, f"more{n}", [MONDAY + timedelta(days=1, seconds=60 * n + i) for i in range(10)])
        refreshed(lake)
    for client in clients:
        out, err = client.communicate(timeout=240)
        assert (client.returncode, err) == (0, "")
        assert set(json.loads(out)) <= {508, 518, 528, 538} and len(json.loads(out)) > 1


def test_a_client_that_writes_into_the_file_hinders_nobody(place):
    lake = place / "lake"
    refreshed(lake)
    program = (
        "import duckdb, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute('CREATE TABLE mine AS SELECT 1')\n"
        "print('in', flush=True)\n"
        "sys.stdin.read()\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(lake / "warehouse.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout.readline() == "in\n"
        assert main(["sql", "--lake", str(lake), "SELECT count(*) FROM sessions"]) == 0
        add(place, "more", [MONDAY + timedelta(days=1)])
        refreshed(lake)
        assert asked(lake, "SELECT count(*) FROM fact_events") == [(509,)]
    finally:
        writer.communicate("")
    assert asked(lake, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'mine'") == [(0,)]


def test_a_moved_lake_a_deleted_index_and_a_damaged_file_are_made_again(place, capsys):
    lake, moved = place / "lake", place / "moved"
    refreshed(lake)
    shutil.move(lake, moved)
    with pytest.raises(duckdb.IOException):
        asked(moved, "SELECT count(*) FROM fact_events")
    assert main(["sql", "--lake", str(moved), "--csv", "SELECT count(*) AS n FROM fact_events"]) == 0
    assert capsys.readouterr().out == "n\n508\n"
    assert asked(moved, "SELECT count(*) FROM fact_events") == [(508,)]
    shutil.rmtree(moved / "_index")
    refreshed(moved)
    assert asked(moved, "SELECT count(*) FROM fact_events") == [(508,)]
    (moved / "warehouse.duckdb").write_bytes(b"nothing")
    refreshed(moved)
    assert asked(moved, "SELECT count(*) FROM fact_events") == [(508,)]


def test_a_file_that_names_the_same_is_not_written_again(place):
    refreshed(place / "lake")
    first = os.stat(place / "lake" / "warehouse.duckdb").st_ino
    refreshed(place / "lake")
    assert os.stat(place / "lake" / "warehouse.duckdb").st_ino == first
    assert sorted(p.name for p in (place / "lake").glob("*warehouse*")) == ["warehouse.duckdb"]


def test_a_file_that_cannot_be_written_is_one_sentence(place, monkeypatch):
    said: list[str] = []

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    refresh_warehouse(place / "lake", say=said.append)
    assert len(said) == 1 and said[0].startswith("warehouse=") and "\n" not in said[0]


def test_a_lake_without_rows_has_every_view_and_no_row(tmp_path):
    refreshed(tmp_path)
    for name in (
        "fact_events",
        "sessions",
        "dim_users",
        "fact_feature_metrics",
        "telemetry",
        "rejected",
        "gaps",
        "lake_tables",
    ):
        assert asked(tmp_path, f"SELECT count(*) FROM {name}") == [(0,)], name


def test_a_client_of_another_process_reads_on_while_the_lake_is_compacted(place):
    lake = place / "lake"
    refreshed(lake)
    program = (
        "import duckdb, sys\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as con:\n"
        "    print('begun', flush=True)\n"
        "    seen = set()\n"
        "    while not seen or sys.stdin.readline() == 'on\\n':\n"
        "        seen.add(con.execute('SELECT count(*), count(DISTINCT event_id) FROM fact_events').fetchall()[0])\n"
        "        print('read', flush=True)\n"
        "print(sorted(seen))\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", program, str(lake / "warehouse.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert (client.stdout.readline(), client.stdout.readline()) == ("begun\n", "read\n")
    said: list[str] = []

    def say(text: str) -> None:
        """The client asks again between the steps of the compaction."""
        said.append(text)
        client.stdin.write("on\n")
        client.stdin.flush()
        assert client.stdout.readline() == "read\n"

    add(place, "more", [MONDAY + timedelta(days=1, seconds=i) for i in range(10)])
    compact(lake, say=say, grace_seconds=0)
    out, _ = client.communicate("end\n", timeout=60)
    assert (client.returncode, out, len(said) >= 3) == (0, "[(508, 508)]\n", True)
    assert asked(lake, "SELECT count(*) FROM fact_events") == [(518,)]
