"""The week after: what a report costs when seven days come to a lake that is indexed and was reported.

`PYTHONPATH=. python tests/bench/week_after.py --lake LAKE --history 14 53 [--notebooks funnels cohorts ...]` takes a
lake (it is linked, never written into), and for each length of history: leaves that many days before its last seven and
deletes the index; reports on them; brings the seven days back and reports again (the week after); deletes the index and
reports on the same days (the whole). It prints a line of JSON for each: CPU time of all processes, wall time and memory
of each run, and the week's part of the whole. `index_*` is the part of it that brings the index up to date.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import yaml
from deltalake import DeltaTable

from launchpad_lib.lake import open_lake
from tests.bench.report_run import ROOT, Family

NEW_DAYS = 7
PARTITION = {"events": "event_on", "telemetry": "observed_on"}
OPEN = "import sys; from launchpad_lib.lake import open_lake; open_lake(sys.argv[1])"


def watched(command: list[str]) -> dict[str, float]:
    """CPU and wall seconds of a command with all it starts, and its memory."""
    started = time.perf_counter()
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    family = Family(run.pid)
    while run.poll() is None:
        family.look()
        time.sleep(0.1)
    if run.returncode:
        raise SystemExit(f"{command}: exit status {run.returncode}")
    wall = time.perf_counter() - started
    return {
        "cpu_s": round(sum(family.cpu.values()), 1),
        "wall_s": round(wall, 1),
        "peak_pss_mb": round(family.peak_mb),
    }


def keep_days(lake: Path, first: date, end: date) -> None:
    """Leaves the days [first, end) of events and telemetry; their files stay for a later version."""
    for table, column in PARTITION.items():
        if DeltaTable.is_deltatable(str(lake / table)):
            DeltaTable(str(lake / table)).delete(f"{column} < '{first}' OR {column} >= '{end}'")


def bring_back(lake: Path, versions: dict[str, int], first: date) -> None:
    """All days from `first` on."""
    for table, version in versions.items():
        DeltaTable(str(lake / table)).restore(version)
        DeltaTable(str(lake / table)).delete(f"{PARTITION[table]} < '{first}'")


def measured(source: Path, folder: Path, *, history: int, notebooks: list[str]) -> dict:
    """The runs of one length of history."""
    lake = folder / "lake"
    shutil.copytree(source, lake, copy_function=os.link, ignore=shutil.ignore_patterns("_index"))
    versions = {t: DeltaTable(str(lake / t)).version() for t in PARTITION if DeltaTable.is_deltatable(str(lake / t))}
    days = sorted({p["event_on"] for p in DeltaTable(str(lake / "events")).partitions()})
    last = date.fromisoformat(str(days[-1]))
    week = last - timedelta(days=NEW_DAYS - 1)
    first = week - timedelta(days=history)
    params = yaml.safe_load((ROOT / "params" / "weekly.yaml").read_text())
    given = {k: v for k, v in params.items() if k not in ("simulate", "sources")}
    given |= {"lake": str(lake), "reports": str(folder / "reports"), "timeout_seconds": 3000}
    if notebooks:
        given["sequence"] = [notebooks]
        given["notebooks"] = {k: v for k, v in params["notebooks"].items() if k in notebooks}
    file = folder / "run.yaml"
    report = [sys.executable, "-m", "launchpad_lib.cli.main", "report", str(file), "--run-id"]
    opening = [sys.executable, "-c", OPEN, str(lake)]

    keep_days(lake, first, week)
    watched(opening)
    names = open_lake(lake).events.get_backend().log.names["event"]  # a feature that comes later is not asked before
    given["features"] = [feature for feature in given["features"] if feature["start_event"] in names]
    file.write_text(yaml.safe_dump(given, sort_keys=False))
    watched([*report, "before"])
    bring_back(lake, versions, first)
    index_after, after = watched(opening), watched([*report, "after"])
    shutil.rmtree(lake / "_index")
    index_whole, whole = watched(opening), watched([*report, "whole"])
    share = (index_after["cpu_s"] + after["cpu_s"]) / (index_whole["cpu_s"] + whole["cpu_s"])
    return {
        "history_days": history,
        "new_days": NEW_DAYS,
        "index_after": index_after,
        "after": after,
        "index_whole": index_whole,
        "whole": whole,
        "cpu_share_of_whole": round(share, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Prints a line of JSON per length of history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--history", type=int, nargs="+", default=[53])
    parser.add_argument("--notebooks", nargs="*", default=[])
    given = parser.parse_args()
    for history in given.history:
        with tempfile.TemporaryDirectory(dir=given.lake.parent) as folder:
            print(
                json.dumps(measured(given.lake, Path(folder), history=history, notebooks=given.notebooks)), flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
