"""A workbook: which folder it is, how it is made, and that the wheel alone is enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.page.output import FINDINGS_MIME, METRIC_MIME, TABLE_MIME
from launchpad_lib.runner.parameters import NOTEBOOKS, ParameterError
from launchpad_lib.runner.workbook import this_workbook, usual_params, workbook_of
from launchpad_lib.runner.workbook_making import init_workbook

ROOT = Path(__file__).resolve().parents[2]


def test_the_workbook_of_a_params_file_is_the_nearest_folder_above_it_with_notebooks(tmp_path, monkeypatch):
    (tmp_path / "book/notebooks").mkdir(parents=True)
    (tmp_path / "book/params/variants").mkdir(parents=True)
    (tmp_path / "else/notebooks").mkdir(parents=True)
    (tmp_path / "bare/params").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "bare")
    book = tmp_path / "book"
    assert {workbook_of(book / p) for p in ("p.yaml", "params/p.yaml", "params/variants/p.yaml")} == {book}
    assert workbook_of(Path("params/p.yaml")) == tmp_path / "bare"
    assert workbook_of(Path("p.yaml")) == tmp_path / "bare"
    with pytest.raises(ParameterError, match="launchpad init DIR"):
        this_workbook()
    monkeypatch.chdir(tmp_path / "else/notebooks")
    assert workbook_of(tmp_path / "bare/params/p.yaml") == this_workbook() == tmp_path / "else"
    assert workbook_of(Path("../../book/p.yaml")) == book
    with pytest.raises(ParameterError, match="weekly.yaml: is not there"):
        usual_params()


def test_init_writes_what_is_brought_and_never_overwrites(tmp_path):
    target = tmp_path / "book"
    target.mkdir()
    (target / ".gitignore").write_text("mine\n")
    (target / "data.csv").write_text("a\n")
    written = init_workbook(target)
    assert {p.relative_to(target).as_posix() for p in written} == {
        "params/weekly.yaml", *(f"notebooks/{name}.ipynb" for name in NOTEBOOKS),
    }  # fmt: skip
    assert (target / ".gitignore").read_text() == "mine\n" and (target / "data.csv").exists()
    assert (target / "params/weekly.yaml").read_bytes() == (ROOT / "params/weekly.yaml").read_bytes()
    (target / "notebooks/funnels.ipynb").write_text("my work")
    shutil.rmtree(target / "params")
    with pytest.raises(ParameterError, match="is there already, and nothing is overwritten"):
        init_workbook(target)
    assert (target / "notebooks/funnels.ipynb").read_text() == "my work"
    assert not (target / "params").exists(), "refused before anything is written"
    with pytest.raises(ParameterError, match="is a file"):
        init_workbook(target / "data.csv")


def test_a_dangling_link_is_a_file_that_is_there(tmp_path):
    (tmp_path / "params").mkdir()
    (tmp_path / "params/weekly.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ParameterError, match="weekly.yaml: is there already"):
        init_workbook(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_ingest_puts_the_lake_into_the_workbook_from_whatever_folder_it_is_started(tmp_path, monkeypatch, capsys):
    (tmp_path / "book/notebooks").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    row = '{"event_id":"1","event_name":"a","user_id":"u","event_at":"2026-01-01T00:00:00Z"}\n'
    (tmp_path / "book/rows.jsonl").write_text(row)
    (tmp_path / "book/p.yaml").write_text(
        "name: x\nlake: lake\nsources: [{table: events, path: rows.jsonl}]\nsequence: [[funnels]]\n"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["ingest", "../book/p.yaml"]) == 0
    assert f"workbook {tmp_path / 'book'}" in capsys.readouterr().out
    assert (tmp_path / "book/lake/events").is_dir() and not list((tmp_path / "elsewhere").iterdir())
    assert Path.cwd() == tmp_path / "elsewhere"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The `launchpad` of a wheel in an environment of its own, which sees the third-party packages of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("launchpad_lib", "notebooks", "params"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    uv = [sys.executable, "-m", "uv", "--offline", "-q"]
    build = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", str(folder)]
    subprocess.run([*uv, *build, str(folder / "source")], check=True)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    [wheel] = folder.glob("*.whl")
    subprocess.run([*uv, "pip", "install", "--no-deps", "--python", str(python), str(wheel)], check=True)
    [packages] = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    shutil.rmtree(folder / "source")
    return folder / "venv/bin/launchpad"


def said_by(notebook: Path) -> list[dict]:
    """Every metric, finding and result table of an executed notebook."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [o.get("data", {}) for c in cells for o in c.get("outputs", [])]
    return [data[kind] for data in outputs for kind in (METRIC_MIME, FINDINGS_MIME, TABLE_MIME) if kind in data]


def test_a_wheel_alone_makes_a_workbook_an_own_notebook_and_a_report(installed, tmp_path):
    """As a newcomer does it: init, cd, new, report; nothing of the clone is in reach."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER_PATH"))}

    def launchpad(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [installed, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
        )

    made = launchpad("init", "book", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    book = tmp_path / "book"
    assert launchpad("new", "my_days", cwd=book / "notebooks").returncode == 0
    weekly = (book / "params/weekly.yaml").read_text()
    small = weekly.replace("users: 500, days: 14", "users: 200, days: 6")
    stages = next(line for line in small.splitlines() if line.startswith("  - [retention_lift"))
    (book / "params/weekly.yaml").write_text(small.replace(stages, "  - [my_days, data_quality]"))
    run = launchpad("report", "--run-id", "first", cwd=book / "params")
    assert run.returncode == 0, run.stdout + run.stderr
    manifest = json.loads((book / "reports/first/manifest.json").read_text())
    statuses = {n["name"]: n["status"] for n in manifest["notebooks"]}
    # The scorecard has no page to read from: it says so, and nothing is called fine.
    assert statuses == {"my_days": "ok", "data_quality": "ok", "scorecard": "refused"}
    assert manifest["verdict"] == "These data cannot show whether anything got worse." and manifest["scorecard"]
    assert not (book / "reports/first/.results").exists()
    assert (book / "reports/first/my_days.html").is_file() and (book / "reports/index.html").is_file()
    for name in ("my_days", "data_quality"):
        by_hand = [installed.parent / "python", "-m", "papermill", f"notebooks/{name}.ipynb", "by_hand.ipynb"]
        # The age of the data is told as of the run's start, which a notebook by hand has to be given.
        as_of = ["-p", "as_of", manifest["started_at"]] if name == "data_quality" else []
        options = ["--cwd", "notebooks", "--no-progress-bar", *as_of]
        subprocess.run([*by_hand, *options], cwd=book, env=environment, capture_output=True, check=True, timeout=600)
        said = said_by(book / "by_hand.ipynb")
        assert said and said == said_by(book / f"reports/first/{name}.ipynb"), "papermill by hand says the same"
    assert launchpad("metrics", "completion_rate_user", cwd=tmp_path).stdout.startswith("completion_rate_user")
    assert "my_days" in launchpad("params", "mydays", cwd=book).stderr
