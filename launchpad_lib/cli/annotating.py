"""`launchpad annotate`: deployments, incidents and campaigns that charts show and findings name."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds annotate."""
    from launchpad_lib.contract.annotations import KINDS

    mark = commands.add_parser(
        "annotate",
        help="a deployment, incident or campaign into the lake",
        epilog="The same instant, kind, feature and text twice are one annotation.",
    )
    mark.set_defaults(run=_annotate)
    mark.add_argument("text", nargs="?", help="what charts show, for example 'search 2.1'")
    mark.add_argument("--at", help="ISO 8601 with its zone, for example 2026-01-14T09:30:00Z (default: now)")
    mark.add_argument("--feature", help="id of the feature concerned (default: all)")
    mark.add_argument("--kind", choices=KINDS, default="deployment", help="default: deployment")
    mark.add_argument("--git-tags", metavar="REPO", help="instead: every tag of a git repository, as a deployment")
    mark.add_argument("--match", default="*", help="only tags like this, for example 'v*' (default: all)")
    where = mark.add_mutually_exclusive_group()
    where.add_argument("--lake", help="folder of the Delta tables (default: that of the params file)")
    where.add_argument("--params", help="params file (default: params/weekly.yaml of this workbook)")


def _annotate(arguments: argparse.Namespace) -> int:
    from launchpad_lib.cli.reporting import run_in_its_workbook

    if (arguments.text is None) == (arguments.git_tags is None):
        raise ValueError("annotate: give a text, or --git-tags REPO, and not both")
    repository = Path(arguments.git_tags).absolute() if arguments.git_tags else None
    if arguments.lake:
        return _into(Path(arguments.lake), arguments, repository)
    with run_in_its_workbook(arguments.params) as run:
        return _into(Path(run.lake), arguments, repository)


def _into(lake: Path, arguments: argparse.Namespace, repository: Path | None) -> int:
    from launchpad_lib.contract.annotations import annotation
    from launchpad_lib.runner.annotating import annotate, git_tags, unknown_feature

    if not lake.is_dir():
        raise ValueError(
            f"lake={str(lake)!r}: there is no such folder; run `launchpad ingest` first, or correct the path"
        )
    now = datetime.now(UTC)
    if repository is not None:
        marks = git_tags(
            repository, pattern=arguments.match, feature_id=arguments.feature, kind=arguments.kind, now=now
        )
    else:
        said = {"label": arguments.text, "kind": arguments.kind, "at": arguments.at, "feature_id": arguments.feature}
        marks = [annotation(said, now=now)]
    if arguments.feature and unknown_feature(lake, arguments.feature):
        print(f"feature={arguments.feature!r}: nobody knows it yet; it is kept, see that it is written right")
    print(f"{lake}: {annotate(marks, lake=lake, now=now)}")
    return 0
