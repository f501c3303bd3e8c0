"""Who did something early on, and how long users stay: one row per user."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.durations import parse_window, utc_instant, window_us
from launchpad_lib.contract.sentences import span_words
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.checks import never_empty, refused_table
from launchpad_lib.metrics.returning import checked_deed
from launchpad_lib.metrics.steps import Step, asked_of, is_step
from launchpad_lib.metrics.windows import property_value

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.presence import SpanFold


def behavioural_cohorts(
    events: ir.Table,
    *,
    event: str | Step,
    at_least: int,
    within: str,
    observed_through: datetime,
    start_event: str | Step | None = None,
) -> ir.Table:
    """Cohorts by what users did soon after their first start.

    Grain: one row per user with t0 + within <= observed_through.

    Columns: user_id, cohort ("<event> [n times or more] within <duration>" or "fewer"), refused_because (NULL where the
    row stands). For
    `retention(cohorts=...)`, whose brackets must lie after `within`: else those who stay have more time to qualify, and
    the cohorts differ for that reason alone. Membership is no cause: users choose what they do.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "x"), ("a", "share"), ("b", "x")]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (u, n) in enumerate(log)]
    ... )
    >>> behavioural_cohorts(
    ...     events, event="share", at_least=1, within="1d", observed_through=datetime(2026, 1, 9)
    ... ).order_by("user_id").to_pandas()["cohort"].tolist()
    ['share within 1 day', 'fewer']
    """
    from launchpad_lib.metrics.kernels.presence import DeedFold
    from launchpad_lib.metrics.kernels.reading import micros_of

    wanted, names = checked_deed(event, at_least, within)
    through = utc_instant(observed_through)
    events, unknown = asked_of(events, [wanted, start_event], [])
    fold = DeedFold(
        start=None if start_event is None else is_step(events, start_event),
        deed=is_step(events, wanted),
        unit_name=events.user_id.cast(dt.string),
        limits=(window_us(within), micros_of(through), at_least),
    )

    def answer() -> ir.Table:
        users, cohorts = fold.users()
        columns = {"user_id": pa.array(users, pa.string()), "cohort": pa.array(names).take(cohorts)}
        rows = ibis.memtable(pa.table(columns))
        found = rows.mutate(user_id=rows.user_id.cast(events.user_id.type().copy(nullable=True)))
        if unknown is not None:
            return refused_table(found, unknown)
        seen = f"{span_words(within)} from the start by {through:%Y-%m-%d %H:%M} UTC"
        return never_empty(found, f"no user has been observed for {seen}")

    return answers(events, [Asked([fold] if unknown is None else [], answer)])[0]


def activity_spans(
    events: ir.Table, *, gap: str, observed_through: datetime, group_property: str | None = None
) -> ir.Table:
    """Time to last activity, for `inference.kaplan_meier`.

    Grain: one row per user first seen by observed_through - gap.

    A user has churned when the gap after the last event is over at `observed_through`; duration_days is then from first
    to last event. Who is still active at observed_through - gap is censored at that instant, which is the same for all
    and so tells nothing about the user. Columns: user_id, duration_days, is_churned, group_name (the value on the first
    event), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", 1), ("a", 3), ("b", 1), ("b", 20)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": "x", "event_at": datetime(2026, 1, d)} for u, d in log])
    >>> spans = activity_spans(events, gap="7d", observed_through=datetime(2026, 1, 21)).order_by("user_id").to_pandas()
    >>> spans["duration_days"].tolist(), spans["is_churned"].tolist()
    ([2.0, 13.0], [True, False])
    """
    asked = _asked_spans(events, gap, observed_through, group_property, ("user_id",))
    return answers(events, [asked])[0]


def asked_lifetimes(
    events: ir.Table, *, gap: str, observed_through: datetime, group_property: str | None = None
) -> Asked:
    """`activity_spans` without the names of the users, to be read with others by `answers`."""
    return _asked_spans(events, gap, observed_through, group_property, ())


def asked_users_seen(events: ir.Table) -> Asked:
    """How many users there are, and the first instant of any. Grain: one row. Columns: users, first_seen_at."""
    from launchpad_lib.metrics.kernels.presence import SpanFold

    fold = SpanFold(label=None)

    def answer() -> ir.Table:
        first, _ = fold.ends()
        ends = pa.array([int(first.min()) if len(first) else None], pa.int64()).cast(pa.timestamp("us"))
        return ibis.memtable(pa.table({"users": pa.array([len(first)], pa.int64()), "first_seen_at": ends}))

    return Asked([fold], answer)


def _asked_spans(
    events: ir.Table, gap: str, observed_through: datetime, group_property: str | None, named_by: tuple[str, ...]
) -> Asked:
    from launchpad_lib.metrics.kernels.presence import SpanFold
    from launchpad_lib.metrics.kernels.reading import micros_of

    cut = micros_of(utc_instant(observed_through) - parse_window(gap))
    events, unknown = asked_of(events, [], [group_property])
    fold = SpanFold(
        label=property_value(events, group_property) if group_property else None,
        unit_name=events.user_id.cast(dt.string) if named_by else None,
    )

    def answer() -> ir.Table:
        rows = ibis.memtable(_spans(fold, cut))
        if named_by:
            rows = rows.mutate(user_id=rows.user_id.cast(events.user_id.type().copy(nullable=True)))
        found = rows.select(*named_by, "duration_days", "is_churned", "group_name")
        if unknown is not None:
            return refused_table(found, unknown)
        late = f"within {span_words(gap)} of the end of the data"
        return never_empty(found, f"every user was first seen {late}, so nobody can be judged")

    return Asked([fold] if unknown is None else [], answer)


def _spans(fold: SpanFold, cut: int) -> pa.Table:
    """One row per unit seen by the cut, in the order read."""
    first, last = fold.ends()
    seen = first <= cut
    end = np.minimum(last[seen], cut)
    columns = {
        "duration_days": pa.array((end - first[seen]) / 1e6 / 86_400),
        "is_churned": pa.array(last[seen] <= cut),
        "group_name": pa.nulls(int(seen.sum()), pa.string()),
    }
    for name, of_fold in (("group_name", "label"), ("user_id", "unit")):
        if of_fold in fold.columns:
            codes = fold.coded(of_fold)[seen]
            columns[name] = pa.array(fold.texts[of_fold], pa.string()).take(pa.array(codes, mask=codes < 0))
    return pa.table(columns)
