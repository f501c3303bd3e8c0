"""Checkpoints of a Delta table's log, and the end of log files that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from launchpad_lib.lake.delta_log import open_table
from launchpad_lib.lake.sealed import keep_log_private


def checkpoint(
    place: Path,
    *,
    keep_versions: Iterable[int] = (),
    keep_last: int = 100,
    grace_seconds: float = 600,
    now_seconds: float | None = None,
    is_dry: bool = False,
) -> int:
    """Writes a checkpoint and removes log files that nobody needs any more; returns how many. `is_dry`: only counts.

    Kept: everything since the newest checkpoint that is `keep_last` commits old, everything younger than
    `grace_seconds`, and for each kept version the checkpoint before it and the commits in between. Only old files go,
    oldest first.
    """
    table = open_table(place)
    head = table.version()
    if not is_dry:
        table.create_checkpoint()
        keep_log_private(place)
    log = place / "_delta_log"
    numbered: list[tuple[int, Path]] = []
    checkpoints: set[int] = {0}
    for path in log.iterdir():
        number = path.name[:20]
        if number.isdigit() and path.suffix in (".json", ".parquet", ".crc"):
            numbered.append((int(number), path))
            if ".checkpoint" in path.name:
                checkpoints.add(int(number))
    floor = max((c for c in checkpoints if c <= head - keep_last), default=0)
    spans = [(max(c for c in checkpoints if c <= v), v) for v in keep_versions if v <= head]
    limit = (now_seconds if now_seconds is not None else time.time()) - grace_seconds
    removed = 0
    for commit, path in sorted(numbered):
        if commit >= floor:
            break
        if any(low <= commit <= high for low, high in spans):
            continue
        try:
            if path.stat().st_mtime >= limit:
                break
            if not is_dry:
                path.unlink()
            removed += 1
        except FileNotFoundError:
            continue
    for draft in () if is_dry else log.glob("_commit_*.json.tmp"):
        try:
            if draft.stat().st_mtime < limit - 3600:
                draft.unlink()
        except FileNotFoundError:
            continue  # its commit ended meanwhile
    return removed
