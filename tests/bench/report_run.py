"""The weekly run against the pure compute of its cells, in one session: `python tests/bench/report_run.py [rounds]`.

Each round times, one after the other: the whole `launchpad report` (checks, lake, forked kernels, pages), the same
notebooks by papermill one after another with a new interpreter each, and all their cells in one process that imports
everything once (no kernels, no pages). Ratios are within a round; the medians over rounds are printed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]

PURE = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
for path in sys.argv[1:]:
    shell = InteractiveShell()
    for cell in json.load(open(path))["cells"]:
        if cell["cell_type"] == "code":
            with capture_output():
                shell.run_cell("".join(cell["source"])).raise_error()
"""
PAPERMILL = """
import sys, logging
import papermill
for path in sys.argv[2:]:
    papermill.execute_notebook(path, sys.argv[1], progress_bar=False, cwd="notebooks", kernel_name="python3", request_save_on_cell_execute=False)
"""


def seconds(command: list[str], *, cwd: Path) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    """Prints one line of JSON with the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    paths = [str(ROOT / "notebooks" / f"{n}.ipynb") for n in NAMES]
    whole, plain, pure, helped = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder) / "weekly.yaml"
        text = (ROOT / "params" / "weekly.yaml").read_text().replace("reports: reports", f"reports: {folder}/reports")
        params.write_text(text)
        launchpad = [sys.executable, "-m", "launchpad_lib.cli.main"]
        seconds([*launchpad, "report", str(params), "--run-id", "warm"], cwd=ROOT)
        for number in range(rounds):
            whole.append(seconds([*launchpad, "report", str(params), "--run-id", f"r{number}"], cwd=ROOT))
            pure.append(seconds([sys.executable, "-c", PURE, *paths], cwd=ROOT / "notebooks"))
            plain.append(seconds([sys.executable, "-c", PAPERMILL, f"{folder}/out.ipynb", *paths], cwd=ROOT))
            helped.append(seconds([*launchpad, "--help"], cwd=ROOT))
    median = statistics.median
    print(
        json.dumps(
            {
                "notebooks": len(NAMES),
                "rounds": rounds,
                "whole_run_s": round(median(whole), 2),
                "pure_compute_s": round(median(pure), 2),
                "plain_papermill_s": round(median(plain), 2),
                "whole_over_pure": round(median(w / p for w, p in zip(whole, pure, strict=True)), 2),
                "plain_over_pure": round(median(w / p for w, p in zip(plain, pure, strict=True)), 2),
                "help_s": round(median(helped), 3),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
