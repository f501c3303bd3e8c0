"""`launchpad forget` and `retain`: a person, or what is older than a period, taken out of what is kept."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds forget and retain."""
    person = commands.add_parser(
        "forget",
        help="remove a person from lake, refused rows, index, saved states and spools",
        epilog="The id is taken literally (one that begins with - comes after --); of pseudonymised ids it is the "
        "id as it came, with the salt set. Kept reports hold sums and stay; those that count the person are named. "
        "Killed at any point, the same command ends it. Source files, Kafka topics and copies of the lake are not "
        "touched.",
    )
    person.set_defaults(run=_forget)
    person.add_argument("user", metavar="USER", help="the id as it stands in user_id")
    person.add_argument("--spool", action="append", default=[], metavar="DIR", help="a spool; may be given again")
    _add_usual(person)
    old = commands.add_parser(
        "retain",
        help="remove what is older than the periods under `retention` of the params file",
        epilog="Counted in whole UTC days from today. The index is made anew by the next run.",
    )
    old.set_defaults(run=_retain)
    _add_usual(old)


def _add_usual(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params", help="params file (default: params/weekly.yaml of this workbook)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    parser.add_argument("--json", action="store_true", help="as a JSON object")


def _forget(arguments: argparse.Namespace) -> int:
    from launchpad_lib.cli.reporting import run_in_its_workbook
    from launchpad_lib.contract.pseudonyms import VARIABLE, Pseudonyms
    from launchpad_lib.runner.erasure import forget

    spools = [Path(spool).absolute() for spool in arguments.spool]
    say = (lambda _: None) if arguments.json else print
    with run_in_its_workbook(arguments.params, say=say) as run:
        is_pseudonymised = VARIABLE in os.environ or any(source.pseudonymise for source in run.sources)
        done = forget(
            Path(run.lake),
            arguments.user,
            spools=spools,
            pseudonyms=Pseudonyms.from_environment(os.environ) if is_pseudonymised else None,
            reports=Path(run.reports),
            is_dry=arguments.dry_run,
            say=say,
        )
    if arguments.json:
        print(json.dumps({"is_dry_run": arguments.dry_run, **done._asdict()}, indent=1))
    return 0


def _retain(arguments: argparse.Namespace) -> int:
    from launchpad_lib.cli.reporting import run_in_its_workbook
    from launchpad_lib.runner.erasure import retain

    say = (lambda _: None) if arguments.json else print
    with run_in_its_workbook(arguments.params, say=say) as run:
        if not run.retention:
            raise ValueError("retention: the params file states none; write for example `retention: {events: 400}`")
        done = retain(
            Path(run.lake),
            run.retention,
            now=datetime.now(UTC),
            reports=Path(run.reports),
            is_dry=arguments.dry_run,
            say=say,
        )
    if arguments.json:
        told = {"rows": done.rows, "counting": done.counting, "untold": done.untold}
        print(json.dumps({"is_dry_run": arguments.dry_run, **told}, indent=1))
    return 0
