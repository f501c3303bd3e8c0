"""The log as whole units: every unit's rows together and in order, as arrays of numbers that a compiled kernel reads.

The engine computes columns (which steps an event is, the code of its segment, whether it may enter) while it scans;
kernels see integers. Rows of a unit are in the order (event_at, received_at, event_id).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ORDER = ("event_at", "received_at", "event_id")


class UnitRows(NamedTuple):
    """Rows of whole units. Grain of `columns`: one value per row; of `units`: one value per unit.

    Rows of unit number i are `starts[i] : starts[i + 1]`. Instants are microseconds since 1970 (int64), truths uint8,
    texts codes (int32) into `texts[column]`; the code of NULL is -1. `texts` are shared by all parts of one reading and
    only grow, so a code means the same in every part.
    """

    starts: np.ndarray
    columns: dict[str, np.ndarray]
    texts: dict[str, list[str]]

    @property
    def units(self) -> int:
        """How many units the part has."""
        return len(self.starts) - 1


def unit_rows(
    events: ir.Table,
    columns: Mapping[str, ir.Value],
    *,
    unit: str = "user_id",
    where: ir.BooleanValue | None = None,
) -> Iterator[UnitRows]:
    """Reads the log in parts of whole units; together the parts are every row for which `where` holds.

    Args:
        events: an event log: the unit's column and event_at; received_at and event_id order ties where they are there.
        columns: expressions over `events`: instants, whole numbers, truths or texts; only texts may be NULL.
        unit: the column whose values are the units; rows without one are left out.
        where: which rows are read at all.

    >>> from datetime import datetime
    >>> import ibis
    >>> rows = [("b", 2), ("a", 3), ("b", 1)]
    >>> log = ibis.memtable([{"user_id": u, "event_at": datetime(2026, 1, d), "platform": u + "!"} for u, d in rows])
    >>> part = next(unit_rows(log, {"at": log.event_at, "platform": log.platform}))
    >>> part.starts.tolist(), [part.texts["platform"][code] for code in part.columns["platform"]]
    ([0, 1, 3], ['a!', 'b!', 'b!'])
    """
    order = [name for name in ORDER if name in events.columns]
    asked = {f"column_{name}": value for name, value in columns.items()}
    kept = events.filter(events[unit].notnull() if where is None else events[unit].notnull() & where)
    rows = kept.select(unit_of_row=events[unit], **asked, **{f"order_{n}": events[n] for n in order})
    rows = rows.order_by(["unit_of_row", *(f"order_{n}" for n in order)])
    table = rows.select("unit_of_row", *asked).to_pyarrow()
    texts: dict[str, list[str]] = {}
    known: dict[str, dict[str, int]] = {}
    arrays = {name: _numbers(table[f"column_{name}"], name, texts, known) for name in columns}
    yield UnitRows(_starts(table["unit_of_row"]), arrays, texts)


def _starts(units: pa.ChunkedArray) -> np.ndarray:
    """Where each run of equal values begins, and the number of rows."""
    if not len(units):
        return np.zeros(1, np.int64)
    codes = pc.dictionary_encode(units.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)


def _numbers(
    column: pa.ChunkedArray, name: str, texts: dict[str, list[str]], known: dict[str, dict[str, int]]
) -> np.ndarray:
    """A column as numbers; the texts that it meets first get the next codes."""
    array = column.combine_chunks()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        encoded = pc.dictionary_encode(array)
        codes, values = known.setdefault(name, {}), texts.setdefault(name, [])
        for value in encoded.dictionary.to_pylist():
            if value not in codes:
                codes[value] = len(values)
                values.append(value)
        place = np.array([codes[value] for value in encoded.dictionary.to_pylist()] or [0], np.int32)
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.where(indices < 0, np.int32(-1), place[indices])
    if array.null_count:
        raise ValueError(f"columns: {name!r} holds {array.null_count} NULL; fill them before the fold")
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8()).to_numpy(zero_copy_only=False)
    return array.to_numpy(zero_copy_only=False)
