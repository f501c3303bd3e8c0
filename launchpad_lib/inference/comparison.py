"""Rates of one period against another, over many rows at once."""

from __future__ import annotations

from math import sqrt

import pandas as pd
from scipy.stats import norm

from launchpad_lib.inference.multiplicity import benjamini_hochberg
from launchpad_lib.inference.proportions import newcombe


def score_test_p(successes_1: int, n_1: int, successes_2: int, n_2: int) -> float | None:
    """Two-sided p-value of equal rates: the pooled score test (Pearson's chi-square without correction). None where undefined.

    >>> round(score_test_p(56, 70, 48, 80), 5)
    0.00805
    """
    if n_1 == 0 or n_2 == 0:
        return None
    pooled = (successes_1 + successes_2) / (n_1 + n_2)
    if pooled in (0.0, 1.0):
        return 1.0
    z = (successes_1 / n_1 - successes_2 / n_2) / sqrt(pooled * (1 - pooled) * (1 / n_1 + 1 / n_2))
    return float(2 * norm.sf(abs(z)))


def compare_rates(counts: pd.DataFrame, *, false_discovery_rate: float = 0.05, min_cell: int = 30) -> pd.DataFrame:
    """Adds to each row of counts its difference of rates, Newcombe's interval and a p-value adjusted over all rows.

    Args:
        counts: converted_before, n_before, converted_after, n_after; any further columns are kept.
        min_cell: rows with fewer units in a period are told (`is_small`) and take no part in the adjustment.

    Returns:
        The rows with rate_before, rate_after, absolute_lift (after - before), ci_low, ci_high, p_value, p_adjusted
        (Benjamini-Hochberg), is_changed (p_adjusted <= false_discovery_rate), is_small.
    """
    rows = counts.copy()
    found = [
        (int(r.converted_after), int(r.n_after), int(r.converted_before), int(r.n_before)) for r in counts.itertuples()
    ]
    rows["rate_before"] = [kb / nb if nb else None for _, _, kb, nb in found]
    rows["rate_after"] = [ka / na if na else None for ka, na, _, _ in found]
    rows[["absolute_lift", "ci_low", "ci_high"]] = pd.DataFrame(
        [newcombe(*f) for f in found], index=rows.index, columns=["absolute_lift", "ci_low", "ci_high"]
    )
    rows["is_small"] = [min(f[1], f[3]) < min_cell for f in found]
    rows["p_value"] = [score_test_p(*f) for f in found]
    tested = [
        i
        for i, (p, small) in enumerate(zip(rows["p_value"], rows["is_small"], strict=True))
        if not small and p is not None and not pd.isna(p)
    ]
    adjusted: list[float | None] = [None] * len(rows)
    for i, p in zip(tested, benjamini_hochberg([rows["p_value"].iloc[i] for i in tested]), strict=True):
        adjusted[i] = p
    rows["p_adjusted"] = pd.Series(adjusted, index=rows.index, dtype=float)
    rows["is_changed"] = rows["p_adjusted"] <= false_discovery_rate
    return rows
