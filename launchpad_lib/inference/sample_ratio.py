"""Sample ratio mismatch: were units assigned in the planned ratio?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, chisquare

ALERT_P = 0.001
# Part of an arm that came when the others did not: a few testers of one variant before the start can bias nothing.
SMALLEST_MOVE = 0.05
FEWEST_DUE = 5  # units of the smallest arm in a period, below which chi-square does not hold


class SampleRatio(NamedTuple):
    """Pearson chi-square of the counts against the plan; a mismatch at p < 0.001.

    `refused_because`: why there is no test.
    """

    chi_square: float | None
    p_value: float | None
    is_mismatch: bool
    refused_because: str | None = None


def sample_ratio_mismatch(counts: Sequence[int], *, weights: Sequence[float] | None = None) -> SampleRatio:
    """Pearson chi-square test against equal or given weights (a planned split, in any unit: 95 and 5, or 0.95 and
    0.05).

    >>> f"{sample_ratio_mismatch([821588, 815482]).p_value:.1e}"
    '1.8e-06'
    >>> sample_ratio_mismatch([950, 52], weights=[95, 5]).is_mismatch
    False
    """
    if weights is not None and (len(weights) != len(counts) or min(weights, default=0) <= 0):
        raise ValueError(f"weights={list(weights)}: must be one number above 0 for each of {len(counts)} variants")
    if len(counts) < 2 or sum(counts) == 0:
        return SampleRatio(None, None, False, f"{len(counts)} variants with {sum(counts)} units; two need some")
    share = [w / sum(weights) for w in weights] if weights else [1 / len(counts)] * len(counts)
    test = chisquare(counts, [sum(counts) * s for s in share])
    return SampleRatio(float(test.statistic), float(test.pvalue), bool(test.pvalue < ALERT_P))


class MovedSplit(NamedTuple):
    """A split that did not stay: the variant whose share of new units moved most, and its lowest and highest share,
    each with the first and the last day of its period.
    """

    p_value: float
    variant: str
    lowest: tuple[float, Any, Any]
    highest: tuple[float, Any, Any]


def moved_split(daily: pd.DataFrame) -> MovedSplit | None:
    """Whether the day of the first exposure hangs on the variant; None at p of 0.001 and above, and where
    less than a twentieth of an arm would have to have come on other days.

    Arms of the right sizes may still have come at different times (a roll-out in steps, a variant switched on late);
    then whatever changed with the calendar would be taken for an effect. Days that follow each other are taken together
    until five units of the smallest arm are due.

    Args:
        daily: units first exposed, variant x day in order.

    >>> days = pd.DataFrame([[90, 10], [10, 90]], index=["a", "b"], columns=[1, 2])
    >>> moved_split(days).lowest == (0.1, 2, 2), moved_split(days * 0 + 50)
    (True, None)
    """
    arms = daily.sum(axis=1)
    if len(arms) < 2 or not (arms > 0).all():
        return None
    needed = FEWEST_DUE / (arms.min() / arms.sum())
    ends, room = [], 0
    for place, units in enumerate(daily.sum(axis=0)):
        room += units
        if room >= needed:
            ends.append(place)
            room = 0
    if len(ends) < 2:
        return None
    ends[-1] = daily.shape[1] - 1  # the days that are left go with the last period
    begins = [0, *(end + 1 for end in ends[:-1])]
    periods = np.column_stack([daily.iloc[:, a : b + 1].sum(axis=1) for a, b in zip(begins, ends, strict=True)])
    p_value = float(chi2_contingency(periods, correction=False).pvalue)
    whole = periods.sum(axis=0) / periods.sum()
    elsewhere = np.abs(periods / periods.sum(axis=1, keepdims=True) - whole).sum(axis=1).max() / 2
    if p_value >= ALERT_P or elsewhere < SMALLEST_MOVE:
        return None
    shares = periods / periods.sum(axis=0)
    most = int(np.ptp(shares, axis=1).argmax())

    def told(place: int) -> tuple[float, Any, Any]:
        return float(shares[most, place]), daily.columns[begins[place]], daily.columns[ends[place]]

    return MovedSplit(
        p_value, str(daily.index[most]), told(int(shares[most].argmin())), told(int(shares[most].argmax()))
    )
