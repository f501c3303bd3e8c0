"""Runs every committed notebook on the simulated lake and keeps its outputs: the only writer of committed outputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from launchpad_lib.runner.execution import KERNEL_ARGUMENTS
from launchpad_lib.runner.forked_kernels import kernel_server
from launchpad_lib.runner.parameter_cell import cell_source
from launchpad_lib.runner.parameters import NOTEBOOKS, RunParams, load_run

ROOT = Path(__file__).resolve().parent.parent
KEPT_METADATA = ("kernelspec",)


def example(run: RunParams, path: Path) -> str:
    """The source of a notebook's `parameters` cell: what the weekly run gives it, with the lake as seen from its folder."""
    return cell_source(
        run.for_notebook(path.stem, notebooks=path.parent) | {"lake": os.path.relpath(ROOT / run.lake, path.parent)}
    )


def refresh(path: Path, run: RunParams) -> None:
    """Writes the example parameters, executes the notebook in its own folder, keeps no timings or machine details."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if path.stem in NOTEBOOKS and "parameters" in cell.metadata.get("tags", []):
            cell.source = example(run, path)
    NotebookClient(
        notebook, timeout=300, extra_arguments=KERNEL_ARGUMENTS, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    notebook.metadata = {k: v for k, v in notebook.metadata.items() if k in KEPT_METADATA} | {
        "language_info": {"name": "python"}
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(f"refreshed {path.relative_to(ROOT)}")


def main() -> int:
    """Brings the simulated lake up to date, then refreshes the notebooks named (all by default)."""
    import subprocess

    subprocess.run(
        [sys.executable, "-m", "launchpad_lib.cli.main", "ingest", "params/weekly.yaml"], cwd=ROOT, check=True
    )
    names, weekly = set(sys.argv[1:]), load_run(ROOT / "params/weekly.yaml")
    every_week = {name for stage in weekly.sequence for name in stage}
    with kernel_server():
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            if not names or path.stem in names:
                own = ROOT / f"params/{path.stem}.yaml"  # of a notebook that is run on demand
                refresh(path, weekly if path.stem in every_week or not own.is_file() else load_run(own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
