"""Rates of one period against another, over many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import pandas as pd
from scipy.stats import binomtest, chi2_contingency, norm

from launchpad_lib.inference.multiplicity import benjamini_hochberg
from launchpad_lib.inference.proportions import newcombe

OVERLAP = ("n_both", "converted_both", "converted_before_of_both", "converted_after_of_both")


def overlap_covariance(row) -> float:
    """Covariance of the two rates of a row that comes from the units that are in both periods; 0 without such units.

    Sum over those units of (y_before - p_before) (y_after - p_after), over n_before n_after. The same people come back,
    so two rates of two periods are not independent.
    """
    if not row.n_before or not row.n_after:
        return 0.0
    before, after = row.converted_before / row.n_before, row.converted_after / row.n_after
    products = (
        row.converted_both
        - after * row.converted_before_of_both
        - before * row.converted_after_of_both
        + before * after * row.n_both
    )
    return products / (row.n_before * row.n_after)


def score_test_p(successes_1: int, n_1: int, successes_2: int, n_2: int, *, covariance: float = 0.0) -> float | None:
    """Two-sided p-value of equal rates: the pooled score test (Pearson's chi-square without correction).

    None where undefined.

    Args:
        covariance: of the two rates, where units are in both (see `overlap_covariance`).

    >>> round(score_test_p(56, 70, 48, 80), 5)
    0.00805
    """
    if n_1 == 0 or n_2 == 0:
        return None
    pooled = (successes_1 + successes_2) / (n_1 + n_2)
    if pooled in (0.0, 1.0):
        return 1.0
    variance = pooled * (1 - pooled) * (1 / n_1 + 1 / n_2) - 2 * covariance
    difference = successes_1 / n_1 - successes_2 / n_2
    if variance < 1e-12:  # everybody is in both periods and did the same in both
        return 1.0 if difference == 0 else None
    return float(2 * norm.sf(abs(difference / sqrt(variance))))


def unequal_rates_p(successes: Sequence[int], n: Sequence[int]) -> float | None:
    """p-value that groups without common units share one rate: Pearson's chi-square. None for fewer than two groups.

    >>> round(unequal_rates_p([56, 48], [70, 80]), 5)
    0.00805
    """
    groups = [(k, m - k) for k, m in zip(successes, n, strict=True) if m]
    if len(groups) < 2:
        return None
    if 0 in (sum(k for k, _ in groups), sum(r for _, r in groups)):
        return 1.0  # everybody or nobody converted in every group
    return float(chi2_contingency(groups, correction=False).pvalue)


def largest_differs_p(largest: int, second: int) -> float | None:
    """p-value that the category found largest is not the largest: the two-sided binomial test against the runner-up.

    Choosing the winner first needs no correction (Hung and Fithian 2019, Rank verification for exponential families,
    multinomial counts). None where both are empty.

    >>> round(largest_differs_p(15, 5), 4)
    0.0414
    """
    return float(binomtest(largest, largest + second).pvalue) if largest + second else None


def compare_rates(counts: pd.DataFrame, *, false_discovery_rate: float = 0.05, min_cell: int = 30) -> pd.DataFrame:
    """Adds to each row of counts its difference of rates, Newcombe's interval and a p-value adjusted over all rows.

    Args:
        counts: converted_before, n_before, converted_after, n_after; any further columns are kept. With the columns
            of `OVERLAP` the units that are in both periods are taken into account; without them no unit is in both.
        min_cell: rows with fewer units in a period are told (`is_small`) and take no part in the adjustment.

    Returns:
        The rows with rate_before, rate_after, absolute_lift (after - before), ci_low, ci_high (Newcombe; with units in
        both periods the same limits recovered with their correlation: Zou and Donner 2008), p_value, p_adjusted
        (Benjamini-Hochberg), is_changed (p_adjusted <= false_discovery_rate), is_small.
    """
    rows = counts.copy()
    # A row that the metric refused has no counts: it compares nobody with nobody.
    sides = ("converted_before", "n_before", "converted_after", "n_after", *OVERLAP)
    known = counts.fillna(dict.fromkeys(sides, 0))
    found = [
        (int(r.converted_after), int(r.n_after), int(r.converted_before), int(r.n_before)) for r in known.itertuples()
    ]
    rows["rate_before"] = [kb / nb if nb else None for _, _, kb, nb in found]
    rows["rate_after"] = [ka / na if na else None for ka, na, _, _ in found]
    has_overlap = all(name in counts.columns for name in OVERLAP)
    shared = [overlap_covariance(r) if has_overlap else 0.0 for r in known.itertuples()]
    rows[["absolute_lift", "ci_low", "ci_high"]] = pd.DataFrame(
        [newcombe(*f, covariance=c) for f, c in zip(found, shared, strict=True)],
        index=rows.index,
        columns=["absolute_lift", "ci_low", "ci_high"],
    )
    rows["is_small"] = [min(f[1], f[3]) < min_cell for f in found]
    rows["p_value"] = [score_test_p(*f, covariance=c) for f, c in zip(found, shared, strict=True)]
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
