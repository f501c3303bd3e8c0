"""What was read once of a log that cannot change is not read again, as long as the table lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar
from weakref import WeakKeyDictionary

import ibis.expr.operations as ops
import ibis.expr.types as ir

FACTS = "fact_events"
_kept: WeakKeyDictionary[ir.Table, dict[Hashable, object]] = WeakKeyDictionary()
Reading = TypeVar("Reading")


def remembered(events: ir.Table, question: Hashable, read: Callable[[], Reading]) -> Reading:
    """The answer of `read`, kept with the table where it is made of nothing but a lake's events at their version.

    Any other table may have changed when it is asked again, so it is read again.
    """
    if not is_pinned(events):
        return read()
    answers = _kept.setdefault(events, {})
    if question not in answers:
        answers[question] = read()
    return answers[question]  # type: ignore[return-value]  # what `read` of this question gave


def is_pinned(events: ir.Table) -> bool:
    """Whether a table is made of nothing but the events of an opened lake, which stay as they are."""
    leaves = events.op().find((ops.PhysicalTable,), filter=(ops.Relation, ops.Value))
    tables = [leaf for leaf in leaves if isinstance(leaf, ops.DatabaseTable | ops.InMemoryTable | ops.SQLQueryResult)]
    return bool(tables) and all(
        isinstance(t, ops.DatabaseTable) and t.name == FACTS and hasattr(t.source, "log") for t in tables
    )
