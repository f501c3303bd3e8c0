"""What was read once of a log that cannot change is not read again, as long as the table lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import ibis.expr.operations as ops
import ibis.expr.types as ir

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
    from launchpad_lib.metrics.kernels.lake_log import is_fact_events

    leaves = events.op().find(ops.PhysicalTable)
    return bool(leaves) and all(is_fact_events(leaf) for leaf in leaves)


def names_of_lake(events: ir.Table) -> dict[str, dict[str, Any]] | None:
    """What a lake's events name, by kind (event, feature, property) and name, with how often; None of any other table,
    and of a part of the events.
    """
    from launchpad_lib.metrics.kernels.lake_log import is_fact_events

    op = events.op()
    return op.source.log.names if is_fact_events(op) else None
