"""`launchpad alerts`: what the rules of a params file say of a run, and sending it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from launchpad_lib.cli.reporting import run_in_its_workbook

if TYPE_CHECKING:
    from launchpad_lib.runner.alert_judging import Run
    from launchpad_lib.runner.parameters import RunParams


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds alerts."""
    told = commands.add_parser(
        "alerts",
        help="hold the alert rules of a params file against a run and send what is due",
        epilog="Exit status: 0 all that is due was sent, 1 a message could not be delivered.",
    )
    told.set_defaults(run=_alerts)
    told.add_argument("folder", metavar="RUN", nargs="?", help="folder of the run, or its id (default: the newest)")
    told.add_argument("--params", help="params file with the rules (default: params/weekly.yaml of this workbook)")
    told.add_argument("--dry-run", action="store_true", help="say what would be sent and why, and send nothing")


def _alerts(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.alerts import alerts_after, published_run

    with run_in_its_workbook(arguments.params) as run:
        published = published_run(run, arguments.folder)
        return _would_send(run, published) if arguments.dry_run else alerts_after(run, published, say=print)


def _would_send(run: RunParams, published: Run) -> int:
    from launchpad_lib.delivery.sent_log import sent_log
    from launchpad_lib.runner.alerts import would_send

    reports = Path(run.reports)
    with sent_log(reports, is_dry=True) as log:
        said = would_send(run, published, log, reports=reports)
    print(f"run {published.manifest.run_id}; nothing is sent")
    for one in said:
        print(one.line())
    print(f"would send {sum(s.message is not None for s in said)} of {len(said)}")
    return 0
