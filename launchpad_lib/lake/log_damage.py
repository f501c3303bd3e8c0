"""Damage to a Delta table's log: commits that are empty, torn, overwritten, swapped or gone, and checkpoints that
cannot be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.damage import Damage
from launchpad_lib.lake.sealed import is_sealed, wrong_with_commit
from launchpad_lib.lake.seen_files import SeenFiles

LOG = "_delta_log"
_COMMIT = re.compile(r"([0-9]{20})[.]json")
_CHECKPOINT = re.compile(r"([0-9]{20})[.]checkpoint([.][0-9a-zA-Z.-]+)?[.]parquet")
LOST = "restore this folder from a copy of the lake, or move the lake away and bring its sources in again"


class LogFiles(NamedTuple):
    """What lies in a log: commits and checkpoints by version."""

    commits: dict[int, Path]
    checkpoints: dict[int, list[Path]]

    @property
    def head(self) -> int | None:
        """The newest version; None of an empty log."""
        return max([*self.commits, *self.checkpoints], default=None)


def log_files(place: Path) -> LogFiles:
    """The log of a table's folder; nothing where it has none."""
    commits: dict[int, Path] = {}
    checkpoints: dict[int, list[Path]] = {}
    for path in sorted((place / LOG).iterdir()) if (place / LOG).is_dir() else ():
        if found := _COMMIT.fullmatch(path.name):
            commits[int(found[1])] = path
        elif found := _CHECKPOINT.fullmatch(path.name):
            checkpoints.setdefault(int(found[1]), []).append(path)
    return LogFiles(commits, checkpoints)


def log_damage(place: Path, seen: SeenFiles, *, version: int | None = None) -> Iterator[Damage]:
    """What is wrong with the log of a table, as far as one reads it who opens this version, or the newest.

    A commit without a checksum, by another writer or from before there were checksums, is held against what it was when
    it was first read.
    """
    files = log_files(place)
    if files.head is None:
        if place.is_dir() and any(place.rglob("*.parquet")):
            yield _of(place, "", f"has rows in Parquet files, but its log ({LOG}) is gone or empty", LOST)
        elif seen.head is not None:  # else somebody may just be making the table
            yield _of(place, LOG, "is empty: no commit says what the table is", LOST)
        return
    table = table_id(files)
    if table is not None and seen.table != table:
        seen.start_anew()
    before = seen.head
    if before is not None and files.head < before:
        last = f"the commits {files.head + 1} to {before}" if before - files.head > 1 else f"commit {before}"
        yield _of(place, LOG, f"has lost {last}, which an earlier run read", LOST)
    head = files.head if version is None else min(version, files.head)
    base = max((v for v in files.checkpoints if v <= head), default=None)
    needed = range(0 if base is None else base + 1, head + 1)
    for number in needed:
        path = files.commits.get(number)
        if path is None:
            yield _of(place, f"{LOG}/{number:020d}.json", "is missing: the commits after it hang in the air", LOST)
        elif (wrong := _wrong_with_commit(path, number, seen)) is not None:
            yield _of(place, f"{LOG}/{path.name}", wrong, LOST)
    for path in files.checkpoints.get(base, []) if base is not None else []:
        if (wrong := _wrong_with_checkpoint(path, seen)) is not None:
            older = all(v in files.commits for v in range(0, (base or 0) + 1))
            remedy = f"delete it and {LOG}/_last_checkpoint: every commit is there" if older else LOST
            yield _of(place, f"{LOG}/{path.name}", wrong, remedy)
    yield from _last_checkpoint_damage(place, files)


def table_id(files: LogFiles) -> str | None:
    """The table's own id, by which one that was made anew in the same place is told; None where it cannot be read."""
    for number in sorted(files.commits):
        try:
            for line in files.commits[number].read_bytes().splitlines():
                action = json.loads(line)
                if "metaData" in action:
                    return str(action["metaData"]["id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
    for paths in (files.checkpoints[v] for v in sorted(files.checkpoints)):
        try:
            ids = pq.read_table(paths[0], columns=["metaData.id"])["metaData"].to_pylist()
        except (OSError, pa.ArrowException, KeyError):
            return None
        return next((str(i["id"]) for i in ids if i and i["id"]), None)
    return None


def _wrong_with_commit(path: Path, number: int, seen: SeenFiles) -> str | None:
    name = f"{LOG}/{path.name}"
    if seen.is_as_noted(name):
        return None
    if not path.is_file() or path.is_symlink():
        return "is no regular file"
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    wrong = wrong_with_commit(content, version=number)
    return wrong or seen.wrong_with(name, stated=None, is_sealed=is_sealed(content))


def _wrong_with_checkpoint(path: Path, seen: SeenFiles) -> str | None:
    name = f"{LOG}/{path.name}"
    if seen.is_as_noted(name):
        return None
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({str(error).splitlines()[0][:120]})"
    return seen.wrong_with(name, stated=None)


def _last_checkpoint_damage(place: Path, files: LogFiles) -> Iterator[Damage]:
    path = place / LOG / "_last_checkpoint"
    if not path.exists() and not path.is_symlink():
        return
    remedy = "delete it: readers then look for the newest checkpoint themselves"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        yield _of(place, f"{LOG}/{path.name}", "cannot be read", remedy)
        return
    if told not in files.checkpoints:
        yield _of(place, f"{LOG}/{path.name}", f"names the checkpoint of version {told}, which is gone", remedy)


def _of(place: Path, file: str, what: str, remedy: str) -> Damage:
    return Damage("damaged", f"{place.name}/{file}".rstrip("/"), what, remedy)
