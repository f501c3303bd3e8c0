"""Levels held against generalised least squares written out, against each other, and against worlds with known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import betainc
from scipy.stats import norm
from scipy.stats import t as student

from launchpad_lib.trends import level_changes, level_tables
from launchpad_lib.trends.level_noise import GRID, _null, chance, design, noise_model, p_of_search, scan, usual_columns
from scripts.studies import regressions as study
from tests.trends.test_trend_numbers import covariance


def least_squares(y: np.ndarray, x: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Coefficients, residual sum and unscaled covariance by the textbook's normal equations."""
    inverse = np.linalg.inv(c)
    unscaled = np.linalg.inv(x.T @ inverse @ x)
    beta = unscaled @ x.T @ inverse @ y
    rest = y - x @ beta
    return beta, float(rest @ inverse @ rest), unscaled


def step(days: int, k: int) -> np.ndarray:
    return (np.arange(days) >= k).astype(float)[:, None]


def weekdays(days: int) -> np.ndarray:
    return np.array([[float(i % 7 == k) for k in range(7)] for i in range(days)])


def clear_step(days: int = 40, k: int = 22, *, seed: int = 5) -> np.ndarray:
    return 5 + np.random.default_rng(seed).normal(0, 0.05, days) + 0.25 * (np.arange(days) >= k)


@pytest.mark.parametrize("days", [20, 40])
def test_what_a_candidate_takes_off_is_the_difference_of_two_residual_sums(days):
    """Every step, every single day and every stretch of days: least squares without and with its column."""
    y = np.random.default_rng(1).normal(size=days)
    c = covariance(days, 0.7, 0.25)
    usual = np.ones((days, 1)) if days < 28 else weekdays(days)
    found = scan(y, usual_columns(days), design(days, 0.7, 0.25))
    rest = least_squares(y, usual, c)[1]
    assert found.rest == pytest.approx(rest) and found.freedom == days - usual.shape[1]
    for place, k in enumerate(range(3, days - 2)):
        with_it = least_squares(y, np.c_[usual, step(days, k)], c)[1]
        assert found.step[place] ** 2 / found.step_length[place] == pytest.approx(rest - with_it)
    for day in range(days):
        with_it = least_squares(y, np.c_[usual, np.eye(days)[:, [day]]], c)[1]
        assert found.day[day] ** 2 / found.day_length[day] == pytest.approx(rest - with_it)
    stretch = least_squares(y, np.c_[usual, step(days, 5) - step(days, 9)], c)[1]
    own = (found.step[2] - found.step[6]) ** 2 / (found.gram[2, 2] + found.gram[6, 6] - 2 * found.gram[2, 6])
    assert own == pytest.approx(rest - stretch)


def test_the_noise_model_is_that_of_the_restricted_likelihood_by_a_loop_over_the_grid():
    rng = np.random.default_rng(8)
    series = [np.linalg.cholesky(covariance(24, 0.7, 0.25)) @ rng.normal(size=24) for _ in range(2)]
    scores = {}
    for r, g in GRID:
        total, c = 0.0, covariance(24, r, g)
        for y in series:
            x = np.ones((24, 1))
            none = least_squares(y, x, c)[1]
            best = min(least_squares(y, np.c_[x, step(24, k)], c)[1] for k in range(3, 22))
            total += max(-23 / 2 * np.log(none), -23 / 2 * np.log(best) - 2 * np.log(23))
            total -= np.linalg.slogdet(c)[1] / 2 + np.log((x.T @ np.linalg.inv(c) @ x).item()) / 2
        scores[(r, g)] = total
    near = [m for m, s in scores.items() if s >= max(scores.values()) - 1]
    expected = max(near, key=lambda m: ((1 - m[1]) * m[0] / (1 - m[0]), -m[1]))
    assert noise_model([(y, np.ones((24, 1))) for y in series]) == expected


def test_a_change_is_the_mixture_over_its_dates_of_least_squares_day_by_day():
    y, days, smallest = clear_step(), 40, np.log(1.05)
    found = level_changes([y], smallest=smallest)[0]
    assert [c.index for c in found.changes] == [22] and not found.left_out
    share = found.day_sd**2 / (found.day_sd**2 + found.spell_sd**2)
    c = covariance(days, found.persistence, share)
    fits = {k: least_squares(y, np.c_[weekdays(days), step(days, k)], c) for k in range(3, 38)}
    freedom = days - 8
    # The exponent is that of the residual without the step.
    log = {k: -(days - 7) / 2 * np.log(f[1]) for k, f in fits.items()}
    near = [k for k in fits if log[k] > log[22] - 12]
    weight = np.array([np.exp(log[k] - max(log.values())) for k in near])
    weight /= weight.sum()
    size = np.array([fits[k][0][-1] for k in near])
    error = np.array([np.sqrt(fits[k][1] / freedom * fits[k][2][-1, -1]) for k in near])
    change = found.changes[0]
    assert change.shift == pytest.approx(fits[22][0][-1])
    assert change.probability == pytest.approx(weight @ student.sf((smallest - size) / error, freedom))
    for limit, q in ((change.ci_low, 0.025), (change.ci_high, 0.975)):
        assert weight @ student.cdf((limit - size) / error, freedom) == pytest.approx(q, abs=1e-6)
    total = np.cumsum(weight)
    assert change.index_low == near[int(np.flatnonzero(total >= 0.025)[0])]
    assert change.index_high == near[int(np.flatnonzero(total >= 0.975)[0])]


def test_the_p_value_counts_simulated_series_and_goes_on_under_them():
    """Of so many simulated bests; under the 2 % of them in proportion to the chance of one candidate."""
    null = _null(20, 0.0, 0.0, 2000)[0]
    middle = float(null[700])
    assert p_of_search(middle, 0, 20, (0.0, 0.0)) == pytest.approx(702 / 2001, abs=1e-3)
    edge = np.quantile(null, 0.02)
    assert p_of_search(edge / 1000, 0, 20, (0.0, 0.0)) == pytest.approx(0.02 / 1000)
    y = np.random.default_rng(3).normal(size=20)
    found = scan(y, usual_columns(20), design(20, 0.0, 0.0))
    assert chance(0.3 * found.rest, found) == pytest.approx(betainc(9, 0.5, 0.7))
    assert chance(found.rest, found) == pytest.approx(0)


def test_detectable_is_what_a_week_needs_for_five_percent_and_eight_times_in_ten():
    y = clear_step(seed=4) - 0.25 * (np.arange(40) >= 22)
    found = level_changes([y])[0]
    assert not found.changes and found.best is not None
    noise = np.hypot(found.spell_sd, found.day_sd)
    c = covariance(40, found.persistence, found.day_sd**2 / noise**2)
    unscaled = least_squares(y, np.c_[weekdays(40), step(40, 33)], c)[2][-1, -1]
    single = np.quantile(_null(40, found.persistence, round(found.day_sd**2 / noise**2, 9), 2000)[0], 0.05)
    expected = (norm.isf(single / 2) + norm.isf(0.2)) * noise * np.sqrt(unscaled)
    assert found.detectable == pytest.approx(expected)


def test_up_down_up_again_has_three_dates_and_the_last_is_current():
    y = clear_step() * 0 + 5 + np.random.default_rng(6).normal(0, 0.03, 40)
    y[10:20] += 0.3
    y[30:] += 0.3
    found = level_changes([y])[0]
    assert [c.index for c in found.changes] == [10, 20, 30]
    assert [c.is_current for c in found.changes] == [False, False, True]
    assert [np.sign(c.shift) for c in found.changes] == [1, -1, 1]
    assert found.standing == found.changes[-1]


def test_a_dip_that_ended_is_no_rise_against_the_last_stable_level():
    y = 5 + np.random.default_rng(6).normal(0, 0.03, 50)
    y[20:25] -= 0.4
    found = level_changes([y])[0]
    assert [c.index for c in found.changes] == [20, 25]
    assert found.changes[1].is_current and found.changes[1].shift == pytest.approx(0.4, abs=0.05)
    assert found.standing.shift == pytest.approx(0, abs=0.03) and found.standing.p_value > 0.05
    longer = 5 + np.random.default_rng(6).normal(0, 0.03, 50)
    longer[20:32] -= 0.4  # twelve days are a level
    assert level_changes([longer])[0].standing.shift == pytest.approx(0.4, abs=0.05)


def test_single_days_move_no_level_and_are_told_apart():
    y = clear_step()
    y[[7, 30]] += (1.0, -1.0)
    found = level_changes([y])[0]
    assert found.left_out == (7, 30) and [c.index for c in found.changes] == [22]
    assert found.changes[0].shift == pytest.approx(0.25, abs=0.04)


def test_a_missing_day_is_worth_nothing_whatever_would_stand_there():
    y = clear_step()
    y[[4, 25]] = np.nan
    found = level_changes([y])[0]
    share = found.day_sd**2 / (found.day_sd**2 + found.spell_sd**2)
    known = np.flatnonzero(np.isfinite(y))
    c = covariance(40, found.persistence, share)[np.ix_(known, known)]
    x = np.c_[weekdays(40), step(40, 22)][known]
    assert found.changes[0].shift == pytest.approx(least_squares(y[known], x, c)[0][-1])


def test_a_pattern_of_the_week_is_no_change_and_hides_none():
    week = np.where(np.arange(60) % 7 >= 5, -0.4, 0.1)
    y = np.random.default_rng(9).normal(0, 0.03, 60)
    plain, patterned = level_changes([y])[0], level_changes([y + week])[0]
    assert not patterned.changes and patterned.best.shift == pytest.approx(plain.best.shift)
    up = level_changes([y + week + 0.2 * (np.arange(60) >= 50)])[0]
    assert [c.index for c in up.changes] == [50]


def test_what_cannot_be_judged_says_why_and_the_others_are_answered():
    good = clear_step()
    gaps = np.where(np.arange(40) % 2 == 0, good, np.nan)
    short, constant, sparse, fine = level_changes([np.arange(5.0), np.ones(30), gaps, good])
    assert short.refused_because == "5 days; a shift can be told from a spell from 14 days on"
    assert constant.refused_because == "every day has the same value"
    assert sparse.refused_because == "50% of its days have no value; at most 30% may be missing"
    assert fine.refused_because is None and level_changes([]) == []


def test_of_a_long_history_the_last_half_year_is_looked_at():
    y = np.random.default_rng(3).normal(0, 0.03, 230)
    y[:40] += 3
    y[200:] += 0.5
    found, last = level_changes([y])[0], level_changes([y[50:]])[0]
    assert [c.index for c in found.changes] == [200] == [c.index + 50 for c in last.changes]
    assert (found.changes[0].index_low, found.changes[0].index_high, found.standing.index) == (200, 200, 200)


def daily(*series: np.ndarray, start: str = "2026-01-01") -> pd.DataFrame:
    """p95 latency of features a, b, ...; 50 observations a day."""
    parts = [
        pd.DataFrame({"feature_id": name, "observed_on": pd.date_range(start, periods=len(y)), "p95_latency_ms": np.exp(y)})
        for name, y in zip("abcdef", series, strict=False)
    ]  # fmt: skip
    return pd.concat(parts).assign(latency_observations=50)


def test_a_row_of_the_tables_is_the_exponential_of_the_change_of_the_log_series():
    y = clear_step()
    found = level_tables(daily(y, y[:10]), smallest_rise=0.1)
    one = level_changes([y, y[:10]], smallest=np.log(1.1))[0].changes[0]
    start = pd.Timestamp("2026-01-01")
    row = found.changes.iloc[0]
    assert len(found.changes) == 1 and row["feature_id"] == "a" and row["signal"] == "p95_latency_ms"
    assert [row["changed_at"], row["first_at"], row["last_at"]] == [
        start + pd.Timedelta(days=d) for d in (one.index, one.index_low, one.index_high)
    ]
    assert row[["ratio", "ci_low", "ci_high"]].tolist() == pytest.approx(
        list(np.exp([one.shift, one.ci_low, one.ci_high]))
    )
    assert row["probability"] == one.probability and row["is_current"]
    level, short = found.shifts.iloc[0], found.shifts.iloc[1]
    assert level["shift_on"] == row["changed_at"] and level["shift_ratio"] == row["ratio"] and level["is_regression"]
    assert (level["days"], level["days_above"], level["days_of"]) == (40, 7, 7)
    assert short["shift_refused"].startswith("10 days;") and not short["is_regression"] and pd.isna(short["shift_p"])


def test_a_regression_needs_most_of_the_days_since_and_may_be_surely_too_small():
    y = clear_step(days=40, k=37)
    young = level_tables(daily(y)).shifts.iloc[0]
    assert (young["days_of"], young["is_regression"]) == (3, True)
    assert level_tables(daily(y), smallest_rise=0.1).shifts.iloc[0]["is_regression"]
    assert not level_tables(daily(clear_step()), smallest_rise=0.5).shifts.iloc[0]["is_regression"]  # surely smaller
    assert not level_tables(daily(clear_step()), sustained_days=8).shifts.iloc[0]["is_regression"]
    assert not level_tables(daily(clear_step()), alpha=1e-12).shifts.iloc[0]["is_regression"]
    assert level_tables(daily(clear_step()), alpha=1e-12).changes.empty
    fall = level_tables(daily(-clear_step())).shifts.iloc[0]
    assert fall["shift_ratio"] < 1 and not fall["is_regression"]


def test_days_of_few_observations_and_values_that_have_no_logarithm_are_missing():
    y = clear_step()
    whole, table = level_tables(daily(y)).shifts.iloc[0], daily(y)
    few = table.assign(latency_observations=[19 if i in (5, 9) else 20 for i in range(40)])
    gone = level_tables(few.drop(index=[5, 9])).shifts.iloc[0]
    zero = level_tables(table.assign(p95_latency_ms=[0.0 if i in (5, 9) else v for i, v in enumerate(np.exp(y))]))
    one = level_tables(few).shifts.iloc[0]
    assert one["shift_ratio"] == gone["shift_ratio"] == zero.shifts.iloc[0]["shift_ratio"] != whole["shift_ratio"]
    ends = table.assign(latency_observations=[19 if i in (0, 1, 39) else 20 for i in range(40)])
    assert level_tables(ends).shifts.iloc[0]["days"] == 37
    nothing = level_tables(table.assign(latency_observations=1)).shifts.iloc[0]
    assert nothing["days"] == 0 and nothing["shift_refused"].startswith("0 days;")


# Small versions of scripts/studies/regressions.py; the figures over more draws stand in docs/studies.md.
def test_planted_steps_are_named_and_dated():
    clear = study.power(study.own, world="doubled days", n=2_000, rise=0.2, days=3, draws=6)
    assert clear["named"] >= 5 / 6 and clear["dated"] >= 4 / 5
    slow = study.power(study.own, world="spells", n=2_000, rise=0.6, days=4, draws=4)
    assert slow["named"] >= 3 / 4


@pytest.mark.parametrize("world", ["spells", "weekly pattern"])
def test_healthy_features_are_hardly_ever_named(world):
    """Of 80 feature-months under 1 in 100 is named; four or more would be by luck once in a hundred such tests."""
    assert study.false_alarms(study.own, world=world, n=2_000, draws=5) <= 100 * 3 / 80


def test_a_slow_day_that_is_over_names_nobody():
    assert study.one_day(study.own, world="spells", size=2.0, draws=3) <= 2 / 24
