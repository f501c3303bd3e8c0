"""The weekly run against the pure compute of its cells, in one session: `python tests/bench/report_run.py [rounds]`.

With `--lake LAKE` instead: one report on that lake (no simulation, no sources) beside the bare scan of the columns that
its notebooks read, as in `python tests/bench/report_run.py --lake LAKE`: wall time, CPU time of all processes, the
largest sum of their proportional set sizes (PSS), the same per process, and the wall time of every notebook.

Each round times, one after the other: the whole `launchpad report` (checks, lake, forked kernels, pages), the same
notebooks by papermill one after another with a new interpreter each, and all their cells in one process that imports
everything once (no kernels, no pages). Ratios are within a round; the medians over rounds are printed.
"""

from __future__ import annotations

import json
import os
import re
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


HERTZ = os.sysconf("SC_CLK_TCK")
SCANNED = (
    "user_number, event_code, event_at, received_at, stretch_started_at, platform, country, app_version, properties"
)


class Family:
    """CPU seconds and memory of a process and of all it starts, read from /proc ten times a second.

    What a process did in its last tenth of a second is not seen.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.cpu: dict[int, float] = {}
        self.peak_mb = 0.0
        self.peak_of: dict[int, float] = {}

    def look(self) -> None:
        """Reads the living ones."""
        stats = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                stats[int(folder.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / HERTZ
        family = {self.root}
        while more := {p for p, (parent, _) in stats.items() if parent in family and p not in family}:
            family |= more
        together = 0.0
        for process in family & set(stats):
            self.cpu[process] = stats[process][1]
            own = _pss_mb(process)
            self.peak_of[process] = max(own, self.peak_of.get(process, 0.0))
            together += own
        self.peak_mb = max(self.peak_mb, together)


def _pss_mb(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def bare_scan(lake: Path) -> dict[str, float]:
    """Wall and CPU seconds of reading the columns that the notebooks read, each row once, on two threads."""
    import duckdb

    from launchpad_lib.contract.sql import file_list
    from launchpad_lib.lake import open_lake

    paths = open_lake(lake).events.get_backend().log.paths
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET enable_progress_bar = false")
    there = {row[0] for row in con.execute(f"DESCRIBE FROM read_parquet({file_list(paths)})").fetchall()}
    columns = [c.strip() for c in SCANNED.split(",") if c.strip() in there]
    started, busy = time.perf_counter(), time.process_time()
    rows = con.execute(
        f"SELECT count(*), {', '.join(f'max({c})' for c in columns)} FROM read_parquet({file_list(paths)})"
    ).fetchall()[0][0]
    return {
        "events": rows,
        "scan_s": round(time.perf_counter() - started, 2),
        "scan_cpu_s": round(time.process_time() - busy, 2),
    }


def report_on(lake: Path) -> int:
    """Prints one line of JSON for a report on a lake, whose index is brought up to date before."""
    import yaml

    scanned = bare_scan(lake)
    params = yaml.safe_load((ROOT / "params" / "weekly.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        given = {k: v for k, v in params.items() if k not in ("simulate", "sources")}
        given |= {"lake": str(lake.resolve()), "reports": f"{folder}/reports", "timeout_seconds": 3000}
        file = Path(folder) / "big.yaml"
        file.write_text(yaml.safe_dump(given, sort_keys=False))
        started = time.perf_counter()
        command = [sys.executable, "-m", "launchpad_lib.cli.main", "report", str(file), "--run-id", "big"]
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        family = Family(run.pid)
        while run.poll() is None:
            family.look()
            time.sleep(0.1)
        wall = time.perf_counter() - started
        said = run.stdout.read() if run.stdout else ""
    busy = sum(family.cpu.values())
    print(said, file=sys.stderr)
    print(
        json.dumps(
            {
                **scanned,
                "status": run.returncode,
                "report_s": round(wall, 1),
                "report_cpu_s": round(busy, 1),
                "cpu_over_scan": round(busy / max(scanned["scan_cpu_s"], 0.01), 1),
                "peak_pss_mb": round(family.peak_mb),
                "load_average": round(os.getloadavg()[0], 1),
                "processes": sorted(
                    (
                        {"cpu_s": round(cpu, 1), "peak_pss_mb": round(family.peak_of[p])}
                        for p, cpu in family.cpu.items()
                    ),
                    key=lambda one: -one["cpu_s"],
                ),
                "notebooks_s": dict(re.findall(r"(\w+): \w+ in ([\d.]+) s", said)),
            }
        )
    )
    return run.returncode


def main() -> int:
    """Prints one line of JSON with the medians, or of the report on a lake."""
    if sys.argv[1:2] == ["--lake"]:
        return report_on(Path(sys.argv[2]))
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
