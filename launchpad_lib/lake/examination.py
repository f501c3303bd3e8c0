"""What `launchpad doctor` asks of every file of a lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deltalake.exceptions import DeltaError

from launchpad_lib.contract.damage import Damage
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.file_damage import files_of
from launchpad_lib.lake.index import INDEX, index_folder
from launchpad_lib.lake.index_damage import index_damage
from launchpad_lib.lake.kept_reports import FOLDER as REPORTS
from launchpad_lib.lake.kept_reports import kept_versions, reports_of
from launchpad_lib.lake.log_damage import LOG, log_files
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.refused_damage import table_damage
from launchpad_lib.lake.seen_files import SeenFiles
from launchpad_lib.lake.snapshot import opened_table
from launchpad_lib.lake.warehouse import WAREHOUSE, version_of_views

STAGING = "_staging"
OWN = {*TABLES, INDEX, REPORTS, STAGING, WAREHOUSE, f"{WAREHOUSE}.wal", ".simulated.json"}


class Examined(NamedTuple):
    """What an examination found, in order of the files, and how many files it read, of those with rows or a log.

    `unsealed` of them state no checksum: another program wrote them, or they are from before there were checksums.
    """

    found: tuple[Damage, ...]
    files: int
    unsealed: int


def examine(lake: str | Path) -> Examined:
    """Reads every file of a lake: logs, data files of every version that is in use, index. Tells what is not as it was
    written and what nobody reads. Nothing is changed, but for a note of what was found intact.

    Raises:
        ValueError: there is no such folder, or it is no lake.
    """
    root = lake_place(lake)
    if not root.is_dir():
        raise ValueError(f"lake={str(lake)!r}: there is no such folder; correct the path")
    if not any((root / name).exists() for name in (*TABLES, INDEX)):
        raise ValueError(f"lake={str(lake)!r}: has no table; name the folder that launchpad ingest wrote")
    index, reports = index_folder(root), reports_of(root)
    again = list(index_damage(index))  # before notes are written, which would take the place of damaged ones
    found: list[Damage] = []
    files = unsealed = 0
    for name in TABLES:
        seen = SeenFiles(index, root / name, reads_all=True)
        kept = {*kept_versions(reports, name), *version_of_views(root, name)}
        found += table_damage(root / name, seen, versions=[None, *sorted(kept)], decodes=True)
        files, unsealed = files + seen.checked, unsealed + seen.unsealed
        found += _unnamed(root / name, kept=kept)
    found += again
    found += _notes_damage(root)
    found += (
        Damage("foreign", path.name, "is nothing that Launchpad made", "it is not read and stays")
        for path in sorted(root.iterdir())
        if path.name not in OWN and not path.name.startswith(f".{WAREHOUSE}.")
    )
    return Examined(tuple(found), files, unsealed)


def _unnamed(place: Path, *, kept: set[int]) -> Iterator[Damage]:
    """Files in a table's folder that no version in use names."""
    if not place.is_dir() or log_files(place).head is None:
        return
    named: set[str] = set()
    for version in (None, *sorted(kept)):
        try:
            named |= set(files_of(opened_table(place, version)))
        except (DeltaError, ValueError):
            if version is None:
                return
    retired = place / LOG / ".retired"
    gone = {line.partition(" ")[2] for line in _lines(retired)} | _removed(place)
    for path in sorted(p for p in place.rglob("*") if not p.is_dir() or p.is_symlink()):
        name = path.relative_to(place).as_posix()
        if name.startswith((f"{LOG}/", "_spill/")) or name in named or name in gone:
            continue
        if path.suffix == ".parquet":
            what = "is named by no commit: a writer is at work or was stopped, or its commit is lost"
            yield Damage("foreign", f"{place.name}/{name}", what, "launchpad compact removes it after a day")
        else:
            yield Damage("foreign", f"{place.name}/{name}", "is no file of the table", "it is not read and stays")


def _removed(place: Path) -> set[str]:
    """The files that commits took out."""
    found: set[str] = set()
    for path in log_files(place).commits.values():
        for line in _lines(path):
            if '"remove"' in line:
                found |= {json.loads(line)["remove"]["path"]} if line.startswith('{"remove"') else set()
    return found


def _notes_damage(root: Path) -> Iterator[Damage]:
    for note in sorted((root / REPORTS).glob("*.json")):
        try:
            told = json.loads(note.read_text(encoding="utf-8"))
            told["beside"], told["place"]
        except (OSError, ValueError, KeyError, TypeError):
            what = "cannot be read: the versions that its reports name may be removed by launchpad compact"
            yield Damage("damaged", f"{REPORTS}/{note.name}", what, "the next run with those reports writes it again")
    for folder in sorted((root / STAGING).iterdir()) if (root / STAGING).is_dir() else ():
        what = "are rows put aside by an ingestion that is at work or was killed"
        yield Damage("rebuilt", f"{STAGING}/{folder.name}", what, "the next ingestion removes it")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
