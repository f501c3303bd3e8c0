"""Sample ratio mismatch: were units assigned in the planned ratio?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import chisquare

ALERT_P = 0.001


class SampleRatio(NamedTuple):
    """Pearson chi-square of the counts against the plan; a mismatch at p < 0.001."""

    chi_square: float
    p_value: float
    is_mismatch: bool


def sample_ratio_mismatch(counts: Sequence[int], *, weights: Sequence[float] | None = None) -> SampleRatio:
    """Pearson chi-square test against equal or given weights.

    >>> f"{sample_ratio_mismatch([821588, 815482]).p_value:.1e}"
    '1.8e-06'
    """
    if len(counts) < 2 or sum(counts) == 0:
        raise ValueError(f"counts={list(counts)}: needs at least two variants with units; check the exposures")
    share = [w / sum(weights) for w in weights] if weights else [1 / len(counts)] * len(counts)
    test = chisquare(counts, [sum(counts) * s for s in share])
    return SampleRatio(float(test.statistic), float(test.pvalue), bool(test.pvalue < ALERT_P))
