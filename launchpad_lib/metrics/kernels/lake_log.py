"""Whether a table is a lake's `fact_events`, or filters and projections of it, so that its day files can be read."""

from __future__ import annotations

import ibis.expr.operations as ops
import ibis.expr.types as ir

FACT_EVENTS = "fact_events"
ENGINE_COLUMNS = ("user_number", "event_code", "session_number")


def is_fact_events(op: ops.Node) -> bool:
    """Whether an operation is the table itself, on a connection that knows its log."""
    return isinstance(op, ops.DatabaseTable) and op.name == FACT_EVENTS and getattr(op.source, "log", None) is not None


def without_engine_columns(table: ir.Table) -> ir.Table:
    """The table without the numbers that a lake's `fact_events` has beside the columns of an event."""
    return table.drop(*ENGINE_COLUMNS) if is_fact_events(table.op()) else table
