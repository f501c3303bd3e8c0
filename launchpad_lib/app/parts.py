"""Which statements of a notebook must run again when some of its names change, and in which order."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import nbformat

Key = tuple[int, int]
"""A statement's place: the number of its cell, and its own within it."""


class Part(NamedTuple):
    """One statement: what it binds and reads.

    `is_plain`: it changes nothing that another one has made, as far as its text tells. `code` is None for a cell that
    is no Python.
    """

    key: Key
    binds: frozenset[str]
    reads: frozenset[str]
    shows_chart: bool
    is_plain: bool
    code: ast.stmt | None


def parts_of(notebook: nbformat.NotebookNode, *, magics: Callable[[str], str] = str) -> list[Part]:
    """The statements of the code cells, but for those of the parameters; `magics` turns a cell into Python."""
    return [
        part
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip() and "parameters" not in cell.metadata.get("tags", [])
        for part in _parts(place, magics(cell.source), has_magics=magics(cell.source).rstrip() != cell.source.rstrip())
    ]


def _parts(place: int, source: str, *, has_magics: bool) -> list[Part]:
    try:
        tree = ast.parse(source, cell_name(place))
    except (SyntaxError, ValueError):
        return [Part((place, 0), frozenset(), frozenset(), False, False, None)]
    return [_part((place, number), node, is_plain=not has_magics) for number, node in enumerate(tree.body)]


def cell_name(place: int) -> str:
    """What a traceback calls the cell."""
    return f"<cell {place + 1}>"


def _part(key: Key, statement: ast.stmt, *, is_plain: bool) -> Part:
    nodes = list(ast.walk(statement))
    names = [n for n in nodes if isinstance(n, ast.Name)]
    binds = {n.id for n in names if not isinstance(n.ctx, ast.Load)} - _within(nodes)
    binds |= {
        (a.asname or a.name).split(".")[0] for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
    }
    binds |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    reads = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    calls = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    plain = is_plain and not any(map(_changes, nodes))
    return Part(key, frozenset(binds), frozenset(reads), "chart" in calls, plain, statement)


def _within(nodes: Sequence[ast.AST]) -> set[str]:
    """Names that only a comprehension or a lambda has."""
    loops = [g.target for n in nodes for g in getattr(n, "generators", [])]
    return {n.id for target in loops for n in ast.walk(target) if isinstance(n, ast.Name)}


def _changes(node: ast.AST) -> bool:
    """Whether something that was made elsewhere may be changed: `x[0] = 1`, `x += 1`, `x.append(1)`, `inplace=True`."""
    if isinstance(node, ast.AugAssign | ast.Delete | ast.Global | ast.Nonlocal | ast.Await):
        return True
    if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Attribute)
    return isinstance(node, ast.keyword) and node.arg == "inplace"


def are_told_apart(parts: Sequence[Part]) -> bool:
    """Whether the text says what hangs on what: each name is made once, and then stays as it is."""
    bound = [name for part in parts for name in part.binds]
    return len(bound) == len(set(bound)) and all(part.is_plain for part in parts)


def to_run(parts: Sequence[Part], *, changed: Collection[str], again: Collection[Key] = ()) -> list[Part]:
    """What has to run when these names change, and whatever stands in `again`: first what the first chart among it
    needs.

    >>> text = ["x = f(window)", "y = g(x)", "chart(x)"]
    >>> parts = [_part((0, i), ast.parse(line).body[0], is_plain=True) for i, line in enumerate(text)]
    >>> [part.key for part in to_run(parts, changed={"window"})], to_run(parts, changed={"other"})
    ([(0, 0), (0, 2), (0, 1)], [])
    """
    if not are_told_apart(parts):
        return list(parts) if changed or again else []
    new, hit = set(changed), []
    for part in parts:
        if part.key in again or part.reads & new:
            hit.append(part)
            new |= part.binds
    first = next((part for part in hit if part.shows_chart), None)
    if first is None:
        return hit
    wanted, needed = set(first.reads), {first.key}
    for part in reversed([p for p in hit if p.key < first.key]):
        if part.binds & wanted:
            needed.add(part.key)
            wanted |= part.reads
    return [p for p in hit if p.key in needed] + [p for p in hit if p.key not in needed]
