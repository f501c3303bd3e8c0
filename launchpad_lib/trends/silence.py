"""Which features stopped sending telemetry? A missing day is a gap, never a healthy one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

FEWEST_DAYS = 5
SILENCE_COLUMNS = ("feature_id", "last_on", "days_observed", "longest_gap_days", "days_silent", "is_silent")


def silence_table(daily: pd.DataFrame, *, through: datetime, declared: Sequence[str] = ()) -> pd.DataFrame:
    """Grain: one row per feature, in telemetry or declared.

    `days_silent`: dates after its last row, up to the date of `through`. `longest_gap_days`: the longest step between
    two of its neighbouring dates (1: a row every day). `is_silent`: silent for more than twice that; NULL where it was
    observed on fewer than 5 dates, or never.

    Args:
        daily: feature_id, observed_on; one row per feature and date with telemetry.
        through: the last instant that telemetry covers.
    """
    end = pd.Timestamp(through).normalize()
    dates = {name: pd.to_datetime(one).sort_values() for name, one in daily.groupby("feature_id")["observed_on"]}
    rows: list[tuple[Any, ...]] = []
    for name in sorted({*dates, *declared}):
        seen = dates.get(name)
        if seen is None:
            rows.append((name, pd.NaT, 0, None, None, None))
            continue
        steps = seen.diff().dt.days.dropna()
        longest = int(steps.max()) if len(steps) else None
        silent = int((end - seen.iloc[-1]).days)
        is_silent = silent > 2 * longest if longest is not None and len(seen) >= FEWEST_DAYS else None
        rows.append((name, seen.iloc[-1], len(seen), longest, silent, is_silent))
    table = pd.DataFrame(rows, columns=list(SILENCE_COLUMNS))
    return table.assign(
        last_on=pd.to_datetime(table["last_on"]),
        is_silent=table["is_silent"].astype("boolean"),
        longest_gap_days=table["longest_gap_days"].astype("Int64"),
        days_silent=table["days_silent"].astype("Int64"),
    )
