"""Where a lake can lie: some characters of a folder's name mean something else to the programs that read its tables."""

from __future__ import annotations

import re
from pathlib import Path

# DuckDB takes the first three as patterns of names, and would read the files of another folder; the library that reads
# Delta's log decodes %20 and takes a backslash as the end of a folder's name.
_TAKEN_AMISS = re.compile(r"[*?\[\\\x00-\x1f\x7f\ud800-\udfff]|%[0-9A-Fa-f]{2}")


def lake_place(lake: str | Path) -> Path:
    """The lake's folder, if its whole path is read by all programs as it stands. Nothing is looked at on the disk.

    Raises:
        ValueError: it is not.

    >>> lake_place("data/lake/it's 100 % mine #1").name
    "it's 100 % mine #1"
    """
    if found := _TAKEN_AMISS.search(str(Path(lake).absolute())):
        character = found[0].encode("unicode_escape").decode() if not found[0].isprintable() else found[0]
        raise ValueError(
            f"lake={str(lake)!r}: a folder of its path has {character!r} in its name, which DuckDB or Delta Lake take "
            "for something else; name a folder without *, ?, [, \\, control characters and % before two digits"
        )
    return Path(lake)
