"""What the repository promises about itself, held by reading it: the lock, the glossary, the house style of the code."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from launchpad_lib.contract.catalogue import METRICS
from launchpad_lib.contract.catalogue.glossary import glossary
from launchpad_lib.contract.catalogue.terms import TERMS
from launchpad_lib.page.harvest import harvest_metrics

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "launchpad_lib").rglob("*.py"))
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = {m[1].lower(): m[2] for m in re.finditer(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)}


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(r)
        for r in [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    ]


@pytest.mark.parametrize("requirement", declared(), ids=lambda r: r.name)
def test_every_declared_package_is_locked_at_a_version_that_is_allowed(requirement):
    assert requirement.name.lower() in LOCKED, "run `make lock`"
    assert Version(LOCKED[requirement.name.lower()]) in requirement.specifier, "run `make lock`"


def test_every_locked_package_has_hashes_and_no_address_is_written():
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    assert all("--hash=sha256:" in b for b in blocks if "==" in b)
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", LOCK)


def test_the_glossary_is_what_the_catalogue_makes():
    assert (ROOT / "GLOSSARY.md").read_text(encoding="utf-8") == glossary(), "run `make glossary`"


def test_a_word_of_the_glossary_stands_once():
    words = [t.word for t in TERMS] + [m.title() for m in METRICS.values()]
    assert [w for w, times in Counter(words).items() if times > 1] == []


def test_every_metric_is_shown_with_its_denominator():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for m in harvest_metrics(nbformat.read(path, as_version=4), name=path.stem):
            assert m["n"] is not None or m["refused_because"], f"{path.stem}: {m['name']}"
            assert m["definition"], f"{path.stem}: {m['name']}"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_house_style_of_a_module(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module says what it is for"
    assert path.stem not in ("utils", "helpers", "common", "manager", "core", "base")
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: no assert outside tests"
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"line {node.lineno}: bare except"
        is_clock = (
            isinstance(node, ast.Attribute)
            and node.attr in ("today", "utcnow")
            and isinstance(node.value, ast.Name)
            and node.value.id in ("date", "datetime")
        )
        assert not is_clock, f"line {node.lineno}: dates are passed in"


def test_no_tracked_file_names_a_path_or_an_address_of_one_machine():
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    texts = [
        p
        for p in tracked
        if p
        and Path(p).suffix in (".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".ipynb", ".lock", ".js", ".j2", ".json")
    ]
    marks = re.compile("/" + r"work/|/ro[o]t/|artif[a]ctory|pypi[.]org/simple|registry[.]npmjs[.]org")
    assert [
        p
        for p in texts
        if (ROOT / p).exists() and marks.search((ROOT / p).read_text(encoding="utf-8", errors="replace"))
    ] == []


def test_every_link_of_a_page_leads_to_a_file():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(p, t) for p in pages for t in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", p.read_text())]
    missing = [
        f"{p.name}: {a or b}" for p, (a, b) in links if "://" not in (a or b) and not (p.parent / (a or b)).exists()
    ]
    assert links and missing == []


def test_decision_records_have_numbers_of_their_own():
    numbers = [p.name[:4] for p in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_a_decision_record_says_context_decision_and_consequences():
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert records
    for path in records:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
        assert {"context", "decision", "consequences"} <= {w.lower() for w in re.findall(r"\w+", path.read_text())}, (
            path.name
        )
