"""Damage to the segments of a spool."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from launchpad_lib.contract.damage import Damage
from launchpad_lib.spool.layout import DAMAGED_SUFFIX, lock_path, segment_name, segment_of
from launchpad_lib.spool.locks import is_held
from launchpad_lib.spool.records import opened

KEPT = "the stream refuses it with its reason, forward puts it aside; send this event again where it came from"


def is_spool(folder: Path) -> bool:
    """Whether a folder holds a segment."""
    return folder.is_dir() and any(segment_of(entry.name) for entry in os.scandir(folder))


def examine_spool(folder: Path) -> tuple[list[Damage], int, int]:
    """What is not as it was written, how many segments were read, and how many of them have a record without a
    checksum.

    Raises:
        OSError: a segment cannot be read.
    """
    found: list[Damage] = []
    unsealed = 0
    numbers: dict[str, list[int]] = {}
    named = [(name, segment_of(name)) for name in sorted(os.listdir(folder))]
    segments = [(name, segment) for name, segment in named if segment is not None]
    for name, segment in segments:
        numbers.setdefault(segment.writer, []).append(segment.number)
        path = folder / name
        if path.is_symlink() or not path.is_file():
            found.append(Damage("damaged", name, "is no regular file", "restore it from a copy of the spool"))
            continue
        unsealed += _has_bare_records(path)
        found += _segment_damage(path, is_written=is_held(lock_path(folder, segment.writer)))
    for writer, there in numbers.items():
        for number in sorted(set(range(min(there), max(there))) - set(there)):
            found.append(
                Damage(
                    "damaged",
                    segment_name(writer, number),
                    "is missing between others of its writer",
                    "restore it from a copy; the stream tells the stretch as a row of gaps",
                )
            )
    for name, _ in named:
        if name.endswith(DAMAGED_SUFFIX):
            lines = (folder / name).read_bytes().count(b"\n")
            what = f"holds {lines:,} damaged records that launchpad forward did not send"
            found.append(Damage("damaged", name, what, "send these events again where they came from, and delete it"))
    return found, len(segments), unsealed


def _has_bare_records(path: Path) -> bool:
    with path.open("rb") as file:
        return any(line.endswith(b"}\n") for line in file)


def _segment_damage(path: Path, *, is_written: bool) -> Iterator[Damage]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                if not is_written:
                    what = f"ends in the middle of line {number}, which its writer did not acknowledge"
                    yield Damage("foreign", path.name, what, "nothing to do: it is not read")
                return
            wrong = _wrong_with(line)
            if wrong is not None:
                yield Damage("damaged", path.name, f"has in line {number} {wrong}", KEPT)


def _wrong_with(line: bytes) -> str | None:
    record = opened(line.rstrip(b"\n"))
    if record is None:
        return "a record that is not as it was written: its checksum is another"
    if not record:
        return None  # erased
    try:
        event = json.loads(record)
    except (ValueError, RecursionError):
        return "no JSON"
    return None if isinstance(event, dict) else "no JSON object"
