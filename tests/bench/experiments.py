"""An experiment page over many exposures and outcomes with 20 metrics: CPU seconds as multiples of the bare scan of its columns.

`python tests/bench/experiments.py --events 3000000`: an exposure to every fifth row, 20 outcome events, one with an amount.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from launchpad_lib.findings.experiment_page import experiments_page
from launchpad_lib.findings.experiment_plans import ask_experiments
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.lake import open_lake


def written(place: Path, rows: int) -> None:
    """One Parquet file: users with about ten rows each, the first of them an exposure; days at random."""
    users = max(rows // 10, 1)
    duckdb.sql(f"""COPY (SELECT 'e' || i AS event_id, 'u' || (hash(i // 10) % {users}) AS user_id,
        TIMESTAMP '2026-01-05' + INTERVAL (hash(i * 7) % 1728000) SECOND AS event_at,
        CASE WHEN i % 5 = 0 THEN 'experiment_exposed' ELSE 'outcome_' || (hash(i) % 20) END AS event_name,
        CASE WHEN i % 5 = 0 THEN '{{"experiment_id":"e","variant":"' || (hash(hash(i // 10) % {users}) % 2) || '"}}'
             ELSE '{{"amount":' || (hash(i * 3) % 100) || '}}' END AS properties
        FROM range({rows}) t(i)) TO '{place}' (FORMAT parquet)""")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=3_000_000)
    rows = parser.parse_args().events
    root = Path(tempfile.mkdtemp(prefix="launchpad-experiments-"))
    try:
        written(root / "events.parquet", rows)
        ingest(
            SourceSpec(table="events", path="events.parquet"),
            lake=root / "lake",
            ingested_at=datetime.now(UTC),
            root=root,
        )
        lake = open_lake(root / "lake")
        columns = lake.events.select("user_id", "event_at", "event_name", "properties")
        metrics = [{"event": f"outcome_{k}", "role": "success" if k < 2 else "exploratory"} for k in range(16)]
        metrics += [{"event": f"outcome_{k}", "kind": "count", "role": "exploratory"} for k in (16, 17)]
        metrics += [
            {"event": f"outcome_{k}", "kind": "sum", "value": "amount", "role": "exploratory"} for k in (18, 19)
        ]
        plan = {
            "experiment_id": "e",
            "control": "0",
            "shares": {"0": 0.5, "1": 0.5},
            "metrics": metrics,
            "window": "7d",
        }
        plan |= {"design": "sequential", "planned_units": 100_000}
        for _ in range(3):
            began, wall = cpu(), time.perf_counter()
            columns.aggregate([columns[name].max() for name in columns.columns]).execute()
            scan, scan_wall = cpu() - began, time.perf_counter() - wall
            began, wall = cpu(), time.perf_counter()
            found = experiments_page(
                lake.events, ask_experiments(lake.events, [plan], observed_through=lake.observed_through)
            )
            page, page_wall = cpu() - began, time.perf_counter() - wall
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{rows:,} rows, {int(found.rows['n'].sum() / 20):,} units in rates: scan {scan:.2f} s CPU ({scan_wall:.2f} wall), "
                f"page {page:.2f} s CPU ({page_wall:.2f} wall), {page / scan:.1f}x, {most:.2f} GB at most",
                flush=True,
            )
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
