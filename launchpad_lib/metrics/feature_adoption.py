"""Adoption of several features at once: the last complete local week beside the one before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import counted_table, known_table, name_list, unknown_names
from launchpad_lib.metrics.compared_days import ComparedDays
from launchpad_lib.metrics.kernels.local_days import dates_of
from launchpad_lib.metrics.kernels.user_days import user_days, users_of_two_periods
from launchpad_lib.metrics.windows import Weekday, last_complete_period, python_period_number, weekday_number

NOBODY = "nobody was active in the {} of the compared days"


def feature_adoption(
    events: ir.Table,
    *,
    feature_ids: Sequence[str],
    observed_through: datetime,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
    compared: ComparedDays | None = None,
) -> ir.Table:
    """Who used each feature in the last complete local week and in the one before. Grain: one row per feature named.

    Args:
        compared: other days, for a log that does not hold two complete weeks; `week_on` is then the first of the later.

    Columns: feature_id, week_on (first date of the last complete week), n_before, converted_before, n_after,
    converted_after (n: distinct users active in the week; converted: of them with an event of the feature), and of the
    users active in both weeks: n_both, converted_both, converted_before_of_both, converted_after_of_both. The same
    people are in both weeks: `inference.compare_rates` needs the counts of those who are. refused_because is NULL where
    the row stands; a feature that does not occur in the log is a row without numbers, never 0 %.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 5, "quiz"), ("b", 5, "home"), ("a", 12, "home"), ("b", 12, "quiz"), ("c", 12, "quiz")]
    >>> events = ibis.memtable([{"user_id": u, "feature_id": f, "event_at": datetime(2026, 1, d)} for u, d, f in log])
    >>> row = feature_adoption(events, feature_ids=["quiz"], observed_through=datetime(2026, 1, 19)).to_pandas().iloc[0]
    >>> [
    ...     int(row[c])
    ...     for c in ("converted_before", "n_before", "converted_after", "n_after", "n_both", "converted_both")
    ... ]
    [1, 2, 2, 3, 2, 0]
    """
    if not name_list(feature_ids, argument="feature_ids"):
        raise ValueError("feature_ids=[]: names no feature; declare one")
    last = last_complete_period(utc_instant(observed_through), report_timezone, "week", week_starts_on)
    known = known_table(events, needs=("user_id", "event_at", "feature_id"))
    found, begin = user_days(known, report_timezone=report_timezone), last * 7 + weekday_number(week_starts_on)
    before, length = begin - 7, 7
    if compared is not None:
        if not isinstance(compared, ComparedDays):
            raise ValueError(f"compared={shown(compared)}: must be ComparedDays, or None for the last complete week")
        begin, before = (python_period_number(on, "day") for on in (compared.after_on, compared.before_on))
        length = compared.days
    weeks = users_of_two_periods(found, before=before, after=begin, length=length)
    unknown = [unknown_names(events, feature_ids=[name]) for name in feature_ids]
    used = [weeks.used[found.code(name)] if name in found.features else np.zeros(5, np.int64) for name in feature_ids]
    counted = {
        "n_before": lambda own: weeks.before,
        "converted_before": lambda own: own[0],
        "n_after": lambda own: weeks.after,
        "converted_after": lambda own: own[1],
        "n_both": lambda own: weeks.both,
        "converted_both": lambda own: own[2],
        "converted_before_of_both": lambda own: own[3],
        "converted_after_of_both": lambda own: own[4],
    }
    counts = {
        name: [None if why else int(of(used[place])) for place, why in enumerate(unknown)]
        for name, of in counted.items()
    }
    nobody = None
    if not weeks.after:
        nobody = "nobody was active in the last complete week" if compared is None else NOBODY.format("later")
    elif not weeks.before:
        nobody = "nobody was active in the week before the last complete one"
        nobody = nobody if compared is None else NOBODY.format("earlier")
    return counted_table(
        {"feature_id": dt.string, "week_on": dt.date, **dict.fromkeys(counted, dt.int64), "refused_because": dt.string},
        feature_id=list(feature_ids),
        week_on=np.repeat(dates_of(np.array([begin])), len(used)),
        **counts,
        refused_because=[why or nobody for why in unknown],
    )
