"""Completion and sharing by local day, and of two periods: of users, or of sessions whose users belong together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.metrics.compared_days import ComparedDays
from launchpad_lib.metrics.kernels.local_days import local_days
from launchpad_lib.metrics.kernels.named_events import is_named, number_by_name
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.session_facts import sessions_of, user_numbers
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import python_period_number

BEGIN, END = 1, 2


class PeriodRates(NamedTuple):
    """What came of one pair of events.

    `days`: one row per local day on which a mature unit began: day (number from 1969-12-29), began, finished.
    `clusters`: one row per user who began in one of two periods: began and finished units before and after
    (began_before, finished_before, began_after, finished_after); None where no periods are compared.
    """

    days: pd.DataFrame
    clusters: np.ndarray | None


def period_rates(
    events: ir.Table,
    *,
    pairs: Sequence[tuple[str, str]],
    window: str,
    observed_through: datetime,
    compared: ComparedDays | None,
    report_timezone: str = "UTC",
    by: str = "user_id",
) -> list[PeriodRates]:
    """Of each pair (begin, end): units by the local day, and by the period, in which they began; in one reading.

    The base is that of `completions`, within the period: a user counts in every day and period in which they begin, and
    has finished where an end follows one of those begins within the window; a session counts on the day of its first
    begin, with any of its begins. Begins whose window is not over are in no count. At one instant the begin comes
    first; where both have one name, an end is another event.

    Args:
        by: user_id, or session_key, whose sessions are clustered by user.

    >>> from datetime import date
    >>> import ibis
    >>> rows = [("a", "go", 1), ("a", "done", 1), ("a", "go", 8), ("b", "go", 8)]
    >>> log = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in rows])
    >>> days = ComparedDays(date(2026, 1, 1), date(2026, 1, 8), 3)
    >>> asked = {"window": "1d", "observed_through": datetime(2026, 1, 20), "compared": days}
    >>> period_rates(log, pairs=[("go", "done")], **asked)[0].clusters.tolist()
    [[1, 1, 1, 0], [0, 0, 1, 0]]
    """
    by_session = by != "user_id"
    log, unit = sessions_of(events) if by_session else (events, by)
    length = parse_window(window)
    limits = int(length.total_seconds() * 1_000_000), micros_of(utc_instant(observed_through) - length)
    bits: dict[str, int] = {}
    for k, (begin, end) in enumerate(pairs):
        bits[begin] = bits.get(begin, 0) | BEGIN << 2 * k
        bits[end] = bits.get(end, 0) | END << 2 * k
    columns: dict[str, ir.Value] = {"at": log.event_at, "bits": number_by_name(log, bits)}
    if by_session:
        columns["user"] = user_numbers(log).cast("int64")
    where = is_named(log, bits) & log.event_at.notnull() & log.user_id.notnull()
    found: list[list[np.ndarray]] = [[] for _ in pairs]
    users = 0
    for part in unit_rows(log, columns, unit=unit, where=where):
        units = np.repeat(np.arange(part.units), np.diff(part.starts))
        at, own = part.columns["at"], part.columns["bits"]
        for k in range(len(pairs)):
            begun = _begins(units, at, (own >> 2 * k) & (BEGIN | END), limits)
            who = part.columns["user"][part.starts[begun[0]]] if by_session else begun[0] + users
            day = local_days(at[begun[1]], report_timezone)
            found[k].append(np.stack([begun[0] + users, who, day, begun[2]]))
        users += part.units
    return [
        _counted(np.concatenate(parts, axis=1), compared, by_session=by_session)
        if parts
        else _counted(np.zeros((4, 0), np.int64), compared, by_session=by_session)
        for parts in found
    ]


def _begins(
    units: np.ndarray, at: np.ndarray, roles: np.ndarray, limits: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mature begins: their units, their rows, and whether an end follows within the window."""
    window, mature_until = limits
    rows = np.flatnonzero(roles)
    # At one instant the begin comes first, whatever the order of arrival.
    rows = rows[np.lexsort(((roles[rows] & END) > 0, at[rows], units[rows]))]
    ends = np.flatnonzero(roles[rows] & END)
    begins = np.flatnonzero((roles[rows] & BEGIN > 0) & (at[rows] <= mature_until))
    following = np.searchsorted(ends, begins, side="right")
    there = following < len(ends)
    follower = rows[ends[np.where(there, following, 0)]] if len(ends) else np.zeros(len(begins), np.int64)
    mine = rows[begins]
    done = there & (units[follower] == units[mine]) & (at[follower] - at[mine] <= window) if len(ends) else there
    return units[mine], mine, done.astype(np.int64)


def _counted(begins: np.ndarray, compared: ComparedDays | None, *, by_session: bool) -> PeriodRates:
    """Begins (unit, user, day, finished) as units of days and of users of two periods."""
    table = pd.DataFrame(dict(zip(("unit", "user", "day", "finished"), begins, strict=True)))
    if by_session:  # a session is one unit, of the day of its first begin
        whole = table.groupby("unit", sort=False).agg(
            user=("user", "first"), day=("day", "min"), finished=("finished", "max")
        )
        table = whole.reset_index()
    of_day = table.groupby(["unit", "day"], sort=False)["finished"].max().reset_index()
    days = of_day.groupby("day")["finished"].agg(began="count", finished="sum").reset_index()
    if compared is None:
        return PeriodRates(days, None)
    before, after = (python_period_number(on, "day") for on in (compared.before_on, compared.after_on))
    day = table["day"].to_numpy()
    side = np.select([(day >= on) & (day < on + compared.days) for on in (before, after)], [0, 1], default=-1)
    inside = table.assign(side=side)[side >= 0]
    units = inside.groupby(["user", "unit", "side"], sort=False)["finished"].max().reset_index()
    sums = units.groupby(["user", "side"])["finished"].agg(["count", "sum"]).unstack("side", fill_value=0)
    wide = sums.reindex(columns=[(what, s) for s in (0, 1) for what in ("count", "sum")], fill_value=0)
    return PeriodRates(days, wide.to_numpy(np.int64))
