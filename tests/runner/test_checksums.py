"""`launchpad verify`: a run's folder against the checksums of its manifest. Files, sums and damage are by hand."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.runner.checksums import checksums
from launchpad_lib.runner.history import history_lines
from tests.manifests import WHOLE

FILES = {"index.html": b"<p>all</p>", "funnels.ipynb": b"{}", "tables/steps.parquet": b"PAR1\x00\x01PAR1"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three files and their sums."""
    folder = tmp_path / "reports" / "r"
    (folder / "tables").mkdir(parents=True)
    for path, content in FILES.items():
        (folder / path).write_bytes(content)
    listed = [{"path": p, "sha256": sha256(c).hexdigest(), "size": len(c)} for p, c in FILES.items()]
    (folder / "manifest.json").write_text(json.dumps(WHOLE | {"files": listed}))
    return folder


def test_every_file_but_the_manifest_has_its_sum_and_size(run):
    assert {f.path: (f.sha256, f.size) for f in checksums(run)} == {
        path: (sha256(content).hexdigest(), len(content)) for path, content in FILES.items()
    }


@pytest.mark.parametrize("by_id", [False, True])
def test_a_run_as_it_was_written_is_one_sentence(run, by_id, capsys):
    named = ["r", "--reports", str(run.parent)] if by_id else [str(run)]
    assert main(["verify", *named]) == 0
    assert capsys.readouterr().out == f"{run}: all 3 files are as they were written\n"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    """The same content, elsewhere; the link itself has the file's size, too."""
    path.rename(path.parents[2] / "else")
    path.symlink_to("../../else")
    assert path.lstat().st_size == path.stat().st_size


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda r: flip(r / "tables/steps.parquet"), "changed tables/steps.parquet"),
        (lambda r: os.truncate(r / "index.html", 3), "changed index.html"),
        (lambda r: os.truncate(r / "index.html", 0), "changed index.html"),
        (lambda r: link(r / "index.html"), "changed index.html"),
        (lambda r: (r / "funnels.ipynb").unlink(), "missing funnels.ipynb"),
        (lambda r: (r / "tables/more.parquet").touch(), "added tables/more.parquet"),
        (lambda r: (r / ".hidden\n").touch(), "added '.hidden\\n'"),
        (lambda r: (r / "all").symlink_to(r), "added all"),
        (
            lambda r: (flip(r / "index.html"), (r / "tables").rename(r / "t")),
            "changed index.html\nmissing tables/steps.parquet\nadded t/steps.parquet",
        ),
    ],
)
def test_each_file_that_is_not_as_written_is_named(run, damage, told, capsys):
    damage(run)
    assert main(["verify", str(run)]) == 1
    assert capsys.readouterr().out == told + "\n"


def test_a_manifest_that_names_files_elsewhere_does_not_lead_there(run, capsys):
    (run.parent / "secret").write_bytes(b"s")
    listed = [{"path": "../secret", "sha256": sha256(b"s").hexdigest(), "size": 1}]
    (run / "manifest.json").write_text(json.dumps(WHOLE | {"files": listed}))
    assert main(["verify", str(run)]) == 1
    assert "missing ../secret\n" in capsys.readouterr().out


@pytest.mark.parametrize("removed", [("files",), ("files", "manifest_version")])
def test_a_run_from_before_checksums_is_told_and_history_still_reads_it(run, removed, capsys):
    (run / "manifest.json").write_text(json.dumps({k: v for k, v in WHOLE.items() if k not in removed}))
    assert main(["verify", str(run)]) == 2
    told = capsys.readouterr()
    assert "has no checksums" in told.err and told.err.count("\n") == 1 and not told.out
    assert [line.split() for line in history_lines(run.parent, "small")] == [["r", "ok"]]


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[]", b'{"manifest_version": 1, "files": [{"path": 1}]}'])
def test_no_readable_manifest_is_one_sentence(run, content, capsys):
    (run / "manifest.json").unlink() if content is None else (run / "manifest.json").write_bytes(content)
    assert main(["verify", str(run)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("launchpad: run=") and told.err.count("\n") == 1 and not told.out
    assert main(["verify", str(run.parent / "none")]) == 2
