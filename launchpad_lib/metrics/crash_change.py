"""Crash-free users of one feature by local day, and of two periods with the users who are in both."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.metrics.compared_days import ComparedDays
from launchpad_lib.metrics.windows import local_date


class CrashFree(NamedTuple):
    """`days`: observed_on, users (known flag), crash_free. `counts`: as `inference.compare_rates` takes them; None
    where no periods are compared.
    """

    days: pd.DataFrame
    counts: dict[str, int] | None


def crash_free_course(
    telemetry: ir.Table,
    *,
    feature_id: str,
    since: date,
    compared: ComparedDays | None,
    report_timezone: str = "UTC",
) -> CrashFree:
    """Distinct users without a crash / distinct users whose crash flag is known, as `crash_free_users` has it: by local
    day from `since` on, and in both periods. A flag that is NULL is unknown, a user without a name is left out.
    """
    known = telemetry.filter(
        telemetry.feature_id == feature_id,
        telemetry.observed_at >= datetime.combine(since, time()) - timedelta(days=2),  # in every zone before it begins
        telemetry.crashed.notnull() & telemetry.user_id.notnull(),
    )
    dated = known.select(
        "user_id", crashed=known.crashed.cast("boolean"), on=local_date(known.observed_at, report_timezone)
    )
    dated = dated.filter(dated.on >= since)
    by_day = dated.group_by("on").agg(
        users=dated.user_id.nunique(), crashed_users=dated.user_id.nunique(where=dated.crashed)
    )
    days = by_day.order_by("on").to_pandas()
    days = days.assign(observed_on=days["on"].astype(str).str[:10], crash_free=days["users"] - days["crashed_users"])
    days = days[["observed_on", "users", "crash_free"]]
    if compared is None:
        return CrashFree(days, None)
    length = timedelta(days=compared.days)
    inside = [(dated.on >= first) & (dated.on < first + length) for first in (compared.before_on, compared.after_on)]
    user = dated.group_by("user_id").agg(
        seen_before=inside[0].any(),
        seen_after=inside[1].any(),
        crash_before=(inside[0] & dated.crashed).any(),
        crash_after=(inside[1] & dated.crashed).any(),
    )
    free_before, free_after = user.seen_before & ~user.crash_before, user.seen_after & ~user.crash_after
    both = user.seen_before & user.seen_after
    counts = user.agg(
        n_before=user.seen_before.sum(),
        converted_before=free_before.sum(),
        n_after=user.seen_after.sum(),
        converted_after=free_after.sum(),
        n_both=both.sum(),
        converted_both=(both & free_before & free_after).sum(),
        converted_before_of_both=(both & free_before).sum(),
        converted_after_of_both=(both & free_after).sum(),
    ).to_pandas()
    row = counts.fillna(0).iloc[0].to_dict()
    return CrashFree(days, {name: int(count) for name, count in row.items()})
