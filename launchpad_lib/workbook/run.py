"""A run: ingest, execute the stages, publish; nothing half-written is ever under its final name."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from launchpad_lib.ingestion import commit, prepare
from launchpad_lib.simulation import simulate
from launchpad_lib.staging import open_lake
from launchpad_lib.workbook.execution import execute
from launchpad_lib.workbook.parameters import RunParams
from launchpad_lib.workbook.publication import publish_index, publish_notebook, publish_run_index

PACKAGES = ("pandas", "duckdb", "ibis-framework", "deltalake", "statsmodels", "scikit-learn", "altair", "papermill")


def bring_up_to_date(run: RunParams, *, now: datetime, say: Callable[[str], None]) -> None:
    """Simulates where asked, then ingests every source of the run."""
    if run.simulate:
        folder, stamp = Path("data/raw/simulated"), run.simulate.model_dump_json()
        mark = folder / ".simulated.json"
        if not mark.exists() or mark.read_text() != stamp:
            if folder.exists() and not mark.exists() and any(folder.iterdir()):
                raise ValueError(f"simulate: {folder} holds files that this command did not write; move them away")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(run.lake, ignore_errors=True) if Path(run.lake).name == "simulated" else None
            result = simulate(folder, seed=run.simulate.seed, users=run.simulate.users, days=run.simulate.days)
            mark.write_text(stamp)
            say(f"simulated {result.rows['events']:,} events and {result.rows['telemetry']:,} telemetry rows")
    # Every source is read and checked before any is written: a file that cannot be read leaves the whole lake as before.
    prepared = [prepare(source, lake=Path(run.lake), ingested_at=now) for source in run.sources]
    Path(run.lake).mkdir(parents=True, exist_ok=True)
    for source in prepared:
        done = commit(source, lake=Path(run.lake))
        say(f"{done.table}: {done.files} files ({done.skipped_files} known), {done.accepted:,} new, {done.duplicates:,} duplicates, {done.rejected:,} rejected")


def run_report(run: RunParams, *, now: datetime, run_id: str, say: Callable[[str], None], notebooks: Path = Path("notebooks")) -> int:
    """Executes and publishes; 0 all well, 1 a notebook failed."""
    bring_up_to_date(run, now=now, say=say)
    reports = Path(run.reports)
    final, partial = reports / run_id, reports / f".{run_id}.partial"
    if final.exists():
        raise ValueError(f"run-id={run_id!r}: {final} exists; choose another run id")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    inputs = {
        n: {"version": v.version, "rows": v.rows, "observed_through": str(v.observed_through) if v.observed_through else None, "rejected": v.rejected}
        for n, v in open_lake(run.lake).versions.items()
    }
    context = {"run_id": run_id, "started_at": now.isoformat(timespec="seconds"), "inputs": inputs}
    rows, metrics = [], []
    for stage in run.sequence:
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [
                pool.submit(
                    execute,
                    notebooks / f"{name}.ipynb",
                    out=partial / f"{name}.ipynb",
                    parameters=run.for_notebook(name) | {"lake": run.lake},
                    timeout_seconds=run.timeout_seconds,
                )
                for name in stage
            ]
            for job in jobs:
                done = job.result()
                html = f"{done.name}.html"
                found = publish_notebook(
                    done.path, html_path=partial / html, title=done.title, status=done.status, error=done.error, context=context,
                    last_good=_last_good(reports, run.name, done.name),
                )  # fmt: skip
                metrics += found if done.status == "ok" else []
                rows.append({"name": done.name, "title": done.title, "status": done.status, "seconds": done.seconds, "html": html, "error": done.error})
                say(f"{done.name}: {done.status} in {done.seconds} s" + (f" ({done.error})" if done.error else ""))
    is_failed = any(r["status"] == "failed" for r in rows)
    manifest = {
        "run_id": run_id,
        "started_at": context["started_at"],
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "failed" if is_failed else "ok",
        "params": run.model_dump(mode="json"),
        "inputs": inputs,
        "notebooks": rows,
        "metrics": metrics,
        "versions": _versions(),
    }
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    publish_index(partial, manifest)
    partial.rename(final)
    publish_run_index(reports)
    say(f"{'failed' if is_failed else 'done'}: {final / 'index.html'}")
    return 1 if is_failed else 0


def _last_good(reports: Path, run_name: str, notebook: str) -> str | None:
    """Relative address of the newest good page of this notebook in an earlier run of the same name."""
    for path in sorted(reports.glob(f"{run_name}-*/manifest.json"), reverse=True):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["notebooks"]
            if any(r["name"] == notebook and r["status"] == "ok" for r in rows):
                return f"../{path.parent.name}/{notebook}.html"
        except (ValueError, KeyError, TypeError, OSError):
            continue
    return None


def _versions() -> dict:
    lock = Path("requirements.lock")
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    lock_hash = hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.exists() else None
    return {"commit": commit, "lock_hash": lock_hash, "packages": {p: version(p) for p in PACKAGES}}
