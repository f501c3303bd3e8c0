"""What can be counted of a feature hangs on its release, of an experiment on its first day: what was not there is no
zero.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.zones import zone

NOT_RELEASED = "not released until"
TO_COME = "begins on"


def last_day(through: datetime, report_timezone: str = "UTC") -> date:
    """The local day of the last complete instant; midnight ends the day before.

    >>> last_day(datetime(2026, 1, 19)), last_day(datetime(2026, 1, 18, 23, 30), "Europe/Berlin")
    (datetime.date(2026, 1, 18), datetime.date(2026, 1, 19))
    """
    at = pd.Timestamp(through)
    at = at.tz_localize("UTC") if at.tzinfo is None else at
    return (at - timedelta(microseconds=1)).tz_convert(zone(report_timezone)).date()


def released_after(feature: Feature, day: date) -> str | None:
    """Why nothing is counted of a feature up to a day: it is released later; None where it was there, or nobody says.

    >>> released_after(Feature(feature_id="map", released_on=date(2026, 1, 17)), date(2026, 1, 11))
    'not released until 2026-01-17'
    >>> released_after(Feature(feature_id="map", released_on=date(2026, 1, 17)), date(2026, 1, 17)) is None
    True
    """
    is_later = feature.released_on is not None and feature.released_on > day
    return f"{NOT_RELEASED} {feature.released_on}" if is_later else None


def begins_after(plan: PlannedExperiment, day: date) -> str | None:
    """Why nothing is counted of an experiment up to a day: it begins later; None where it had begun, or nobody says.

    >>> plan = {"experiment_id": "e", "control": "c", "metrics": [{"event": "buy"}], "planned_units": 9}
    >>> begins_after(PlannedExperiment(**plan, starts_on=date(2026, 1, 2)), date(2026, 1, 1))
    'begins on 2026-01-02, after the last day of the log'
    """
    is_later = plan.starts_on is not None and plan.starts_on > day
    return f"{TO_COME} {plan.starts_on}, after the last day of the log" if is_later else None


def reason_of(
    feature: Feature, reason: str | None, *, through: datetime | None, report_timezone: str = "UTC"
) -> str | None:
    """Why a feature has no number: before its release that, and not that its events do not occur in the log.

    >>> unknown = "event 'map_opened': does not occur in the log"
    >>> reason_of(Feature(feature_id="map", released_on=date(2026, 1, 17)), unknown, through=datetime(2026, 1, 12))
    'not released until 2026-01-17'
    >>> reason_of(Feature(feature_id="map"), unknown, through=datetime(2026, 1, 12))
    "event 'map_opened': does not occur in the log"
    """
    if reason is None or through is None:
        return reason
    return released_after(feature, last_day(through, report_timezone)) or reason
