"""Measures the house: how notebooks read, how often knowledge stands, circles, and modules that nobody reaches.

`python scripts/house.py` prints a table; `--at COMMIT` measures an earlier state beside it. Only text and imports are read.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "launchpad_lib"


def code_cells(root: Path) -> Iterator[str]:
    """The sources of the committed notebooks' code cells, without those tagged `parameters`."""
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
                yield "".join(cell["source"])


def notebook_figures(root: Path) -> dict[str, int]:
    """How notebooks read: wide lines, conditional expressions, characters within `metric(...)`."""
    sources = list(code_cells(root))
    nodes = [(s, n) for s in sources for n in ast.walk(ast.parse(s))]
    calls = [
        len(ast.get_source_segment(s, n) or "")
        for s, n in nodes
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "metric"
    ]
    return {
        "notebook lines over 100 columns": sum(len(line) > 100 for s in sources for line in s.splitlines()),
        "widest notebook line": max((len(line) for s in sources for line in s.splitlines()), default=0),
        "conditional expressions in notebooks": sum(isinstance(n, ast.IfExp) for _, n in nodes),
        "comprehensions in notebooks": sum(isinstance(n, ast.comprehension) for _, n in nodes),
        "metric( calls in notebooks": len(calls),
        "characters within metric( calls": sum(calls),
    }


def imports_of(root: Path) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, wherever in it the import stands."""
    files = {
        ".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p
        for p in (root / PACKAGE).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        found[name] = {m for m in _named(ast.parse(path.read_text(encoding="utf-8")), files) if m != name}
    return found


def _named(tree: ast.AST, known: dict[str, Path]) -> set[str]:
    """The modules that imports of a syntax tree name; a package is reached with each of its modules."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            within = {f"{node.module}.{a.name}" for a in node.names}
            # A module taken out of its package is that module; only a name of the package itself reaches the package.
            names |= within if within <= set(known) else within | {node.module}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.startswith(PACKAGE)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)  # a program that is started by its name: python -m package.module
    return {n for n in names if n in known}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle (strongly connected, more than one)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(graph)
    at = {n: i for i, n in enumerate(names)}
    edges = [(at[a], at[b]) for a, bs in graph.items() for b in bs]
    rows, columns = zip(*edges, strict=True)
    matrix = csr_array(([1] * len(edges), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        groups.setdefault(int(label), []).append(name)
    return [g for g in groups.values() if len(g) > 1]


def unreached(root: Path, graph: dict[str, set[str]]) -> list[str]:
    """Modules that no command, notebook, entry point or documented example reaches."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    starts = set(re.findall(rf"({PACKAGE}[\w.]*):\w+", project)) | {f"{PACKAGE}.cli.main", f"{PACKAGE}.cli"}
    for source in code_cells(root):
        starts |= _named(ast.parse(source), {n: root for n in graph})
    for page in [*root.glob("*.md"), *(root / "docs").rglob("*.md")]:
        starts |= set(re.findall(rf"from ({PACKAGE}[\w.]*) import", page.read_text(encoding="utf-8")))
    seen: set[str] = set()
    queue = [s for s in starts if s in graph]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            parents = {".".join(name.split(".")[:k]) for k in range(1, name.count(".") + 1)}
            queue += [n for n in graph[name] | parents if n in graph]
    return sorted(set(graph) - seen)


def _words(node: ast.AST) -> set[str]:
    """Identifiers that a piece of code names; also within its texts, for annotations and lazy imports stand in those."""
    found: set[str] = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            found.add(n.id)
        elif isinstance(n, ast.Attribute):
            found.add(n.attr)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str):
            found |= set(re.findall(r"[A-Za-z_]\w+", n.value))
    return found


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _parts(tree: ast.Module) -> tuple[dict[str, set[str]], set[str]]:
    """Name of each function and class of a module -> words of its code; and the words of what is run at import."""
    own: dict[str, set[str]] = {}
    at_import: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            code = [n for n in ast.iter_child_nodes(statement) if not _is_docstring(n)]
            own.setdefault(statement.name, set()).update(*(_words(n) for n in code))
        elif not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_docstring(statement):
            names = [t.id for t in getattr(statement, "targets", []) if isinstance(t, ast.Name)]
            at_import |= _words(statement) if names != ["__all__"] else set()
    return own, at_import


def told_names(root: Path) -> set[str]:
    """Names in the code of notebooks, scripts, make targets, entry points and the examples of the documents."""
    pages = [root / "README.md", *(p for p in (root / "docs").glob("*.md") if p.name != "benchmarks.md")]
    text = "\n".join(p.read_text(encoding="utf-8") for p in pages)
    code = re.findall(r"^(?: {4}|\t).*$|`[^`\n]+`", text, re.M) + re.findall(r"^```\w*\n.*?^```", text, re.M | re.S)
    code += [(root / name).read_text(encoding="utf-8") for name in ("Makefile", "pyproject.toml")]
    code += [p.read_text(encoding="utf-8") for p in (root / PACKAGE).rglob("*.ipynb")]
    found = set(re.findall(r"[A-Za-z_]\w+", "\n".join(code)))
    for source in [*code_cells(root), *(p.read_text(encoding="utf-8") for p in (root / "scripts").rglob("*.py"))]:
        found |= _words(ast.parse(source))
    return found


def unreached_names(root: Path) -> list[str]:
    """Functions and classes of modules that no command, notebook, script or documented example reaches, by their names.

    A name stands for everything of that name, so what is listed is not reached; not everything unreached is listed.
    """
    own: dict[str, set[str]] = {}
    words = told_names(root)
    for path in (root / PACKAGE).rglob("*.py"):
        parts, at_import = _parts(ast.parse(path.read_text(encoding="utf-8")))
        words |= at_import
        for name, used in parts.items():
            own.setdefault(name, set()).update(used)
    return sorted(set(own) - reached(own, words))


def reached(own: dict[str, set[str]], words: set[str]) -> set[str]:
    """The names of `own` that `words` lead to: those among them, those in their code, and so on."""
    seen: set[str] = set()
    queue = [w for w in words if w in own]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += [w for w in own[name] if w in own]
    return seen


def long_modules(root: Path, *, most: int = 300) -> list[str]:
    """Modules of more lines than `most`."""
    paths = (root / PACKAGE).rglob("*.py")
    return sorted(str(p.relative_to(root / PACKAGE)) for p in paths if p.read_text("utf-8").count("\n") > most)


def figures(root: Path) -> dict[str, int]:
    """Every figure of the table, by its name."""
    graph = imports_of(root)
    sources = [p.read_text(encoding="utf-8") for p in (root / PACKAGE).rglob("*.py")]
    return {
        **notebook_figures(root),
        'homes of "did you mean"': sum("get_close_matches" in s for s in sources),
        "homes of SQL quoting": sum(
            bool(re.search(r"""replace\("'", "''"\)|replace\('"', '""'\)""", s)) for s in sources
        ),
        "homes of the segment's name": sum(":012d}" in s for s in sources),
        "modules": len(graph),
        "modules over 300 lines": len(long_modules(root)),
        "lines over 120 columns": sum(len(line) > 120 for s in sources for line in s.splitlines()),
        "import circles": len(circles(graph)),
        "modules that only tests reach": len(unreached(root, graph)),
        "functions and classes that only tests reach": len(unreached_names(root)),
    }


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", metavar="COMMIT", help="measure this earlier state beside today's")
    asked = parser.parse_args()
    columns = {"today": figures(ROOT)}
    if asked.at:
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(["git", "archive", asked.at], cwd=ROOT, capture_output=True, check=True).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
            columns = {asked.at: figures(Path(folder)), **columns}
    print(f"| what | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name in columns["today"]:
        print(f"| {name} | {' | '.join(str(c[name]) for c in columns.values())} |")
    found = unreached(ROOT, imports_of(ROOT)) + unreached_names(ROOT)
    print("only tests reach: " + (", ".join(found) or "nothing"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
