"""What the log holds: its events by name, its users."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import cohort_tables as tables
from launchpad_lib.findings.rows import declared
from launchpad_lib.metrics.checks import counted_table
from launchpad_lib.metrics.kernels.session_facts import units_by_name
from launchpad_lib.metrics.remembered import names_of_lake


def events_by_name(events: ir.Table, *, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The columns of `events_by_name` and `funnel_events`: most frequent first; only the named events,
    where any are.
    """
    where = None if names is None else events.event_name.isin(list(names))
    rows = _counted(events, where)
    rows = rows.mutate(**{name: rows[name].cast("string") for name in ("first_at", "last_at")})
    found = rows.order_by([rows.events.desc(), "event_name"]).to_pandas()
    for name, of in units_by_name(events, where=where)._asdict().items():
        found[name] = found["event_name"].map(of).fillna(0).astype("int64")
    columns = ["event_name", "events", "users", "sessions", "first_at", "last_at"]
    wanted = found if names is None else found[found["event_name"].isin(list(names))]
    return wanted[columns].reset_index(drop=True)


def _counted(events: ir.Table, where: ir.BooleanValue | None) -> ir.Table:
    """How often each event occurs, first and last; of a lake's events the index knows all of them."""
    lake = names_of_lake(events)
    if lake is None:
        kept = events if where is None else events.filter(where)
        return kept.group_by("event_name").agg(
            events=kept.count(), first_at=kept.event_at.min(), last_at=kept.event_at.max()
        )
    known = lake.get("event", {})
    kinds = {
        "event_name": dt.string,
        "events": dt.int64,
        "first_at": dt.Timestamp(scale=6),
        "last_at": dt.Timestamp(scale=6),
    }
    return counted_table(
        kinds,
        event_name=list(known),
        events=[counts.rows for counts in known.values()],
        first_at=[counts.first_at for counts in known.values()],
        last_at=[counts.last_at for counts in known.values()],
    )


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
