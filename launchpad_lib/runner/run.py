"""A run: ingest, execute the stages, publish; nothing half-written is ever under its final name."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from launchpad_lib.contract.catalogue.scorecard import READS
from launchpad_lib.contract.manifest import Manifest, manifest_text
from launchpad_lib.contract.private import usual_folder_mode
from launchpad_lib.lake import take_snapshot
from launchpad_lib.lake.kept_reports import pin_versions, tell_of_reports
from launchpad_lib.lake.warehouse import refresh_warehouse
from launchpad_lib.page.publication import publish_notebook
from launchpad_lib.page.run_results import write_results
from launchpad_lib.runner.checksums import checksums
from launchpad_lib.runner.durations import usual_durations
from launchpad_lib.runner.execution import Executed, cell_count, execute, title_of_file
from launchpad_lib.runner.forked_kernels import kernel_server
from launchpad_lib.runner.history import changes, last_good, previous_manifest
from launchpad_lib.runner.indexes import publish_index, publish_run_index
from launchpad_lib.runner.inputs import bring_up_to_date, doubts_about_lake, inputs_read, opened_for
from launchpad_lib.runner.kept_runs import MANIFEST
from launchpad_lib.runner.named_things import check_named_things, doubts_about_features
from launchpad_lib.runner.outcomes import notebook_record, summary, verdict_of, worst, write_tables
from launchpad_lib.runner.own_notebooks import notebook_names
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.progress import Progress
from launchpad_lib.runner.provenance import made_by, source_hashes
from launchpad_lib.runner.stopping import Kernels
from launchpad_lib.runner.summary_words import page_name
from launchpad_lib.runner.told_runs import Begun, Ended
from launchpad_lib.runner.unheard_rules import unheard_rules


def run_report(
    run: RunParams,
    *,
    now: datetime,
    run_id: str,
    progress: Progress,
    notebooks: Path = Path("notebooks"),
    kernels: AbstractContextManager[subprocess.Popen | None] | None = None,
) -> int:
    """Executes and publishes; 1 where a notebook failed, otherwise 0, also where the data refused an answer.

    Args:
        kernels: the server of kernels, where the caller has started it; otherwise one is started here.

    Raises:
        ValueError: a notebook of the sequence is not there, before anything is read or written.
    """
    _all_there(run, notebooks)
    asked = tuple(name for stage in run.sequence for name in stage)
    progress.begin(Begun(run_id, run.name, asked, usual_durations(Path(run.reports), run.name)))
    for sentence in unheard_rules(run, notebooks=notebooks):
        progress.say(sentence)
    with kernels or kernel_server() as server:  # its imports go on while the lake is brought up to date
        progress.doing("bringing the lake up to date")
        bring_up_to_date(run, now=now, say=progress.say)
        doing = _Doing(run, now, run_id, progress, notebooks, Kernels(server))
        return _execute_and_publish(doing)


def _all_there(run: RunParams, notebooks: Path) -> None:
    missing = [name for stage in run.sequence for name in stage if not (notebooks / f"{name}.ipynb").is_file()]
    if missing:
        raise ValueError(
            f"sequence: {notebooks.resolve()} holds no {', '.join(f'{name}.ipynb' for name in missing)}; run in a "
            "workbook that has them (`launchpad init DIR` makes one), or take them out of `sequence`"
        )


class _Doing(NamedTuple):
    """A run under way."""

    run: RunParams
    now: datetime
    run_id: str
    progress: Progress
    notebooks: Path
    kernels: Kernels


def _execute_and_publish(doing: _Doing) -> int:
    run, run_id = doing.run, doing.run_id
    reports = Path(run.reports)
    final = reports / run_id
    if final.exists():
        raise ValueError(f"run-id={run_id!r}: {final} exists; choose another run id")
    reports.mkdir(parents=True, exist_ok=True)
    # A folder of its own, so that two runs of one id never write into, or delete, each other's pages: the first to end
    # is kept.
    partial = Path(tempfile.mkdtemp(prefix=f".{run_id}.", suffix=".partial", dir=reports))
    partial.chmod(usual_folder_mode())  # reports are made to be read
    try:
        return _publish_from(partial, doing, final=final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is there any more when all went well


def _publish_from(partial: Path, doing: _Doing, *, final: Path) -> int:
    run, run_id, reports = doing.run, doing.run_id, final.parent
    context = {
        "run_id": run_id,
        "started_at": doing.now.isoformat(timespec="seconds"),
        "inputs": {},
        "pages": _pages(doing),
    }
    done: list[Executed] = []
    hashes = source_hashes([n for stage in run.sequence for n in stage], notebooks=doing.notebooks)
    doing.progress.doing("checking the parameters")
    tell_of_reports(Path(run.lake), reports)
    # One version and one window of every table for all pages and the manifest, whatever a stream writes meanwhile.
    snapshot = take_snapshot(run.lake, versions=run.lake_versions, observed_through=run.observed_through)
    pin_versions(partial, snapshot.versions)
    opened = opened_for(run.lake, snapshot)
    check_named_things(
        run,
        versions=snapshot.versions,
        notebooks=doing.notebooks,
        observed_through=snapshot.observed_through.get("events"),
    )
    for doubt in [*doubts_about_lake(opened, run.lake), *doubts_about_features(run, versions=snapshot.versions)]:
        doing.progress.say(doubt)
    doing.progress.doing("running the notebooks")
    jobs: list[Future[Executed]] = []
    results = partial / ".results"
    with ThreadPoolExecutor(max_workers=run.workers) as pool:
        try:
            for number, stage in enumerate(run.sequence):
                if number:  # what comes later may read what the stages before have found
                    said = ((one.name, one.status, one.reason, one.said) for one in done)
                    write_results(results, said, tables=READS)
                given = {**snapshot.for_notebook(), "results": str(results)}
                jobs = [pool.submit(_execute_one, doing, name, given=given, folder=partial) for name in stage]
                if number == 0:
                    context["inputs"] = inputs_read(opened)  # while the first notebooks run
                    refresh_warehouse(
                        run.lake,
                        say=doing.progress.say,
                        versions=snapshot.versions,
                        observed_through=run.observed_through,
                    )
                for job in as_completed(jobs):  # a page is made while the other notebooks still run
                    one = job.result()
                    publish_notebook(
                        one.notebook,
                        html_path=partial / f"{one.name}.html",
                        title=one.title,
                        status=one.status,
                        reason=one.reason,
                        context=context,
                        # A page that is good names no other.
                        last_good=None if one.status == "ok" else last_good(reports, run.name, one.name),
                    )
                    done.append(one)
        except BaseException:  # above all Ctrl-C; the pool would wait for every cell that is at work
            doing.kernels.stop(jobs)
            raise
    doing.progress.doing("making the index")
    shutil.rmtree(results, ignore_errors=True)
    order = notebook_names(doing.notebooks)
    done.sort(key=lambda one: order.index(one.name))  # as one reads them, whichever ran first
    status = worst(one.status for one in done)
    manifest = Manifest.model_validate(
        {
            "run_id": run_id,
            "started_at": context["started_at"],
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": status,
            "params": run.model_dump(mode="json"),
            "inputs": context["inputs"],
            "notebooks": [notebook_record(one) for one in done],
            "metrics": [metric for one in done for metric in one.said.metrics],
            "tables": write_tables(done, partial),
            "scorecard": next((one.said.scorecard for one in done if one.said.scorecard), ()),
            "verdict": next((one.said.verdict for one in done if one.said.scorecard), None),
            "versions": made_by(hashes),
        }
    )
    manifest = manifest.model_copy(update={"verdict": verdict_of(manifest)})
    publish_index(
        partial,
        manifest,
        since=changes(manifest, previous_manifest(reports, run.name, before=manifest.started_at)),
    )
    # Last of all, when every other file of the folder is as it stays.
    whole = manifest.model_copy(update={"files": checksums(partial)})
    (partial / MANIFEST).write_text(manifest_text(whole), encoding="utf-8")
    try:
        partial.rename(final)
    except OSError as error:
        if not final.exists():
            raise
        raise ValueError(
            f"run-id={run_id!r}: another run published {final} meanwhile; choose another run id"
        ) from error
    publish_run_index(reports)
    index = final / "index.html"
    doing.progress.end(Ended(run_id, status, str(index), f"{summary(done)}: {index}"))
    return 1 if status == "failed" else 0


def _pages(doing: _Doing) -> list[dict[str, str]]:
    """The pages of the run as each of them names the others."""
    asked = [n for stage in doing.run.sequence for n in stage]
    pages = []
    for name in sorted(asked, key=notebook_names(doing.notebooks).index):
        title = title_of_file(doing.notebooks / f"{name}.ipynb")
        pages.append({"short": page_name(title), "title": title, "href": f"{quote(name)}.html"})
    return pages


def _execute_one(doing: _Doing, name: str, *, given: dict[str, Any], folder: Path) -> Executed:
    run, progress, source = doing.run, doing.progress, doing.notebooks / f"{name}.ipynb"
    progress.start(name, cells=cell_count(source))
    as_of = run.notebooks.get(name, {}).get("as_of") or doing.now.isoformat(timespec="seconds")
    parameters = run.for_notebook(name, notebooks=doing.notebooks, given={"lake": run.lake, "as_of": as_of, **given})
    done = execute(
        source,
        out=folder / source.name,
        parameters=parameters,
        timeout_seconds=run.timeout_seconds,
        on_cell=lambda: progress.advance(name),
        kernels=doing.kernels,
    )
    progress.finish(name, status=done.status, seconds=done.seconds, reason=done.reason)
    return done
