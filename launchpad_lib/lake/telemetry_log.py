"""The lake's telemetry day by day, for folds whose states are saved beside the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from launchpad_lib.lake.fold_state import FoldStates
from launchpad_lib.lake.index import ALL_DAYS, Indexed


class TelemetryDay(NamedTuple):
    """One UTC day. `path` is its rows within the window, as what stands behind FROM; the hash names them."""

    day: date
    path: str
    content_hash: str


@dataclass(frozen=True)
class TelemetryLog:
    """The days that have telemetry within the window, and what is saved of folds over them: asked again, only days that
    are new or restated are read.
    """

    days: Sequence[TelemetryDay]
    table_version: int | None
    states: FoldStates
    observed_through: datetime | None = None  # the end of the window; no row is later
    users: int = 0  # telemetry has no numbers of users; a fold gives its own


def telemetry_log(found: Indexed) -> TelemetryLog:
    """The days of an index of telemetry; a table whose files cannot be told apart by day is one day."""
    days = []
    for day in found.days:
        made_of = [*found.body["files"][day], *found.body["columns"], found.inside if day in found.cut else ""]
        content = hashlib.sha256("\n".join(made_of).encode()).hexdigest()
        on = date.min if day == ALL_DAYS else date.fromisoformat(day)
        days.append(TelemetryDay(on, found.rows_within([day]), content))
    through = found.window.observed_through if found.window else None
    return TelemetryLog(days, found.version, FoldStates(found.place / "telemetry_states"), through)
