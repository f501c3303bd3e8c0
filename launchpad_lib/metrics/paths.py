"""Paths: what follows what, and the steps after a start or before an end."""

from __future__ import annotations

from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import known_table, never_empty, refused_table, unknown_names
from launchpad_lib.metrics.windows import is_one_of, seconds_between, unit_column

OTHER, START, END = MARKS = ("(other)", "(start)", "(end)")


def apart_from_marks(event_name: ir.StringValue) -> ir.StringValue:
    """An event that is called as one of our marks is shown in quotes, so that it is not taken for the mark."""
    return ibis.ifelse(event_name.isin(MARKS), "'" + event_name + "'", event_name)


def _sequence(events: ir.Table, by: str, repeats: Literal["kept", "collapsed"]) -> ir.Table:
    """Grain: one row per event of a unit, in order: unit, at, name, position (from 0); repeats of a name may be
    collapsed.
    """
    if repeats not in ("kept", "collapsed"):
        raise ValueError(f"repeats={repeats!r}: must be 'kept' or 'collapsed'; choose one")
    events = known_table(events, needs=("event_name", "event_at"))
    log = events.select(
        unit=unit_column(events, by),
        at=events.event_at,
        name=apart_from_marks(events.event_name),
        **{n: events[n] for n in ("received_at", "event_id") if n in events.columns},
    ).filter(lambda t: t.unit.notnull() & t.at.notnull() & t.name.notnull())
    order = [log.at, *(log[n] for n in ("received_at", "event_id") if n in log.columns), log.name]
    log = log.mutate(position=ibis.row_number().over(ibis.window(group_by="unit", order_by=order))).select(
        "unit", "at", "name", "position"
    )
    if repeats == "kept":
        return log
    in_order = ibis.window(group_by="unit", order_by=log.position)
    log = log.mutate(is_repeat=(log.name.lag().over(in_order) == log.name).fill_null(False))
    log = log.filter(~log.is_repeat).drop("is_repeat")
    return log.mutate(position=ibis.row_number().over(ibis.window(group_by="unit", order_by=log.position)))


def transitions(
    events: ir.Table, *, by: str = "session_key", most: int = 12, repeats: Literal["kept", "collapsed"] = "collapsed"
) -> ir.Table:
    """The transition matrix, long. Grain: one row per event and next event of the same unit.

    The `most` frequent names are kept, all others are "(other)"; the last event of a unit is followed by "(end)".
    Columns: from_event, to_event, transitions, from_count, share (transitions / from_count; sums to 1 per from_event),
    median_seconds (NULL for the end), refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> events = ibis.memtable(
    ...     [{"session_key": "s", "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, n in enumerate("ABAC")]
    ... )
    >>> found = transitions(events).order_by(["from_event", "to_event"]).to_pandas()
    >>> [f"{r.from_event}>{r.to_event} {r.share}" for r in found.itertuples()]
    ['A>B 0.5', 'A>C 0.5', 'B>A 1.0', 'C>(end) 1.0']
    """
    if most < 1:
        raise ValueError(f"most={most}: must be at least 1; raise it")
    log = _sequence(events, by, repeats)
    counts = log.group_by("name").agg(n=log.count())
    ranked = counts.mutate(place=ibis.row_number().over(ibis.window(order_by=[ibis.desc(counts.n), counts.name])))
    frequent = ranked.filter(ranked.place < most).select(frequent=ranked.name)
    log = log.left_join(frequent, log.name == frequent.frequent)
    log = log.select(log.unit, log.at, log.position, name=ibis.ifelse(log.frequent.isnull(), OTHER, log.name))
    in_order = ibis.window(group_by="unit", order_by=log.position)
    log = log.mutate(to_event=log.name.lead().over(in_order).fill_null(END), to_at=log.at.lead().over(in_order))
    log = log.mutate(seconds=seconds_between(log.at, log.to_at))
    pairs = log.group_by(from_event=log.name, to_event=log.to_event).agg(
        transitions=log.count(), median_seconds=log.seconds.quantile(0.5)
    )
    pairs = pairs.mutate(from_count=pairs.transitions.sum().over(ibis.window(group_by="from_event")).cast("int64"))
    found = pairs.select(
        "from_event",
        "to_event",
        "transitions",
        "from_count",
        share=pairs.transitions / pairs.from_count,
        median_seconds=pairs.median_seconds,
    )
    return never_empty(found, "the log holds no event of a known unit, so nothing follows anything")


def path_steps(
    events: ir.Table,
    *,
    anchor: str,
    direction: Literal["after", "before"] = "after",
    length: int = 5,
    most: int = 5,
    by: str = "session_key",
    repeats: Literal["kept", "collapsed"] = "collapsed",
) -> ir.Table:
    """What units do in the steps after their first `anchor`, or before it. Grain: one row per position and event.

    Position 1 is next to the anchor. Units that have no further event are "(end)" (or "(start)") at every further
    position, so that the shares of a position add up to 1. Per position the `most` frequent events are kept, rarer
    branches are "(other)". Columns: position, event_name, units, n (units with the anchor), share (fraction of n),
    refused_because (NULL where the row stands). An anchor that does not occur is one row without numbers.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("s", "A"), ("s", "B"), ("t", "A"), ("t", "C"), ("t", "B")]
    >>> events = ibis.memtable(
    ...     [{"session_key": s, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (s, n) in enumerate(log)]
    ... )
    >>> found = path_steps(events, anchor="A", length=2).order_by(["position", "event_name"]).to_pandas()
    >>> [f"{r.position} {r.event_name} {r.units}" for r in found.itertuples()]
    ['1 B 1', '1 C 1', '2 (end) 1', '2 B 1']
    """
    if direction not in ("after", "before"):
        raise ValueError(f"direction={direction!r}: must be 'after' or 'before'; choose one")
    if length < 1 or most < 1:
        raise ValueError(f"length={length}, most={most}: both must be at least 1; raise them")
    log = _sequence(events, by, repeats)
    at_anchor = log.filter(is_one_of(log.name, [f"'{anchor}'" if anchor in MARKS else anchor]))
    anchors = at_anchor.group_by("unit").agg(anchored=at_anchor.position.min())
    asked = anchors.mutate(step=ibis.range(1, length + 1).unnest())
    asked = asked.mutate(position=asked.anchored + asked.step if direction == "after" else asked.anchored - asked.step)
    found = asked.left_join(log.select("unit", "position", "name"), ["unit", "position"])
    found = found.select(found.unit, step=found.step, name=found.name.fill_null(END if direction == "after" else START))
    counts = found.group_by(["step", "name"]).agg(n=found.count())
    edge = counts.name.isin([END, START])
    ranked = counts.mutate(
        place=ibis.row_number().over(ibis.window(group_by="step", order_by=[edge, ibis.desc(counts.n), counts.name]))
    )
    kept = ranked.mutate(
        event_name=ibis.ifelse((ranked.place < most) | ranked.name.isin([END, START]), ranked.name, OTHER)
    )
    rows = kept.group_by(["step", "event_name"]).agg(units=kept.n.sum().cast("int64"))
    rows = rows.mutate(n=rows.units.sum().over(ibis.window(group_by="step")).cast("int64"))
    found = rows.select(
        position=rows.step.cast("int64"),
        event_name=rows.event_name,
        units=rows.units,
        n=rows.n,
        share=rows.units / rows.n,
    )
    unknown = unknown_names(events, event_names=[anchor])
    return (
        never_empty(found, f"no known unit has {quoted(anchor)}") if unknown is None else refused_table(found, unknown)
    )
