"""Whether the tables of a lake are as they were written: asked before a number is made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from deltalake.exceptions import DeltaError

from launchpad_lib.contract.damage import Damage, Damaged
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.file_damage import file_damage, files_of
from launchpad_lib.lake.index import index_folder
from launchpad_lib.lake.log_damage import LOG, LOST, log_damage, log_files, table_id
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.seen_files import SeenFiles
from launchpad_lib.lake.snapshot import opened_table


def refuse_damage(lake: str | Path, *, versions: Mapping[str, int] | None = None, logs_only: bool = False) -> None:
    """Holds the log and the data files of the named versions, or the newest, against what was written.

    A file that was found intact before, and has the size and the times of then, is not read again.

    Args:
        logs_only: of who adds rows and reads none; the data files are not looked at.

    Raises:
        Damaged: one is not, in a sentence with the file and the remedy.
    """
    root = lake_place(lake)
    there = [name for name in TABLES if os.path.lexists(root / name)]
    index = index_folder(root) if there else root
    for name in there:
        seen = SeenFiles(index, root / name)
        asked = [] if logs_only else [(versions or {}).get(name)]
        for damage in table_damage(root / name, seen, versions=asked, decodes=False):
            if damage.kind == "damaged":  # of a version that is gone whoever asked for it is told when it is opened
                raise Damaged(
                    f"lake={str(lake)!r}: {damage.sentence} (no number is made of it; launchpad doctor lists all that "
                    "is damaged)"
                )


def table_damage(place: Path, seen: SeenFiles, *, versions: list[int | None], decodes: bool) -> Iterator[Damage]:
    """What is wrong with the log of a table and with the files that these versions (None: the newest) name; what is
    intact is noted.
    """
    if place.is_symlink() and not place.exists() or place.exists() and not place.is_dir():
        yield Damage("damaged", place.name, "is no folder", LOST)
        return
    in_log = list(log_damage(place, seen))
    yield from in_log
    logs = log_files(place)
    if in_log or logs.head is None:
        return  # which files count cannot be told
    asked: dict[str, tuple[int | None, int | None]] = {}
    for version in versions:
        try:
            asked |= files_of(opened_table(place, version))
        except (DeltaError, ValueError) as error:
            if version is None or isinstance(error, DeltaError):
                yield Damage("damaged", f"{place.name}/{LOG}", f"cannot be read ({_first_line(error)})", LOST)
                return
            if version <= logs.head:
                what = f"has no version {version} any more, which a kept report names"
                yield Damage("foreign", f"{place.name}/{LOG}", what, "that report cannot be made again")
    wrong = list(file_damage(place, asked, seen, decodes=decodes))
    yield from wrong
    seen.keep(head=logs.head, table=table_id(logs))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
