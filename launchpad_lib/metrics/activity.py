"""How many are active: today, in the trailing week and month, and on how many days."""

from __future__ import annotations

from datetime import datetime

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.arguments import whole_number
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.checks import NO_EVENTS, because, counted_table, known_table, never_empty
from launchpad_lib.metrics.kernels.local_days import dates_of
from launchpad_lib.metrics.kernels.user_days import trailing_users, user_days, users_by_active_days
from launchpad_lib.metrics.windows import last_complete_period, last_day_seen

TRAILING_DAYS = {"dau": 1, "wau": 7, "mau": 28}


def active_users(events: ir.Table, *, observed_through: datetime, report_timezone: str = "UTC") -> ir.Table:
    """DAU, WAU, MAU and stickiness.

    Grain: one row per local date from the first with an event to the day of `observed_through`, which is usually not
    complete; days without an event included, also the last ones: a product that fell silent is seen to.

    Distinct users on the day, in the trailing 7 and the trailing 28 local days. Columns: active_on, dau, wau, mau,
    stickiness (dau / mau, fraction), days_observed (days of data up to 28: under 28, mau does not cover its whole
    window), refused_because (NULL where the row stands). Linear: a user's active day adds one for the days until it
    leaves the window or the next active day takes over.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("b", 1), ("a", 9)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> rows = active_users(events, observed_through=datetime(2026, 1, 10, 9)).order_by("active_on").to_pandas()
    >>> rows[["dau", "wau", "mau"]].values.tolist()[-3:]
    [[0, 0, 2], [1, 1, 2], [0, 1, 2]]
    """
    through = last_day_seen(utc_instant(observed_through), report_timezone)
    found = user_days(known_table(events, needs=("user_id", "event_at")), report_timezone=report_timezone)
    first, _ = found.span()
    users = trailing_users(found, tuple(TRAILING_DAYS.values()), through=through)
    days = np.arange(first, first + users.shape[1])
    rows = counted_table(
        {"active_on": dt.date, **dict.fromkeys(TRAILING_DAYS, dt.int64), "days_observed": dt.int64},
        active_on=dates_of(days),
        **dict(zip(TRAILING_DAYS, users, strict=True)),
        days_observed=np.minimum(days - first + 1, 28),
    )
    told = rows.select(
        "active_on",
        *TRAILING_DAYS,
        stickiness=rows.dau / rows.mau.nullif(0),
        days_observed=rows.days_observed,
        refused_because=because(rows.mau == 0, "nobody was active in the 28 days to this one"),
    )
    return never_empty(told, NO_EVENTS)


def active_days(
    events: ir.Table, *, observed_through: datetime, window_days: int = 28, report_timezone: str = "UTC"
) -> ir.Table:
    """The power-user curve: on how many of the last complete local days was each active user active?

    Grain: one row per number of days 1..window_days, zeros included. Columns: days, users, n (users active at all in
    the window), share (fraction of n), refused_because (NULL where the row stands). The window ends with the last local
    day that `observed_through` has seen to its end.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 2), ("b", 1)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> active_days(events, observed_through=datetime(2026, 1, 3), window_days=3).order_by("days").to_pandas()[
    ...     "users"
    ... ].tolist()
    [1, 1, 0]
    """
    window_days = whole_number(window_days, argument="window_days")
    last = last_complete_period(utc_instant(observed_through), report_timezone, "day")
    found = user_days(known_table(events, needs=("user_id", "event_at")), report_timezone=report_timezone)
    users = users_by_active_days(found, after=last - window_days, through=last)[1:]
    rows = counted_table(
        {"days": dt.int64, "users": dt.int64, "n": dt.int64},
        days=range(1, window_days + 1),
        users=users,
        n=[int(users.sum())] * window_days,
    )
    nobody = f"no known user was active in the last {window_days} complete days"
    return rows.mutate(share=rows.users / rows.n.nullif(0), refused_because=because(rows.n == 0, nobody))
