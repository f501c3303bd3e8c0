"""Change of a ratio between two periods with the same users in both: a bootstrap over users, and known truth."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from launchpad_lib.inference.ratio_change import RatioSums, ratio_change

USERS = 400


def worlds(rng: np.random.Generator, draws: int, *, users: int = USERS, shift: float = 0.0) -> np.ndarray:
    """Sessions and finished sessions of two weeks: a user's own rate (0.1 to 0.9) holds in both, half are in both, and
    one in ten has six times as many sessions. Shape: draws, users, 4.
    """
    rate = rng.uniform(0.1, 0.9, (draws, users))
    heavy = np.where(rng.random((draws, users)) < 0.1, 6, 1)
    there = rng.integers(0, 4, (draws, users))  # 0: first week only, 1: second only, 2 and 3: both
    before = heavy * rng.poisson(2, (draws, users)) * (there != 1)
    after = heavy * rng.poisson(2, (draws, users)) * (there != 0)
    later = np.clip(rate + shift, 0, 1)
    return np.stack([before, rng.binomial(before, rate), after, rng.binomial(after, later)], axis=2)


def test_its_error_is_that_of_a_bootstrap_over_users():
    rng = np.random.default_rng(20261127)
    values = worlds(rng, 1)[0]
    found = ratio_change(RatioSums.of(values))
    drawn = rng.multinomial(USERS, np.full(USERS, 1 / USERS), size=4000) @ values
    changes = drawn[:, 3] / drawn[:, 2] - drawn[:, 1] / drawn[:, 0]
    assert (found.ci_high - found.ci_low) / 2 / 1.959964 == pytest.approx(changes.std(ddof=1), rel=0.05)
    assert found.estimate == pytest.approx(
        values[:, 3].sum() / values[:, 2].sum() - values[:, 1].sum() / values[:, 0].sum()
    )


def test_its_interval_holds_the_truth_as_often_as_it_says_and_two_independent_weeks_would_be_too_wide():
    """2,000 worlds without a change: 95 % within three standard errors; without the users' link the same interval is
    a fifth too wide.
    """
    rng, draws = np.random.default_rng(20261127), 2000
    held, widths, apart = 0, [], []
    for values in worlds(rng, draws):
        found = ratio_change(RatioSums.of(values))
        held += found.ci_low <= 0 <= found.ci_high
        widths.append(found.ci_high - found.ci_low)
        halves = values.copy(), values.copy()
        halves[0][:, 2:] = 0
        halves[1][:, :2] = 0
        loose = ratio_change(RatioSums.of(np.concatenate(halves)))
        apart.append(loose.ci_high - loose.ci_low)
    assert held / draws == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / draws))
    assert np.mean(apart) > 1.15 * np.mean(widths)


def test_a_planted_change_is_covered_too():
    """The truth is that of a million users of the same world."""
    rng = np.random.default_rng(7)
    large = worlds(rng, 1, users=1_000_000, shift=0.08)[0].sum(axis=0)
    truth = large[3] / large[2] - large[1] / large[0]
    found = [ratio_change(RatioSums.of(values)) for values in worlds(rng, 1000, shift=0.08)]
    held = np.mean([f.ci_low <= truth <= f.ci_high for f in found])
    assert held == pytest.approx(0.95, abs=3 * sqrt(0.95 * 0.05 / 1000)) and truth == pytest.approx(0.08, abs=0.01)


def test_what_cannot_be_compared_says_why():
    assert (
        ratio_change(RatioSums.of(np.array([[1, 1, 0, 0]]))).refused_because
        == "nobody is counted in one of the two periods"
    )
    assert ratio_change(RatioSums.of(np.zeros((0, 4)))).estimate is None
    assert ratio_change(RatioSums.of(np.array([[1, 1, 1, 0]]))).refused_because == "one user only"
    assert ratio_change(RatioSums.of(np.tile([2, 1, 2, 1], (9, 1)))).refused_because == "no value varies"
