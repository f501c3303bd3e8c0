"""From when to when a question reads: conditions on a row's instant alone, taken out of what the engine is asked.

Blocks hold instants, so a reading of blocks keeps them by itself; and of blocks whose days lie outside nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.operations as ops
import numpy as np

from launchpad_lib.metrics.kernels.lake_log import LakeRows
from launchpad_lib.metrics.kernels.own_columns import is_column

ALWAYS = -(2**62), 2**62
INSTANT = "event_at"
DAY = 86_400_000_000
_SIDES: dict[type, tuple[str, str]] = {
    ops.GreaterEqual: (">=", "<="),
    ops.Greater: (">", "<"),
    ops.LessEqual: ("<=", ">="),
    ops.Less: ("<", ">"),
}


class Limited(NamedTuple):
    """A question without its conditions on the instant, and these: the first and the last instant it reads, in
    microseconds since 1970.
    """

    found: LakeRows
    limits: tuple[int, int]


def limited(found: LakeRows) -> Limited:
    """Takes out every condition of a filter that compares `event_at` with an instant that is written down."""
    limits = [ALWAYS]

    def of_filter(node: ops.Node, kwargs: Mapping[str, Any] | None) -> ops.Node:
        again = node.__recreate__(kwargs) if kwargs else node
        if not isinstance(again, ops.Filter):
            return again
        held = [(predicate, _limits(predicate)) for predicate in _conjuncts(again.predicates)]
        limits.extend(told for _, told in held if told is not None)
        rest = [predicate for predicate, told in held if told is None]
        return ops.Filter(again.parent, rest) if rest else again.parent

    rows = found.rows.op().replace(of_filter).to_expr()
    return Limited(found._replace(rows=rows), (max(low for low, _ in limits), min(high for _, high in limits)))


def _conjuncts(predicates: Sequence[ops.Node]) -> Iterator[ops.Node]:
    for predicate in predicates:
        if isinstance(predicate, ops.And):
            yield from _conjuncts((predicate.left, predicate.right))
        else:
            yield predicate


def _limits(predicate: ops.Node) -> tuple[int, int] | None:
    """The first and the last instant that a condition keeps; None of one that asks anything else."""
    if isinstance(predicate, ops.Between):
        ends = _micros(predicate.lower_bound), _micros(predicate.upper_bound)
        return None if None in ends or not is_column(predicate.arg, INSTANT) else ends  # type: ignore[return-value]
    sides = _SIDES.get(type(predicate))
    if sides is None:
        return None
    if is_column(predicate.left, INSTANT):
        side, at = sides[0], _micros(predicate.right)
    else:
        side, at = sides[1], _micros(predicate.left) if is_column(predicate.right, INSTANT) else None
    if at is None:
        return None
    return {
        ">=": (at, ALWAYS[1]),
        ">": (at + 1, ALWAYS[1]),
        "<=": (ALWAYS[0], at),
        "<": (ALWAYS[0], at - 1),
    }[side]


def _micros(value: ops.Node) -> int | None:
    """An instant that is written down, without a zone; None of any other value."""
    if not isinstance(value, ops.Literal) or not value.dtype.is_timestamp() or value.dtype.timezone is not None:
        return None
    at = value.value
    # What is finer than the log's microseconds is left to the engine.
    if not isinstance(at, datetime) or at.tzinfo is not None or getattr(at, "nanosecond", 0):
        return None
    return int(np.datetime64(at.replace(fold=0), "us").astype(np.int64))


def is_outside(days: Sequence[str], limits: tuple[int, int]) -> bool:
    """Whether no instant of these UTC dates lies between the two."""
    first, last = _ends(days)
    return last < limits[0] or first > limits[1]


def is_within(days: Sequence[str], limits: tuple[int, int]) -> bool:
    """Whether every instant of these UTC dates lies between the two."""
    first, last = _ends(days)
    return limits[0] <= first and last <= limits[1]


def _ends(days: Sequence[str]) -> tuple[int, int]:
    first, last = (int(np.datetime64(day, "us").astype(np.int64)) for day in (min(days), max(days)))
    return first, last + DAY - 1
