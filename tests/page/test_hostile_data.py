"""Names from the data are text on every page, and what others left under reports/ never ends a run. Expected values are by hand."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import nbformat
import pytest

from launchpad_lib.cli import main as cli
from launchpad_lib.page.markup import sentences
from launchpad_lib.runner.history import previous_manifest
from launchpad_lib.runner.indexes import publish_run_index
from launchpad_lib.runner.parameters import NOTEBOOKS, RunParams
from launchpad_lib.runner.progress import PlainProgress
from launchpad_lib.runner.run import run_report
from tests.manifests import WHOLE

NOW = datetime(2026, 2, 2, 6, tzinfo=UTC)
HOSTILE = [
    "<b>x</b>",
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "[click](https://evil.example)", "![p](https://evil.example/p.png)",
    "<https://evil.example>", "[a]: https://evil.example 'a'", "a\n\n# heading\n\n[a]\n\n[a]: https://evil.example", "'; DROP TABLE events; --",
    "\u202egnp.exe", "\U0001f600" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_in_markdown_becomes_a_link_a_picture_a_tag_or_a_script(name):
    page = sentences(f"- Look at **{name}** first.")
    assert not any(mark in page.lower() for mark in ("<a ", "<a>", "<img", "<script", "<b>"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '{"started_at": 1, "status": "ok", "notebooks": 7}',
        '{"started_at": 1, "status": "ok", "notebooks": [7]}',
    ],
)
def test_a_damaged_manifest_is_shown_as_unreadable_and_ends_nothing(tmp_path, content):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text(content)
    publish_run_index(tmp_path)
    assert "unreadable manifest" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": [{"x": 1}]},
        {"metrics": 7},
        {"inputs": []},
        {"inputs": {"events": {"rows_by_date": [1]}}},
        {"run_id": None},
        {"manifest_version": 2},
    ],
)
def test_a_manifest_of_the_wrong_shape_is_not_compared_with(tmp_path, wrong):
    later = WHOLE | {"run_id": "w-2", "started_at": "2026-01-02"} | wrong
    for folder, manifest in (("w-1", WHOLE | {"run_id": "w-1", "params": {"name": "w"}}), ("w-2", later)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.json").write_text(json.dumps(manifest))
    assert previous_manifest(tmp_path, "w", before="2026-02-01").run_id == "w-1"


def test_a_second_run_of_one_id_leaves_the_pages_of_the_first_as_they_are(tmp_path):
    """The notebook itself publishes another run under the same id while this one is under way."""
    final = tmp_path / "reports" / "small-1"
    lines = "\n".join(f"{k} = {v!r}" for k, v in NOTEBOOKS["funnels"]().model_dump().items())
    other = f"from pathlib import Path\np = Path({str(final)!r})\np.mkdir()\n(p / 'first').write_text('1')"
    cells = [nbformat.v4.new_code_cell(lines, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(other)]
    (tmp_path / "notebooks").mkdir()
    nb = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    nbformat.write(nb, tmp_path / "notebooks" / "funnels.ipynb")
    params = RunParams(
        name="small", lake=str(tmp_path / "lake"), reports=str(tmp_path / "reports"), sequence=[["funnels"]]
    )
    with pytest.raises(ValueError, match="another run published"):
        run_report(
            params, now=NOW, run_id="small-1", progress=PlainProgress(io.StringIO()), notebooks=tmp_path / "notebooks"
        )
    assert [p.name for p in final.iterdir()] == ["first"]
    assert not list((tmp_path / "reports").glob(".*.partial")), "nothing half-written is left"


@pytest.mark.parametrize(
    "signal", [KeyboardInterrupt(), RuntimeError("Query interrupted")], ids=["at work", "in a query"]
)
def test_a_stopped_command_ends_with_130_and_one_sentence(monkeypatch, capsys, signal):
    def stop(_):
        raise signal

    monkeypatch.setattr(cli, "_dispatch", stop)
    assert cli.main(["report", "x.yaml"]) == 130
    assert capsys.readouterr().err == "launchpad: stopped; nothing half-written is kept\n"
