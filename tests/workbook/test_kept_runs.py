"""Kept runs held against each other, made again, listed for programs and removed. Expected differences are by hand."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest
from test_run import NOW, notebook, run

from launchpad_lib.cli.main import main
from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.runner.checksums import checksums
from launchpad_lib.runner.differences import differences
from launchpad_lib.runner.pruning import prune
from tests.manifests import WHOLE

COUNTS = """
from launchpad_lib.contract.catalogue import Metric
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.lake import open_lake
from launchpad_lib.page.output import metric
rows = open_lake(lake, versions=lake_versions, observed_through=observed_through).events.count().execute()
own = Metric('m', 'Rows', 'what?', 'd', 'units', 'none', 'count', 'neither', '', 'by hand')
metric(own, Estimate(float(rows), None, None, int(rows)))
"""


def said(value: float | None, **more) -> dict:
    return {
        "notebook": "funnels", "name": "m", "label": "M", "value": value, "ci_low": None, "ci_high": None, "n": 4,
        "unit": "fraction", "segment": None, "higher_is_better": None, "definition": "d",
        "refused_because": None if value is not None else "too few", "status": "ok" if value is not None else "refused",
    } | more  # fmt: skip


def kept(reports: Path, run_id: str, *, days_ago: float = 0, status: str = "ok", name: str = "w", **more) -> Path:
    """A run's folder with a page and a manifest with checksums."""
    folder = reports / run_id
    folder.mkdir(parents=True)
    (folder / "funnels.html").write_text("<p>page</p>")
    page = {"name": "funnels", "title": "F", "status": status, "reason": None, "seconds": 1.0, "html": "funnels.html"}
    told = WHOLE | {"run_id": run_id, "status": status, "params": {"name": name}, "notebooks": [page]} | more
    told |= {"started_at": (NOW - timedelta(days=days_ago)).isoformat()}
    told |= {"files": [one.model_dump() for one in checksums(folder)]}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


def test_what_differs_between_two_runs_and_nothing_else():
    read = {"version": 3, "rows": 5, "observed_through": "2026-01-01", "rejected": 0, "rows_by_date": {"2026-01-01": 5}}
    one = WHOLE | {
        "params": {"name": "w", "notebooks": {"funnels": {"window": "7d"}}, "sequence": [["funnels"]]},
        "inputs": {"events": read},
        "metrics": [said(0.5), said(0.25, segment="web"), said(0.1, name="k"), said(0.1, name="k")],
    }
    other = json.loads(json.dumps(one)) | {"run_id": "s", "started_at": "2026-02-01T00:00:00+00:00"}
    assert differences(Manifest.model_validate(one), Manifest.model_validate(other))[:6] == ((), (), (), (), (), 4)
    other["params"]["notebooks"]["funnels"] = {"window": "14d", "min_cell": 5}
    other["inputs"]["events"]["version"] = 4
    other["metrics"] = [said(None), said(0.25, segment="web"), said(0.1, name="k"), said(0.1, name="k", ci_low=0.05)]
    other["metrics"] += [said(1.0, name="new")]
    found = differences(Manifest.model_validate(one), Manifest.model_validate(other))
    assert [tuple(d) for d in found.params] == [
        ("notebooks.funnels.window", "7d", "14d"),
        ("notebooks.funnels.min_cell", "not there", 5),
    ]
    assert [tuple(d) for d in found.inputs] == [("events.version", 3, 4)]
    assert [d.name for d in found.numbers] == ["funnels.m", "funnels.k (2)", "funnels.new"]
    assert found.numbers[0].other == "refused, too few" and found.numbers[2].one == "not there"
    assert found.same_numbers == 2
    assert found.lines()[-1] == "2 numbers are the same, 3 differ"


def test_diff_by_id_and_by_folder(tmp_path, capsys):
    kept(tmp_path, "a", metrics=[said(0.5)])
    kept(tmp_path, "b", metrics=[said(0.75)])
    assert main(["diff", "a", str(tmp_path / "b"), "--reports", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["numbers"] == [{"name": "funnels.m", "one": "50.0 %, n = 4", "other": "75.0 %, n = 4"}]
    assert main(["diff", "a", "none", "--reports", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_history_for_programs(tmp_path, capsys):
    kept(tmp_path, "a", days_ago=7, metrics=[said(0.5), said(None, segment='a,"b"')])
    kept(tmp_path, "b", metrics=[said(0.75), said(1, name="k")])
    assert main(["history", "w", "--reports", str(tmp_path), "--json", "--metric", "m"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["run_id"], r["segment"], r["value"], r["refused_because"]) for r in rows] == [
        ("a", None, 0.5, None),
        ("a", 'a,"b"', None, "too few"),
        ("b", None, 0.75, None),
    ]
    assert main(["history", "w", "--reports", str(tmp_path), "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(r["run_id"], r["name"], r["value"]) for r in table][-1] == ("b", "k", "1")
    assert table[1]["segment"] == 'a,"b"' and table[1]["value"] == ""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on a lake of two events, and two more events since."""
    place = tmp_path_factory.mktemp("made")
    notebook(place / "notebooks", "funnels", COUNTS)

    def bring(part: int) -> None:
        lines = [f"{part}-{n},x,u,2026-01-0{5 + part}T10:0{n}:00Z" for n in range(2)]
        (place / f"e{part}.csv").write_text("\n".join(["event_id,event_name,user_id,event_at", *lines]))
        ingest(SourceSpec(table="events", path=str(place / f"e{part}.csv")), lake=place / "lake", ingested_at=NOW)

    bring(0)
    with contextlib.chdir(place):
        _, manifest, folder, _ = run(place, ["funnels"])
    assert manifest["metrics"][0]["value"] == 2
    bring(1)
    return place, folder.name


@pytest.fixture
def workbook(made, tmp_path, monkeypatch):
    """A copy of it, moved with all that its manifest names."""
    place = Path(shutil.copytree(made[0], tmp_path / "moved"))
    path = place / "reports" / made[1] / "manifest.json"
    path.write_text(path.read_text().replace(str(made[0]), str(place)))
    monkeypatch.chdir(place)
    return path.parent


def test_a_run_made_again_on_its_versions_says_the_same_and_does_not_count_as_the_next(workbook, capsys):
    assert main(["rerun", workbook.name]) == 0
    out = capsys.readouterr().out
    assert "identical, 1 numbers are the same, 0 differ" in out and "package" not in out
    (again,) = [f for f in (workbook.parent).glob("*-again-*") if f.is_dir()]
    made = json.loads((again / "manifest.json").read_text())
    assert made["params"]["name"] == "small-again" and made["metrics"][0]["value"] == 2
    assert main(["history", "small"]) == 0 and "again" not in capsys.readouterr().out


def test_what_could_not_be_pinned_and_what_differs_is_told(workbook, capsys):
    told = json.loads((workbook / "manifest.json").read_text())
    told["versions"]["packages"]["duckdb"] = "0.1"
    (workbook / "manifest.json").write_text(json.dumps(told))
    notebook(workbook.parents[1] / "notebooks", "funnels", COUNTS.replace("float(rows)", "float(rows + 1)"))
    assert main(["rerun", workbook.name, "--json", "--run-id", "again"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["is_identical"] and [d["name"] for d in said["numbers"]] == ["funnels.m"]
    assert any(s.startswith("package duckdb: 0.1, now ") for s in said["unpinned"])
    assert "notebook funnels: its cells are others now" in said["unpinned"]


@pytest.mark.parametrize("loss", ["lake", "version"])
def test_a_lake_or_a_version_that_is_gone_is_one_sentence(workbook, capsys, loss):
    if loss == "lake":
        shutil.rmtree(workbook.parents[1] / "lake")
    else:
        told = json.loads((workbook / "manifest.json").read_text())
        told["inputs"]["events"]["version"] = 99
        (workbook / "manifest.json").write_text(json.dumps(told))
    assert main(["rerun", workbook.name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def names(reports: Path) -> set[str]:
    return {p.name for p in reports.iterdir() if p.is_dir()}


def test_of_each_name_the_newest_and_the_newest_good_run_stay(tmp_path):
    for number in range(5):
        kept(tmp_path, f"w{number}", days_ago=number, status="failed" if number < 2 else "ok")
    kept(tmp_path, "x0", name="x", days_ago=300)
    assert prune(tmp_path, now=NOW, keep=1, is_dry=True).removed == ("w1", "w3", "w4")
    assert len(names(tmp_path)) == 6
    assert prune(tmp_path, now=NOW, keep=1, older_than_days=3.5).removed == ("w4",)
    assert prune(tmp_path, now=NOW, older_than_days=0.5, name="x").removed == ()
    assert prune(tmp_path, now=NOW, keep=2).removed == ("w3",)
    assert names(tmp_path) == {"w0", "w1", "w2", "x0"}
    index = (tmp_path / "index.html").read_text()
    assert "w2/index.html" in index and "w3/index.html" not in index


def test_what_is_not_only_ours_stays(tmp_path):
    for number in range(1, 7):
        kept(tmp_path, f"w{number}", days_ago=number)
    kept(tmp_path, "w0")
    (tmp_path / "w1" / "notes.md").write_text("mine")
    (tmp_path / "w2" / "funnels.html").write_text("mended by hand")
    told = json.loads((tmp_path / "w3" / "manifest.json").read_text())
    (tmp_path / "w3" / "manifest.json").write_text(json.dumps(told | {"files": None}))
    (tmp_path / "w4").rename(tmp_path / "elsewhere")
    (tmp_path / "w4").symlink_to("elsewhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    done = prune(tmp_path, now=NOW, keep=1)
    assert set(done.removed) == {"w5", "w6"}
    assert set(done.left) == {"w1", "w2", "w3", "w4", "elsewhere"}
    assert names(tmp_path) == {"mine", "w0", *done.left}


def test_the_page_that_a_kept_run_calls_its_last_good_one_stays(tmp_path):
    kept(tmp_path, "good", days_ago=9)
    kept(tmp_path, "ok", days_ago=5)
    bad = kept(tmp_path, "bad", status="refused")
    (bad / "funnels.html").write_text('<a href="../good/funnels.html">The last good page</a>')
    assert "good" in prune(tmp_path, now=NOW, keep=1).left


def test_what_killed_runs_left_goes_after_a_day_and_what_only_looks_like_it_stays(tmp_path):
    kept(tmp_path, "w0")
    for name, age in ((".w.abc123.partial", 2), (".v.abc123.partial", 0.1), (".mine.partial", 2)):
        (tmp_path / name).mkdir()
        note = tmp_path / name / "manifest.json"
        note.write_text('{"inputs": {}}')
        os.utime(note, (time.time() - age * 86_400,) * 2)
    (tmp_path / ".u.abc123.partial").mkdir()
    assert prune(tmp_path, now=NOW, keep=1).removed == (".w.abc123.partial",)
    assert {".v.abc123.partial", ".u.abc123.partial", ".mine.partial"} <= names(tmp_path)


def test_a_kill_while_removing_leaves_no_half_run_under_its_name(tmp_path, monkeypatch):
    kept(tmp_path, "w0")
    kept(tmp_path, "w1", days_ago=2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prune(tmp_path, now=NOW, keep=1)
    assert "w1" not in names(tmp_path)
    (left,) = tmp_path.glob(".w1.*.partial")
    os.utime(left / "manifest.json", (time.time() - 2 * 86_400,) * 2)
    assert prune(tmp_path, now=NOW, keep=1).removed == (left.name,)
    assert names(tmp_path) == {"w0"}


def test_the_command(tmp_path, capsys):
    kept(tmp_path, "w0")
    kept(tmp_path, "w1", days_ago=2)
    assert main(["prune", "--keep", "1", "--dry-run", "--reports", str(tmp_path)]) == 0
    assert "would remove w1" in capsys.readouterr().out
    assert main(["prune", "w", "--older-than", "1", "--reports", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{tmp_path}: removed 1 folder or file, left 0 that were due"
    for words in ([], ["--keep", "0"], ["--older-than", "-1"], ["q", "--keep", "1"]):
        assert main(["prune", *words, "--reports", str(tmp_path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["prune", "--keep", "1", "--reports", str(tmp_path / "none")]) == 2
