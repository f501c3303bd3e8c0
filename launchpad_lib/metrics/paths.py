"""Paths: what follows what, and the steps after a start or before an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.arguments import shown, whole_number
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import units_of
from launchpad_lib.metrics.checks import counted_table, known_table, never_empty, refused_table, unknown_names

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.sequences import FollowFold, StepFold

OTHER, START, END = MARKS = ("(other)", "(start)", "(end)")
MOST_NAMES = 2_000


def _shown(name: str) -> str:
    """An event that is called as one of our marks is shown in quotes, so that it is not taken for the mark."""
    return f"'{name}'" if name in MARKS else name


def _checked(events: ir.Table, repeats: str) -> ir.Table:
    if repeats not in ("kept", "collapsed"):
        raise ValueError(f"repeats={shown(repeats)}: must be 'kept' or 'collapsed'; choose one")
    return known_table(events, needs=("event_name", "event_at"))


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
    asked = asked_transitions(events, most=most, repeats=repeats)
    log, unit = units_of(events, by)
    return answers(log, [asked], unit=unit)[0]


def asked_transitions(
    events: ir.Table, *, most: int = 12, repeats: Literal["kept", "collapsed"] = "collapsed"
) -> Asked:
    """The question of `transitions`, to be read with others of the same unit by `answers`."""
    from launchpad_lib.metrics.kernels.sequences import FollowFold

    most = whole_number(most, argument="most")
    events = _checked(events, repeats)
    fold = FollowFold(events.event_name, repeats=repeats, shown_as=_shown)
    return Asked([fold], lambda: _transitions(fold, most))


def _transitions(fold: FollowFold, most: int) -> ir.Table:
    counts, shown = fold.counts(), fold.names.shown
    ranked = sorted(np.flatnonzero(counts), key=lambda k: (-counts[k], shown[k]))[:most]
    if len(ranked) > MOST_NAMES:
        raise ValueError(
            f"most={most}: {len(ranked):,} names make too many pairs; at most {MOST_NAMES:,} are told apart"
        )
    small = np.full(len(shown), len(ranked), np.int64)
    small[ranked] = np.arange(len(ranked))
    found = fold.follows(small, len(ranked) + 2)
    names = np.array([*(shown[k] for k in ranked), OTHER, END], dtype=object)
    of_name = np.zeros(len(names), np.int64)
    np.add.at(of_name, found.before, found.times)
    from_count = of_name[found.before]
    columns = {
        "from_event": pa.array(names[found.before], pa.string()),
        "to_event": pa.array(names[found.after], pa.string()),
        "transitions": found.times,
        "from_count": from_count,
        "share": found.times / from_count,
        "median_seconds": pa.array(found.median, mask=np.isnan(found.median)),
    }
    rows = ibis.memtable(pa.table(columns))
    return never_empty(rows, "the log holds no event of a known unit, so nothing follows anything")


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
    asked = asked_path_steps(events, anchor=anchor, direction=direction, length=length, most=most, repeats=repeats)
    log, unit = units_of(events, by)
    return answers(log, [asked], unit=unit)[0]


def asked_path_steps(
    events: ir.Table,
    *,
    anchor: str,
    direction: Literal["after", "before"] = "after",
    length: int = 5,
    most: int = 5,
    repeats: Literal["kept", "collapsed"] = "collapsed",
) -> Asked:
    """The question of `path_steps`, to be read with others of the same unit by `answers`."""
    from launchpad_lib.metrics.kernels.sequences import StepFold

    if direction not in ("after", "before"):
        raise ValueError(f"direction={shown(direction)}: must be 'after' or 'before'; choose one")
    length, most = whole_number(length, argument="length"), whole_number(most, argument="most")
    events = _checked(events, repeats)
    fold = StepFold(
        events.event_name, anchor=anchor, direction=direction, length=length, repeats=repeats, shown_as=_shown
    )
    unknown = unknown_names(events, event_names=[anchor])

    def answer() -> ir.Table:
        rows = list(_steps(fold, most))
        kinds = {"position": dt.int64, "event_name": dt.string, "units": dt.int64, "n": dt.int64}
        table = counted_table(kinds, **{name: [row[k] for row in rows] for k, name in enumerate(kinds)})
        found = table.mutate(share=table.units / table.n)
        if unknown is not None:
            return refused_table(found, unknown)
        return never_empty(found, f"no known unit has {quoted(anchor)}")

    return Asked([fold] if unknown is None else [], answer)


def _steps(fold: StepFold, most: int) -> Iterator[tuple[int, str, int, int]]:
    """position, event, units, units with the anchor: the most frequent events of a position, the others, the edge."""
    edge, shown = END if fold.is_after else START, fold.names.shown
    for position, counts in enumerate(fold.counts, start=1):
        n, by_name = int(counts.sum()), counts[1:]
        ranked = sorted(np.flatnonzero(by_name), key=lambda k: (-by_name[k], shown[k]))
        rest = int(sum(by_name[k] for k in ranked[most:]))
        kept = [(shown[k], int(by_name[k])) for k in ranked[:most]]
        for name, units in (*kept, (OTHER, rest), (edge, int(counts[0]))):
            if units:
                yield position, name, units, n
