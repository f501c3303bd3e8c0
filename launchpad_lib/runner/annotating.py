"""Annotations by hand and from git tags into the lake, each once."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from launchpad_lib.contract.annotations import LABEL_CHARACTERS, Annotation, annotation
from launchpad_lib.contract.sentences import counted
from launchpad_lib.ingestion import SourceSpec
from launchpad_lib.ingestion.files.sink import ingest
from launchpad_lib.lake.known_names import KnownNames


def annotate(annotations: Iterable[Annotation], *, lake: Path, now: datetime) -> str:
    """Writes annotations into the lake's table, those that are there already not again; says how many.

    Raises:
        ValueError: the lake cannot be written.
    """
    lines = [f"{one.line()}\n" for one in dict.fromkeys(annotations)]
    if not lines:
        return "there is nothing to annotate"
    with tempfile.TemporaryDirectory(prefix="launchpad-annotate-") as folder:
        path = Path(folder) / "annotations.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        done = ingest(SourceSpec(table="annotations", path=path.name), lake=lake, ingested_at=now, root=Path(folder))
    known = len(lines) - done.accepted
    return f"{counted(done.accepted, 'annotation')} written" + (f", {known:,} known already" if known else "")


def unknown_feature(lake: Path, feature_id: str) -> bool:
    """Whether neither telemetry nor events nor the table `features` know a feature: it is kept, and may be a typo."""
    if not (lake / "events").is_dir() and not (lake / "telemetry").is_dir():
        return False
    with KnownNames(str(lake), versions={}) as names:
        return feature_id not in names.features()


def git_tags(repository: Path, *, pattern: str, feature_id: str | None, kind: str, now: datetime) -> list[Annotation]:
    """The tags of a git repository as annotations, by the time of the tag or, where it has none, of its commit.

    Args:
        pattern: only tags whose name is like this, as a shell reads it: `v*`.

    Raises:
        ValueError: it is no repository, or git is not there.
    """
    command = ["git", "-C", str(repository), "for-each-ref", "--format=%(creatordate:iso-strict)%00%(refname:lstrip=2)"]
    try:
        done = subprocess.run([*command, "refs/tags/"], capture_output=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(
            f"git-tags={str(repository)!r}: git cannot be run ({type(error).__name__}); install it"
        ) from None
    if done.returncode:
        raise ValueError(f"git-tags={str(repository)!r}: is no git repository that can be read; correct the path")
    found = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        at, _, name = line.partition("\0")
        if at and fnmatchcase(name, pattern):  # a tag of something that is no commit has no time
            said = {"at": at, "kind": kind, "label": name[:LABEL_CHARACTERS], "feature_id": feature_id}
            found.append(annotation(said, now=now))
    return found
