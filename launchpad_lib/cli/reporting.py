"""`launchpad report`, `ingest`, `history`, `verify`: the weekly run, what earlier runs said, if they are as written."""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchpad_lib.runner.parameters import RunParams


class _HelpWithParameters(argparse.Action):
    """Help, then the parameters of the run; these are looked up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from launchpad_lib.runner.parameter_table import describe
        from launchpad_lib.runner.parameters import NOTEBOOKS, RunParams

        parser.print_help()
        of_a_notebook = f"those of a notebook: launchpad params NAME, of {', '.join(NOTEBOOKS)}"
        print(f"\na params file takes ({of_a_notebook}):\n\n{describe(RunParams)}")
        parser.exit()


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds report, ingest, history, single-file and verify."""
    report = commands.add_parser("report", help="ingest, run the notebooks, publish", add_help=False)
    report.set_defaults(run=_report)
    report.add_argument(
        "-h", "--help", action=_HelpWithParameters, nargs=0, help="show this, and what a params file takes"
    )
    report.add_argument("params", nargs="?", help="params file (default: params/weekly.yaml of this workbook)")
    report.add_argument("--run-id", help="name of the run's folder (default: name and time)")
    report.add_argument(
        "--single-file", action="store_true", help="all pages in one HTML file too, RUN.html beside the run's folder"
    )
    add_forms(report)
    report.add_argument("--no-alerts", action="store_true", help="send no alerts after the run")
    ingestion = commands.add_parser("ingest", help="bring the lake up to date")
    ingestion.set_defaults(run=_ingest)
    ingestion.add_argument("params", nargs="?", help="params file (default: params/weekly.yaml of this workbook)")
    ingestion.add_argument(
        "--dry-run", action="store_true", help="say what would be simulated, removed and read; write nothing"
    )
    add_forms(ingestion)
    past = commands.add_parser("history", help="what earlier runs said of a metric")
    past.set_defaults(run=_history)
    past.add_argument("name", help="name of the run, for example weekly")
    past.add_argument("--metric", help="only this one, for example completion_rate_session")
    shape = past.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_const", dest="form", const="json", help="every number, as a JSON array")
    shape.add_argument("--csv", action="store_const", dest="form", const="csv", help="every number, as CSV")
    past.add_argument("--reports", help="folder of the reports (default: those of this workbook)")
    one = commands.add_parser("single-file", help="all pages of a kept run in one HTML file, for a mail")
    one.set_defaults(run=_single_file)
    one.add_argument("folder", metavar="RUN", help="folder of the run, or its id among the reports")
    one.add_argument("--to", metavar="FILE", help="the file (default: RUN.html beside the run's folder)")
    one.add_argument("--reports", help="folder of the reports (default: those of this workbook)")
    kept = commands.add_parser("verify", help="whether every file of a run is as it was written")
    kept.set_defaults(run=_verify)
    kept.add_argument("folder", metavar="RUN", help="folder of the run, or its id among the reports")
    kept.add_argument("--reports", help="folder of the reports (default: those of this workbook)")


def add_forms(command: argparse.ArgumentParser) -> None:
    """Adds --quiet and --json: how a command says what it is doing."""
    form = command.add_mutually_exclusive_group()
    form.add_argument(
        "--quiet",
        "-q",
        action="store_const",
        dest="form",
        const="quiet",
        help="say only what failed, on standard error",
    )
    form.add_argument(
        "--json", action="store_const", dest="form", const="json", help="one JSON object a line: docs/runs.md"
    )


@contextlib.contextmanager
def run_in_its_workbook(params: str | None, *, say: Callable[[str], None] | None = None) -> Iterator[RunParams]:
    """The checked run; meanwhile the workbook is the present folder, which all paths in its params are relative to."""
    from launchpad_lib.runner.parameters import load_run
    from launchpad_lib.runner.workbook import usual_params, workbook_of

    path = Path(params) if params else usual_params()
    run, root = load_run(path), workbook_of(path)
    if root != Path.cwd():
        (say or partial(print, flush=True))(f"workbook {root}")
    with contextlib.chdir(root):
        yield run


def _report(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.forked_kernels import kernel_server

    with kernel_server() as server:  # it imports what kernels need while this process imports what a run needs
        return _run_with(arguments, server)


def _run_with(arguments: argparse.Namespace, server: subprocess.Popen | None) -> int:
    gc.disable()  # what imports make stays; looking for waste among it would be a sixth of their time
    from launchpad_lib.delivery.channels import check_secrets
    from launchpad_lib.runner.alerts import alerts_after, channels_in_use, published_run
    from launchpad_lib.runner.parameters import ParameterError
    from launchpad_lib.runner.progress import progress_for
    from launchpad_lib.runner.run import run_report

    gc.enable()
    now = datetime.now(UTC)
    with (
        progress_for(sys.stdout, form=arguments.form) as progress,
        run_in_its_workbook(arguments.params, say=progress.say) as run,
    ):
        run_id = arguments.run_id or f"{run.name}-{now:%Y%m%dT%H%M%SZ}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}", run_id) or run_id == "index":
            raise ParameterError(
                f"run-id={run_id!r}: letters, digits, _ . - only, not starting with a dot, and not index; choose "
                "another"
            )
        sends = bool([rule for rule in run.alerts if not rule.is_live]) and not arguments.no_alerts
        if sends:
            check_secrets(channels_in_use(run))
        status = run_report(run, now=now, run_id=run_id, progress=progress, kernels=contextlib.nullcontext(server))
        if arguments.single_file:
            try:
                progress.say(f"in one file: {_in_one_file(Path(run.reports) / run_id)}")
            except (ValueError, OSError) as error:  # the run stands, and its alerts are sent
                progress.failed(f"no single file: {error}")
                status = 1
        if sends:
            published = published_run(run, run_id)
            status = max(status, alerts_after(run, published, say=progress.say, failed=progress.failed))
        return status


def _in_one_file(folder: Path, to: Path | None = None) -> Path:
    """Writes all pages of a kept run into one file, by default beside its folder; its path."""
    from launchpad_lib.contract.whole_files import write_whole
    from launchpad_lib.runner.kept_runs import manifest_of
    from launchpad_lib.runner.single_file import single_file

    path = to or folder.parent / f"{folder.name}.html"
    write_whole(path, single_file(folder, manifest_of(folder)))
    return path


def _single_file(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.kept_runs import run_folder

    folder = run_folder(arguments.folder, reports_folder(arguments.reports)).resolve()
    print(_in_one_file(folder, Path(arguments.to) if arguments.to else None))
    return 0


def _ingest(arguments: argparse.Namespace) -> int:
    from launchpad_lib.lake.warehouse import refresh_warehouse
    from launchpad_lib.runner.inputs import bring_up_to_date, would_bring
    from launchpad_lib.runner.progress import progress_for

    # Lines on a terminal, too: a bar is for notebooks.
    say = progress_for(sys.stdout, form=arguments.form or "plain").say
    with run_in_its_workbook(arguments.params, say=say) as run:
        if arguments.dry_run:
            for line in would_bring(run, now=datetime.now(UTC)):
                say(line)
            return 0
        bring_up_to_date(run, now=datetime.now(UTC), say=say)
        refresh_warehouse(run.lake, say=say, observed_through=run.observed_through)
    return 0


def _history(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.history import history_lines, history_rows

    if arguments.form:
        names, rows = history_rows(reports_folder(arguments.reports), arguments.name, metric=arguments.metric)
        print_rows(names, rows, form=arguments.form)
        return 0
    print("\n".join(history_lines(reports_folder(arguments.reports), arguments.name, metric=arguments.metric)))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.checksums import verify
    from launchpad_lib.runner.kept_runs import run_folder

    folder = run_folder(arguments.folder, reports_folder(arguments.reports))
    said = verify(folder)
    if said.is_as_written:
        print(f"{folder}: all {said.files} files are as they were written")
        return 0
    for kind in ("changed", "missing", "added"):
        for path in getattr(said, kind):
            print(f"{kind} {path if path.isprintable() else repr(path)}")
    return 1


def print_rows(names: list[str], rows: list[tuple[object, ...]], *, form: str) -> None:
    """Rows as a JSON array of objects, or as CSV."""
    if form == "json":
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1, ensure_ascii=False))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def reports_folder(named: str | None) -> Path:
    """The folder of the reports: the named one, or that of this workbook."""
    from launchpad_lib.runner.workbook import nearest_workbook

    return Path(named) if named else (nearest_workbook(Path.cwd()) or Path.cwd()) / "reports"
