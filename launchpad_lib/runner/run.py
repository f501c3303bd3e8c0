"""A run: ingest, execute the stages, publish; nothing half-written is ever under its final name."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from launchpad_lib.ingestion import commit, prepare
from launchpad_lib.lake import Snapshot, open_lake, take_snapshot
from launchpad_lib.page.publication import publish_notebook
from launchpad_lib.runner.execution import Executed, cell_count, execute
from launchpad_lib.runner.forked_kernels import kernel_server
from launchpad_lib.runner.history import changes, previous_manifest, rows_by_date, runs_of
from launchpad_lib.runner.indexes import publish_index, publish_run_index
from launchpad_lib.runner.named_things import check_named_things
from launchpad_lib.runner.outcomes import notebook_record, summary, worst, write_tables
from launchpad_lib.runner.own_notebooks import notebook_names
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.progress import Progress
from launchpad_lib.simulation import simulate

PACKAGES = (
    "pandas", "numpy", "scipy", "pyarrow", "duckdb", "ibis-framework", "deltalake", "statsmodels", "scikit-learn", "altair", "vl-convert-python", "papermill",
)  # fmt: skip


def bring_up_to_date(run: RunParams, *, now: datetime, say: Callable[[str], None]) -> None:
    """Simulates where asked, then ingests every source of the run."""
    if run.simulate:
        folder, stamp = Path("data/raw/simulated"), run.simulate.model_dump_json()
        mark = folder / ".simulated.json"
        if not mark.exists() or mark.read_text() != stamp:
            if folder.exists() and not mark.exists() and any(folder.iterdir()):
                raise ValueError(f"simulate: {folder} holds files that this command did not write; move them away")
            shutil.rmtree(folder, ignore_errors=True)
            if (
                Path(run.lake).name == "simulated"
            ):  # rows of another simulation must not mix with these; any other lake may hold more
                shutil.rmtree(run.lake, ignore_errors=True)
            result = simulate(folder, seed=run.simulate.seed, users=run.simulate.users, days=run.simulate.days)
            mark.write_text(stamp)
            say(f"simulated {result.rows['events']:,} events and {result.rows['telemetry']:,} telemetry rows")
    # Every source is read and checked before any is written: a file that cannot be read leaves the whole lake as before.
    prepared = [prepare(source, lake=Path(run.lake), ingested_at=now) for source in run.sources]
    Path(run.lake).mkdir(parents=True, exist_ok=True)
    for source in prepared:
        done = commit(source, lake=Path(run.lake))
        say(
            f"{done.table}: {done.files} files ({done.skipped_files} known), {done.accepted:,} new, {done.duplicates:,} duplicates, {done.rejected:,} rejected"
        )


def run_report(
    run: RunParams, *, now: datetime, run_id: str, progress: Progress, notebooks: Path = Path("notebooks")
) -> int:
    """Executes and publishes; 1 where a notebook failed, otherwise 0, also where the data refused an answer."""
    with kernel_server():  # its imports go on while the lake is brought up to date
        bring_up_to_date(run, now=now, say=progress.say)
        return _execute_and_publish(run, now=now, run_id=run_id, progress=progress, notebooks=notebooks)


def _execute_and_publish(run: RunParams, *, now: datetime, run_id: str, progress: Progress, notebooks: Path) -> int:
    reports = Path(run.reports)
    final = reports / run_id
    if final.exists():
        raise ValueError(f"run-id={run_id!r}: {final} exists; choose another run id")
    reports.mkdir(parents=True, exist_ok=True)
    # A folder of its own, so that two runs of one id never write into, or delete, each other's pages: the first to end is kept.
    partial = Path(tempfile.mkdtemp(prefix=f".{run_id}.", suffix=".partial", dir=reports))
    partial.chmod(0o755)
    try:
        return _publish_from(partial, run, final=final, now=now, run_id=run_id, progress=progress, notebooks=notebooks)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is there any more when all went well


def _publish_from(
    partial: Path, run: RunParams, *, final: Path, now: datetime, run_id: str, progress: Progress, notebooks: Path
) -> int:
    reports = final.parent
    context = {"run_id": run_id, "started_at": now.isoformat(timespec="seconds"), "inputs": {}}
    done: list[Executed] = []
    # One version and one window of every table for all pages and the manifest, whatever a stream writes meanwhile.
    snapshot = take_snapshot(run.lake, versions=run.lake_versions, observed_through=run.observed_through)
    check_named_things(run, versions=snapshot.versions, notebooks=notebooks)
    with ThreadPoolExecutor(max_workers=run.workers) as pool:
        for number, stage in enumerate(run.sequence):
            jobs = [
                pool.submit(
                    _execute_one, run, name, snapshot=snapshot, notebooks=notebooks, folder=partial, progress=progress
                )
                for name in stage
            ]
            if number == 0:
                context["inputs"] = _inputs(run.lake, snapshot)  # while the first notebooks run
            for job in jobs:
                one = _result_of(job, pool)
                publish_notebook(
                    one.notebook, html_path=partial / f"{one.name}.html", title=one.title, status=one.status, reason=one.reason,
                    context=context, last_good=_last_good(reports, run.name, one.name),
                )  # fmt: skip
                done.append(one)
    order = notebook_names(notebooks)
    done.sort(key=lambda one: order.index(one.name))  # as one reads them, whichever ran first
    status = worst(one.status for one in done)
    manifest = {
        "run_id": run_id,
        "started_at": context["started_at"],
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": status,
        "params": run.model_dump(mode="json"),
        "inputs": context["inputs"],
        "notebooks": [notebook_record(one) for one in done],
        "metrics": [metric for one in done for metric in one.said.metrics],
        "tables": write_tables(done, partial),
        "versions": _versions(),
    }
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    publish_index(
        partial, manifest, since=changes(manifest, previous_manifest(reports, run.name, before=manifest["started_at"]))
    )
    try:
        partial.rename(final)
    except OSError as error:
        if not final.exists():
            raise
        raise ValueError(
            f"run-id={run_id!r}: another run published {final} meanwhile; choose another run id"
        ) from error
    publish_run_index(reports)
    progress.say(f"{summary(done)}: {final / 'index.html'}")
    return 1 if status == "failed" else 0


def _execute_one(
    run: RunParams, name: str, *, snapshot: Snapshot, notebooks: Path, folder: Path, progress: Progress
) -> Executed:
    source = notebooks / f"{name}.ipynb"
    progress.start(name, cells=cell_count(source))
    given = {"lake": run.lake, **snapshot.for_notebook()}
    parameters = run.for_notebook(name, notebooks=notebooks, given=given)
    done = execute(
        source,
        out=folder / source.name,
        parameters=parameters,
        timeout_seconds=run.timeout_seconds,
        on_cell=lambda: progress.advance(name),
    )
    progress.finish(name, status=done.status, seconds=done.seconds, reason=done.reason)
    return done


def _result_of(job: Future[Executed], pool: ThreadPoolExecutor) -> Executed:
    """The notebook's outcome; when the run is stopped meanwhile, what has not begun never does."""
    try:
        return job.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _inputs(lake: str, snapshot: Snapshot) -> dict:
    """What was read, per table: its rows within the window, and what lies outside."""
    given = snapshot.for_notebook()
    opened = open_lake(lake, versions=snapshot.versions, observed_through=given["observed_through"])
    by_date = {
        "events": rows_by_date(opened.events, "event_at"),
        "telemetry": rows_by_date(opened.telemetry, "observed_at"),
    }
    return {
        n: {
            "version": v.version,
            "rows": v.rows,
            "observed_from": str(v.observed_from) if v.observed_from else None,
            "observed_through": str(v.observed_through) if v.observed_through else None,
            "outside": [
                {"where": o.where, "rows": o.rows, "first_at": str(o.first_at), "last_at": str(o.last_at)}
                for o in v.outside
            ],
            "rejected": v.rejected,
            "rows_by_date": by_date.get(n, {}),
        }
        for n, v in opened.versions.items()
    }


def _last_good(reports: Path, run_name: str, notebook: str) -> str | None:
    """Relative address of the newest good page of this notebook in an earlier run of the same name."""
    for manifest in runs_of(reports, run_name):
        good = {n.get("name") for n in manifest.get("notebooks", []) if isinstance(n, dict) and n.get("status") == "ok"}
        if notebook in good and (reports / str(manifest["run_id"]) / f"{notebook}.html").is_file():
            return f"../{manifest['run_id']}/{notebook}.html"
    return None


def _versions() -> dict:
    lock = Path("requirements.lock")
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    lock_hash = hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.exists() else None
    return {
        "commit": commit,
        "lock_hash": lock_hash,
        "packages": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
