"""The end of data files that no version in use names, and the notes of when they were taken out."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from launchpad_lib.contract.private import keep_private
from launchpad_lib.lake.delta_log import open_table

ORPHAN_SECONDS = 86_400.0


def clean_up(
    place: Path,
    *,
    keep_versions: Iterable[int],
    grace_seconds: float,
    now_seconds: float | None = None,
    is_dry: bool = False,
) -> int:
    """Deletes the data files that neither the newest nor a kept version names; how many. `is_dry`: only counts.

    A file that a commit took out goes `grace_seconds` later, so that a reader with an older snapshot can finish. A file
    that no commit names may belong to a commit under way; it goes after a day.
    """
    now = now_seconds if now_seconds is not None else time.time()
    table = open_table(place)
    needed = {unquote(p) for p in pa.table(table.get_add_actions())["path"].to_pylist()}
    for version in keep_versions:
        if version <= table.version():
            needed |= {
                unquote(p) for p in pa.table(open_table(place, version=version).get_add_actions())["path"].to_pylist()
            }
    retired = place / "_delta_log" / ".retired"
    known = _retired(retired)
    deleted = 0
    for path in place.rglob("*.parquet"):
        name = path.relative_to(place).as_posix()
        if name.startswith("_delta_log/") or name in needed:
            continue
        try:
            is_due = (
                now - known[name] >= grace_seconds
                if name in known
                else now - path.stat().st_mtime >= max(ORPHAN_SECONDS, grace_seconds)
            )
            if is_due and not is_dry:
                path.unlink()
            deleted += is_due
        except FileNotFoundError:
            continue
    return deleted


def note_retired(place: Path, paths: list[str]) -> None:
    """Notes when files are taken out; the clean-up believes it only of files that no version in use names."""
    note = place / "_delta_log" / ".retired"
    times = {p: at for p, at in _retired(note).items() if (place / p).exists()} | dict.fromkeys(paths, time.time())
    draft = note.with_suffix(f".{uuid.uuid4().hex}")
    draft.write_text("".join(f"{at:.3f} {p}\n" for p, at in times.items()), encoding="utf-8")
    keep_private(draft, like=place.parent)
    os.replace(draft, note)


def _retired(note: Path) -> dict[str, float]:
    try:
        lines = note.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {path: float(at) for at, _, path in (line.partition(" ") for line in lines)}
