"""Which columns of a lake's own table a value of a question hangs on."""

from __future__ import annotations

import ibis.expr.operations as ops

ALWAYS_THERE = ("event_at", "event_name", "user_id", "event_id")  # no row of a day file lacks one


def columns_of(value: ops.Node) -> frozenset[str]:
    """The columns of the log's own table that a value hangs on; that one is there which always is hangs on none."""
    if isinstance(value, ops.Field):
        table, name = value.rel, value.name
        while not isinstance(table, ops.DatabaseTable):
            if isinstance(table, ops.Project):
                return columns_of(table.values[name])
            table = table.parent
        return frozenset([name])
    below = [columns_of(node) for node in value.__children__ if not isinstance(node, ops.Relation)]
    found = frozenset().union(*below)
    if isinstance(value, ops.NotNull) and len(found) == 1 and found <= set(ALWAYS_THERE) and is_itself(value.arg):
        return frozenset()
    return found


def is_itself(value: ops.Node) -> bool:
    """Whether a value is a column as it is, or as a wider whole number."""
    while not isinstance(value, ops.Field) or not isinstance(value.rel, ops.DatabaseTable):
        if isinstance(value, ops.Cast) and value.to.is_int64() and value.arg.dtype.is_integer():
            value = value.arg
        elif isinstance(value, ops.Field):
            table = value.rel
            value = table.values[value.name] if isinstance(table, ops.Project) else ops.Field(table.parent, value.name)
        else:
            return False
    return True


def is_column(value: ops.Node, name: str) -> bool:
    """Whether a value is this column as it is."""
    return isinstance(value, ops.Field) and is_itself(value) and columns_of(value) == {name}
