"""All pages of a run in one file: the switch of the run, what is refused, and the file when its run is pruned."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.cli.main import main
from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.page.notes import NOTE_MIME
from launchpad_lib.page.publication import publish_notebook
from launchpad_lib.runner import single_file as room
from launchpad_lib.runner.checksums import checksums
from launchpad_lib.runner.indexes import publish_index
from launchpad_lib.runner.pruning import prune
from tests.manifests import WHOLE

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def kept(reports: Path, run_id: str, *, day: int = 1, name: str = "w") -> Path:
    """A run of one page, as it is published."""
    folder = reports / run_id
    folder.mkdir(parents=True)
    said = new_output("display_data", data={NOTE_MIME: {"text": "[Read me](https://wiki.example/note)"}})
    cell = new_code_cell("x", outputs=[new_output("stream", text="what it found"), said], execution_count=1)
    publish_notebook(
        new_notebook(cells=[new_markdown_cell("# Own page"), cell]), html_path=folder / "own.html", title="Own page",
        status="ok", reason=None, context={"run_id": run_id, "started_at": WHOLE["started_at"], "inputs": {}}, last_good=None,
    )  # fmt: skip
    page = {"name": "own", "title": "Own page", "status": "ok", "reason": None, "seconds": 1.0, "html": "own.html"}
    told = WHOLE | {"run_id": run_id, "started_at": f"2026-01-{day:02}T06:00:00+00:00", "params": {"name": name}}
    told |= {"notebooks": [page]}
    publish_index(folder, Manifest.model_validate(told))
    told |= {"files": [one.model_dump() for one in checksums(folder)]}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def workbook(tmp_path, monkeypatch) -> Path:
    """A params file whose run publishes a run of one page."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    path = tmp_path / "params" / "p.yaml"
    path.write_text(
        f"name: w\nlake: {tmp_path / 'lake'}\nreports: {tmp_path / 'reports'}\nsources: []\nsequence: [[funnels]]\n"
    )
    monkeypatch.setattr("launchpad_lib.runner.forked_kernels.kernel_server", contextlib.nullcontext)

    def run_report(run, *, run_id, **_):
        kept(Path(run.reports), run_id)
        return 0

    monkeypatch.setattr("launchpad_lib.runner.run.run_report", run_report)
    return path


def test_the_switch_writes_all_pages_of_the_run_beside_its_folder(workbook, capsys):
    reports = workbook.parents[1] / "reports"
    assert main(["report", str(workbook), "--run-id", "plain"]) == 0 and not (reports / "plain.html").exists()
    capsys.readouterr()
    assert main(["report", str(workbook), "--run-id", "r1", "--single-file"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"in one file: {reports / 'r1.html'}"
    text = (reports / "r1.html").read_text()
    assert 'id="page-index"' in text and 'id="page-own"' in text and "what it found" in text
    assert "Note by the analyst" in text and 'href="https://wiki.example/note">Read me</a>' in text
    assert room.is_single_file_of(reports / "r1.html", "r1") and not room.is_single_file_of(reports / "r1.html", "r2")
    assert main(["report", str(workbook), "--run-id", "index", "--single-file"]) == 2
    assert "not index; choose another" in capsys.readouterr().err and not (reports / "index").exists()


def test_a_run_whose_one_file_would_be_too_large_stands_and_says_so(workbook, capsys, monkeypatch):
    monkeypatch.setattr(room, "MOST_BYTES", 10_000)
    assert main(["report", str(workbook), "--run-id", "r1", "--single-file"]) == 1
    said = capsys.readouterr()
    assert "no single file: run=" in said.out and "send the folder, or run fewer notebooks (`sequence`)" in said.out
    reports = workbook.parents[1] / "reports"
    assert (reports / "r1" / "index.html").exists() and not list(reports.glob("*.html"))
    assert main(["report", str(workbook), "--run-id", "r2", "--single-file", "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("launchpad: no single file: ") and said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (lambda page: page.unlink(), "cannot be read (No such file or directory); make the run again"),
        (lambda page: page.write_text(page.read_text().replace("/*own*/", "")), "was made by an earlier version"),
        (lambda page: page.write_text(page.read_text().replace("<footer>", "<footer class='x'>")), "was made by an ea"),
    ],
)
@pytest.mark.parametrize("which", ["own.html", "index.html"])
def test_a_missing_and_an_older_page_are_refused_in_one_sentence_and_nothing_is_written(
    tmp_path, capsys, spoiled, why, which
):
    spoiled(kept(tmp_path, "r1") / which)
    assert main(["single-file", "r1", "--reports", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert why in said and which.removesuffix(".html") in said and said.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


def test_the_file_goes_with_its_run_and_only_as_it_was_written(tmp_path, capsys):
    for number in range(6):
        kept(tmp_path, f"r{number}", day=20 - number)
        assert main(["single-file", f"r{number}", "--reports", str(tmp_path)]) == 0
    written = (tmp_path / "r2.html").read_text()
    (tmp_path / "r2.html").write_text(written.replace("what it found", "what I think"))
    (tmp_path / "r3.html").write_text((tmp_path / "r1.html").read_text())  # of another run
    (tmp_path / "r4.html").unlink()
    (tmp_path / "r4.html").symlink_to("r1.html")
    (tmp_path / "r5.html").write_text("mine")
    (tmp_path / "notes.html").write_text(written)  # names no run
    due = {f"r{number}" for number in range(1, 6)}
    would = prune(tmp_path, now=NOW, keep=1, is_dry=True)
    assert set(would.removed) == due | {"r1.html"} and (tmp_path / "r1.html").exists()
    done = prune(tmp_path, now=NOW, keep=1)
    assert done == would and set(done.left) == {"r2.html", "r3.html", "r4.html", "r5.html"}
    left = {path.name for path in tmp_path.iterdir()} - {".runs.json"}
    assert left == {"r0", "r0.html", "r2.html", "r3.html", "r4.html", "r5.html", "notes.html", "index.html"}
