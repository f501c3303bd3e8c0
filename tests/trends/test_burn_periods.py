"""Burn rates over a whole period, against a loop over every instant, and at exactly the budget."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from launchpad_lib.trends import WINDOWS, burn_rates

NOW = datetime(2026, 1, 15)
SINCE = NOW - timedelta(days=14)


def rows(rng: np.random.Generator, *, n: int, rate: float) -> pd.DataFrame:
    """Observations at random seconds of the period."""
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(rng.integers(1, 14 * 86_400, n)), unit="s")
    return pd.DataFrame({"feature_id": "f", "observed_at": at, "is_bad": rng.random(n) < rate})


def burns(table: pd.DataFrame, end: pd.Timestamp, length: timedelta) -> tuple[int, int]:
    own = table[(table["observed_at"] > end - length) & (table["observed_at"] <= end)]
    return len(own), int(own["is_bad"].sum())


def test_the_worst_burn_is_that_of_a_loop_over_all_instants():
    """At every observation, good or bad: both windows counted by hand, the guard by an exact test."""
    table = rows(np.random.default_rng(5), n=500, rate=0.02)
    hit = (table["observed_at"] > pd.Timestamp("2026-01-14 02:00")) & (
        table["observed_at"] <= pd.Timestamp("2026-01-14 12:00")
    )
    table["is_bad"] |= hit
    found = burn_rates(table, pd.Series({"f": 0.01}), as_of=NOW, since=SINCE)
    for window, row in zip(WINDOWS, found.to_dict("records"), strict=True):
        best, fired = None, False
        for end in table["observed_at"]:
            (n, bad), (n_short, bad_short) = burns(table, end, window.long), burns(table, end, window.short)
            if n < 10:
                continue
            burn = min(bad / n, bad_short / n_short) / 0.01
            p = binomtest(bad, n, 0.01, alternative="greater").pvalue if bad else 1.0
            alert = burn > window.factor and p < 0.01 / 4 * (window.long / timedelta(days=14))
            if alert and (not fired or burn > best[0]) or (not fired and (best is None or burn > best[0])):
                best = (burn, end)
            fired = fired or alert
        assert bool(row["was_alert"]) == fired
        if best is None:
            assert np.isnan(row["worst_burn"]) and pd.isna(row["worst_at"])
        else:
            assert (row["worst_burn"], row["worst_at"]) == (pytest.approx(best[0]), best[1])
    assert found["was_alert"].any() and not found["is_alert"].fillna(False).any()  # it ended half a day before
    left = 1 - table["is_bad"].mean() / 0.01
    assert found["budget_left"].tolist() == pytest.approx([left] * 4)


def test_at_exactly_the_budget_an_alert_of_the_period_is_rare():
    """Small version of the study: 600 features, 40 to 400 observations in 14 days, error rate equal to the budget."""
    rng = np.random.default_rng(20261127)  # before the first look
    parts, budgets = [], {}
    for i in range(600):
        rate = (0.01, 0.05, 0.1)[i % 3]
        parts.append(rows(rng, n=int(rng.integers(40, 400)), rate=rate).assign(feature_id=f"f{i}"))
        budgets[f"f{i}"] = rate
    found = burn_rates(pd.concat(parts), pd.Series(budgets), as_of=NOW, since=SINCE)
    by = found.assign(was=found["was_alert"].fillna(False), now=found["is_alert"].fillna(False)).groupby("feature_id")
    # 2.5 % of 600 is 15; the standard error at that rate is 3.8.
    assert by["was"].any().sum() <= 15 and by["now"].any().sum() <= 15


def test_without_a_budget_the_last_failure_is_the_worst_and_an_empty_period_says_nothing():
    table = rows(np.random.default_rng(1), n=50, rate=0.1)
    found = burn_rates(table, pd.Series({"f": 0.0, "g": 0.1}), as_of=NOW, since=SINCE).set_index("feature_id")
    last = table.loc[table["is_bad"], "observed_at"].max()
    assert found.loc["f", "was_alert"].all() and found.loc["f", "worst_at"].eq(last).all()
    assert found.loc["f", ["worst_burn", "budget_left"]].isna().all(axis=None)
    assert found.loc["g", ["worst_burn", "worst_at", "was_alert", "budget_left"]].isna().all(axis=None)
