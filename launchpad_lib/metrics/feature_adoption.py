"""Adoption of several features at once: the last complete local week beside the one before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import known_table, name_list, unknown_names
from launchpad_lib.metrics.windows import (
    Weekday,
    is_one_of,
    last_complete_period,
    local_date,
    period_number,
    period_start,
)

SIDES = ("before", "after")


def feature_adoption(
    events: ir.Table,
    *,
    feature_ids: Sequence[str],
    observed_through: datetime,
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> ir.Table:
    """Who used each feature in the last complete local week and in the one before. Grain: one row per feature named.

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
    known = known.filter(known.user_id.notnull() & known.event_at.notnull())
    week = period_number(local_date(known.event_at, report_timezone), "week", week_starts_on)
    dated = known.select("user_id", "feature_id", week=week).filter(lambda t: (t.week >= last - 1) & (t.week <= last))
    used = {f"used_{k}": is_one_of(dated.feature_id, [name]).fill_null(False) for k, name in enumerate(feature_ids)}
    flags = {"active": ibis.literal(True), **used}
    own = dated.group_by("user_id").agg(
        **{f"{name}_before": ((dated.week == last - 1) & flag).any() for name, flag in flags.items()},
        **{f"{name}_after": ((dated.week == last) & flag).any() for name, flag in flags.items()},
    )
    both = own.active_before & own.active_after
    sums: dict[str, ir.Value] = {}
    for k in range(len(feature_ids)):
        before, after = own[f"used_{k}_before"], own[f"used_{k}_after"]
        counted = {
            "n_before": own.active_before,
            "converted_before": before,
            "n_after": own.active_after,
            "converted_after": after,
            "n_both": both,
            "converted_both": before & after,
            "converted_before_of_both": both & before,
            "converted_after_of_both": both & after,
        }
        sums |= {f"{name}_{k}": flag.sum().fill_null(0).cast("int64") for name, flag in counted.items()}
    wide = own.agg(**sums)
    places = range(len(feature_ids))
    long = wide.mutate(place=ibis.array([ibis.literal(k, "int64") for k in places]).unnest())
    unknown = {k: unknown_names(events, feature_ids=[name]) for k, name in enumerate(feature_ids)}
    rows = long.select(
        feature_id=ibis.cases(*((long.place == k, feature_ids[k]) for k in places)),
        week_on=period_start(ibis.literal(last, "int64"), "week", week_starts_on),
        **{
            name: ibis.cases(
                *((long.place == k, long[f"{name}_{k}"]) for k in places if unknown[k] is None), else_=None
            )
            if None in unknown.values()
            else ibis.null("int64")
            for name in counted
        },
        unknown=ibis.cases(*((long.place == k, ibis.literal(unknown[k], "string")) for k in places)),
    )
    told = ibis.cases(
        (rows.unknown.notnull(), rows.unknown),
        (rows.n_after == 0, "nobody was active in the last complete week"),
        (rows.n_before == 0, "nobody was active in the week before the last complete one"),
        else_=ibis.null("string"),
    )
    return rows.mutate(refused_because=told).drop("unknown")
