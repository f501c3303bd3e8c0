"""Alert rules of which no page of a run can tell anything: no notebook of its `sequence` shows what they watch."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import nbformat

from launchpad_lib.contract import catalogue
from launchpad_lib.contract.catalogue import METRICS, Metric, ResultTable
from launchpad_lib.runner.own_notebooks import notebook_names
from launchpad_lib.runner.parameters import RunParams


def unheard_rules(run: RunParams, *, notebooks: Path) -> list[str]:
    """A sentence for each rule whose metric, table or page no notebook of the sequence has, with the one to add.

    What a notebook shows is read from the names of the catalogue that its code holds; one that takes them from a module
    of its own is not seen through, so nothing ends here.
    """
    asked = [name for stage in run.sequence for name in stage]
    rules = [(number, rule.metric) for number, rule in enumerate(run.alerts) if not rule.is_live]
    if not rules:
        return []
    shown = {name: _shown(notebooks / f"{name}.ipynb") for name in notebook_names(notebooks)}
    told = []
    for number, metric in rules:
        kind, _, rest = metric.partition(".")
        if kind == "finding":
            has = {rest} if rest else set(asked)
        else:
            has = {name for name, names in shown.items() if (metric if metric in METRICS else kind) in names}
        if has.isdisjoint(asked):
            theirs = [name for name in shown if name in has]
            remedy = f"add {' or '.join(theirs)}, or take the rule out" if theirs else "take the rule out"
            told.append(f"alerts[{number}]: no page of `sequence` ({', '.join(asked)}) has {metric}; {remedy}")
    return told


def _shown(path: Path) -> set[str]:
    """The metrics and result tables that a notebook's code names; a cell that is no Python names none."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception:  # nbformat raises many kinds; its page will say what is wrong with it
        return set()
    found: set[str] = set()
    for cell in cells:
        if cell.cell_type == "code":
            found |= {name for word in _words(cell.source) for name in _declared().get(word, ())}
    return found


def _words(source: str) -> Iterable[str]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


@cache
def _declared() -> dict[str, set[str]]:
    """By what the catalogue's modules call it: the metrics and tables of that name."""
    found: dict[str, set[str]] = {}
    for about in pkgutil.iter_modules(catalogue.__path__, f"{catalogue.__name__}."):
        for word, what in vars(importlib.import_module(about.name)).items():
            if isinstance(what, Metric | ResultTable):
                found.setdefault(word, set()).add(what.name)
    return found
