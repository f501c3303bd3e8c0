"""The house style of notebooks, held by their syntax trees: they define nothing, stay short and keep their outputs."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
WEEKLY = {
    "engagement", "funnels", "cohorts", "retention_lift", "experiments", "latency_trends", "incidents", "risk_scoring",
    "data_quality",
}  # fmt: skip
FORBIDDEN = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.For,
    ast.While,
    ast.AugAssign,
    ast.Delete,
    ast.Global,
    ast.Try,
    ast.With,
)
SQL = re.compile(r"\b(select\s.+\sfrom|insert\s+into|create\s+(table|view))\b", re.IGNORECASE | re.DOTALL)


def cells(path: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def tagged(path: Path, tag: str) -> list[dict]:
    return [c for c in cells(path, "code") if tag in c["metadata"].get("tags", [])]


def bound_names(tree: ast.Module) -> list[str]:
    """Names bound by statements of the cell itself; a comprehension's own variable is not one."""
    names: list[str] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                names += [n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.append(statement.target.id)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names += [(a.asname or a.name).split(".")[0] for a in statement.names]
    return names


def test_the_notebooks_of_the_report_are_there():
    assert {p.stem for p in NOTEBOOKS} >= WEEKLY | {"experiment_design"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_defines_nothing_and_mutates_nothing(path):
    for cell in cells(path, "code"):
        assert not re.search(r"^\s*[%!]", source(cell), re.MULTILINE), f"magic or shell in: {source(cell)}"
        for node in ast.walk(ast.parse(source(cell))):
            assert not isinstance(node, FORBIDDEN), f"{type(node).__name__} in: {source(cell)}"
            if isinstance(node, ast.Assign):
                assert all(isinstance(t, ast.Name | ast.Tuple) for t in node.targets), f"mutation in: {source(cell)}"
            if isinstance(node, ast.keyword) and node.arg == "inplace":
                raise AssertionError(f"inplace mutation in: {source(cell)}")
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.search(node.value), f"SQL in: {source(cell)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_code_cell_has_at_most_twelve_lines(path):
    for cell in cells(path, "code"):
        if "parameters" not in cell["metadata"].get("tags", []):
            assert len(source(cell).splitlines()) <= 12, source(cell)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_has_one_title_and_it_comes_first(path):
    text = [source(c) for c in cells(path, "markdown")]
    assert sum(len(re.findall(r"^# ", t, re.MULTILINE)) for t in text) == 1
    assert text[0].startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_name_is_bound_once(path):
    names = Counter(n for c in cells(path, "code") for n in bound_names(ast.parse(source(c))))
    assert [n for n, k in names.items() if k > 1] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_parameters_and_answer_are_each_one_tagged_cell(path):
    assert len(tagged(path, "parameters")) == 1
    assert len(tagged(path, "answer")) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_outputs_are_there_and_small(path):
    """nbval checks nothing in a stripped notebook and passes, so stripped is a failure here."""
    code = cells(path, "code")
    assert all(c["execution_count"] for c in code), "run `make refresh-notebooks` and commit"
    assert sum(bool(c["outputs"]) for c in code) >= 3
    assert tagged(path, "answer")[0]["outputs"]
    assert path.stat().st_size < 400_000


def code(path: Path) -> list[ast.AST]:
    """Every node of a notebook's code."""
    return [node for cell in cells(path, "code") for node in ast.walk(ast.parse(source(cell)))]


def calls(path: Path, function: str) -> list[ast.Call]:
    return [n for n in code(path) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == function]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_line_of_code_has_at_most_a_hundred_columns(path):
    long = [line for c in cells(path, "code") for line in source(c).splitlines() if len(line) > 100]
    assert long == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_decides_almost_nothing(path):
    """At most two conditional expressions; an `if` statement, an `and` of strings or a comprehension would hide more."""
    assert sum(isinstance(n, ast.IfExp) for n in code(path)) <= 2
    hidden = (ast.If, ast.Match, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda, ast.NamedExpr)
    assert [type(n).__name__ for n in code(path) if isinstance(n, hidden)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_parameter_is_used(path):
    (parameters,) = tagged(path, "parameters")
    names = set(bound_names(ast.parse(source(parameters))))
    others = [c for c in cells(path, "code") if c is not parameters and source(c) != source(parameters)]
    used = {
        n.id
        for c in others
        for n in ast.walk(ast.parse(source(c)))
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    assert names - used == set()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_metric_is_named_from_the_catalogue_and_given_an_estimate(path):
    """`metric(METRIC, estimate)`: two arguments, and at most whose number it is."""
    assert calls(path, "metric")
    for call in calls(path, "metric"):
        assert len(call.args) == 2 and isinstance(call.args[0], ast.Name | ast.Attribute)
        assert {k.arg for k in call.keywords} <= {"segment"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_answer_is_one_call_and_no_sentence_is_made_in_a_notebook(path):
    assert calls(path, "answer") == []
    assert len(calls(path, "conclude")) == 1
    (statement,) = ast.parse(source(tagged(path, "answer")[0])).body
    assert isinstance(statement, ast.Expr) and statement.value.func.id == "conclude"
    words = [n.value for n in code(path) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    assert [w for w in words if w.count(". ") or w.endswith(".")] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_refusals_are_the_library_s_and_names_are_checked_by_the_runner(path):
    names = {n.id for n in code(path) if isinstance(n, ast.Name)} | {
        n.attr for n in code(path) if isinstance(n, ast.Attribute)
    }
    keywords = {n.arg for n in code(path) if isinstance(n, ast.keyword)}
    assert {"refused_because", "unknown_names", "require_known", "nobody_mature"} & (names | keywords) == set()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_result_comes_before_its_terms(path):
    """Question, parameters, the result's chart; terms and data checks at the end."""
    kinds = json.loads(path.read_text())["cells"]
    first_chart = next(
        i
        for i, c in enumerate(kinds)
        if c["cell_type"] == "code" and "chart(" in source(c) and "import" not in source(c)
    )
    terms = next(i for i, c in enumerate(kinds) if c["cell_type"] == "markdown" and "## Terms" in source(c))
    assert first_chart <= 8 and terms > first_chart
