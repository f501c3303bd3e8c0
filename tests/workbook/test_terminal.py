"""What the command says, to whom: a terminal, a program, nobody. Real processes, a real pseudo-terminal, real shells."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from test_run import METRIC, notebook
from test_stopping import PROGRAM

from launchpad_lib.runner.durations import Durations, usual_durations
from launchpad_lib.runner.progress import JsonProgress, PlainProgress, QuietProgress, progress_for
from launchpad_lib.runner.terminal_progress import TerminalProgress
from launchpad_lib.runner.told_runs import Begun, Ended
from tests.manifests import WHOLE

COMMAND = [sys.executable, "-c", PROGRAM]
SGR = re.compile(r"\x1b\[[0-9;]*m")


def kept(reports: Path, run_id: str, *, took: float, name: str = "small", status: str = "ok", **pages: float) -> Path:
    began = datetime(2026, 1, 1, 6, tzinfo=UTC)
    run = {
        "notebooks": [
            {"name": n, "title": n, "status": "ok", "reason": None, "seconds": s, "html": "x"} for n, s in pages.items()
        ],
        "finished_at": (began + timedelta(seconds=took)).isoformat(),
    }
    (reports / run_id).mkdir(parents=True)
    path = reports / run_id / "manifest.json"
    path.write_text(json.dumps(WHOLE | run | {"run_id": run_id, "status": status, "params": {"name": name}}))
    written = len(list(reports.iterdir()))
    os.utime(path, (written, written))
    return path


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    notebook(tmp_path / "notebooks", "funnels", METRIC)
    notebook(tmp_path / "notebooks", "engagement", METRIC, "raise ValueError('no such <step>')")
    (tmp_path / "features.csv").write_text("feature_id\nquiz\n")
    source = "sources: [{table: features, path: features.csv}]"
    (tmp_path / "p.yaml").write_text(f"name: small\nlake: lake\nsequence: [[funnels]]\n{source}\n")
    (tmp_path / "two.yaml").write_text(f"name: small\nlake: lake\nsequence: [[funnels, engagement]]\n{source}\n")
    return tmp_path


def test_what_a_run_takes_is_the_median_of_the_last_five_of_its_name_that_did_not_fail(tmp_path):
    assert usual_durations(tmp_path / "none", "small") == Durations()
    kept(tmp_path, "oldest", took=1000, funnels=900)
    for number, seconds in enumerate([50, 10, 30, 20, 40]):
        kept(tmp_path, f"r{number}", took=seconds, funnels=seconds / 10, **({"cohorts": 7.0} if number == 2 else {}))
    kept(tmp_path, "failed", took=1, status="failed", funnels=0.1)
    kept(tmp_path, "other", took=5000, name="other", funnels=1)
    kept(tmp_path, ".unpublished", took=1, funnels=1)
    kept(tmp_path, "damaged", took=1).write_text("{")
    found = usual_durations(tmp_path, "small")
    assert (found.runs, found.whole, found.notebooks) == (5, 30.0, {"funnels": 3.0, "cohorts": 7.0})


def test_the_newest_runs_are_looked_at_and_no_more_than_25(tmp_path):
    kept(tmp_path, "small", took=9, funnels=1)
    for number in range(25):
        kept(tmp_path, f"o{number}", took=1, name="other")
    assert usual_durations(tmp_path, "small").runs == 0 and usual_durations(tmp_path, "other").runs == 5


def test_json_is_an_object_a_line_from_start_to_end_and_its_last_names_the_page(workbook):
    kept(workbook / "reports", "before", took=12, funnels=3.5)
    done = subprocess.run(
        [*COMMAND, "report", "two.yaml", "--json", "--run-id", "now"],
        cwd=workbook,
        capture_output=True,
        text=True,
        timeout=400,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert all(next(iter(e)) == "event" for e in events)
    assert events[0] == {
        "event": "run_started", "run_id": "now", "name": "small", "notebooks": ["funnels", "engagement"],
        "expected_seconds": 12.0,
    }  # fmt: skip
    index = events[-1].pop("index")
    assert events[-1] == {"event": "run_ended", "run_id": "now", "status": "failed"} and (workbook / index).is_file()
    started = {e["notebook"]: (e["cells"], e["expected_seconds"]) for e in events if e["event"] == "notebook_started"}
    assert started == {"funnels": (4, 3.5), "engagement": (5, None)}
    cells = [(e["done"], e["cells"]) for e in events if e["event"] == "cell_done" and e["notebook"] == "funnels"]
    assert cells == [(1, 4), (2, 4), (3, 4), (4, 4)]
    ended = {e["notebook"]: (e["status"], e["reason"]) for e in events if e["event"] == "notebook_ended"}
    assert ended == {"funnels": ("ok", None), "engagement": ("failed", "ValueError: no such <step>")}
    assert [e["text"] for e in events if e["event"] == "doing"][0] == "bringing the lake up to date"
    assert any("features: " in e["text"] for e in events if e["event"] == "said")


def read_terminal(command: list[str], *, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit status, and all that a terminal of 100 columns was sent."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", "100", "rows", "30"], stdin=theirs, check=True)
    run = subprocess.Popen(command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | env)
    os.close(theirs)
    read = b""
    while True:
        try:
            read += (more := os.read(ours, 65536))
        except OSError:  # Linux says so that nobody writes any more
            break
        if not more:
            break
    os.close(ours)
    return run.wait(120), read.decode()


def test_a_terminal_shows_what_is_done_and_how_long_it_may_take_and_keeps_a_line_of_each_notebook(workbook):
    kept(workbook / "reports", "before", took=3600, funnels=1800)
    command = [*COMMAND, "report", "p.yaml", "--run-id", "now"]
    status, sent = read_terminal(command, cwd=workbook, env={"TERM": "xterm-256color", "NO_COLOR": ""})
    plain = SGR.sub("", sent)
    assert status == 0
    assert "bringing the lake up to date" in plain and "running the notebooks" in plain
    assert "about 1 h 0 min more" in plain or "about 59 min" in plain
    assert re.search(r"funnels .*about (30 min 0 s|29 min)", plain), "of each notebook that is at work"
    assert re.search(r"\x1b\[\d*;?32mok", sent), "the word is coloured"
    last = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)) if line.strip()][-1]
    assert last.startswith("ok: reports/now/index.html ("), "the bars go, what was done stays"


def test_a_run_whose_reader_goes_away_goes_on_to_its_end_without_a_word(workbook):
    run = subprocess.Popen(
        [*COMMAND, "report", "p.yaml", "--run-id", "now"], cwd=workbook, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    run.stdout.close()
    said = run.stderr.read()
    assert (run.wait(400), said) == (0, b"")
    assert (workbook / "reports/now/index.html").is_file()


def told(progress) -> None:
    """A run of one notebook that is ok, one that refuses and one that fails."""
    with progress:
        progress.begin(Begun("r1", "small", ("a", "b", "c"), Durations(3, 200.4, {"a": 5.0})))
        progress.doing("running the notebooks")
        progress.say("[red]a doubt[/red]")
        for name, status in (("a", "ok"), ("b", "refused"), ("c", "failed")):
            progress.start(name, cells=1)
            progress.advance(name)
            progress.finish(name, status=status, seconds=1.25, reason=None if status == "ok" else "why\nso")
        progress.end(Ended("r1", "failed", "reports/r1/index.html", "failed: reports/r1/index.html"))


def test_lines_for_a_log():
    stream = io.StringIO()
    told(PlainProgress(stream))
    assert stream.getvalue().splitlines() == [
        "r1: 3 notebooks, about 3 min 20 s (median of the last 3 runs)",
        "[red]a doubt[/red]",
        "a: ok in 1.2 s",
        "b: refused after 1.2 s (why so)",
        "c: failed after 1.2 s (why so)",
        "failed: reports/r1/index.html",
    ]


def test_quiet_tells_of_what_failed_only():
    stream = io.StringIO()
    told(QuietProgress(stream))
    assert stream.getvalue() == "launchpad: c: failed after 1.2 s (why so)\n"


def test_the_documented_events_are_those_that_are_told():
    stream = io.StringIO()
    told(JsonProgress(stream))
    fields: dict[str, list[str]] = {}
    for line in stream.getvalue().splitlines():
        event = json.loads(line)
        fields[event["event"]] = [name for name in event if name != "event"]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", Path("docs/runs.md").read_text(), flags=re.M)
    documented = {event: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", said)) for event, said in rows}
    assert fields == documented


def test_without_colour_a_terminal_is_sent_the_same_words():
    shown = {}
    for no_color in (False, True):
        stream = io.StringIO()
        told(TerminalProgress(Console(file=stream, force_terminal=True, no_color=no_color, width=100)))
        shown[no_color] = stream.getvalue()
    for word in ("a: ok in 1.2 s", "b: refused after 1.2 s (why so)", "[red]a doubt[/red]"):
        assert all(word in SGR.sub("", sent) for sent in shown.values())
    assert "\x1b[31mfailed" in shown[False] and "\x1b[33mrefused" in shown[False]
    assert not re.search(r"\x1b\[(?:\d+;)*3[1-7]m", shown[True])


def test_a_terminal_that_cannot_draw_and_no_terminal_get_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Terminal()), PlainProgress)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_for(Terminal()), TerminalProgress)
    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    assert isinstance(progress_for(Terminal(), form="json"), JsonProgress)


def shell(script: str, *, cwd: Path) -> subprocess.CompletedProcess:
    """A bash in which `launchpad` is the command."""
    (cwd / "bin").mkdir(exist_ok=True)
    program = cwd / "bin" / "launchpad"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{cwd / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, timeout=240)


def test_head_behind_a_command_makes_no_noise(tmp_path):
    long = [{"name": f"funnel_{n:05}", "title": "t" * 50, "status": "refused", "reason": "r" * 50, "seconds": 1, "html": "x"} for n in range(3000)]  # fmt: skip
    path = kept(tmp_path / "reports", "r", took=1)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"notebooks": long}))
    done = shell("launchpad history small | head -c 10; echo; launchpad history small | head -1 | wc -l", cwd=tmp_path)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == ["r", "1"], "more than a pipe holds, and its reader was gone"


def test_version_and_quiet_ingest(workbook):
    done = shell(
        "launchpad --version; launchpad ingest p.yaml --quiet; echo $?; launchpad ingest p.yaml --json", cwd=workbook
    )
    version, status, *events = done.stdout.splitlines()
    assert re.fullmatch(r"launchpad \d+\.\d+\.\d+", version) and status == "0" and done.stderr == ""
    assert all(json.loads(e)["event"] == "said" for e in events) and "1 known" in events[0]


def test_bash_completes_commands_options_and_files(tmp_path):
    (tmp_path / "weekly_params.yaml").touch()
    asked = "COMP_WORDS=({words}); COMP_CWORD={at}; _shtab_launchpad; echo ${{COMPREPLY[@]}}"
    lines = [
        asked.format(words="launchpad his", at=1),
        asked.format(words="launchpad report --q", at=2),
        asked.format(words="launchpad report weekly", at=2),
    ]
    done = shell("; ".join(['eval "$(launchpad completion bash)"', *lines]), cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == ["history", "--quiet", "weekly_params.yaml"]


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_the_other_shells_are_given_every_command(tmp_path, name):
    script = shell(f"launchpad completion {name}", cwd=tmp_path).stdout
    for command in ("report", "history", "completion"):
        assert re.search(rf"\b{command}\b", script)
