"""What the log holds: its events by name, its users."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import cohort_tables as tables
from launchpad_lib.findings.rows import declared
from launchpad_lib.metrics.kernels.session_facts import units_by_name


def events_by_name(events: ir.Table, *, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The columns of `events_by_name` and `funnel_events`: most frequent first; only the named events,
    where any are.
    """
    kept = events if names is None else events.filter(events.event_name.isin(list(names)))
    rows = kept.group_by("event_name").agg(
        events=kept.count(), first_at=kept.event_at.min().cast("string"), last_at=kept.event_at.max().cast("string")
    )
    found = rows.order_by([rows.events.desc(), "event_name"]).to_pandas()
    where = None if names is None else events.event_name.isin(list(names))
    users, sessions = (units_by_name(events, unit=unit, where=where) for unit in ("user_id", "session_key"))
    counted = {
        name: found["event_name"].map(of).astype("int64") for name, of in (("users", users), ("sessions", sessions))
    }
    return found.assign(**counted)[["event_name", "events", "users", "sessions", "first_at", "last_at"]]


def users_seen(users: ir.Table) -> pd.DataFrame:
    """The table `users_seen`."""
    row = users.agg(
        users=users.count(),
        first_seen=users.first_seen_at.min().cast("string"),
        last_seen=users.last_seen_at.max().cast("string"),
        seen_once=(users.active_days == 1).sum(),
        mean_active_days=users.active_days.mean(),
    )
    return declared(tables.USERS_SEEN, row.to_pandas())
