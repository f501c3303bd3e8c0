"""How much did a quantile change between two periods? Percentile bootstrap that draws whole units, not observations."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import t

CELLS_AT_ONCE = 8_000_000
MOST_DRAWN = 2_000
"""Of more units, this many groups of whole units are drawn: the spread of the draws is then itself off by 1.6 %
(1 / sqrt(2 x 2,000)), less than 1,000 draws make it (2.2 %)."""
SPREADS_READ = 6.0


class QuantileChange(NamedTuple):
    """A quantile before and after, their ratio with its interval, and the p value of "no change".

    `units_before, units_after`: what was drawn (users or days). `refused_because`: why there is no number, else None.
    `after_low, after_high`: limits of `after` by itself, from the same draws; spells of the period are not in them.
    """

    before: float | None
    after: float | None
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    n_before: int
    n_after: int
    units_before: int
    units_after: int
    refused_because: str | None
    after_low: float | None = None
    after_high: float | None = None


def quantile_draws(
    values: np.ndarray, units: np.ndarray, *, quantile: float, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """`draws` bootstrap values of a quantile; each draw takes as many units as there are, with replacement.

    A unit brings all its observations. The quantile of a draw is the smallest value that the share `quantile` of the
    drawn observations does not exceed (inverse of the distribution function), so no interpolation is needed. More than
    2,000 units are dealt in their order to 2,000 groups, and groups are drawn: sums of independent units are as
    independent.
    """
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, dtype=float)[order]
    names, code = np.unique(np.asarray(units), return_inverse=True)
    count = min(len(names), MOST_DRAWN)
    code = (code % count)[order]
    held = np.bincount(code, minlength=count)
    first, last = _where_draws_fall(code, held, quantile)
    before, near = np.bincount(code[:first], minlength=count).astype(float), code[first:last]
    result = np.empty(draws)
    batch = max(1, min(draws, CELLS_AT_ONCE // max(len(near), count)))
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=size)
        wanted, passed = quantile * (weights @ held), (weights @ before).astype(np.int64)  # whole numbers, exact
        running = np.cumsum(weights[:, near], axis=1, dtype=np.int64) + passed[:, None]
        place = first + (running < wanted[:, None]).sum(axis=1)
        outside = ((passed >= wanted) & (first > 0)) | ((place == last) & (last < len(ordered)))
        for draw in np.flatnonzero(outside):
            place[draw] = int((np.cumsum(weights[draw, code], dtype=np.int64) < wanted[draw]).sum())
        result[start : start + size] = ordered[place]
    return result


def _where_draws_fall(code: np.ndarray, held: np.ndarray, quantile: float) -> tuple[int, int]:
    """Places [first, last) of the ordered observations between which nearly all draws have their quantile; a draw
    beyond is read whole.
    """
    middle = int(quantile * len(code))
    spread = np.bincount(code[:middle], minlength=len(held)) - quantile * held
    reach = int(SPREADS_READ * sqrt(float(spread @ spread))) + 10
    return max(0, middle - reach), min(len(code), middle + reach)


def quantile_change(
    values_before: np.ndarray,
    values_after: np.ndarray,
    units_before: np.ndarray,
    units_after: np.ndarray,
    *,
    rng: np.random.Generator,
    quantile: float = 0.95,
    draws: int = 1000,
    period_sd: float = 0.0,
    period_df: float = 1e6,
    level: float = 0.95,
    min_units: int = 30,
) -> QuantileChange:
    """Quantile after / quantile before, with a percentile bootstrap interval on the log scale.

    Args:
        units_before, units_after: the unit of each observation; a unit's observations move together (users).
        period_sd: standard deviation of the log ratio that comes from the periods themselves (slow spells that all
            users share; see `launchpad_lib.trends.spell_noise_of_change`). Users cannot show it however many there are,
            so it is added to the draws.
        period_df: degrees of freedom of that deviation, itself an estimate from few days.
        min_units: fewer in either period and the change is refused.

    The p value is two-sided Student t with the draws' standard deviation (Welch-Satterthwaite degrees of freedom): a
    share of draws could not be smaller than 1 / draws, too coarse to correct for many features.
    """
    before, after = np.asarray(values_before, dtype=float), np.asarray(values_after, dtype=float)
    counts = (len(before), len(after), len(np.unique(units_before)), len(np.unique(units_after)))
    if min(counts[2:]) < min_units:
        return QuantileChange(
            *(None,) * 6, *counts, f"{counts[2]} units before and {counts[3]} after; each period needs {min_units}"
        )
    if min(before.min(), after.min()) < 0 or np.quantile(before, quantile) <= 0 or np.quantile(after, quantile) <= 0:
        return QuantileChange(*(None,) * 6, *counts, "a quantile of 0 has no ratio")
    old, new = (float(np.quantile(v, quantile, method="inverted_cdf")) for v in (before, after))
    estimate = log(new / old)
    draws_after = quantile_draws(after, units_after, quantile=quantile, rng=rng, draws=draws)
    draws_before = quantile_draws(before, units_before, quantile=quantile, rng=rng, draws=draws)
    sampled = np.log(np.maximum(draws_after, 1e-12)) - np.log(np.maximum(draws_before, 1e-12))
    low, high = np.quantile(
        sampled + period_sd * rng.standard_t(period_df, size=draws), [(1 - level) / 2, (1 + level) / 2]
    )
    variance = float(sampled.var(ddof=1)) + period_sd**2
    freedom = period_df * (variance / period_sd**2) ** 2 if period_sd > 0 else 1e6
    p_value = (
        float(2 * t.sf(abs(estimate) / sqrt(variance), freedom)) if variance > 0 else (1.0 if estimate == 0 else 0.0)
    )
    limits = np.quantile(draws_after, [(1 - level) / 2, (1 + level) / 2])
    return QuantileChange(old, new, exp(estimate), exp(low), exp(high), p_value, *counts, None, *map(float, limits))


def mix_share(
    values_before: np.ndarray,
    values_after: np.ndarray,
    strata_before: np.ndarray,
    strata_after: np.ndarray,
    *,
    quantile: float = 0.95,
    min_support: float = 0.9,
) -> float | None:
    """Share of the log change of a quantile that composition explains: the period before is re-weighted to the mix
    after.

    None where the quantile did not change by at least 1 %, or where less than `min_support` of the later observations
    are in strata seen before.
    """
    before, after = np.asarray(values_before, dtype=float), np.asarray(values_after, dtype=float)
    names, codes = np.unique(np.concatenate([strata_before, strata_after]), return_inverse=True)
    old, new = codes[: len(before)], codes[len(before) :]
    n_old, n_new = np.bincount(old, minlength=len(names)), np.bincount(new, minlength=len(names))
    if len(before) == 0 or len(after) == 0 or n_new[n_old > 0].sum() < min_support * len(after):
        return None
    weights = np.where(n_old > 0, n_new / np.maximum(n_old, 1), 0.0)[old]
    order = np.lexsort((old, before))  # sums of floats in an order that does not hang on that of the rows
    running = np.cumsum(weights[order])
    mixed = before[order][np.searchsorted(running, quantile * running[-1] * (1 - 1e-12))]
    first, last = (float(np.quantile(v, quantile, method="inverted_cdf")) for v in (before, after))
    if min(first, last, mixed) <= 0 or abs(log(last / first)) < 0.01:
        return None
    return log(mixed / first) / log(last / first)
