"""Which of some events a row is, as a number that the engine computes while it scans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.types as ir

from launchpad_lib.metrics.windows import is_one_of


def is_named(events: ir.Table, names: Iterable[str]) -> ir.BooleanValue:
    """Whether an event has one of the names; an event without a name has none."""
    return is_one_of(events.event_name, names).fill_null(False)


def number_by_name(events: ir.Table, numbers: Mapping[str, int]) -> ir.IntegerValue:
    """The number given to the event's name, 0 where it has none.

    >>> log = ibis.memtable({"event_name": ["go", "stay", "go"]})
    >>> number_by_name(log, {"go": 5}).execute().tolist()
    [5, 0, 5]
    """
    cases = [(is_one_of(events.event_name, [name]), ibis.literal(n, "int64")) for name, n in numbers.items()]
    return ibis.cases(*cases, else_=ibis.literal(0, "int64")) if cases else ibis.literal(0, "int64")
