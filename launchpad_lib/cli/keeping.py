"""`launchpad doctor` and `replay`: whether what is kept is as it was written; refused rows judged again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds doctor and replay."""
    doctor = commands.add_parser(
        "doctor",
        help="whether a lake or a spool is as it was written, and what to do where it is not",
        epilog="Exit status: 0 nothing is damaged, 1 something is, 2 no such folder.",
    )
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("folder", metavar="LAKE", help="folder of the Delta tables, or of a spool")
    doctor.add_argument("--json", action="store_true", help="as a JSON object")
    again = commands.add_parser(
        "replay",
        help="judge refused rows again, after a mapping was mended or by a newer version",
        epilog="What is accepted leaves the refused rows; twice changes nothing.",
    )
    again.set_defaults(run=_replay)
    again.add_argument(
        "params",
        nargs="?",
        help="params file with the lake and the mended mappings (default: params/weekly.yaml of this workbook)",
    )
    again.add_argument("--reason", help="only rows whose reason contains this text")
    again.add_argument("--source", help="only rows of files or streams whose name contains this text")
    again.add_argument("--dry-run", action="store_true", help="say what would be accepted, and write nothing")
    again.add_argument("--json", action="store_true", help="as a JSON object")


def _doctor(arguments: argparse.Namespace) -> int:
    from launchpad_lib.lake.examination import Examined, examine
    from launchpad_lib.spool.damage import examine_spool, is_spool

    folder = Path(arguments.folder)
    if is_spool(folder):
        found, files, bare = examine_spool(folder)
        said = Examined(tuple(found), files, bare)
    else:
        said = examine(folder)
    is_damaged = any(one.kind == "damaged" for one in said.found)
    if arguments.json:
        told = {
            "folder": str(folder),
            "is_damaged": is_damaged,
            "files": said.files,
            "without_checksum": said.unsealed,
            "found": [one._asdict() for one in said.found],
        }
        print(json.dumps(told, indent=1))
        return int(is_damaged)
    for one in said.found:
        print(f"{one.kind:8} {one.sentence}")
    unsealed = f", {said.unsealed} of them without a checksum of their own" if said.unsealed else ""
    verdict = "damaged" if is_damaged else "as it was written"
    print(f"{folder}: {verdict} ({said.files} files with rows or commits read{unsealed})")
    return int(is_damaged)


def _replay(arguments: argparse.Namespace) -> int:
    from launchpad_lib.cli.reporting import run_in_its_workbook
    from launchpad_lib.contract.sentences import counted
    from launchpad_lib.ingestion import replay
    from launchpad_lib.lake.refused_damage import refuse_damage

    with run_in_its_workbook(arguments.params, say=lambda _: None) as run:
        if not (Path(run.lake) / "rejected" / "_delta_log").is_dir():
            refuse_damage(run.lake)
            raise ValueError(f"lake={run.lake!r}: has refused no row yet; run launchpad ingest first")
        refuse_damage(run.lake)
        done = replay(
            Path(run.lake),
            run.sources,
            root=Path("."),
            reason=arguments.reason,
            source=arguments.source,
            is_dry=arguments.dry_run,
        )
    if arguments.json:
        print(json.dumps({"is_dry_run": arguments.dry_run, **done._asdict()}, indent=1))
        return 0
    would = "would be " if arguments.dry_run else ""
    print(
        f"{counted(done.judged, 'refused row')} judged again: {done.accepted:,} {would}accepted, {done.known:,} known "
        f"already, {done.refused:,} refused again"
    )
    for why, rows in done.left.items():
        print(f"{rows:,} not judged: they {why}")
    return 0
