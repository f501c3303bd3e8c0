"""Two samples of one column: by how much, and by more than chance, do their values or their missing values differ?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, chi2_contingency, fisher_exact, ks_2samp, wasserstein_distance

from launchpad_lib.contract.sentences import named
from launchpad_lib.contract.wording import percent

ALPHA = 0.05
BINS = 10
SMOOTHING = 0.5
RARE = 5


class Difference(NamedTuple):
    """How one aspect of a column (`values`, or `missing`: the share without a value) differs between two samples.

    `distance`: Wasserstein in the column's unit, total variation of categories, difference of the shares missing.
    `reference, current`: what it was and is, where it moved most. `refused_because`: why there is no number, else None.
    """

    column: str
    aspect: str
    kind: str | None
    n_reference: int
    n_current: int
    psi: float | None = None
    psi_critical: float | None = None
    test: str | None = None
    p_value: float | None = None
    distance: float | None = None
    moved_most: str | None = None
    reference: str | None = None
    current: str | None = None
    refused_because: str | None = None


class Psi(NamedTuple):
    """Population stability index, the value that undrifted samples of these sizes exceed 5 times in 100, and the number
    of bins.
    """

    psi: float
    critical: float
    bins: int


def psi_of_counts(
    reference: np.ndarray, current: np.ndarray, *, smoothing: float = SMOOTHING, alpha: float = ALPHA
) -> Psi:
    """PSI = sum (q - p) ln(q / p) over bins, each count plus `smoothing`.

    Critical value chi2(1 - alpha, bins - 1) (1 / n + 1 / m) (Yurdakul 2018): fixed thresholds of 0.1 and 0.2 fire on
    undrifted small samples.
    """
    n, m, bins = reference.sum(), current.sum(), len(reference)
    p = (reference + smoothing) / (n + smoothing * bins)
    q = (current + smoothing) / (m + smoothing * bins)
    return Psi(
        float(((q - p) * np.log(q / p)).sum()), float(chi2.ppf(1 - alpha, max(bins - 1, 1)) * (1 / n + 1 / m)), bins
    )


def decile_counts(reference: np.ndarray, current: np.ndarray, *, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Counts of both samples between the quantiles of the reference; equal quantiles become one bin, outliers stay in
    the outer bins.
    """
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    before, after = (
        np.bincount(np.searchsorted(edges, v, side="left"), minlength=len(edges) + 1) for v in (reference, current)
    )
    return before, after


def number_difference(name: str, reference: np.ndarray, current: np.ndarray) -> Difference:
    """Numbers: Kolmogorov-Smirnov, PSI over the deciles of the reference."""
    asked = Difference(name, "values", "number", len(reference), len(current))
    if np.ptp(np.r_[reference, current]) == 0:
        return asked._replace(p_value=1.0, moved_most="nothing", reference="one value", current="the same value")
    psi = psi_of_counts(*decile_counts(reference, current))
    return asked._replace(
        psi=psi.psi,
        psi_critical=psi.critical,
        test="Kolmogorov-Smirnov",
        p_value=float(ks_2samp(reference, current, method="asymp").pvalue),
        distance=float(wasserstein_distance(reference, current)),
        moved_most="up" if current.mean() > reference.mean() else "down",
        reference=f"median {np.median(reference):.4g}",
        current=f"median {np.median(current):.4g}",
    )


def category_difference(name: str, reference: np.ndarray, current: np.ndarray) -> Difference:
    """Categories: chi-square; those expected fewer than 5 times in a period are taken together, as
    Cochran's rule asks.
    """
    asked = Difference(name, "values", "category", len(reference), len(current))
    names, codes = np.unique(np.r_[reference, current], return_inverse=True)
    counts = np.array(
        [np.bincount(c, minlength=len(names)) for c in (codes[: len(reference)], codes[len(reference) :])]
    )
    expected = counts.sum(axis=0) * min(len(reference), len(current)) / counts.sum()
    rare = expected < RARE
    shown = [named(n) for n in names[~rare]]
    if rare.any():
        counts, shown = np.c_[counts[:, ~rare], counts[:, rare].sum(axis=1)], [*shown, "rare values"]
    if counts.shape[1] < 2:
        if len(names) == 1:
            return asked._replace(p_value=1.0, moved_most="nothing", reference="one value", current="the same value")
        return asked._replace(refused_because="no value is frequent enough to be compared")
    psi = psi_of_counts(counts[0], counts[1])
    share = counts / counts.sum(axis=1, keepdims=True)
    most = int(np.abs(share[1] - share[0]).argmax())
    before, after = float(share[0, most]), float(share[1, most])
    return asked._replace(
        psi=psi.psi,
        psi_critical=psi.critical,
        test="chi-square",
        p_value=float(chi2_contingency(counts, correction=False).pvalue),
        distance=float(np.abs(share[1] - share[0]).sum() / 2),
        moved_most=f"{shown[most]} {'up' if after > before else 'down'}",
        reference=f"{shown[most]} {percent(before)}",
        current=f"{shown[most]} {percent(after)}",
    )


def missing_difference(name: str, *, missing: tuple[int, int], rows: tuple[int, int]) -> Difference:
    """Share of rows without a value: chi-square, or Fisher's exact test where fewer than 5 are expected somewhere.

    Args:
        missing: rows without a value, before and now; neither none nor all of both together.
    """
    asked = Difference(name, "missing", "share", *rows)
    counts = np.array([missing, np.subtract(rows, missing)], dtype=int)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    before, after = (m / n for m, n in zip(missing, rows, strict=True))
    is_small = expected.min() < RARE
    p_value = fisher_exact(counts).pvalue if is_small else chi2_contingency(counts, correction=False).pvalue
    return asked._replace(
        test="Fisher" if is_small else "chi-square",
        p_value=float(p_value),
        distance=abs(after - before),
        moved_most=f"missing {'up' if after > before else 'down'}",
        reference=f"{percent(before)} missing",
        current=f"{percent(after)} missing",
    )
