"""Saved states of folds over day files: a run reads only the days that are new or restated.

A snapshot is a fold's arrays after some day, named by the fold's specification and by a hash over the days folded (each
day's date and content). It is valid exactly as long as those days are what they were: a restated day leaves the
snapshots before it valid and none after it. Snapshots lie 0, 6, 30, 126, ... days back, so a restated day costs a few
times its age.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import crc32c
import numpy as np

from launchpad_lib.contract.private import inner_folder, keep_private

AGES_DAYS = (0, 6, 30, 126, 510, 2046)
LEAST_DAYS_BETWEEN = 6


class Fold(Protocol):
    """What is saved: a fold over day files, such as `metrics.kernels.stability.StabilityFold`."""

    @property
    def spec(self) -> dict[str, Any]:
        """What the state depends on beside the days."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The state."""

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up a saved state; no arrays is the empty state."""

    def fold(self, paths: Sequence[str], *, users: int) -> None:
        """Folds further days."""


class Day(Protocol):
    """One day file, such as `DayFile`."""

    day: date
    path: str
    content_hash: str


class Days(Protocol):
    """Day files in day order, such as `DayFiles`."""

    days: Sequence[Day]
    users: int
    table_version: int | None


class Advance(NamedTuple):
    """What a run did: the last day of the snapshot it began from (None: from nothing), and the days it read."""

    from_snapshot: date | None
    days_read: tuple[date, ...]


class FoldStates:
    """Snapshots of folds in a folder beside the lake. Deleting the folder loses time, never a number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def advance(self, fold: Fold, log: Days) -> Advance:
        """Restores the newest snapshot that is still valid, folds the days after it, saves, and forgets what is of no
        use.
        """
        place = self.folder / hashlib.sha256(json.dumps(fold.spec, sort_keys=True).encode()).hexdigest()[:24]
        inner_folder(place)
        days, names = list(log.days), _names(log.days)
        done = 0
        fold.restore({})
        for count in range(len(days), 0, -1):
            arrays = _load(place / names[count - 1])
            if arrays is not None:
                fold.restore(arrays)
                done = count
                break
        read = tuple(d.day for d in days[done:])
        for count in _stops(days, done):
            fold.fold([d.path for d in days[done:count]], users=log.users)
            done = count
            _save(
                place,
                names[count - 1],
                fold,
                {"spec": fold.spec, "last_day": days[count - 1].day.isoformat(), "table_version": log.table_version},
            )
        if not days:
            fold.fold([], users=log.users)
        _forget(place, days, names)
        begun = len(days) - len(read)
        return Advance(days[begun - 1].day if begun else None, read)


def _names(days: Sequence[Day]) -> list[str]:
    """Name of the snapshot after each day: a hash over the days up to it."""
    chain, names = hashlib.sha256(), []
    for day in days:
        chain.update(f"{day.day.isoformat()} {day.content_hash}\n".encode())
        names.append(f"{day.day.isoformat()}-{chain.hexdigest()[:24]}")
    return names


def _stops(days: Sequence[Day], done: int) -> list[int]:
    """After how many days to save: the last, and the nearest day at or before each age where that spares six days of
    folding.
    """
    stops: list[int] = []
    for age in reversed(AGES_DAYS):
        count = sum((days[-1].day - d.day).days >= age for d in days) if days else 0
        since = stops[-1] if stops else done
        if count - since >= LEAST_DAYS_BETWEEN or count == len(days) > since:
            stops.append(count)
    return stops


def _forget(place: Path, days: Sequence[Day], names: Sequence[str]) -> None:
    """Keeps the last snapshot and the oldest valid one of each class of age; drops the others."""
    ages = {name: (days[-1].day - day.day).days for name, day in zip(names, days, strict=True)}
    kept: dict[int, tuple[int, str]] = {}
    for path in place.iterdir():
        if path.name in ages:
            group = sum(ages[path.name] > limit for limit in AGES_DAYS)
            kept[group] = max(kept.get(group, (-1, "")), (ages[path.name], path.name))
    for path in place.iterdir():
        if path.name not in {name for _, name in kept.values()}:
            shutil.rmtree(path, ignore_errors=True)


def _save(place: Path, name: str, fold: Fold, about: dict[str, Any]) -> None:
    """Writes a snapshot aside and renames it: it is there whole or not at all."""
    aside = place / f".{uuid.uuid4().hex}"
    inner_folder(aside)
    sums = {}
    for key, array in fold.arrays().items():
        np.save(aside / f"{key}.npy", array)
        sums[key] = _checksum(np.ascontiguousarray(array))
    (aside / "snapshot.json").write_text(json.dumps({**about, "crc32c": sums}))
    for file in aside.iterdir():
        keep_private(file, like=place)
    target = place / name
    if target.exists():
        shutil.rmtree(target)
    os.replace(aside, target)


def _checksum(array: np.ndarray) -> int:
    return crc32c.crc32c(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # stubs say so from Python 3.12 on


def is_whole_snapshot(path: Path) -> bool:
    """Whether a saved state is as it was written."""
    return _load(path) is not None


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """A snapshot's arrays, mapped (pages are read when touched, never written back); None where absent or damaged."""
    if not (path / "snapshot.json").is_file():
        return None
    try:
        sums = json.loads((path / "snapshot.json").read_text())["crc32c"]
        arrays = {key: np.asarray(np.load(path / f"{key}.npy", mmap_mode="c", allow_pickle=False)) for key in sums}
        intact = all(_checksum(a) == sums[key] for key, a in arrays.items())
    except (OSError, ValueError, KeyError):
        return None
    return arrays if intact else None
