"""The exposures that count: whether there are any, and those of the planned days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.contract.zones import zone
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.windows import property_value


class Period(NamedTuple):
    """The exposures that count: from an instant on, before another (microseconds since 1970; None: open)."""

    begins: int | None = None
    ends: int | None = None


ALWAYS = Period()


def period_of(starts_on: date | None, ends_on: date | None, *, report_timezone: str) -> Period:
    """The instants of local days, the last one included."""
    begins = None if starts_on is None else _midnight(starts_on, report_timezone)
    return Period(begins, None if ends_on is None else _midnight(ends_on + timedelta(days=1), report_timezone))


def _midnight(on: date, report_timezone: str) -> int:
    return micros_of(utc_instant(datetime(on.year, on.month, on.day, tzinfo=zone(report_timezone))))


def nobody_exposed(events: ir.Table, *, experiment_id: str) -> str | None:
    """None where somebody was exposed to the experiment; else one sentence with the nearest experiments of the log."""
    seen = events.filter(events.event_name == EXPOSURE_EVENT)
    asked = seen.select(experiment=property_value(seen, "experiment_id"))
    if len(asked.filter(asked.experiment == experiment_id).limit(1).to_pandas()):  # the engine stops at the first
        return None
    names = set(asked.distinct().to_pandas()["experiment"].dropna())
    return f"experiment {experiment_id!r}: nobody was exposed to it; {nearest(experiment_id, names)}"
