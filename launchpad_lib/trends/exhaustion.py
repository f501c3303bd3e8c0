"""When is an error budget used up, if it goes on as lately?"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, norm, t

SLICES = 24


class UsedUp(NamedTuple):
    """The first instant at which the trailing period has no budget left, and its earliest and latest; NULL: not within
    one period. `refused`: why none is told.
    """

    at: np.datetime64 | None
    first: np.datetime64 | None
    last: np.datetime64 | None
    refused: str | None


def used_up(
    at: np.ndarray, bad: np.ndarray, budget: float, *, begin: datetime, as_of: datetime, lately: datetime
) -> UsedUp:
    """When the trailing period (as long as `begin` to `as_of`) has spent its budget, if observations and failures come
    as between `lately` and `as_of` and the oldest ones leave the period meanwhile.

    Interval: 95 %, from that of the share of failures lately (Korn and Graubard 1998: Clopper-Pearson of the effective
    number, whose units are 24 slices of time, because failures come in spells). How many observations come is taken as
    known. Refused: a budget of 0, one that is spent already, and a share that is at most twice its standard error.

    Args:
        at: instants in order, after `begin` and up to `as_of`. bad: which of them failed (bool), aligned.

    >>> at = np.datetime64("2026-01-01T00:30") + np.arange(240) * np.timedelta64(1, "h")  # ten days, then 12 of 24 fail
    >>> found = used_up(
    ...     at,
    ...     np.r_[np.zeros(216, bool), np.arange(24) % 2 == 0],
    ...     0.1,
    ...     begin=datetime(2026, 1, 1),
    ...     as_of=datetime(2026, 1, 11),
    ...     lately=datetime(2026, 1, 10),
    ... )
    >>> str(found.at), found.refused  # a day brings 12 failures, and 24 of the 240 observations leave: 12 more in a day
    ('2026-01-12T00:00:00.000000', None)
    """
    if not budget:
        return UsedUp(None, None, None, "an objective of 100 % has no budget")
    if not len(at) or bad.sum() >= budget * len(at):
        return UsedUp(None, None, None, "no observation" if not len(at) else "spent already")
    start, end = (np.datetime64(x, "us") for x in (lately, as_of))
    recent = at > start
    found = _share(at[recent], bad[recent], start=start, end=end)
    if found is None:
        return UsedUp(None, None, None, "too few failures lately")
    span = (end - start) / np.timedelta64(1, "us")
    leaves = np.r_[0, (at - np.datetime64(begin, "us")) / np.timedelta64(1, "us")]
    over = np.r_[0, np.cumsum(bad - budget)]
    kept = over[-1] - over  # failures over the budget among those that have not left
    per = recent.sum() / span
    last = float((end - np.datetime64(begin, "us")) / np.timedelta64(1, "us"))
    dates = [_crossing(leaves, kept, slope=(share - budget) * per, last=last) for share in found]
    low, high, middle = (None if d is None else end + np.timedelta64(round(d), "us") for d in dates)
    return UsedUp(middle, high, low, None)


def _share(at: np.ndarray, bad: np.ndarray, *, start: np.datetime64, end: np.datetime64) -> tuple[float, ...] | None:
    """Lower limit, upper limit and share of failures; None where it is at most twice its standard error."""
    n = len(at)
    if n < 2 or not bad.any():
        return None
    p = float(bad.mean())
    place = np.minimum(((at - start) / (end - start) * SLICES).astype(int), SLICES - 1)
    of, failed = np.bincount(place, minlength=SLICES), np.bincount(place, weights=bad, minlength=SLICES)
    used = int((of > 0).sum())
    by_slice = float(((failed - p * of) ** 2).sum()) * used / max(used - 1, 1) / n**2
    plain = p * (1 - p) / n
    effect = max(1.0, by_slice / plain) if plain else 1.0
    if p <= 2 * np.sqrt(plain * effect):
        return None
    known = n / effect * (float(norm.ppf(0.975) / t.ppf(0.975, used - 1)) ** 2 if effect > 1 else 1.0)
    x = p * known
    low = float(beta.ppf(0.025, x, known - x + 1))
    return low, float(beta.ppf(0.975, x + 1, known - x)) if known > x else 1.0, p


def _crossing(leaves: np.ndarray, kept: np.ndarray, *, slope: float, last: float) -> float | None:
    """Microseconds until failures over the budget reach 0: between two that leave they grow by `slope`."""
    ends = np.r_[leaves[1:], last]
    reached = np.maximum(leaves, -kept / slope) if slope > 0 else leaves
    is_there = (kept + slope * reached >= -1e-9) & (reached <= ends) & (reached <= last)
    return float(reached[int(is_there.argmax())]) if is_there.any() else None
