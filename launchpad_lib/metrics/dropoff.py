"""How long conversion took, and what units did instead: the next event after the last step they reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.chains import funnel_chains, funnel_units, with_maturity
from launchpad_lib.metrics.checks import never_empty, nobody_counted, refused_table
from launchpad_lib.metrics.paths import OTHER, apart_from_marks
from launchpad_lib.metrics.steps import (
    Entry,
    Exclusion,
    Mode,
    Step,
    checked_log,
    checked_rules,
    event_log,
    kept_by,
    order_of,
)
from launchpad_lib.metrics.windows import seconds_between

TIME_BUCKETS = (
    (60, "under 1 min"),
    (300, "1-5 min"),
    (900, "5-15 min"),
    (3_600, "15-60 min"),
    (21_600, "1-6 h"),
    (86_400, "6-24 h"),
    (604_800, "1-7 d"),
    (None, "over 7 d"),
)


def funnel_times(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
) -> ir.Table:
    """How long mature converters took from entry to the last step. Grain: one row per bucket of time, zeros included.

    Columns: place, time, users, n (converters), share (fraction of n), refused_because (NULL where the row stands). A
    bucket holds its lower end and not its upper one.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 0), ("a", "buy", 2), ("b", "visit", 0), ("b", "buy", 20)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, 9, m)} for u, n, m in log]
    ... )
    >>> found = (
    ...     funnel_times(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2))
    ...     .order_by("place")
    ...     .to_pandas()
    ... )
    >>> found["users"].tolist()
    [0, 1, 0, 1, 0, 0, 0, 0]
    """
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    table, unknown = checked_log(events, rules)
    units = funnel_units(table, rules=rules, observed_through=through, keep=kept_by(mode))
    counted = units.is_mature & ~units.is_removed
    seconds = seconds_between(units.step_1_at, units[f"step_{len(rules.steps)}_at"])
    place = ibis.cases(
        (~counted | seconds.isnull(), ibis.null("int64")),
        *((seconds < limit, k) for k, (limit, _) in enumerate(TIME_BUCKETS[:-1])),
        else_=len(TIME_BUCKETS) - 1,
    )
    own = units.select(place=place, is_counted=counted, is_mature=units.is_mature)
    places = range(len(TIME_BUCKETS))
    sums = own.agg(
        total=own.place.count(),
        entrants=own.is_counted.sum().fill_null(0),
        immature=(~own.is_mature).sum().fill_null(0),
        **{f"users_{k}": (own.place == k).sum().fill_null(0).cast("int64") for k in places},
    )
    long = sums.mutate(place=ibis.array([ibis.literal(k, "int64") for k in places]).unnest())
    users = ibis.cases(*((long.place == k, long[f"users_{k}"]) for k in places))
    nobody = nobody_counted(long.entrants, immature=long.immature, what="the funnel", observed_through=through)
    found = long.select(
        place=long.place,
        time=ibis.cases(*((long.place == k, TIME_BUCKETS[k][1]) for k in places)),
        users=users,
        n=long.total,
        share=users / long.total.nullif(0),
        refused_because=ibis.cases(
            (long.total > 0, ibis.null("string")),
            (long.entrants > 0, "nobody reached the last step, so there is no time to it"),
            else_=nobody,
        ),
    )
    named: dict[str, Sequence[Any]] = {"place": list(places), "time": [name for _, name in TIME_BUCKETS]}
    return found if unknown is None else refused_table(found, unknown, **named)


def funnel_next_events(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    most: int = 5,
) -> ir.Table:
    """Of the mature units that stopped after a step, what each did next. Grain: one row per step and next event.

    The next event is the unit's very next one after its last reached step, whatever it is and whenever it came; NULL
    where there was none. Per step the `most` frequent names are kept, the rest is "(other)". Columns: step, step_name,
    next_event, users, dropped (units that stopped after the step), share (fraction of dropped), median_seconds (until
    it), refused_because (NULL where the row stands; where nobody stopped, one row says so).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "help", 10), ("b", "visit", 9), ("b", "buy", 10)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log]
    ... )
    >>> funnel_next_events(
    ...     events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2)
    ... ).to_pandas()["next_event"].tolist()
    ['help']
    """
    if most < 1:
        raise ValueError(f"most={most}: must be at least 1; raise it")
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    table, unknown = checked_log(events, rules)
    log = event_log(table, rules, keep="all")
    units = with_maturity(funnel_chains(log, rules), rules, through)
    last = max(rules.required)
    reached = ibis.cases(*((units[f"step_{k}_at"].notnull(), k) for k in reversed(rules.required)))
    stopped = units.filter(units.is_mature & ~units.is_removed & units[f"step_{last}_at"].isnull())
    stopped = stopped.select(
        unit=stopped.unit,
        step=reached,
        position=stopped.last_position,
        stopped_at=ibis.coalesce(*(stopped[f"step_{k}_at"] for k in reversed(rules.required))),
    )
    numbered = log.mutate(position=ibis.row_number().over(ibis.window(group_by="unit", order_by=order_of(log))) - 1)
    following = numbered.select(
        unit=numbered.unit,
        position=numbered.position,
        next_event=apart_from_marks(numbered.event_name),
        next_at=numbered.at,
    )
    joined = stopped.left_join(following, ["unit", "position"])
    joined = joined.select(joined.step, joined.next_event, seconds=seconds_between(joined.stopped_at, joined.next_at))
    named = joined.group_by(["step", "next_event"]).agg(n=joined.count())
    ranked = named.mutate(
        place=ibis.row_number().over(
            ibis.window(group_by="step", order_by=[named.next_event.isnull(), ibis.desc(named.n), named.next_event])
        )
    )
    kept = ranked.select(ranked.step, ranked.next_event, is_kept=(ranked.place < most) | ranked.next_event.isnull())
    labelled = joined.join(kept, (joined.step == kept.step) & joined.next_event.identical_to(kept.next_event))
    labelled = labelled.mutate(next_event=ibis.ifelse(labelled.is_kept, labelled.next_event, OTHER))
    rows = labelled.group_by(["step", "next_event"]).agg(
        users=labelled.count(), median_seconds=labelled.seconds.quantile(0.5)
    )
    rows = rows.mutate(dropped=rows.users.sum().over(ibis.window(group_by="step")))
    found = rows.select(
        step=rows.step.cast("int64"),
        step_name=ibis.cases(*((rows.step == k, rules.steps[k - 1].event_name) for k in rules.required)),
        next_event=rows.next_event,
        users=rows.users,
        dropped=rows.dropped,
        share=rows.users / rows.dropped,
        median_seconds=rows.median_seconds,
    )
    if unknown is not None:
        return refused_table(found, unknown)
    return never_empty(found, "no mature unit stopped before the last step, so there is nothing that it did instead")
