"""Quantiles from all values, as the engine's `quantile_cont` has them."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import numpy as np

FEW = 1_000_000


def quantiles_of(values: np.ndarray, at: Sequence[float]) -> list[float | None]:
    """Between order statistics linearly interpolated; None of no values. The array is reordered.

    >>> quantiles_of(np.array([4, 1, 2, 3]), [0.5])
    [2.5]
    """
    if not len(values):
        return [None] * len(at)
    ranks = [q * (len(values) - 1) for q in at]
    values.partition(sorted({place for rank in ranks for place in (int(rank), min(int(rank) + 1, len(values) - 1))}))
    found: list[float | None] = []
    for rank in ranks:
        low, high = float(values[int(rank)]), float(values[min(int(rank) + 1, len(values) - 1)])
        found.append(low + (high - low) * (rank - int(rank)))
    return found


def quantiles_of_counts(
    values: np.ndarray, rows: np.ndarray, at: Sequence[float], *, per: float = 1.0
) -> list[float | None]:
    """As `quantiles_of`, of values over `per` that so many rows have.

    >>> quantiles_of_counts(np.array([4, 1]), np.array([1, 3]), [0.5, 1.0])
    [1.0, 4.0]
    """
    if not rows.sum():
        return [None] * len(at)
    order = np.argsort(values)
    rising, upto = values[order], np.cumsum(rows[order])
    found: list[float | None] = []
    for q in at:
        rank = q * (int(upto[-1]) - 1)
        places = (int(rank), min(int(rank) + 1, int(upto[-1]) - 1))
        low, high = (float(rising[np.searchsorted(upto, place, side="right")]) / per for place in places)
        found.append(low + (high - low) * (rank - int(rank)))
    return found


def exact_quantiles(
    table: ir.Table, value: ir.IntegerValue, *, at: Sequence[float], per: float = 1.0
) -> list[float | None]:
    """Quantiles of all values of a column of whole numbers, over `per`, in bounded memory; NULL is no value.

    Of many values the engine first counts those of like size (32 buckets an octave), so that only the values in the
    buckets of the quantiles are read, each value once with its count.

    >>> import ibis
    >>> log = ibis.memtable({"n": [4, 1, None, 2, 3]}, schema={"n": "int64"})
    >>> exact_quantiles(log, log.n, at=[0.5], per=10)
    [0.25]
    """
    known = table.select(value=value).filter(lambda t: t.value.notnull())
    if known.count().execute() <= FEW:
        return quantiles_of(known.to_pyarrow()["value"].to_numpy() / per, at)
    size = (known.value.abs().cast("float64") + 1).log2() * 32
    known = known.mutate(bucket=(size * known.value.sign()).floor().cast("int64"))
    buckets, upto = _counted(known, "bucket")
    ranks = [q * (upto[-1] - 1) for q in at]
    places = np.array([[int(r), min(int(r) + 1, int(upto[-1]) - 1)] for r in ranks])
    wanted = np.unique(np.searchsorted(upto, places, side="right"))
    # The values of the wanted buckets, and of each how many rows have it or a smaller one, of any bucket.
    values, within = _counted(known.filter(known.bucket.isin(buckets[wanted].tolist())), "value")
    sizes = np.diff(upto, prepend=0)
    left_out = np.concatenate([[0], np.cumsum(sizes)])[wanted] - np.concatenate([[0], np.cumsum(sizes[wanted])[:-1]])
    bucket_of_value = np.searchsorted(np.cumsum(sizes[wanted]), within)
    ends = within + left_out[bucket_of_value]
    found: list[float | None] = []
    for rank, pair in zip(ranks, places, strict=True):
        low, high = (float(values[np.searchsorted(ends, place, side="right")]) / per for place in pair)
        found.append(low + (high - low) * (rank - int(rank)))
    return found


def _counted(table: ir.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column, rising, and how many rows have one of those up to each."""
    counts = table.group_by(column).agg(n=table.count()).order_by(column).to_pyarrow()
    return counts[column].to_numpy(), counts["n"].to_numpy().cumsum()
