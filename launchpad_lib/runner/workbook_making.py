"""A new workbook from the notebooks and params that Feature Launchpad brings, and a new notebook in a workbook.

Nothing is overwritten.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import nbformat

from launchpad_lib.runner.notebook_parameters import NOTEBOOKS
from launchpad_lib.runner.own_notebooks import check_name, parameters_cell
from launchpad_lib.runner.parameter_cell import cell_source
from launchpad_lib.runner.shared_parameters import ParameterError
from launchpad_lib.runner.workbook import USUAL_PARAMS

PACKAGED = files("launchpad_lib") / "workbook"  # only in a wheel; a clone has the same files at its top
IGNORED = "# What a run writes.\ndata/lake/\ndata/raw/simulated/\nreports/\n.ipynb_checkpoints/\n"


def init_workbook(target: Path) -> list[Path]:
    """Writes notebooks, params and a .gitignore into a folder; returns what was written, in order.

    Raises:
        ParameterError: a file of the workbook is there already, or the target is no folder; nothing is written then.
    """
    if target.exists() and not target.is_dir():
        raise ParameterError(f"{target}: is a file; give a folder that a workbook can be made in")
    contents = {target / ".gitignore": IGNORED.encode()} | {target / place: text for place, text in _brought().items()}
    there = sorted(p for p in contents if os.path.lexists(p) and p.name != ".gitignore")
    if there:
        raise ParameterError(f"{there[0]}: is there already, and nothing is overwritten; choose another folder")
    written = []
    for path, content in contents.items():
        if not os.path.lexists(path):  # somebody's own .gitignore stays as it is
            _write_new(path, content)
            written.append(path)
    return written


def new_notebook(name: str, *, root: Path, lake: str) -> Path:
    """Writes a notebook of that name into a workbook: it runs as it stands, keeps the notebook rules, and shows where
    to go on.

    Args:
        lake: the lake that it reads when it is run by hand, relative to the workbook.

    Raises:
        ParameterError: the name cannot be one, is taken by a notebook that Feature Launchpad brings, or the file is
        there.
    """
    check_name(name)
    path = root / "notebooks" / f"{name}.ipynb"
    if name in NOTEBOOKS:
        raise ParameterError(f"notebook {name!r}: is the name of one that Feature Launchpad brings; choose another")
    template = files("launchpad_lib.runner") / "templates" / "own_notebook.ipynb"
    notebook = nbformat.reads(template.read_text(encoding="utf-8"), as_version=4)
    notebook.cells[0].source = notebook.cells[0].source.replace("TITLE", name.replace("_", " ").capitalize(), 1)
    seen_from_notebooks = lake if Path(lake).is_absolute() else (Path("..") / lake).as_posix()
    parameters = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    first, _, rest = parameters.source.partition("\n")
    parameters.source = f"{cell_source({first.partition(' = ')[0]: seen_from_notebooks})}\n{rest}"
    _write_new(path, (nbformat.writes(notebook) + "\n").encode())
    parameters_cell(path)
    return path


def _brought() -> dict[Path, bytes]:
    """Every file of a new workbook, by its place in it."""
    top = PACKAGED if (PACKAGED / "notebooks").is_dir() else Path(__file__).resolve().parents[2]
    places = [Path("notebooks") / f"{name}.ipynb" for name in NOTEBOOKS] + [USUAL_PARAMS]
    return {place: (top / str(place)).read_bytes() for place in places}


def _write_new(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise ParameterError(f"{path}: is there already, and nothing is overwritten; choose another name") from error
