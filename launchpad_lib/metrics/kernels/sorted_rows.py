"""Units of any table, sorted by its engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.metrics.kernels.columns import AskedValue, Coded, column_of

SORTED = "launchpad_sorted_rows"


def sorted_parts(
    events: ir.Table,
    asked: Mapping[str, AskedValue],
    *,
    unit: str,
    order: tuple[str, ...],
    where: ir.BooleanValue | None,
    most: int,
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray | Coded]]]:
    """Any table, sorted by its engine; one that has more rows than a part is sorted aside and read piece by piece,
    of at most so many rows and a unit.
    """
    kept = events.filter(events[unit].notnull() if where is None else events[unit].notnull() & where)
    values = {key: one.value for key, one in asked.items()}
    rows = kept.select(unit_of_row=events[unit], **values, **{f"order_{n}": events[n] for n in order})
    rows = rows.order_by(["unit_of_row", *(f"order_{n}" for n in order)]).select("unit_of_row", *values)
    for table in _pieces(rows, most):
        yield _starts(table["unit_of_row"]), {key: column_of(table[key], one) for key, one in asked.items()}


def _pieces(rows: ir.Table, most: int) -> Iterator[pa.Table]:
    """The sorted rows in pieces of whole units."""
    backend = rows._find_backend(use_default=True)
    if backend.name != "duckdb" or int(rows.count().execute()) <= most:
        yield rows.to_pyarrow()
        return
    name = ibis.util.gen_name(SORTED)
    aside = backend.create_table(name, rows, temp=True)
    try:
        done, total, tail = 0, int(aside.count().execute()), None
        while done < total:
            query = f'SELECT * FROM "{name}" WHERE rowid BETWEEN {done} AND {done + most - 1}'
            piece = backend.con.sql(query).to_arrow_table()
            done += most
            whole = piece if tail is None else pa.concat_tables([tail, piece])
            cut = whole.num_rows if done >= total else int(_starts(whole["unit_of_row"])[-2])
            tail = whole.slice(cut)
            if cut:
                yield whole.slice(0, cut)
    finally:
        backend.raw_sql(f'DROP TABLE IF EXISTS "{name}"')


def _starts(units: pa.ChunkedArray) -> np.ndarray:
    """Where each run of equal values begins, and the number of rows."""
    if not len(units):
        return np.zeros(1, np.int64)
    codes = pc.dictionary_encode(units.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)
