"""The catalogue and the notebooks agree: what is declared is shown, what is shown is declared, and nothing stands twice."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

import launchpad_lib.contract.catalogue as catalogue
from launchpad_lib.contract.catalogue import RESULT_TABLES, Metric, ResultTable
from launchpad_lib.contract.catalogue.metric import filled
from tests.architecture.test_notebook_rules import NOTEBOOKS, cells, source

MODULES = [importlib.import_module(f"{catalogue.__name__}.{m.name}") for m in pkgutil.iter_modules(catalogue.__path__)]


def declared(kind: type) -> dict[str, object]:
    """Everything of a kind that a module of the catalogue declares, by the name of its variable; each object once."""
    return {
        variable: value for module in MODULES for variable, value in vars(module).items() if isinstance(value, kind)
    }


def shown(path: Path, function: str) -> list[str]:
    """The variables that a notebook hands to `metric` or `table`."""
    calls = [
        node
        for cell in cells(path, "code")
        for node in ast.walk(ast.parse(source(cell)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function
    ]
    return [call.args[0].attr if isinstance(call.args[0], ast.Attribute) else call.args[0].id for call in calls]


def test_no_name_and_no_definition_stands_twice():
    metrics: list[Metric] = list(declared(Metric).values())
    for said in (
        [m.name for m in metrics],
        [m.label for m in metrics],
        [f"{m.numerator} / {m.denominator}" for m in metrics],
        [t.name for t in declared(ResultTable).values()],
    ):
        assert [s for s, k in Counter(said).items() if k > 1] == []


def test_everything_that_is_declared_is_in_the_catalogue():
    assert {m.name for m in declared(Metric).values()} == set(catalogue.METRICS)
    assert {t.name for t in declared(ResultTable).values()} == set(RESULT_TABLES)


@pytest.mark.parametrize("function, kind", [("metric", Metric), ("table", ResultTable)])
def test_what_the_notebooks_show_is_declared_and_what_is_declared_is_shown_by_one_of_them(function, kind):
    by_notebook = {path.stem: set(shown(path, function)) for path in NOTEBOOKS}
    everywhere = set().union(*by_notebook.values())
    assert everywhere - set(declared(kind)) == set()
    assert set(declared(kind)) - everywhere == set()


def test_a_result_table_is_written_by_one_notebook_only():
    homes = Counter(name for path in NOTEBOOKS for name in shown(path, "table"))
    assert [name for name, k in homes.items() if k > 1] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_metrics_bear_the_label_and_unit_of_the_catalogue(path):
    outputs = [o["data"] for c in cells(path, "code") for o in c["outputs"] if "data" in o]
    records = [d[mime] for d in outputs for mime in d if mime.endswith("launchpad.metric+json")]
    assert records
    for record in records:
        metric = catalogue.METRICS[record["name"]]
        pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(metric.label))
        assert re.fullmatch(pattern, record["label"]) and record["unit"] == metric.unit


def test_a_definition_reads_with_and_without_its_blanks_filled():
    for metric in declared(Metric).values():
        text = metric.definition()
        assert "{" not in text and "the the " not in text and text.endswith(".")
        assert "the the" not in metric.title() and "{" not in metric.title()


def test_a_value_written_from_right_to_left_does_not_turn_the_definition_around():
    """By the Unicode bidirectional algorithm: U+2068 and U+2069 isolate what stands between them."""
    assert filled("users of {name}, per day", {"name": "שלום"}) == "users of \u2068שלום\u2069, per day"


def test_every_column_of_a_result_table_says_what_it_holds():
    for table in declared(ResultTable).values():
        names = [c.name for c in table.columns]
        assert len(set(names)) == len(names) and table.grain
        assert all(c.description for c in table.columns)


def test_tables_that_leave_a_run_are_those_that_the_outputs_hold():
    """The committed outputs hold as many values a row as the table declares columns."""
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            for output in cell.get("outputs", []):
                for mime, found in output.get("data", {}).items():
                    if mime.endswith("launchpad.table+json"):
                        width = len(RESULT_TABLES[found["name"]].columns)
                        assert all(len(row) == width for row in found["rows"])
