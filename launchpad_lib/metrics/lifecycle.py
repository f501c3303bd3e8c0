"""Who is new, who stays, who comes back and who is gone; and how many are active."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.checks import NO_EVENTS, known_table, never_empty
from launchpad_lib.metrics.windows import Period, Weekday, last_complete_period, period_start

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.presence import PresenceFold

STATES = ("new", "returning", "resurrected", "dormant")


def _by_period(fold: PresenceFold, counts: dict[str, np.ndarray]) -> ir.Table:
    """Counts from the first to the last period with anybody, gaps included; `period` is its number."""
    ends = fold.active()
    first, last = ends if ends else (0, -1)
    kept = slice(first - fold.base, last - fold.base + 1) if ends else slice(0, 0)
    columns = {"period": np.arange(first, last + 1), **{name: values[kept] for name, values in counts.items()}}
    return ibis.memtable(pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()}))


def lifecycle(
    events: ir.Table,
    *,
    observed_through: datetime,
    period: Period = "week",
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> ir.Table:
    """Users by state. Grain: one row per local period from the first to the last with an event, gaps included.

    new: active for the first time. returning: active in the period before too. resurrected: active before, but not in
    the period before. dormant: active in the period before and not in this one.
    Identities: active = new + returning + resurrected; active before = returning + dormant; so
    active = active before + new + resurrected - dormant.
    Columns: period_on (first date), new, returning, resurrected, dormant, active (users), is_complete (the period is
    over at `observed_through`; before that dormant is too high), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 3), ("b", 1), ("b", 2)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> days = lifecycle(events, observed_through=datetime(2026, 1, 4), period="day").order_by("period_on").to_pandas()
    >>> days[["new", "returning", "resurrected", "dormant"]].values.tolist()
    [[2, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]
    """
    asked = asked_lifecycle(
        events,
        observed_through=observed_through,
        period=period,
        report_timezone=report_timezone,
        week_starts_on=week_starts_on,
    )
    return answers(events, [asked])[0]


def asked_lifecycle(
    events: ir.Table,
    *,
    observed_through: datetime,
    period: Period = "week",
    report_timezone: str = "UTC",
    week_starts_on: Weekday = "monday",
) -> Asked:
    """The question of `lifecycle`, to be read with others by `answers`."""
    from launchpad_lib.metrics.kernels.local_days import calendar_of
    from launchpad_lib.metrics.kernels.presence import PresenceFold

    known_table(events, needs=("user_id", "event_at"))
    last = last_complete_period(utc_instant(observed_through), report_timezone, period, week_starts_on)
    fold = PresenceFold(report_timezone=report_timezone, calendar=calendar_of(period, week_starts_on))

    def answer() -> ir.Table:
        rows = _by_period(fold, dict(zip(STATES, fold.held, strict=True)))
        found = rows.select(
            period_on=period_start(rows.period, period, week_starts_on),
            new=rows.new,
            returning=rows.returning,
            resurrected=rows.resurrected,
            dormant=rows.dormant,
            active=rows.new + rows.returning + rows.resurrected,
            is_complete=rows.period <= last,
        )
        return never_empty(found, NO_EVENTS)

    return Asked([fold], answer)
