"""`launchpad diff`, `rerun` and `prune`: two kept runs side by side, one made again, old ones removed."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from launchpad_lib.cli.reporting import reports_folder


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds diff, rerun and prune."""
    apart = commands.add_parser("diff", help="two kept runs: parameters, versions, pages and numbers that differ")
    apart.set_defaults(run=_diff)
    apart.add_argument("one", metavar="RUN", help="folder of the run, or its id among the reports")
    apart.add_argument("other", metavar="OTHER", help="the run it is held against")
    apart.add_argument("--json", action="store_true", help="as a JSON object")
    apart.add_argument("--reports", help="folder of the reports (default: those of this workbook)")
    again = commands.add_parser(
        "rerun",
        help="make a kept run again on the table versions that it read, and compare",
        epilog="Exit status: 0 every number, verdict and finding is the same, 1 one is not or a notebook failed.",
    )
    again.set_defaults(run=_rerun)
    again.add_argument("folder", metavar="RUN", help="folder of the run, or its id among the reports")
    again.add_argument("--run-id", help="name of the new run's folder (default: the run's id, again and time)")
    again.add_argument("--json", action="store_true", help="what differs, as a JSON object")
    again.add_argument(
        "--quiet", "-q", action="store_true", help="nothing of the run but what failed, then what differs"
    )
    again.add_argument("--reports", help="folder of the reports (default: those of this workbook)")
    old = commands.add_parser(
        "prune",
        help="remove old runs that nobody changed",
        epilog="Of each name the newest run and the newest that is ok stay. The next launchpad compact removes the "
        "table versions that only they named.",
    )
    old.set_defaults(run=_prune)
    old.add_argument("name", nargs="?", help="only runs of this name (default: of every name)")
    old.add_argument("--keep", type=int, help="so many of each name stay")
    old.add_argument("--older-than", type=float, metavar="DAYS", help="only runs that began longer ago")
    old.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    old.add_argument("--reports", help="folder of the reports (default: those of this workbook)")


def _diff(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.differences import differences
    from launchpad_lib.runner.kept_runs import manifest_of, run_folder

    reports = reports_folder(arguments.reports)
    one, other = (manifest_of(run_folder(named, reports)) for named in (arguments.one, arguments.other))
    found = differences(one, other)
    print(json.dumps(found.as_json(), indent=1, ensure_ascii=False) if arguments.json else "\n".join(found.lines()))
    return 0


def _rerun(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.kept_runs import manifest_of, run_folder
    from launchpad_lib.runner.progress import progress_for
    from launchpad_lib.runner.rerun import rerun
    from launchpad_lib.runner.workbook import nearest_workbook

    folder = run_folder(arguments.folder, reports_folder(arguments.reports)).resolve()
    manifest_of(folder)
    root = nearest_workbook(folder) or nearest_workbook(Path.cwd())
    if root is None:
        raise ValueError(f"run={str(folder)!r}: lies in no workbook; go to the workbook whose run it is")
    reports = Path(arguments.reports).absolute() if arguments.reports else None
    spoken = sys.stderr if arguments.json else sys.stdout
    with contextlib.chdir(root), progress_for(spoken, form="quiet" if arguments.quiet else None) as progress:
        done = rerun(
            folder, root=root, now=datetime.now(UTC), run_id=arguments.run_id, progress=progress, reports=reports
        )
    said = done.differences
    if arguments.json:
        told = {"run": str(done.folder), "is_identical": done.is_identical, "unpinned": done.unpinned}
        print(json.dumps(told | said.as_json(), indent=1, ensure_ascii=False))
    else:
        for sentence in done.unpinned:
            print(f"not pinned: {sentence}")
        for one in (*said.pages, *said.numbers):
            print(f"differs: {one.name}: {one.one} -> {one.other}")
        verdict = "identical" if done.is_identical else "not identical"
        print(f"{done.folder}: {verdict}, {said.same_numbers:,} numbers are the same, {len(said.numbers):,} differ")
    return int(done.status != 0 or not done.is_identical)


def _prune(arguments: argparse.Namespace) -> int:
    from launchpad_lib.contract.sentences import counted
    from launchpad_lib.runner.pruning import prune

    reports = reports_folder(arguments.reports)
    done = prune(
        reports,
        now=datetime.now(UTC),
        name=arguments.name,
        keep=arguments.keep,
        older_than_days=arguments.older_than,
        is_dry=arguments.dry_run,
    )
    word = "would remove" if arguments.dry_run else "removed"
    for folder in done.removed:
        print(f"{word} {folder}")
    for folder, why in done.left.items():
        print(f"left {folder}: {why}")
    removed = counted(len(done.removed), "folder or file", "folders and files")
    print(f"{reports}: {word} {removed}, left {len(done.left)} that were due")
    return 0
