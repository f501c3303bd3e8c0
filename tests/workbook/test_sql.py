"""`launchpad sql`: one SELECT to the lake's views, and nothing else. Rows are counted by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.lake.asking import answered
from launchpad_lib.lake.warehouse import warehouse_views
from tests.lake.test_snapshot import add, steady

EMPTY = {"annotations", "dim_feature_metadata", "experiments", "gaps", "rejected", "series"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """100 events by four users in two days, 50 observations of one feature."""
    place = tmp_path_factory.mktemp("sql")
    add(place, "own", steady(2, 50))
    add(place, "health", steady(1, 50), table="telemetry")
    return place / "lake"


def run(capsys, lake, *arguments: str) -> tuple[int, str, str]:
    status = main(["sql", "--lake", str(lake), *arguments])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_a_table_shows_some_rows_and_counts_the_others(lake, capsys):
    status, out, _ = run(
        capsys, lake, "--rows", "3", "SELECT event_id, NULL AS nothing FROM fact_events ORDER BY event_at"
    )
    assert status == 0
    assert [line.split() for line in out.splitlines()[2:5]] == [[f"own{i}", "NULL"] for i in range(3)]
    assert out.splitlines()[5] == "and 97 more; --csv and --json give every row"
    assert run(capsys, lake, "SELECT 1 WHERE false")[1].endswith("no rows\n")


def test_csv_and_json_give_every_row(lake, capsys):
    sql = "SELECT user_id, count(*) AS n, NULL AS x, 'a,\"b' AS y FROM fact_events GROUP BY 1 ORDER BY 1"
    assert run(capsys, lake, "--csv", sql)[1].splitlines() == [
        "user_id,n,x,y",
        *[f'u{i},25,,"a,""b"' for i in range(4)],
    ]
    assert json.loads(run(capsys, lake, "--json", sql)[1]) == [
        {"user_id": f"u{i}", "n": 25, "x": None, "y": 'a,"b'} for i in range(4)
    ]
    assert len(json.loads(run(capsys, lake, "--json", "FROM fact_events")[1])) == 100
    assert json.loads(
        run(capsys, lake, "--json", "SELECT 1 AS a, 2 AS a, 'nan'::DOUBLE AS b, [DATE '2026-01-05'] AS c")[1]
    ) == [{"a": 1, "a_1": 2, "b": None, "c": ["2026-01-05"]}]
    assert run(capsys, lake, "--json", "SELECT 1 WHERE false")[1] == "[]\n"


def test_the_query_may_come_from_a_file_or_from_standard_input(lake, capsys, tmp_path, monkeypatch):
    file = tmp_path / "q.sql"
    file.write_text("-- how many\nSELECT count(*) AS n FROM fact_events; -- all\n")
    assert run(capsys, lake, "--csv", "-f", str(file)) == (0, "n\n100\n", "")
    with file.open() as given:
        monkeypatch.setattr(sys, "stdin", given)
        assert run(capsys, lake, "--csv", "-") == (0, "n\n100\n", "")


def test_every_view_that_is_there_is_read(lake, capsys):
    views = [row["name"] for row in json.loads(run(capsys, lake, "--json", "SHOW TABLES")[1])]
    rows = {view: json.loads(run(capsys, lake, "--json", f"FROM {view}")[1]) for view in views}
    assert "fact_feature_hours" in views and sum(row["observations"] for row in rows["fact_feature_hours"]) == 50
    assert {view for view in views if not rows[view]} == EMPTY


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("FROM fact_event", "there is no view 'fact_event'; did you mean 'fact_events'?"),
        ("SELECT user FROM nothing_like_it", "there is no view 'nothing_like_it'; there are annotations"),
        ("SELECT event FROM fact_events", "event_at"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("  ;", "is empty"),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_one_sentence(lake, capsys, sql, said):
    status, out, err = run(capsys, lake, sql)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("launchpad: sql") and said in err


HOSTILE = [
    "COPY (SELECT 1) TO '{there}'",
    "COPY (SELECT 1) TO '{own}'",
    "WITH a AS (COPY (SELECT 1) TO '{there}') FROM a",
    "WITH a AS (COPY (SELECT 1) TO '{own}' (FORMAT parquet, USE_TMP_FILE false)) FROM a",
    "FROM (WITH a AS (COPY (SELECT 1) TO '{own}' (USE_TMP_FILE false)) FROM a)",
    "FROM json_execute_serialized_sql(json_serialize_sql('WITH a AS (COPY (SELECT 1) TO ''{own}'' (USE_TMP_FILE false)) FROM a'))",
    "FROM system.main.json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "FROM \"JSON_EXECUTE_serialized_sql\"(json_serialize_sql('SELECT 1'))",
    "PRAGMA json_execute_serialized_sql('x')",
    "FROM query('SELECT 1')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{own}'",
    "ATTACH '{there}' AS x",
    "ATTACH ':memory:' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FROM read_csv('/etc/passwd')",
    "FROM '/etc/passwd'",
    "FROM '/etc/hostname.csv'",
    "FROM 'https://example.invalid/x.csv'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (FROM glob('/etc/*'))",
    "FROM read_parquet('{own}')",
    "FROM enable_logging(storage_path = '{there}')",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW sessions",
    "EXPORT DATABASE '{there}'",
    "SELECT getenv('HOME')",
    "CALL enable_profiling(save_location = '{there}')",
    "FROM lake",  # a variable of the program that asks
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_nothing_else_is_read_or_written(lake, capsys, tmp_path, sql):
    there = tmp_path / "there"
    own = [f for f in warehouse_views(lake).files if "'" not in f]
    before = {f: Path(f).read_bytes() for f in own}
    status, out, err = run(capsys, lake, sql.format(there=there, own=own[0]))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert not there.exists() and {f: Path(f).read_bytes() for f in own} == before


def test_the_engine_itself_is_locked_too(lake, monkeypatch):
    """The second lock without the first: what gets past the reading of the SQL meets an engine that touches no other file."""
    import tempfile

    from launchpad_lib.lake import asking

    monkeypatch.setattr(asking, "_refuse_unless_it_only_reads", lambda *_: None)
    spill = tempfile.gettempdir()
    for sql in (
        "FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "SET memory_limit = '64GB'",
        "FROM sql",
    ):
        with pytest.raises(ValueError), asking.answered(sql, warehouse_views(lake), spill=str(Path(spill) / "none")):
            pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no query is given"),
        (["-f", "no.sql", "SELECT 1"], "both a query and --file"),
        (["-f", "no.sql"], "file='no.sql': cannot be read"),
        (["--rows", "0", "SELECT 1"], "rows=0"),
        (["--params", "x.yaml", "SELECT 1"], "leave one of them out"),
    ],
)  # fmt: skip
def test_arguments_are_checked(lake, capsys, arguments, said):
    status, out, err = run(capsys, lake, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1) and said in err


def test_a_lake_that_is_not_there_is_one_sentence(tmp_path, capsys):
    status, _, err = run(capsys, tmp_path / "none", "SELECT 1")
    assert (status, err.count("\n")) == (2, 1) and "there is no such folder" in err


def test_a_reader_that_has_enough_ends_it_quietly(lake):
    asks = f"{sys.executable} -m launchpad_lib.cli.main sql --lake '{lake}' --csv 'SELECT range FROM range(300000)' | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", asks], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr, done.returncode) == ("range\n", "", 0)


@pytest.mark.parametrize("asked", ["report --help", "--help", "params"])
def test_a_reader_that_has_enough_of_a_help_text_ends_it_quietly(asked):
    program = f"{sys.executable} -c 'from launchpad_lib.cli.main import main; raise SystemExit(main())' {asked}"
    pipe = f"set -o pipefail; {program} | true"
    done = subprocess.run(["bash", "-c", pipe], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_stops_a_query_and_not_only_its_rows(lake, tmp_path):
    """The engine would count for minutes; in the main thread it hears a signal when it is done."""
    asked = "SELECT count(*) FROM range(400000) a, range(400000) b WHERE a.range * 7 % 11 < b.range * 3 % 13"
    began, stop = time.monotonic(), threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started us may ignore it
    stop.start()
    try:
        with pytest.raises(KeyboardInterrupt), answered(asked, warehouse_views(lake), spill=str(tmp_path)):
            pass
    finally:
        stop.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 60


def test_questions_have_the_memory_of_a_lake_and_no_more(lake, tmp_path):
    with answered("SELECT current_setting('memory_limit')", warehouse_views(lake), spill=str(tmp_path)) as (_, parts):
        assert [row for part in parts for row in part] == [("953.6 MiB",)]  # 1 GB


def test_a_workbook_whose_usual_lake_is_not_there_is_told_how_to_name_another(capsys, tmp_path, monkeypatch):
    for folder in ("notebooks", "params"):
        (tmp_path / folder).mkdir()
    (tmp_path / "params" / "weekly.yaml").write_text("name: weekly\nlake: nowhere\nsequence: [[data_quality]]\n")
    monkeypatch.chdir(tmp_path)
    assert main(["sql", "SELECT 1"]) == 2
    said = "lake='nowhere': there is no such folder; run `launchpad ingest` first, or name a lake by --lake or --params"
    assert capsys.readouterr().err == f"launchpad: {said}\n"


def test_the_lake_of_the_workbooks_params_is_read_up_to_its_named_end(lake, capsys, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "weekly.yaml").write_text(
        f"name: weekly\nlake: {lake}\nobserved_through: '2026-01-05'\nsequence: [[data_quality]]\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["sql", "--csv", "SELECT count(*) AS n FROM fact_events"]) == 0
    assert capsys.readouterr().out == "n\n50\n"


def test_every_query_of_the_documentation_is_answered(lake, capsys):
    text = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
    blocks = ["\n".join(b) for b in _indented(text.splitlines()) if b[0].startswith(("SELECT", "--"))]
    queries = [q for block in blocks for q in block.split("\n\n")]
    assert len(queries) == 6
    for query in queries:
        assert run(capsys, lake, query)[0] == 0, query


def _indented(lines: list[str]) -> list[list[str]]:
    """The indented blocks; an empty line between two indented ones belongs to a block."""
    blocks: list[list[str]] = []
    for i, line in enumerate(lines):
        is_within = not line and 0 < i < len(lines) - 1 and lines[i - 1][:4] == lines[i + 1][:4] == "    "
        if line.startswith("    ") or is_within:
            if blocks and (lines[i - 1].startswith("    ") or not lines[i - 1]) and blocks[-1]:
                blocks[-1].append(line[4:])
            else:
                blocks.append([line[4:]])
        elif blocks and blocks[-1]:
            blocks.append([])
    return [b for b in blocks if b]
