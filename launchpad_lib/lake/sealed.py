"""Checksums by which a lake's files are known again: a data file's stands in its name, a commit's in its first line.

So they go wherever the file goes, need no list that could be lost, and tell swapped files too. They are against damage,
not against somebody who means it: who can write the lake can write a name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import crc32c

from launchpad_lib.contract.damage import Damaged
from launchpad_lib.contract.private import keep_private

CHUNK_BYTES = 1 << 20
_IN_NAME = re.compile(r"[.]crc32c-([0-9a-f]{8})[.]parquet$")


def file_checksum(path: str | Path) -> int:
    """CRC-32C of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    found = 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            found = crc32c.crc32c(chunk, found)
    return found


def sealed_name(stem: str, checksum: int) -> str:
    """The name of a data file with this content.

    >>> sealed_name("part-1", 255)
    'part-1.crc32c-000000ff.parquet'
    """
    return f"{stem}.crc32c-{checksum:08x}.parquet"


def checksum_in(name: str) -> int | None:
    """The checksum that a data file's name states; None of a file by another writer, or from before names had one.

    >>> checksum_in("event_on=2026-01-05/part-1.crc32c-000000ff.parquet")
    255
    """
    found = _IN_NAME.search(name)
    return int(found[1], 16) if found else None


def seal_file(path: Path, *, lake: Path) -> Path:
    """Gives a written file of a lake, which no commit names yet, the name with its checksum; its path then."""
    sealed = path.with_name(sealed_name(path.name.removesuffix(".parquet"), file_checksum(path)))
    keep_private(path, like=lake)
    os.rename(path, sealed)
    return sealed


def keep_log_private(place: Path) -> None:
    """Takes from what another library wrote into a table's log the rights that a new file of the lake would not have.

    What somebody else wrote into a lake that is shared stays as it is.
    """
    for file in [place / "_delta_log" / "_last_checkpoint", *(place / "_delta_log").glob("[0-9]*.*")]:
        with suppress(FileNotFoundError, PermissionError):
            keep_private(file, like=place.parent)


def refuse_changed(paths: Iterable[str | Path]) -> None:
    """Before files are rewritten, so that damage does not get a checksum of its own.

    Raises:
        Damaged: one is not what its name states.
    """
    for path in paths:
        stated = checksum_in(str(path))
        if stated is not None and file_checksum(path) != stated:
            raise Damaged(
                f"{str(path)!r}: is not as it was written: its checksum is another; restore it from a copy of the lake "
                "(launchpad doctor lists all that is damaged)"
            )


def sealed_commit(info: dict[str, Any], rest: bytes, *, version: int) -> bytes:
    """The content of a commit: `commitInfo` with the version that it is and the checksum of everything after it."""
    sealed = {**info, "sealedVersion": version, "sealedCrc32c": f"{crc32c.crc32c(rest):08x}"}
    return json.dumps({"commitInfo": sealed}, separators=(",", ":")).encode() + b"\n" + rest


def is_sealed(content: bytes) -> bool:
    """Whether a commit states its checksum."""
    return b'"sealedCrc32c"' in content.partition(b"\n")[0]


def wrong_with_commit(content: bytes, *, version: int) -> str | None:
    """What is wrong with a commit's content; None where nothing is, or it has no checksum and can be read."""
    first, _, rest = content.partition(b"\n")
    try:
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return "is cut off or overwritten: not every line of it is JSON"
    if not actions:
        return "is empty"
    if not all(isinstance(action, dict) and action for action in actions):
        return "has a line that is no action of Delta's log"
    info = actions[0].get("commitInfo")
    if not isinstance(info, dict) or "sealedCrc32c" not in info:
        return None
    if info.get("sealedVersion") != version:
        return f"is the commit of version {info.get('sealedVersion')}, not of {version}"
    if info["sealedCrc32c"] != f"{crc32c.crc32c(rest):08x}":
        return "is not as it was written: its checksum is another"
    return None
