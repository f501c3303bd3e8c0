"""The checks of the data quality page: each one number, its limit and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import QualityVerdict
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import duration, is_missing, percent
from launchpad_lib.inference import wilson
from launchpad_lib.lake import Copies, Lake, Outside
from launchpad_lib.metrics.intake import Intake
from launchpad_lib.metrics.stability import watched_rows
from launchpad_lib.trends import drift_between

REFUSED_LIMIT, LATE_LIMIT = 0.01, 0.05
"""Shares above which a reader should look: of rows refused, and of events that come after their day was over."""

OLD_DAYS = 7.0
"""Data that end longer before the run are said to be old."""

REFUSED, ARRIVAL, GAPS = "refused-rows", "arrival-late-events-and-gaps", "arrival-late-events-and-gaps"
USERS, DRIFT = "rows-per-day-and-users", "drift"


class Check(NamedTuple):
    """One check: `result` above `limit` is *changed*, at or below it *fine*; no result is *cannot tell* or
    *not asked*.
    """

    check: str
    result: float | None
    limit: float | None
    verdict: QualityVerdict
    sentence: str
    anchor: str


def judged(check: str, result: float, limit: float, sentence: str, anchor: str) -> Check:
    """A check that could be made."""
    return Check(check, float(result), float(limit), "changed" if result > limit else "fine", sentence, anchor)


def checks_table(checks: Sequence[Check]) -> pd.DataFrame:
    """Grain: one row per check: `check, result, limit, verdict`, and the sentence."""
    return pd.DataFrame(list(checks), columns=list(Check._fields))


def rejected_share(came_in: Intake) -> Estimate:
    """Refused rows / rows that came in, with Wilson limits."""
    total = came_in.accepted + came_in.refused
    if not total:
        return refusal("no row came in", n=0)
    found = wilson(came_in.refused, total)
    return Estimate(found.estimate, found.ci_low, found.ci_high, total)


def refused_check(came_in: Intake) -> Check:
    """Are few rows refused?"""
    share = rejected_share(came_in)
    if share.value is None:
        return Check("refused rows", None, REFUSED_LIMIT, "cannot tell", "No row came in.", REFUSED)
    kept = "; the refused rows are kept with their reasons" if came_in.refused else ""
    said = f"{counted(came_in.accepted, 'row')} accepted, {came_in.refused:,} refused ({percent(share.value)}){kept}."
    return judged("refused rows", share.value, REFUSED_LIMIT, said, REFUSED)


def arrival_checks(arrived: SimpleNamespace, restated: pd.DataFrame) -> list[Check]:
    """Do events arrive on their day, and from clocks that are right?

    Args:
        arrived: the row of `metrics.delivery`. restated: of `metrics.restated_days`.
    """
    if not is_missing(arrived.refused_because):
        said = f"How late events arrive cannot be told: {arrived.refused_because}."
        return [Check("late events", None, LATE_LIMIT, "cannot tell", said, ARRIVAL)]
    late, ahead = int(arrived.late), int(arrived.ahead)
    days = f" and restate {counted(len(restated), 'day')}" if late else ""
    said = (
        f"{counted(late, 'event')} came after their day was over{days}; 99 % arrive within "
        f"{duration(arrived.p99_seconds)}."
    )
    clocks = f"{counted(ahead, 'event')} came from a clock more than a minute ahead."
    return [
        judged("late events", float(arrived.late_share), LATE_LIMIT, said, ARRIVAL),
        judged("events from a clock ahead", ahead, 0, clocks, ARRIVAL),
    ]


def outside_estimate(outside: Sequence[Outside], came_in: Intake) -> Estimate:
    """Rows that are in the lake and in no number, since they lie beside what the log covers."""
    total = came_in.accepted + sum(o.rows for o in outside)
    return Estimate(float(sum(o.rows for o in outside)), n=total) if total else refusal("no row came in", n=0)


def outside_check(outside: Sequence[Outside]) -> Check:
    """Do rows lie beside what the log covers?"""
    rows = sum(o.rows for o in outside)
    parts = [f"{o.rows:,} of {o.table} {o.where} it, {_minutes(o)}" for o in outside]
    said = f"{counted(rows, 'row')} beside the observed window, in the lake and in no number: {listed(parts)}."
    return judged(
        "rows outside the window", rows, 0, said if rows else "No row lies beside the observed window.", ARRIVAL
    )


def _minutes(outside: Outside) -> str:
    first, last = _minute(outside.first_at), _minute(outside.last_at)
    return f"at {first}" if first == last else f"{first} to {last}"


def _minute(at: datetime) -> str:
    # Not strftime: it writes the year 1 as "1" on some systems.
    return at.isoformat(sep=" ", timespec="minutes")


def conflict_estimate(copied: Copies) -> Estimate:
    """Copies that said something else than the event that is kept; n is all copies. Refused where no copy was met and
    events came without ids: theirs are made from their rows, so none could be.
    """
    if copied.made and not copied.same + copied.other:
        return refusal("events came without an id, so no copy can be told", n=0)
    return Estimate(float(copied.other), n=copied.same + copied.other)


def copy_check(copied: Copies) -> Check:
    """Is one id one event? Copies that say the same are left out and harmless; of events that came without an id it
    cannot be told.
    """
    without = f"{counted(copied.made, 'event')} that came without an id, since theirs are made from the rows"
    if copied.made and not copied.same + copied.other:
        said = f"Whether an event came twice cannot be told for {without}; map `event_id` or state a `natural_key`."
        return Check("ids of two events", None, 0, "cannot tell", said, REFUSED)
    same = f"{counted(copied.same, 'copy', 'copies')} of events left out since they said the same"
    other = "none said something else"
    if copied.other:
        other = f"{counted(copied.other, 'copy', 'copies')} said something else and can be found among the refused rows"
    said = f"{same}; {other}." if copied.same + copied.other else "No event id came twice."
    said += f" It cannot be told for {without}." if copied.made else ""
    return judged("ids of two events", copied.other, 0, said, REFUSED)


def gap_estimate(gaps: pd.DataFrame) -> Estimate:
    """Records that were gone before they could be read; n is the number of gaps."""
    return Estimate(float(gaps["records"].sum()), n=len(gaps))


def gap_check(gaps: pd.DataFrame) -> Check:
    """Was anything gone before it could be read?"""
    lost = int(gaps["records"].sum())
    said = f"{counted(lost, 'record')} were lost in {counted(len(gaps), 'gap')} of the sources."
    return judged("records lost", lost, 0, said if len(gaps) else "No gap was noticed in any source.", GAPS)


def age_check(as_of: str | None, *, through: Sequence[datetime | None]) -> Check:
    """How long before `as_of` (an ISO instant; a run gives its start) do the data end, and the older of the two tables?

    Args:
        through: the ends of events and of telemetry.
    """
    ends = [at for at in through if at is not None]
    if as_of is None:
        said = "How old the data are is not asked: `as_of` is not given; a run gives its own start."
        return Check("age of the data", None, OLD_DAYS, "not asked", said, ARRIVAL)
    if not ends:
        return Check("age of the data", None, OLD_DAYS, "cannot tell", "There are no data that could be old.", ARRIVAL)
    instant = pd.Timestamp(as_of)
    plain = instant if instant.tzinfo is None else instant.tz_convert("UTC").tz_localize(None)
    days = (plain - pd.Timestamp(max(ends))) / timedelta(days=1)
    whole = counted(max(days, 0), "day")
    said = f"The data end {whole} before {plain:%Y-%m-%d}, on {max(ends):%Y-%m-%d}."
    if days < 0:
        said = f"The data end on {max(ends):%Y-%m-%d}, after {plain:%Y-%m-%d}, at which this page was made."
    # A table that stopped while the other goes on is as old as its own end: health of last month is no health of today.
    behind = (max(ends) - min(ends)) / timedelta(days=1)
    if behind > OLD_DAYS:
        name = ("events", "telemetry")[list(through).index(min(ends))]
        said += f" {name.capitalize()} stopped {counted(behind, 'day')} earlier, on {min(ends):%Y-%m-%d}."
        days = max(days, 0.0) + behind
    return judged("age of the data", max(days, 0.0), OLD_DAYS, said, ARRIVAL)


def placeholder_estimate(found: pd.DataFrame, *, rows: int) -> Estimate:
    """Rows under a placeholder; refused where no row names a user."""
    return Estimate(float(found["rows"].sum()), n=rows) if rows else refusal("no row names a user", n=0)


def placeholder_check(found: pd.DataFrame, *, rows: int) -> Check:
    """Does every user_id name a user?"""
    if not rows:
        return Check("placeholder users", None, 0, "cannot tell", "No row names a user.", USERS)
    if found.empty:
        return judged("placeholder users", 0, 0, "No row stands under a placeholder instead of a user.", USERS)
    count = int(found["rows"].sum())
    which = [f"{named(row.user_id)} {row.rows:,}" for row in found.itertuples()]
    said = f"{counted(count, 'row')} stand under a placeholder, each counted as one user: {listed(which)}."
    return judged("placeholder users", count, 0, said, USERS)


def drift_of(data: Lake, *, columns: Sequence[str], days: int, min_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Grain: one row per table, watched column and aspect: the last `days` days of each table against all before.

    A name that neither table holds is a refused row. `is_drifted` is None where nothing could be compared.
    """
    frames = []
    for name, table, at, through in (
        ("events", data.events, "event_at", data.observed_through),
        ("telemetry", data.telemetry, "observed_at", data.telemetry_observed_through),
    ):
        if through is not None:
            rows = watched_rows(table, time_column=at, columns=columns)
            since = through - timedelta(days=days)
            found = drift_between(rows, time_column=at, since=since, rng=rng, min_rows=min_rows)
            frames.append(found.assign(table_name=name))
    seen = {c for frame in frames for c in frame["column"]}
    unknown = [c for c in dict.fromkeys(columns) if c not in seen]
    frames.append(pd.DataFrame({"table_name": "none", "column": unknown, "aspect": "values"}))
    frames[-1]["refused_because"] = "no row has a column or property of this name"
    kept = [f.astype(object) for f in frames if len(f)]
    table = pd.concat(kept, ignore_index=True)
    is_told = table["q_value"].notna() if "q_value" in table else pd.Series(False, table.index)
    moved = table["is_drifted"].eq(True) if "is_drifted" in table else is_told
    return table.assign(is_drifted=moved.astype(object).where(is_told, None))


def drift_by_column(drift: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per table and column whose values were compared: `column` with its table in front, psi,
    psi_critical.
    """
    rows = drift[(drift["aspect"] == "values") & drift["psi"].notna()] if "psi" in drift else drift.iloc[:0]
    named_in_table = rows["table_name"].astype(str) + "." + rows["column"].astype(str)
    numbers = {c: rows[c].astype(float) if c in rows else None for c in ("psi", "psi_critical")}
    return pd.DataFrame({"column": named_in_table, **numbers})


def drifted_columns(drift: pd.DataFrame, *, days: int) -> Estimate:
    """Columns that drifted, of those that could be judged."""
    tested = drift[drift["q_value"].notna()] if "q_value" in drift else drift.iloc[:0]
    if tested.empty:
        return refusal("no watched column has enough values in both periods", n=0, drift_days=days)
    columns = tested.groupby(["table_name", "column"])["is_drifted"].any()
    return Estimate(float(columns.sum()), n=len(columns), rules={"drift_days": days})


def drift_check(drift: pd.DataFrame, *, days: int) -> Check:
    """Did the mix of users or values change?"""
    found = drifted_columns(drift, days=days)
    if found.value is None:
        return Check(
            "drifted columns", None, 0, "cannot tell", f"Drift cannot be told: {found.refused_because}.", DRIFT
        )
    said = (
        f"{int(found.value)} of {counted(found.n or 0, 'watched column')} drifted in the last {counted(days, 'day')}."
    )
    return judged("drifted columns", found.value, 0, said, DRIFT)
