"""Sample ratio mismatch: were units assigned in the planned ratio?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import chisquare

ALERT_P = 0.001


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
