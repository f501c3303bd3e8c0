"""`launchpad alerts` and `digest`: what the rules of a params file say of a run, the run in short, and sending both."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launchpad_lib.cli.reporting import run_in_its_workbook

if TYPE_CHECKING:
    from launchpad_lib.runner.alert_judging import Run
    from launchpad_lib.runner.parameters import RunParams


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds alerts and digest."""
    told = commands.add_parser(
        "alerts",
        help="hold the alert rules of a params file against a run and send what is due",
        epilog="Exit status: 0 all that is due was sent, 1 a message could not be delivered.",
    )
    told.set_defaults(run=_alerts)
    told.add_argument("folder", metavar="RUN", nargs="?", help="folder of the run, or its id (default: the newest)")
    told.add_argument("--params", help="params file with the rules (default: params/weekly.yaml of this workbook)")
    told.add_argument("--dry-run", action="store_true", help="say what would be sent and why, and send nothing")
    digest = commands.add_parser(
        "digest",
        help="a run in short, as Markdown or HTML, for a mail or a channel",
        epilog="Exit status: 0 all well, 1 it could not be delivered. Sent once to each channel, however often it is "
        "asked.",
    )
    digest.set_defaults(run=_digest)
    digest.add_argument("folder", metavar="RUN", nargs="?", help="folder of the run, or its id (default: the newest)")
    digest.add_argument("--params", help="params file (default: params/weekly.yaml of this workbook)")
    shape = digest.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print Markdown (usual)")
    shape.add_argument("--html", action="store_true", help="print HTML with its pictures within")
    shape.add_argument("--send", action="store_true", help="send it to the channels under `digest`")


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


def _digest(arguments: argparse.Namespace) -> int:
    from functools import partial

    from launchpad_lib.runner.alerts import published_run, send_digest
    from launchpad_lib.runner.digest import digest_html, digest_markdown, digest_of
    from launchpad_lib.runner.summary_words import link_to

    with run_in_its_workbook(arguments.params, say=_aside) as run:
        published = published_run(run, arguments.folder)
        if arguments.send:
            return send_digest(run, published, say=print)
        digest = digest_of(published.manifest)
        # Without an address of the reports links are those of the run's own folder.
        link = partial(link_to, run.base_url, published.manifest.run_id) if run.base_url else str
        print(
            digest_html(digest, link=link, pictures="data")[0] if arguments.html else digest_markdown(digest, link=link)
        )
    return 0


def _aside(line: str) -> None:
    """What is no part of the digest."""
    print(line, file=sys.stderr)
