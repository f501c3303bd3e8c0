"""The lake's events for compiled metrics: day files beside the lake and the saved states of folds over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import duckdb

from launchpad_lib.contract.sql import file_list
from launchpad_lib.lake.day_files import DayFiles, build_day_files
from launchpad_lib.lake.fold_state import FoldStates
from launchpad_lib.lake.observed import named_instants
from launchpad_lib.lake.snapshot import Observed, observed_window

INDEX = "_index"


@dataclass(frozen=True)
class IndexedEvents(DayFiles):
    """Day files whose folds are saved: asked again, only days that are new or restated are read.

    `observed_through` is the instant (UTC) that metrics over them take; None without events.
    """

    states: FoldStates | None = None
    observed_through: datetime | None = None


def open_event_log(
    lake: str | Path, *, version: int | None = None, observed_through: str | Mapping[str, str] | None = None
) -> IndexedEvents:
    """Brings the day files of a lake up to date and opens them for `metrics.funnel` and `metrics.retention_curve`.

    Days outside the window of the events are left out (`lake.observed`; its end may be named). The files lie in the
    lake's folder `_index`, which may be deleted at any time: that costs time, never a number.

    Raises:
        ValueError: the lake has no events table, or an instant cannot be read.
    """
    named = named_instants(observed_through).get("events")
    folder = Path(lake) / INDEX
    files = build_day_files(Path(lake) / "events", folder / "events", version=version)
    window = _window(files, named) if files.days else None
    if window is not None:
        first, last = window.observed_from.date(), window.observed_through.date()
        files = replace(files, days=tuple(d for d in files.days if first <= d.day <= last))
    return IndexedEvents(
        **{f.name: getattr(files, f.name) for f in fields(DayFiles)},
        states=FoldStates(folder / "states"),
        observed_through=window.observed_through if window else None,
    )


def _window(files: DayFiles, named: datetime | None) -> Observed | None:
    con = duckdb.connect(config={"threads": 2})
    try:
        con.execute("SET TimeZone = 'UTC'")
        return observed_window(con, f"read_parquet({file_list(files.paths)})", "events", through=named)
    finally:
        con.close()
