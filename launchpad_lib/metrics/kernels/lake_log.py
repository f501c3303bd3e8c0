"""Whether a table is a lake's `fact_events`, or filters and projections of it, so that its day files can be read.

The relation is rebuilt on a table that has the engine's numbers in every projection: the user's, the session's and the
event's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

FACT_EVENTS, PART = "fact_events", "part_of_fact_events"
ENGINE_COLUMNS = ("user_number", "event_code", "session_number")
LAST_BIT = 62
ROW = "launchpad engine row"  # the number of a row in the order of the files
_HIDDEN = {name: f"launchpad engine {name}" for name in ENGINE_COLUMNS} | {ROW: ROW}
_ORDERS = (("event_at",), ("event_at", "received_at"), ("event_at", "received_at", "event_id"))  # those of the files
_ROW_BY_ROW = (ops.DatabaseTable, ops.Filter, ops.Project, ops.DropColumns)
_NOT_ROW_BY_ROW = (ops.Analytic, ops.WindowFunction, ops.Reduction, ops.Subquery)


class LakeRows(NamedTuple):
    """Values of rows of `fact_events`, to be asked of `PART`: a table of its columns and `ROW`, with some of the rows.

    `coded` are the values that are names of events, and come as the log's codes.
    """

    rows: ir.Table
    log: Any
    backend: Any
    coded: frozenset[str]


def is_fact_events(op: ops.Node) -> bool:
    """Whether an operation is the table itself, on a connection that knows its log."""
    return isinstance(op, ops.DatabaseTable) and op.name == FACT_EVENTS and getattr(op.source, "log", None) is not None


def of_days(events: ir.Table, name: str) -> ir.Table | None:
    """What a lake's index has of its events day by day: `event_days`, `event_delays` (`lake.daily_tables`) or
    `event_minutes`; None of any other table, and of a part of the events.
    """
    op = events.op()
    return op.source.table(name) if is_fact_events(op) else None


class LakeTelemetry(NamedTuple):
    """A lake's telemetry, of one feature or of all: its days, and the connection that has the tables made of them."""

    log: Any
    backend: Any
    feature_id: str | None


def lake_telemetry(table: ir.Table) -> LakeTelemetry | None:
    """The lake behind a table that is its telemetry, or that of one feature; None of any other."""
    op, feature_id = table.op(), None
    if isinstance(op, ops.Filter) and len(op.predicates) == 1:
        feature_id, op = _one_feature(op.predicates[0]), op.parent
        if feature_id is None:
            return None
    if not isinstance(op, ops.DatabaseTable) or op.name != "telemetry":
        return None
    log = getattr(op.source, "telemetry", None)
    return None if log is None else LakeTelemetry(log, op.source, feature_id)


def _one_feature(op: ops.Node) -> str | None:
    """The feature that a condition keeps: feature_id == a name."""
    if isinstance(op, ops.Equals) and isinstance(op.left, ops.Field) and op.left.name == "feature_id":
        if isinstance(op.right, ops.Literal) and isinstance(op.right.value, str):
            return op.right.value
    return None


def own_column(table: ops.Node, name: str) -> str | None:
    """Which column of `fact_events` a column of filters and projections of it is, unchanged; None for any other."""
    while not isinstance(table, ops.DatabaseTable):
        if isinstance(table, ops.Project):
            value = table.values[name]
            if not isinstance(value, ops.Field):
                return None
            name, table = value.name, value.rel
        elif isinstance(table, ops.Filter | ops.DropColumns):
            table = table.parent
        else:
            return None
    return name if is_fact_events(table) else None


def lake_rows(
    events: ir.Table,
    values: Mapping[str, ir.Value],
    *,
    unit: str,
    order: tuple[str, ...],
    where: ir.BooleanValue | None,
) -> LakeRows | None:
    """The values row by row, and `user`, `row` (`session`, where that is the unit), as the day files can answer them.

    None where they cannot: another table, a value that looks at other rows, a unit or an order of the rows that is not
    the log's own.
    """
    asked = [v.op() for v in (*values.values(), *(() if where is None else (where,)))]
    nodes = {node for op in (events.op(), *asked) for node in op.find(ops.Node)}
    relations = [node for node in nodes if isinstance(node, ops.Relation)]
    if not all(isinstance(r, _ROW_BY_ROW) for r in relations) or any(_looks_elsewhere(n) for n in nodes):
        return None
    tables = [r for r in relations if isinstance(r, ops.DatabaseTable)]
    if len(tables) != 1 or not is_fact_events(tables[0]):
        return None
    if own_column(events.op(), unit) not in ("user_id", "session_key"):
        return None
    if any(own_column(events.op(), name) != name for name in order) or order not in _ORDERS:
        return None
    base = tables[0]
    schema = ibis.schema({**dict(base.schema.items()), ROW: "int64"})
    part = ops.DatabaseTable(name=PART, schema=schema, source=base.source, namespace=ops.Namespace())

    codes = base.source.log.event_codes

    def of_part(node: ops.Node, kwargs: Mapping[str, Any] | None) -> ops.Node:
        if node is base or node == base:
            return part
        wanted = _event_names(node)
        if wanted is not None and kwargs:  # codes are compared, and the names need not be read
            field = next(v for v in kwargs.values() if isinstance(v, ops.Field))
            return _is_coded(_number(field.rel, "event_code").to_expr(), [codes[n] for n in wanted if n in codes]).op()
        again = node.__recreate__(kwargs) if kwargs else node
        if isinstance(again, ops.Project):
            more = {hidden: _number(again.parent, name) for name, hidden in _HIDDEN.items()}
            return ops.Project(again.parent, {**again.values, **more})
        return again

    table = events.op().replace(of_part).to_expr()
    moved = {name: value.op().replace(of_part).to_expr() for name, value in values.items()}
    coded = set()
    for name, value in values.items():
        op = value.op()
        own = own_column(op.rel, op.name) if isinstance(op, ops.Field) else None
        if own == "event_name":
            coded.add(name)
            moved[name] = _number(table.op(), "event_code").to_expr()
    keys = {"user": _number(table.op(), "user_number").to_expr(), "row": _number(table.op(), ROW).to_expr()}
    if own_column(events.op(), unit) == "session_key":
        keys["session"] = _number(table.op(), "session_number").to_expr()
    kept = table if where is None else table.filter(where.op().replace(of_part).to_expr())
    chosen = {name: value.op().replace({table.op(): kept.op()}).to_expr() for name, value in (keys | moved).items()}
    return LakeRows(kept.select(**chosen), base.source.log, base.source, frozenset(coded))


def _is_coded(code: ir.IntegerValue, wanted: Sequence[int]) -> ir.BooleanValue:
    """Whether a code is one of some, as a bit of a number where it can be: to an engine a long list is a join."""
    if len(wanted) < 2 or max(wanted) > LAST_BIT:
        return code.isin(wanted or [-1])
    bits = ibis.literal(sum(1 << k for k in set(wanted)), "int64")
    return ((bits >> code.cast("int64")) & 1) == 1


def _looks_elsewhere(node: ops.Node) -> bool:
    """Whether a value hangs on other rows, on chance or on a function of this process."""
    if isinstance(node, ops.ScalarUDF):
        return node.__input_type__ != ops.udf.InputType.BUILTIN
    return isinstance(node, (*_NOT_ROW_BY_ROW, ops.Impure))


def _event_names(node: ops.Node) -> list[str] | None:
    """The names to which a node compares the column event_name; None for any other node."""
    if isinstance(node, ops.InValues):
        field, options = node.value, node.options
    elif isinstance(node, ops.Equals):
        field, options = (node.left, (node.right,)) if isinstance(node.left, ops.Field) else (node.right, (node.left,))
    else:
        return None
    if not isinstance(field, ops.Field) or own_column(field.rel, field.name) != "event_name":
        return None
    is_text = all(isinstance(o, ops.Literal) and isinstance(o.value, str) for o in options)
    return [o.value for o in options] if is_text else None


def _number(table: ops.Node, name: str) -> ops.Node:
    """The engine's number as a column of a rebuilt relation."""
    hidden = _HIDDEN[name]
    return ops.Field(table, hidden if hidden in table.schema.names else name)
