"""Executes one notebook with papermill and says what became of it."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError


class Executed(NamedTuple):
    """`status` is ok or failed; `error` is readable text, None when ok."""

    name: str
    title: str
    status: str
    seconds: float
    error: str | None
    path: Path


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The text of the first level-one heading."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.splitlines()[0][2:].strip()
    return "Untitled"


def parameter_names(notebook: nbformat.NotebookNode) -> set[str]:
    """The names assigned in the cell tagged `parameters`."""
    import ast

    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    return {t.id for c in cells for s in ast.parse(c.source).body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}


def execute(source: Path, *, out: Path, parameters: dict, timeout_seconds: int, kernel_name: str = "python3") -> Executed:
    """Runs a notebook; whatever goes wrong is told in the result, never raised."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    started = time.monotonic()
    error, title = None, source.stem
    try:
        notebook = nbformat.read(source, as_version=4)
        title = title_of(notebook)
        unknown = set(parameters) ^ parameter_names(notebook)
        if unknown:
            raise ValueError(f"the `parameters` cell and the declared parameters differ in {', '.join(sorted(unknown))}; make them equal")
        papermill.execute_notebook(
            str(source), str(out), parameters=parameters, kernel_name=kernel_name, progress_bar=False, log_output=False,
            execution_timeout=timeout_seconds, shutdown_kernel="immediate", extra_arguments=["--log-level=40"],
        )  # fmt: skip
    except papermill.PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except CellTimeoutError:
        error = f"a cell took longer than {timeout_seconds} s and was stopped; raise timeout_seconds or give it less data"
    except DeadKernelError:
        error = "the kernel died (often: out of memory); run the notebook by hand to see where"
    except Exception as failure:  # the run goes on whatever a notebook does
        error = f"{type(failure).__name__}: {failure}"
    if not out.exists():
        nbformat.write(nbformat.v4.new_notebook(), out)
    return Executed(source.stem, title, "failed" if error else "ok", round(time.monotonic() - started, 2), error, out)
