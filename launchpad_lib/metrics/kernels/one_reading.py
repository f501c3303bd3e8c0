"""Several questions about the same units from one reading of the log.

A fold says which columns and yes-or-no conditions it needs of a row; the engine computes those of all folds in one scan
(conditions as bits of a whole number), and each part of whole units is handed to every fold in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from itertools import chain
from typing import NamedTuple, Protocol

import ibis
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.metrics.checks import READ
from launchpad_lib.metrics.kernels.unit_rows import UnitRows, unit_rows

BITS_A_COLUMN = 31
THREADS = 2


class Part(NamedTuple):
    """Whole units as a fold sees them. Rows of unit number i are `starts[i] : starts[i + 1]`, in order.

    `at` are microseconds since 1970, `ends` the first and the last of them. `columns` and `texts` are under the fold's
    own names; texts are codes (NULL is -1). `flags`: by the fold's name, (bits of the rows, the bit of this condition);
    bit 0 means that it holds for every row.
    """

    starts: np.ndarray
    at: np.ndarray
    ends: tuple[int, int]
    columns: Mapping[str, np.ndarray]
    texts: Mapping[str, list[str]]
    flags: Mapping[str, tuple[np.ndarray, int]]


class UnitFold(Protocol):
    """A question that is answered by folding over each unit's rows."""

    @property
    def columns(self) -> Mapping[str, ir.Value]:
        """Texts or whole numbers that it reads of a row."""

    @property
    def flags(self) -> Mapping[str, ir.BooleanValue | None]:
        """Conditions, never NULL; None holds for every row. A row for which no condition holds may be left out.

        Where there is one named `READ`, it alone says which rows are needed: it may be NULL, and no part tells it.
        """

    def fold(self, part: Part) -> None:
        """Takes in a part."""


class _Asked(NamedTuple):
    """Expressions that differ, and where each is found."""

    values: list[ir.Value]

    def place(self, wanted: ir.Value) -> int:
        for k, value in enumerate(self.values):
            if value.equals(wanted):
                return k
        self.values.append(wanted)
        return len(self.values) - 1


def read_once(events: ir.Table, folds: Sequence[UnitFold], *, unit: str = "user_id") -> None:
    """Feeds every fold with the whole log, read once.

    Rows without an instant belong to no unit. A log without `event_id` orders ties by the texts the folds read.
    """
    columns, flags = _Asked([]), _Asked([])
    column_places = [{name: columns.place(value) for name, value in fold.columns.items()} for fold in folds]
    conditions = [fold.flags for fold in folds]
    flag_places = [
        {name: None if value is None else flags.place(value) for name, value in held.items() if name != READ}
        for held in conditions
    ]
    asked: dict[str, ir.Value] = {"at": events.event_at}
    asked |= {f"c{k}": value for k, value in enumerate(columns.values)}
    asked |= {f"bits{k}": bits for k, bits in enumerate(_bits(flags.values))}
    where = events.event_at.notnull()
    needed = [[held[READ]] if READ in held else list(held.values()) for held in conditions]
    if all(one and all(value is not None for value in one) for one in needed):
        differ = _Asked([])
        for value in chain.from_iterable(needed):
            differ.place(value)
        where = where & reduce(lambda one, other: one | other, differ.values)
    several = len(asked) - 1 - len(columns.values)
    with ThreadPoolExecutor(THREADS) as pool:
        # Folds share nothing, so they run side by side, and the next part is read meanwhile.
        running: list[Future] = []
        for rows in unit_rows(_ordered(events, columns.values), asked, unit=unit, where=where):
            for future in running:
                future.result()
            if len(rows.columns["at"]):
                running = [
                    pool.submit(fold.fold, _part(rows, several, of_columns, of_flags))
                    for fold, of_columns, of_flags in zip(folds, column_places, flag_places, strict=True)
                ]
        for future in running:
            future.result()


def _part(rows: UnitRows, several: int, columns: Mapping[str, int], flags: Mapping[str, int | None]) -> Part:
    """A part under the names of one fold; there are so many columns of bits."""
    starts, at = rows.starts, rows.columns["at"]
    bits = [rows.columns[f"bits{k}"] for k in range(several)]
    nothing = np.zeros(0, np.int32)
    return Part(
        starts,
        at,
        (int(at[starts[:-1]].min()), int(at[starts[1:] - 1].max())),  # a unit's rows are in the order of time
        {name: rows.columns[f"c{k}"] for name, k in columns.items()},
        {name: rows.texts[f"c{k}"] for name, k in columns.items() if f"c{k}" in rows.texts},
        {
            name: (nothing, 0) if k is None else (bits[k // BITS_A_COLUMN], 1 << k % BITS_A_COLUMN)
            for name, k in flags.items()
        },
    )


def _bits(flags: Sequence[ir.BooleanValue]) -> Iterator[ir.Value]:
    """Conditions as bits of whole numbers, so many a column."""
    for start in range(0, len(flags), BITS_A_COLUMN):
        bits = [flag.cast("int32") * 2**k for k, flag in enumerate(flags[start : start + BITS_A_COLUMN])]
        yield reduce(lambda one, other: one + other, bits).cast("int32")


def _ordered(events: ir.Table, columns: Sequence[ir.Value]) -> ir.Table:
    """The log with an order of ties that does not depend on how it is stored."""
    texts = [value for value in columns if value.type().is_string()]
    if "event_id" in events.columns or not texts:
        return events
    last = ibis.literal("\x1f").join([text.fill_null("\x1e") for text in texts])
    return events.mutate(event_id=last)
