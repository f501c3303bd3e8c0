"""What units did instead: the next event after the last step they reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.chains import funnel_chains, with_maturity
from launchpad_lib.metrics.steps import Entry, Mode, Step, checked_rules, event_log, order_of
from launchpad_lib.metrics.windows import seconds_between

OTHER = "(other)"


def funnel_next_events(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    most: int = 5,
) -> ir.Table:
    """Of the mature units that stopped after a step, what each did next. Grain: one row per step and next event.

    The next event is the unit's very next one after its last reached step, whatever it is and whenever it came; NULL
    where there was none. Per step the `most` frequent names are kept, the rest is "(other)". Columns: step, step_name,
    next_event, users, dropped (units that stopped after the step), share (users / dropped), median_seconds (until it).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "help", 10), ("b", "visit", 9), ("b", "buy", 10)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log])
    >>> funnel_next_events(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2)).to_pandas()["next_event"].tolist()
    ['help']
    """
    if most < 1:
        raise ValueError(f"most={most}: must be at least 1; raise it")
    rules = checked_rules(steps=steps, window=window, mode=mode, entry=entry, by=by)
    log = event_log(events, rules, keep="all")
    units = with_maturity(funnel_chains(log, rules), rules, observed_through)
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
    following = numbered.select(unit=numbered.unit, position=numbered.position, next_event=numbered.event_name, next_at=numbered.at)
    joined = stopped.left_join(following, ["unit", "position"])
    joined = joined.select(joined.step, joined.next_event, seconds=seconds_between(joined.stopped_at, joined.next_at))
    named = joined.group_by(["step", "next_event"]).agg(n=joined.count())
    ranked = named.mutate(place=ibis.row_number().over(ibis.window(group_by="step", order_by=[named.next_event.isnull(), ibis.desc(named.n), named.next_event])))
    kept = ranked.select(ranked.step, ranked.next_event, is_kept=(ranked.place < most) | ranked.next_event.isnull())
    labelled = joined.join(kept, (joined.step == kept.step) & joined.next_event.identical_to(kept.next_event))
    labelled = labelled.mutate(next_event=ibis.ifelse(labelled.is_kept, labelled.next_event, OTHER))
    rows = labelled.group_by(["step", "next_event"]).agg(users=labelled.count(), median_seconds=labelled.seconds.quantile(0.5))
    rows = rows.mutate(dropped=rows.users.sum().over(ibis.window(group_by="step")))
    return rows.select(
        step=rows.step.cast("int64"),
        step_name=ibis.cases(*((rows.step == k, rules.steps[k - 1].event_name) for k in rules.required)),
        next_event=rows.next_event,
        users=rows.users,
        dropped=rows.dropped,
        share=rows.users / rows.dropped,
        median_seconds=rows.median_seconds,
    )
