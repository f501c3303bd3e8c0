"""Runs every committed notebook on the simulated lake and keeps its outputs: the only writer of committed outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from launchpad_lib.runner.execution import QUIET
from launchpad_lib.runner.forked_kernels import kernel_server

ROOT = Path(__file__).resolve().parent.parent
KEPT_METADATA = ("kernelspec",)


def refresh(path: Path) -> None:
    """Executes one notebook in its own folder and writes it back without timings or machine details."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, extra_arguments=QUIET, resources={"metadata": {"path": str(path.parent)}}
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
    names = set(sys.argv[1:])
    with kernel_server():
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            if not names or path.stem in names:
                refresh(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
