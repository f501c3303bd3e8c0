"""Streaming, compacting and reporting at the same time on one lake, then a count: `python -W ignore -m tests.chaos.at_once [events]`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parents[2]
LAUNCHPAD = [sys.executable, "-m", "launchpad_lib.cli.main"]
RATE = 3000


def main() -> int:
    """Prints what was done and found; exit 1 when an event is lost or doubled or a command failed."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    failures: list[str] = []
    done = {"compactions": 0, "reports": 0}

    def repeat(kind: str, command: list[str], until: float) -> None:
        while time.monotonic() < until:
            done[kind] += 1
            arguments = [*command, "--run-id", f"r{done[kind]}"] if kind == "reports" else command
            ended = subprocess.run([*LAUNCHPAD, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
            if ended.returncode:
                failures.append(f"{kind}: {ended.stdout[-200:]}{ended.stderr[-300:]}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool, lake, reports = folder / "spool", folder / "lake", folder / "reports"
        spool.mkdir()
        params = folder / "p.yaml"
        params.write_text(f"name: x\nlake: {lake}\nreports: {reports}\nsources: []\nsequence: [[data_quality]]\n")
        place = ["--lake", str(lake), "--reports", str(reports)]
        worker = subprocess.Popen(
            [*LAUNCHPAD, "stream", "--from", f"spool:{spool}", *place], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        sent = [
            "simulate",
            "--to",
            f"spool:{spool}",
            "--events",
            str(events),
            "--rate",
            str(RATE),
            "--ledger",
            str(folder / "ledger"),
        ]
        producer = subprocess.Popen([*LAUNCHPAD, *sent], cwd=ROOT, stdout=subprocess.DEVNULL)
        time.sleep(4)
        until = time.monotonic() + events / RATE
        jobs = [
            threading.Thread(target=repeat, args=(kind, command, until))
            for kind, command in (("compactions", ["compact", *place]), ("reports", ["report", str(params)]))
        ]
        for job in jobs:
            job.start()
        producer.wait()
        for job in jobs:
            job.join()
        time.sleep(3)
        worker.terminate()
        status = worker.wait()
        ids = DeltaTable(str(lake / "events")).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist()
        ledger = set((folder / "ledger").read_text().split())
    lost, doubled = len(ledger - set(ids)), len(ids) - len(set(ids))
    print(
        json.dumps(
            {
                **done,
                "acknowledged": len(ledger),
                "lost": lost,
                "doubled": doubled,
                "worker_status": status,
                "failures": failures[:3],
            }
        )
    )
    return 1 if lost or doubled or status or failures else 0


if __name__ == "__main__":
    sys.exit(main())
