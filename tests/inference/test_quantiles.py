"""Quantile changes: coverage and false alarms by simulation, mix share by hand, refusal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from launchpad_lib.inference import mix_share, quantile_change, quantile_draws


def period(rng: np.random.Generator, *, users: int = 150, week: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Users with levels of their own and one to five observations each; `week` moves all of them."""
    unit = np.repeat(np.arange(users), rng.integers(1, 6, users))
    return np.exp(week + rng.normal(0, 0.4, users)[unit] + rng.normal(0, 0.3, len(unit))), unit


def test_the_interval_covers_and_no_change_is_called_one_about_five_times_in_a_hundred():
    """300 A/A pairs with users that repeat; standard error 0.0126."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        (old, u), (new, v) = period(rng), period(rng)
        found.append(quantile_change(old, new, u, v, rng=rng, draws=250))
    assert 0.91 < np.mean([f.ci_low <= 1 <= f.ci_high for f in found]) < 0.985
    assert np.mean([f.p_value < 0.05 for f in found]) < 0.09


def test_weeks_that_move_all_users_need_their_own_noise_in_the_interval():
    """Each week has a level of its own (sd 0.1): users alone cover far less than 95 %, with the weeks' noise about 95 %."""
    rng = np.random.default_rng(2)
    alone, honest = [], []
    for _ in range(200):
        (old, u), (new, v) = period(rng, week=rng.normal(0, 0.1)), period(rng, week=rng.normal(0, 0.1))
        for kept, sd in ((alone, 0.0), (honest, 0.1 * np.sqrt(2))):
            f = quantile_change(old, new, u, v, rng=rng, draws=200, period_sd=sd)
            kept.append(f.ci_low <= 1 <= f.ci_high)
    assert np.mean(alone) < 0.85
    assert np.mean(honest) > 0.91


def test_a_unit_brings_all_its_observations():
    """Two units, one of constant 1 and one of constant 9: every draw's quantile is 1 or 9."""
    draws = quantile_draws(
        np.array([1.0] * 5 + [9.0] * 5), np.repeat([0, 1], 5), quantile=0.5, rng=np.random.default_rng(3), draws=50
    )
    assert set(draws) == {1.0, 9.0}


def test_a_change_that_is_only_another_mix_is_explained_by_it_in_full():
    """By hand: platform a takes 1 ms, b takes 10 ms; 1 % b before and 50 % after moves p95 from 1 to 10 and nothing got slower."""
    before, after = np.array([1.0] * 99 + [10.0]), np.array([1.0] * 50 + [10.0] * 50)
    share = mix_share(before, after, np.where(before > 1, "b", "a"), np.where(after > 1, "b", "a"))
    assert share == pytest.approx(1.0)
    assert mix_share(before, before * 2, np.full(100, "a"), np.full(100, "a")) == pytest.approx(0.0)
    assert mix_share(before, after, np.full(100, "old"), np.full(100, "new")) is None


def test_too_few_units_are_refused_with_their_numbers():
    found = quantile_change(np.ones(50), np.ones(50), np.arange(50), np.zeros(50), rng=np.random.default_rng(4))
    assert found.ratio is None and "50 units before and 1 after" in found.refused_because


def drawn_one_by_one(values, units, *, quantile, rng, draws):
    """The definition: each draw's observations written out and the smallest value that the share does not exceed."""
    names = sorted(set(units.tolist()))
    result = []
    for weights in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws):
        times = weights[np.searchsorted(names, units)]
        whole = np.sort(np.repeat(values, times))
        result.append(whole[int(np.ceil(quantile * len(whole))) - 1])
    return np.array(result)


@pytest.mark.parametrize("users", [1, 3, 40, 700])
@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.95, 0.999])
def test_draws_read_near_the_quantile_are_those_of_every_observation(users, quantile):
    """One user with half of the observations and ties of the values; few users throw draws beyond what is read."""
    rng = np.random.default_rng(4)
    units = np.concatenate([np.zeros(1000, int), rng.integers(0, users, 1000)])
    values = np.concatenate([np.full(500, 7.0), rng.lognormal(2, 1, 1500).round(1)])
    asked = {"quantile": quantile, "draws": 60}
    found = quantile_draws(values, units, rng=np.random.default_rng(8), **asked)
    assert found.tolist() == drawn_one_by_one(values, units, rng=np.random.default_rng(8), **asked).tolist()


def test_groups_of_many_users_tell_the_spread_that_users_tell():
    """20,000 users who are slow or fast as a whole: the spread over worlds is what the draws in each should have."""
    spreads, found = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        level = rng.lognormal(0, 0.5, 20_000)
        units = np.repeat(np.arange(20_000), 2)
        values = level[units] * rng.lognormal(0, 0.2, 40_000)
        found.append(np.quantile(values, 0.95))
        if seed < 10:
            spreads.append(quantile_draws(values, units, quantile=0.95, rng=rng, draws=300).std())
    assert np.mean(spreads) == pytest.approx(np.std(found), rel=0.25)


def test_the_periods_own_noise_has_its_degrees_of_freedom_by_welch_and_satterthwaite():
    """The formula written out on the same draws; scipy's t. One period's sd of 0.5 is known from 3 degrees of freedom."""
    rng = np.random.default_rng(11)
    (old, u), (new, v) = period(rng, users=40), period(rng, users=40, week=0.3)
    found = quantile_change(old, new, u, v, rng=np.random.default_rng(12), draws=50, period_sd=0.5, period_df=3)
    same = np.random.default_rng(12)
    after = np.log(quantile_draws(new, v, quantile=0.95, rng=same, draws=50))
    sampled = after - np.log(quantile_draws(old, u, quantile=0.95, rng=same, draws=50))
    variance = np.var(sampled, ddof=1) + 0.25
    freedom = 3 * (variance / 0.25) ** 2
    estimate = np.log(np.quantile(new, 0.95, method="inverted_cdf") / np.quantile(old, 0.95, method="inverted_cdf"))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(estimate) / np.sqrt(variance), freedom))
    limits = np.quantile(sampled + 0.5 * same.standard_t(3, size=50), [0.025, 0.975])
    assert np.log([found.ci_low, found.ci_high]) == pytest.approx(limits)


def test_the_unit_of_the_values_does_not_matter_and_only_a_quantile_of_0_is_refused():
    rng = np.random.default_rng(13)
    (old, u), (new, v) = period(rng, users=40), period(rng, users=40, week=0.3)
    whole, small = (
        quantile_change(k * old, k * new, u, v, rng=np.random.default_rng(14), draws=50) for k in (1.0, 1e-3)
    )
    assert small.refused_because is None
    assert (small.ratio, small.ci_low, small.p_value) == pytest.approx((whole.ratio, whole.ci_low, whole.p_value))
    for before, after in ((0 * old, new), (old, 0 * new), (-old, new), (old, -new)):
        found = quantile_change(before, after, u, v, rng=np.random.default_rng(14), draws=50)
        assert found.refused_because == "a quantile of 0 has no ratio" and found.ratio is None
