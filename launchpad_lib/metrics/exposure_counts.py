"""Exposed units of an experiment counted: by standing, by days of exposure, by conversion."""

from __future__ import annotations

from collections.abc import Iterator

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.zones import zone
from launchpad_lib.metrics.exposures import STANDINGS, ExposedUnits


def units_by_standing(units: ExposedUnits) -> ir.Table:
    """Grain: one row per standing and variant: standing, variant (NULL where it is none), units, units_immature (of
    them, window not over).
    """
    rows = []
    for standing, name in enumerate(STANDINGS):
        for code in range(-1, len(units.variants)):
            own = (units.standing == standing) & (units.variant == code)
            if own.any():
                variant = units.variants[code] if code >= 0 else None
                rows.append((name, variant, int(own.sum()), int((own & ~units.is_over).sum())))
    schema = {"standing": "string", "variant": "string", "units": "int64", "units_immature": "int64"}
    rows.sort(key=lambda row: (row[0], row[1] is None, row[1] or ""))
    return ibis.memtable(pd.DataFrame(rows, columns=list(schema)), schema=schema)


def exposed_between(units: ExposedUnits, *, report_timezone: str) -> ir.Table:
    """Grain: one row: first_on and last_on, the local dates of the first and the last first exposure; NULL without
    units.
    """
    at = units.exposed_at
    ends = [None, None] if not len(at) else [_local_date(int(t), report_timezone) for t in (at.min(), at.max())]
    frame = pd.DataFrame([ends], columns=["first_on", "last_on"], dtype=object)
    return ibis.memtable(frame, schema={"first_on": "date", "last_on": "date"})


def _local_date(at: int, report_timezone: str):
    return pd.Timestamp(at, unit="us", tz="UTC").tz_convert(zone(report_timezone)).date()


def conversions(units: ExposedUnits) -> ir.Table:
    """Grain: one row per outcome and variant of the assigned units.

    Columns: outcome (its place), metric (the event name), variant, units (window over), units_immature (in no other
    count), converted (units that did it in the window), naive_converted (units that did it at any time: what a join on
    the user alone counts), events_in_window, events_before_exposure (events of all assigned units before their first
    exposure), refused_because (the event does not occur in the log, so a misspelt name is never a 0).
    """
    rows = []
    for place, outcome in enumerate(units.outcomes):
        for code, variant in enumerate(units.variants):
            own = (units.standing == 0) & (units.variant == code)
            over = own & units.is_over
            if not own.any():
                continue
            inside = units.inside[over, place]
            rows.append(
                (
                    place,
                    outcome.event_name,
                    variant,
                    int(over.sum()),
                    int((own & ~units.is_over).sum()),
                    int((inside > 0).sum()),
                    int(units.ever[over, place].sum()),
                    int(inside.sum(dtype=np.int64)),
                    int(units.before[own, place].sum(dtype=np.int64)),
                    units.refused[place],
                )
            )
    counts = ("units", "units_immature", "converted", "naive_converted", "events_in_window", "events_before_exposure")
    names = {"outcome": "int64", "metric": "string", "variant": "string"}
    schema = names | dict.fromkeys(counts, "int64") | {"refused_because": "string"}
    rows.sort(key=lambda row: (row[0], row[2]))
    return ibis.memtable(pd.DataFrame(rows, columns=list(schema)), schema=schema)


def instant_of_unit(parts: Iterator[ExposedUnits], number: int) -> int | None:
    """When the assigned unit of that number (from 1, in order of exposure) was exposed; None where there are fewer."""
    at = np.concatenate([part.exposed_at[part.standing == 0] for part in parts])
    return int(np.partition(at, number - 1)[number - 1]) if len(at) >= number else None
