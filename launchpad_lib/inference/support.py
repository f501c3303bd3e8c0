"""Can two groups be compared? Are there enough of both, what does weighting leave apart, who is out of reach?"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd

MOST_OUT_OF_REACH = 0.05
# What weighting may leave beyond chance; the outcome models take out the rest.
BALANCE_LIMIT = 0.25
CHANCE = 3.5
BALANCE_COLUMNS = ("covariate", "mean_treated", "mean_control", "smd_before", "smd_ate", "smd_att", "smd_ato")
ROWS_AT_ONCE = 65_536


def standardised_differences(x: np.ndarray, treated: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(weighted mean treated - weighted mean control) / sqrt of the mean of the two unweighted variances
    (Austin 2009); 0 where nothing varies. Shape: (columns of x, columns of weights).
    """
    (one, one_variance), (zero, zero_variance) = (
        _moments(x[treated == arm], weights[treated == arm]) for arm in (1, 0)
    )
    spread = np.sqrt((one_variance + zero_variance) / 2)[:, None]
    return np.where(spread > 0, (one - zero) / np.where(spread > 0, spread, 1.0), 0.0)


def _moments(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weighted means of each column, and its unweighted variance; in blocks, without another copy of x."""
    blocks = [slice(first, first + ROWS_AT_ONCE) for first in range(0, len(x), ROWS_AT_ONCE)]
    sums = sum(x[block].T.astype(float) @ weights[block] for block in blocks)
    plain = x.mean(axis=0, dtype=float)
    squares = sum(np.square(x[block] - plain).sum(axis=0) for block in blocks)
    return sums / weights.sum(axis=0), squares / (len(x) - 1)


def effective_size(weights: np.ndarray) -> float:
    """Kish: (sum w)^2 / sum w^2."""
    total = float((weights**2).sum())
    return float(weights.sum() ** 2 / total) if total else 0.0


def cannot_be_asked(
    x: np.ndarray, names: Sequence[str], t: np.ndarray, y: np.ndarray, users: np.ndarray, *, smallest: int
) -> str | None:
    """Why no effect can be estimated at all, else None.

    Args:
        x: a column for each of `names`, those that vary.
        users: 0, 1, ..., one number per user.
        smallest: units, and users, that each group needs.
    """
    arms = [t == 1, t == 0]
    if min(int(arm.sum()) for arm in arms) < smallest:
        sizes = [int(arm.sum()) for arm in arms]
        return f"{sizes[0]:,} treated and {sizes[1]:,} untreated units; each group needs {smallest}"
    people = [int(np.count_nonzero(np.bincount(users[arm]))) for arm in arms]
    if min(people) < smallest:
        return f"they are of {people[0]:,} treated and {people[1]:,} untreated users; each group needs {smallest}"
    unknown = int(np.isnan(y).sum())
    if unknown:
        return f"the outcome is unknown for {unknown:,} of {len(y):,} units"
    if np.ptp(y) == 0:
        return "the outcome is the same for all"
    if min(np.ptp(y[arm]) for arm in arms) == 0:
        return "in one group the outcome is the same for all, so it cannot be modelled"
    for name, missing in zip(names, np.isnan(x).sum(axis=0), strict=True):
        if missing:
            return f"the covariate {name} is missing for {int(missing):,} units"
    return None if len(names) else "no covariate measured before exposure varies"


def balance_table(x: np.ndarray, names: Sequence[str], t: np.ndarray, weights: dict[str, np.ndarray]) -> pd.DataFrame:
    """Grain: one row per covariate: `BALANCE_COLUMNS`.

    Args:
        weights: per unit, for ATE, ATT and ATO in this order.
    """
    means = [x[t == arm].mean(axis=0, dtype=float) for arm in (1, 0)]
    apart = standardised_differences(x, t, np.column_stack([np.ones(len(t)), *weights.values()]))
    return pd.DataFrame(dict(zip(BALANCE_COLUMNS, (list(names), *means, *apart.T), strict=True)))


def lacks_support(out: float, sizes: tuple[float, ...], apart: float, worst: str, min_group: int) -> str | None:
    """Why the data cannot carry the effect in this population, else None."""
    if out > MOST_OUT_OF_REACH:
        return f"{100 * out:.0f} % of these units had hardly a chance of the other arm: the groups hardly overlap"
    if min(sizes) < min_group / 2:
        return f"after weighting {min(sizes):.0f} users are left of a group: the groups hardly overlap"
    chance = CHANCE * sqrt(1 / sizes[0] + 1 / sizes[1])
    if apart > BALANCE_LIMIT + chance:
        return f"weighting leaves a standardised difference of {apart:.2f} in {worst}, {BALANCE_LIMIT} or more"
    return None
