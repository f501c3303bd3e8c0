"""The lake's events for compiled metrics: day files beside the lake and the saved states of folds over them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from launchpad_lib.lake.day_files import DayFiles, build_day_files
from launchpad_lib.lake.fold_state import FoldStates

INDEX = "_index"


@dataclass(frozen=True)
class IndexedEvents(DayFiles):
    """Day files whose folds are saved: asked again, only days that are new or restated are read."""

    states: FoldStates | None = None


def open_event_log(lake: str | Path, *, version: int | None = None) -> IndexedEvents:
    """Brings the day files of a lake up to date and opens them for `metrics.funnel` and `metrics.retention_curve`.

    They lie in the lake's folder `_index`, which may be deleted at any time: that costs time, never a number.

    Raises:
        ValueError: the lake has no events table.
    """
    folder = Path(lake) / INDEX
    days = build_day_files(Path(lake) / "events", folder / "events", version=version)
    return IndexedEvents(
        **{f.name: getattr(days, f.name) for f in fields(DayFiles)}, states=FoldStates(folder / "states")
    )
