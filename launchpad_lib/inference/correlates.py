"""What goes with an outcome: ratios of shares, and of odds at equal times; with intervals, over many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep

from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.multiplicity import benjamini_hochberg

LEAST_EXPECTED = 5.0
FARTHEST = 30.0  # of the logarithm of a ratio: beyond it is 0 or without limit


class Ratio(NamedTuple):
    """A ratio, its limits and the p-value that it is 1; `expected`: the smallest count that chance alone would give."""

    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    expected: float


def share_ratio(successes: int, n: int, other_successes: int, other_n: int, *, level: float = 0.95) -> Ratio:
    """The ratio of two shares, with score limits (Koopman 1984; statsmodels) and the score test.

    >>> [round(v, 3) for v in share_ratio(56, 70, 48, 80)[:4]]
    [1.333, 1.079, 1.672, 0.008]
    """
    total = n + other_n
    if not n or not other_n:
        return Ratio(None, None, None, None, 0.0)
    done = successes + other_successes
    expected = min(n, other_n) * min(done, total - done) / total
    p = score_test_p(successes, n, other_successes, other_n)
    if not other_successes or not expected:
        return Ratio(None, None, None, p, expected)
    low, high = confint_proportions_2indep(
        successes, n, other_successes, other_n, method="score", compare="ratio", alpha=1 - level
    )
    ratio = successes / n / (other_successes / other_n)
    return Ratio(ratio, float(low) if successes else 0.0, float(high), p, expected)


def odds_ratio(
    successes: Sequence[int], n: Sequence[int], all_successes: Sequence[int], all_n: Sequence[int], *,
    level: float = 0.95,
) -> Ratio:  # fmt: skip
    """The odds of success of some against the others, held equal over strata and compared within each.

    The estimate is the one at which the successes expected of the some, given the sums of each stratum, are those that
    were counted (Gart 1970: the maximum of likelihood of a logistic regression with a term for each stratum). Limits
    and test are those of the score, with the variance of the hypergeometric law, so that at a ratio of 1 the test is
    Mantel and Haenszel's (1959) without correction.

    Args:
        successes, n: of the some, per stratum; a stratum without others, or in which all or none succeed, tells
            nothing.

    >>> [round(v, 3) for v in odds_ratio([20, 8], [100, 100], [40, 12], [300, 300])[:4]]
    [2.628, 1.472, 4.691, 0.001]
    """
    own, some, done, every = (np.asarray(v, float) for v in (successes, n, all_successes, all_n))
    told = (some > 0) & (every > some) & (done > 0) & (every > done)
    own, some, done, every = own[told], some[told], done[told], every[told]
    counted, fewest, most = own.sum(), np.maximum(0, done - (every - some)).sum(), np.minimum(some, done).sum()

    def mean_and_spread(log_ratio: float) -> tuple[float, float]:
        """What is expected of the some at a ratio: the root of a quadratic equation in each stratum."""
        odds = np.exp(log_ratio)
        linear = 1 + (some + done) / every * (odds - 1)
        root = np.sqrt(linear**2 - 4 * odds * (odds - 1) * some * done / every**2)
        expected = 2 * odds * some * done / every / (linear + root)
        cells = np.stack([expected, some - expected, done - expected, every - some - done + expected])
        spread = 1 / (1 / np.maximum(cells, 1e-300)).sum(axis=0)
        return float(expected.sum()), float(sqrt((spread * every / (every - 1)).sum()))

    if not len(own):
        return Ratio(None, None, None, None, 0.0)
    by_chance, spread = mean_and_spread(0.0)
    expected = min(by_chance - fewest, most - by_chance, by_chance, float(done.sum()) - by_chance)
    p = float(2 * norm.sf(abs(counted - by_chance) / spread))
    z = float(norm.isf((1 - level) / 2))

    def where(offset: float) -> float:
        """The ratio at which what was counted is `offset` spreads above its mean."""

        def distance(log_ratio: float) -> float:
            mean, spread = mean_and_spread(log_ratio)
            return counted - mean - offset * spread

        return float(np.exp(brentq(distance, -FARTHEST, FARTHEST, xtol=1e-12)))

    if counted == most:
        return Ratio(inf, where(z), inf, p, expected)
    if counted == fewest:
        return Ratio(0.0, 0.0, where(-z), p, expected)
    return Ratio(where(0.0), where(z), where(-z), p, expected)


def compare_correlates(counts: pd.DataFrame, *, false_discovery_rate: float = 0.05, min_cell: int = 30) -> pd.DataFrame:
    """Adds to each row of counts its ratio, limits, and a p-value adjusted over all rows that can be compared.

    Args:
        counts: the columns of `metrics.funnel_correlates`, of one step; any further columns are kept.
        min_cell: rows with fewer units on either side, or with less than 5 units that go on or stop by chance alone,
            are left out.

    Returns:
        The rows with others, others_on (the units without it), ratio (of shares for a value, of odds at equal times for
        an event; above 1: goes with going on), ci_low, ci_high,
        p_value, p_adjusted (Benjamini-Hochberg) and goes_with: "going on", "stopping", or None where p_adjusted is
        above `false_discovery_rate`. The surest first.
    """
    rows = counts.assign(
        others=counts["all_users"] - counts["users"], others_on=counts["all_users_on"] - counts["users_on"]
    )
    rows = rows[(rows["users"] >= min_cell) & (rows["others"] >= min_cell)]
    found = [_ratio(row) for row in rows.itertuples()]
    table = pd.DataFrame(found, columns=list(Ratio._fields), index=rows.index)
    rows = rows.join(table)[table["expected"].to_numpy(float) >= LEAST_EXPECTED]
    adjusted = benjamini_hochberg(rows["p_value"].tolist())
    rows = rows.assign(p_adjusted=pd.Series(adjusted, index=rows.index, dtype=float)).drop(columns="expected")
    goes = np.where(rows["ratio"].astype(float) > 1, "going on", "stopping")
    rows["goes_with"] = pd.Series(goes, index=rows.index, dtype=object).where(
        rows["p_adjusted"] <= false_discovery_rate, None
    )
    return rows.sort_values(["p_adjusted", "p_value", "kind", "property", "value"], kind="stable")


def _ratio(row) -> Ratio:
    if row.kind == "event":
        return odds_ratio(row.on_in, row.at_risk, row.all_on_in, row.all_at_risk)
    return share_ratio(int(row.users_on), int(row.users), int(row.others_on), int(row.others))
