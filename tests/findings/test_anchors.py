"""A finding leads to the heading that proves it: the committed pages of the weekly run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from launchpad_lib.page.harvest import anchor_of

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_anchor_of_a_finding_is_a_heading_of_its_page(path):
    cells = json.loads(path.read_text())["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    headings = {anchor_of(h) for h in re.findall(r"^#{2,6} +(.+?)\s*$", text, re.MULTILINE)}
    outputs = [o.get("data", {}) for c in cells for o in c.get("outputs", [])]
    found = [f for data in outputs for f in data.get("application/vnd.launchpad.findings+json", {}).get("findings", [])]
    # Each of several experiments, or features, has a heading that the page makes of an output.
    headings |= {part["anchor"] for data in outputs for part in data.get("application/vnd.launchpad.apart+json", [])}
    assert found and {f["anchor"] for f in found} - {None} <= headings


@pytest.mark.parametrize("name", ["engagement", "funnels", "cohorts"])
def test_every_finding_of_the_product_pages_has_its_heading(name):
    path = next(p for p in NOTEBOOKS if p.stem == name)
    outputs = [o.get("data", {}) for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", [])]
    found = [f for data in outputs for f in data.get("application/vnd.launchpad.findings+json", {}).get("findings", [])]
    assert found and all(f["anchor"] for f in found)
