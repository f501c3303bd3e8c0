"""The tour of notebooks/README.md runs as it stands; its widgets ask and refuse as the params file does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUR = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def in_notebooks(monkeypatch):
    if not (ROOT / "data" / "lake" / "simulated").is_dir():
        command = [sys.executable, "-m", "launchpad_lib.cli.main", "ingest", "params/weekly.yaml"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    monkeypatch.chdir(ROOT / "notebooks")


def within(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from within(child)


def test_the_tour_runs_as_it_stands_and_its_controls_ask_anew(in_notebooks):
    """By hand: two of the three rows of the own table are visitors, one of them buys."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.instance()
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", TOUR, re.M | re.S)
    assert len(blocks) == 6
    for block in blocks[:-1]:
        exec(block, names)
    assert names["wrong"].to_pandas()["refused_because"][0].endswith("did you mean 'quiz_started'?")
    own = names["funnel"](names["mine"].events, steps=["visit", "buy"], window="1h", observed_through=names["mine"].observed_through)  # fmt: skip
    assert own.order_by("step").to_pandas()["users"].tolist()[0] <= 2
    lines = blocks[-1].strip().split("\n")
    exec("\n".join(lines[:-1]), names)
    box = eval(lines[-1], names)
    widgets = {getattr(w, "description", ""): w for w in within(box)}
    answer, fault = box.children[-1], box.children[-2]
    first = answer.outputs
    assert widgets["feature id"].value == "search" and len(first) > 5
    widgets["window"].value = "3"
    assert "window=&#39;3&#39;: must be a whole number above 0 with a unit" in fault.value and answer.outputs == first
    widgets["window"].value = "1h"
    assert fault.value == "" and answer.outputs != first


def test_every_notebook_is_in_the_tour():
    missing = [p.stem for p in (ROOT / "notebooks").glob("*.ipynb") if f"`{p.stem}`" not in TOUR]
    assert missing == []
