"""Exposed units of an experiment counted: by standing, by days of exposure, by conversion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from launchpad_lib.contract.zones import zone
from launchpad_lib.metrics.exposures import STANDINGS, ExposedUnits
from launchpad_lib.metrics.kernels.exposed_sums import count_conversions

COUNTS = ("units", "units_immature", "converted", "naive_converted", "events_in_window", "events_before_exposure")
HOUR_US = 3_600_000_000
CONVERSIONS = ("outcome", "metric", "variant", *COUNTS, "refused_because")


def units_by_standing(units: ExposedUnits) -> pd.DataFrame:
    """Grain: one row per standing and variant: standing, variant (None where it is none; of a unit that saw several the
    first of them), units, units_immature (of them, window not over).
    """
    rows = []
    for standing, name in enumerate(STANDINGS):
        seen = units.first_variant if name == "several variants" else units.variant
        for code in range(-1, len(units.variants)):
            own = (units.standing == standing) & (seen == code)
            if own.any():
                variant = units.variants[code] if code >= 0 else None
                rows.append((name, variant, int(own.sum()), int((own & ~units.is_over).sum())))
    rows.sort(key=lambda row: (row[0], row[1] or ""))
    return pd.DataFrame(rows, columns=["standing", "variant", "units", "units_immature"])


def exposed_between(units: ExposedUnits, *, report_timezone: str) -> tuple[Any, Any]:
    """The local dates of the first and the last first exposure; None without units."""
    if not len(units.exposed_at):
        return None, None
    first, last = (local_date(int(t), report_timezone) for t in (units.exposed_at.min(), units.exposed_at.max()))
    return first, last


def exposed_by_hour(units: ExposedUnits) -> pd.Series:
    """Assigned units by variant and hour of their first exposure (hours since 1970)."""
    own = (units.standing == 0) & (units.variant >= 0)
    if not own.any():
        return pd.Series(dtype="int64")
    hour, variant = units.exposed_at[own] // HOUR_US, units.variant[own]
    first, width = int(hour.min()), len(units.variants)
    seen = np.bincount((hour - first) * width + variant)
    met = np.flatnonzero(seen)
    keys = [(units.variants[cell % width], first + int(cell // width)) for cell in met.tolist()]
    return pd.Series(seen[met], index=pd.MultiIndex.from_tuples(keys, names=["variant", "hour"]), dtype="int64")


def local_date(at: int, report_timezone: str) -> date:
    """The local day of an instant, microseconds since 1970."""
    return pd.Timestamp(at, unit="us", tz="UTC").tz_convert(zone(report_timezone)).date()


def conversions(units: ExposedUnits) -> pd.DataFrame:
    """Grain: one row per outcome and variant of the assigned units.

    Columns: outcome (its place), metric (the event name), variant, units (window over), units_immature (in no other
    count), converted (units that did it in the window), naive_converted (units that did it at any time: what a join on
    the user alone counts), events_in_window, events_before_exposure (events of all assigned units before their first
    exposure), refused_because (the event does not occur in the log, so a misspelt name is never a 0).
    """
    rows = []
    group = np.where(units.standing == 0, units.variant, -1)
    found = np.zeros((len(units.variants), len(units.outcomes), 4), np.int64)
    deeds = units.deeds
    count_conversions(group, units.is_over, deeds.starts, deeds.outcome, deeds.inside, deeds.before, found)
    for code in np.unique(group[group >= 0]).tolist():
        own = group == code
        over = int((own & units.is_over).sum())
        sizes = (over, int(own.sum()) - over)
        for place, outcome in enumerate(units.outcomes):
            counts = found[code, place].tolist()
            rows.append((place, outcome.event_name, units.variants[code], *sizes, *counts, units.refused[place]))
    rows.sort(key=lambda row: (row[0], row[2]))
    return pd.DataFrame(rows, columns=list(CONVERSIONS)).astype(dict.fromkeys(COUNTS, "int64"))


def instant_of_unit(parts: Iterator[ExposedUnits], number: int) -> int | None:
    """When the assigned unit of that number (from 1, in order of exposure) was exposed; None where there are fewer."""
    at = np.concatenate([part.exposed_at[part.standing == 0] for part in parts])
    return int(np.partition(at, number - 1)[number - 1]) if len(at) >= number else None
