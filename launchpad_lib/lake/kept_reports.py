"""Which table versions kept reports name, so that they can be read again: the lake itself knows where its reports are.

Every run tells the lake of its reports folder before it reads. A compaction then finds the versions from whatever
folder it is started.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.contract.whole_files import write_whole

FOLDER = "_reports"
# A run that was killed leaves what it had begun; after this time nobody believes any more that it is under way.
UNDER_WAY_SECONDS = 86_400.0


def tell_of_reports(lake: Path, reports: Path) -> None:
    """Notes a reports folder in the lake: by its place beside the lake, which holds where both are moved, and by its
    own.

    A lake that cannot be written is read all the same.
    """
    place = str(reports.resolve())
    try:
        beside = os.path.relpath(place, lake.resolve())
    except ValueError:  # another drive
        beside = place
    note = lake / FOLDER / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.json"
    with suppress(OSError):
        inner_folder(note.parent)
        write_whole(note, json.dumps({"beside": beside, "place": place}))


def reports_of(lake: Path) -> list[Path]:
    """The reports folders that runs on this lake told of; one that is not there any more is left out."""
    found = []
    for note in sorted((lake / FOLDER).glob("*.json")):
        try:
            told = json.loads(note.read_text(encoding="utf-8"))
            places = [lake.resolve() / told["beside"], Path(told["place"])]
        except (ValueError, KeyError, TypeError, OSError):
            continue
        found += [next(p.resolve() for p in places if p.is_dir())] if any(p.is_dir() for p in places) else []
    return list(dict.fromkeys(found))


def reports_to_keep(lake: Path, also: Path | None) -> list[Path]:
    """The reports folders that the lake knows of, and another where it is there."""
    return list(dict.fromkeys([*reports_of(lake), *([also.resolve()] if also is not None and also.is_dir() else [])]))


def pin_versions(run_folder: Path, versions: Mapping[str, int]) -> None:
    """Names the versions that a run reads while it is under way; its manifest takes the place of this."""
    inputs = {table: {"version": version} for table, version in versions.items()}
    write_whole(run_folder / "manifest.json", json.dumps({"inputs": inputs}))


def kept_versions(reports: Path | Iterable[Path], table: str) -> list[int]:
    """The versions of a table that the manifests of kept reports, and of runs under way, name
    (`inputs[table].version`).
    """
    versions = set()
    for folder in [reports] if isinstance(reports, Path) else reports:
        for path in sorted(folder.glob("*/manifest.json")):
            try:
                if path.parent.name.startswith(".") and time.time() - path.stat().st_mtime > UNDER_WAY_SECONDS:
                    continue
                version = json.loads(path.read_text(encoding="utf-8"))["inputs"][table]["version"]
            except (ValueError, KeyError, TypeError, OSError):
                continue
            if isinstance(version, int):
                versions.add(version)
    return sorted(versions)
