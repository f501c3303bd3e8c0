"""Quantiles from all values, as the engine's `quantile_cont` has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
