"""How long a run takes, as the last runs of its name took."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from launchpad_lib.contract.manifest import Manifest, ManifestError, read_manifest
from launchpad_lib.runner.kept_runs import MANIFEST

RUNS = 5
LOOKED_AT = 25  # a folder of many runs under many names is not read whole for this


class Durations(NamedTuple):
    """Seconds: the medians over the last `runs` runs of the name; `whole` is None where there was none."""

    runs: int = 0
    whole: float | None = None
    notebooks: dict[str, float] = {}


def usual_durations(reports: Path, name: str) -> Durations:
    """Of the newest runs of this name that can be read; a run that failed took another time and does not count."""
    found: list[Manifest] = []
    for path in _newest_first(reports)[:LOOKED_AT]:
        try:
            one = read_manifest(path.read_text(encoding="utf-8"))
        except (ManifestError, UnicodeDecodeError, OSError):
            continue  # `launchpad history` says what is wrong with it
        if one.name == name and one.status != "failed":
            found.append(one)
            if len(found) == RUNS:
                break
    if not found:
        return Durations()
    took: dict[str, list[float]] = {}
    for page in (page for one in found for page in one.notebooks):
        took.setdefault(page.name, []).append(page.seconds)
    return Durations(len(found), median(map(_seconds, found)), {page: median(all_) for page, all_ in took.items()})


def _newest_first(reports: Path) -> list[Path]:
    """By when they were written; those that are not published are none."""
    times = []
    for path in reports.glob(f"*/{MANIFEST}"):
        if not path.parent.name.startswith("."):
            try:
                times.append((path.stat().st_mtime_ns, path))
            except OSError:
                continue  # removed meanwhile
    return [path for _, path in sorted(times, reverse=True)]


def _seconds(run: Manifest) -> float:
    began, ended = datetime.fromisoformat(run.started_at), datetime.fromisoformat(run.finished_at)
    return max((ended - began).total_seconds(), 0.0)
