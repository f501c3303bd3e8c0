"""Has the distribution of a column moved between two periods? Thresholds follow from the sample sizes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2, chi2_contingency, false_discovery_control, ks_2samp, wasserstein_distance

ALPHA = 0.05
BINS = 10
SMOOTHING = 0.5
FEWEST_ROWS = 30
DRIFT_COLUMNS = (
    "column", "kind", "n_reference", "n_current", "psi", "psi_critical", "test", "p_value", "distance", "moved_most", "reference", "current", "refused_because",
)  # fmt: skip


class Psi(NamedTuple):
    """Population stability index, the value that undrifted samples of these sizes exceed 5 times in 100, and the number of bins."""

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
    """Counts of both samples between the quantiles of the reference; equal quantiles become one bin, outliers stay in the outer bins."""
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    return tuple(
        np.bincount(np.searchsorted(edges, v, side="left"), minlength=len(edges) + 1) for v in (reference, current)
    )


def _number(name: str, reference: np.ndarray, current: np.ndarray) -> tuple:
    if np.ptp(np.r_[reference, current]) == 0:
        return (name, "number", len(reference), len(current), *(None,) * 8, "all values are equal")
    psi = psi_of_counts(*decile_counts(reference, current))
    test = ks_2samp(reference, current, method="asymp")
    medians = (float(np.median(reference)), float(np.median(current)))
    direction = "up" if current.mean() > reference.mean() else "down"
    return (
        name, "number", len(reference), len(current), psi.psi, psi.critical, "Kolmogorov-Smirnov", float(test.pvalue),
        float(wasserstein_distance(reference, current)), direction, f"median {medians[0]:.4g}", f"median {medians[1]:.4g}", None,
    )  # fmt: skip


def _category(name: str, reference: np.ndarray, current: np.ndarray) -> tuple:
    """Categories expected fewer than 5 times in a period are taken together, as Cochran's rule for chi-square asks."""
    names, codes = np.unique(np.r_[reference, current], return_inverse=True)
    counts = np.array(
        [np.bincount(c, minlength=len(names)) for c in (codes[: len(reference)], codes[len(reference) :])]
    )
    expected = counts.sum(axis=0) * min(len(reference), len(current)) / counts.sum()
    rare = expected < 5
    if rare.any():
        counts, names = np.c_[counts[:, ~rare], counts[:, rare].sum(axis=1)], np.r_[names[~rare], "rare ones"]
    if counts.shape[1] < 2:
        return (name, "category", len(reference), len(current), *(None,) * 8, "one category only")
    psi = psi_of_counts(counts[0], counts[1])
    share = counts / counts.sum(axis=1, keepdims=True)
    most = int(np.abs(share[1] - share[0]).argmax())
    return (
        name, "category", len(reference), len(current), psi.psi, psi.critical, "chi-square", float(chi2_contingency(counts, correction=False).pvalue),
        float(np.abs(share[1] - share[0]).sum() / 2), f"{names[most]} {'up' if share[1, most] > share[0, most] else 'down'}",
        f"{names[most]} {100 * share[0, most]:.1f} %", f"{names[most]} {100 * share[1, most]:.1f} %", None,
    )  # fmt: skip


def drift_table(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    columns: Sequence[str],
    alpha: float = ALPHA,
    min_rows: int = FEWEST_ROWS,
) -> pd.DataFrame:
    """Grain: one row per column. Rows must be independent: pass one row per user and period (`one_row_per_unit`).

    Numbers: Kolmogorov-Smirnov, Wasserstein distance in the column's unit. Categories: chi-square, total variation distance.
    Missing values are left out. `q_value`: Benjamini-Hochberg over the columns; `is_drifted` where it is under `alpha`.
    """
    rows = []
    for name in columns:
        old, new = reference[name].dropna(), current[name].dropna()
        if min(len(old), len(new)) < min_rows:
            rows.append((name, None, len(old), len(new), *(None,) * 8, f"fewer than {min_rows} values in a period"))
        elif pd.api.types.is_numeric_dtype(old) and not pd.api.types.is_bool_dtype(old):
            rows.append(_number(name, old.to_numpy(dtype=float), new.to_numpy(dtype=float)))
        else:
            rows.append(_category(name, old.to_numpy(dtype=str), new.to_numpy(dtype=str)))
    table = pd.DataFrame(rows, columns=list(DRIFT_COLUMNS))
    p = table["p_value"].to_numpy(dtype=float)
    q = np.full(len(p), np.nan)
    if np.isfinite(p).any():
        q[np.isfinite(p)] = false_discovery_control(p[np.isfinite(p)])
    return table.assign(q_value=q, is_drifted=q < alpha)


def one_row_per_unit(rows: pd.DataFrame, *, unit: str, time_column: str, rng: np.random.Generator) -> pd.DataFrame:
    """One random row of each unit, so that rows are independent; where the unit is unknown, one row of each hour."""
    mixed = rows.iloc[rng.permutation(len(rows))]
    key = mixed[unit].astype(object).where(mixed[unit].notna(), mixed[time_column].dt.floor("h").astype(str))
    return mixed[~key.duplicated()]


def drift_between(
    rows: pd.DataFrame,
    *,
    time_column: str,
    since: datetime,
    rng: np.random.Generator,
    unit: str = "user_id",
    min_rows: int = FEWEST_ROWS,
) -> pd.DataFrame:
    """Grain: one row per column other than unit and time: rows after `since` against all rows before, one row per unit and period."""
    is_current = rows[time_column] > since
    reference, current = (
        one_row_per_unit(rows[m], unit=unit, time_column=time_column, rng=rng) for m in (~is_current, is_current)
    )
    return drift_table(
        reference, current, columns=[c for c in rows.columns if c not in (unit, time_column)], min_rows=min_rows
    )
