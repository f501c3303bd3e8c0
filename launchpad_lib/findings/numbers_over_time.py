"""The headline numbers of the funnel, cohort and latency pages against the period before, and their course."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.sentences import counted
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings.funnel_question import FunnelQuestion, Periods
from launchpad_lib.findings.headline_changes import DAYS_DRAWN, changes_said, course, not_moved, rates_moved
from launchpad_lib.findings.retention_results import PERIOD_DAYS, RetentionQuestion, retention_on, retention_shift
from launchpad_lib.inference import compare_rates, wilson
from launchpad_lib.metrics.compared_days import compared_days, last_complete_day, too_short
from launchpad_lib.metrics.crash_change import crash_free_course
from launchpad_lib.metrics.windows import Period

THE_CHANGE = "the change"


def conversion_over_time(
    found: Estimate,
    changes: pd.DataFrame,
    trend: pd.DataFrame,
    *,
    asked: FunnelQuestion,
    periods: Periods,
    trend_period: Period,
    report_timezone: str,
    smallest_change: float,
) -> Estimate:
    """Conversion of the funnel with the change of the whole funnel, as the page tells it, and its course by period of
    entry: a unit counts in every period it enters.

    Args:
        changes, trend: the tables `funnel_changes` and `funnel_trend`.
    """
    if found.is_refused:
        return found
    days = counted(periods.days, "day")
    words = {"period": f"the {days} up to {periods.later[1]:%Y-%m-%d %H:%M} UTC", "against": f"the {days} before"}
    moved = rates_moved(changes.iloc[0].to_dict(), units=f"{asked.unit}s that entered", **words)
    said = changes_said({THE_CHANGE: moved}, smallest=smallest_change)[THE_CHANGE]
    rows = trend[trend["refused_because"].isna()] if len(trend) else trend
    # A period is complete when the windows of its last day are over.
    mature = asked.observed_through - (parse_window(asked.window) if asked.window else timedelta(0))
    ends = last_complete_day(mature, report_timezone) - timedelta(days=PERIOD_DAYS[trend_period] - 1)
    last = str(ends)
    line = course(rows, day="period_on", value="conversion_rate", n="entrants", last_complete=last)
    return found._replace(change=said, series=line)


def retention_over_time(
    result: pd.DataFrame, cohorts: pd.DataFrame, asked: RetentionQuestion, *, smallest_change: float
) -> dict[int, Estimate]:
    """Retention at the first and the last asked period, by period, each with later cohorts against earlier ones (no
    user is in two), and by cohort.

    Args:
        result, cohorts: the tables `retention` and `retention_cohorts`.
    """
    found = {number: retention_on(result, asked, number) for number in dict.fromkeys((asked.returns[0], asked.horizon))}
    moved = {number: _cohorts_moved(cohorts, asked, number) for number in found}
    said = changes_said(moved, smallest=smallest_change)
    told: dict[int, Estimate] = {}
    for number, estimate in found.items():
        rows = cohorts[(cohorts["period_from"] == number) & (cohorts["period_to"] == number)]
        rows = rows[rows["refused_because"].isna() & rows["users"].fillna(0).gt(0)]
        whole = rows.loc[rows["users_immature"].fillna(0) == 0, "cohort"]
        last = str(whole.iloc[-1])[:10] if len(whole) else ""
        line = course(rows, day="cohort", value="retention_rate", n="users", last_complete=last)
        told[number] = estimate if estimate.is_refused else estimate._replace(change=said[number], series=line)
    return told


def _cohorts_moved(cohorts: pd.DataFrame, asked: RetentionQuestion, number: int) -> Any:
    row = retention_shift(cohorts, asked, number=number).iloc[0].to_dict()
    since = row["later_from"]
    words = {"period": f"users who began from {since} on", "against": "those who began before"}
    return rates_moved(row, units="users", **words)


def crash_free_over_time(
    worst: Worst,
    telemetry: ir.Table,
    daily: pd.DataFrame,
    *,
    called: Mapping[str, str],
    through: datetime,
    report_timezone: str,
    min_cell: int,
) -> Worst:
    """The lowest share of crash-free users, of that feature in the last complete days against the same weekdays of the
    week before, and by day.

    Args:
        daily: of `metrics.stability.feature_days`.
    """
    if worst.estimate.is_refused or worst.segment is None:
        return worst
    feature_id = next((i for i, name in called.items() if name == worst.segment), worst.segment)
    own = daily.loc[daily["feature_id"] == feature_id, "observed_on"]
    begins, ends = pd.Timestamp(own.min()).date(), last_complete_day(through, report_timezone)
    compared = compared_days(begins, ends)
    since = max(begins, ends - timedelta(days=DAYS_DRAWN))
    found = crash_free_course(
        telemetry, feature_id=feature_id, since=since, compared=compared, report_timezone=report_timezone
    )
    moved = not_moved(too_short(begins, ends))
    if compared is not None and found.counts is not None:
        few = min(found.counts["n_before"], found.counts["n_after"]) < min_cell
        row = compare_rates(pd.DataFrame([found.counts]), min_cell=min_cell).iloc[0].to_dict()
        words = {"period": compared.later, "against": compared.earlier}
        moved = rates_moved(row, units="users whose crash flag is known", **words)
        moved = not_moved(f"fewer than {min_cell} users in one of the two periods") if few else moved
    limits = [wilson(int(r.crash_free), int(r.users)) for r in found.days.itertuples()]
    rows = found.days.join(pd.DataFrame(limits, columns=["value", "ci_low", "ci_high"], index=found.days.index))
    line = course(rows, day="observed_on", value="value", n="users", last_complete=str(ends))
    said = changes_said({THE_CHANGE: moved})[THE_CHANGE]
    return Worst(worst.segment, worst.estimate._replace(change=said, series=line))
