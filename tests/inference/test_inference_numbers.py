"""The figures of inference held against scipy, statsmodels, loops over units and counts by hand; every test says which."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import exp, log, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm, ttest_ind
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from launchpad_lib.inference import (
    Moments,
    Placebo,
    absolute_difference,
    benchmark,
    best_first,
    bounded_estimate,
    compare_rates,
    compare_variants,
    crossfit_effects,
    crossfit_outcomes,
    decide,
    doubt_table,
    e_value,
    fieller_difference,
    independent_columns,
    kaplan_meier,
    largest_differs_p,
    log_rank,
    median_survival,
    mix_share,
    newcombe,
    quantile_change,
    quantile_changes,
    quantile_draws,
    regression_table,
    robustness_value,
    sample_ratio_mismatch,
    score_test_p,
    unequal_rates_p,
    wilson,
)
from launchpad_lib.inference.arms import sequence_half_width
from launchpad_lib.inference.experiment import Decision, more_units
from launchpad_lib.inference.sample_ratio import SampleRatio
from launchpad_lib.inference.support import effective_size, standardised_differences


def inverted(values, quantile: float) -> float:
    """The smallest value that the share `quantile` of the values does not exceed, by counting."""
    ordered = sorted(values)
    return next(v for i, v in enumerate(ordered, start=1) if i >= quantile * len(ordered) - 1e-9)


def copied(values, units, times) -> list[float]:
    names = sorted(set(units))
    return [v for v, u in zip(values, units, strict=True) for _ in range(times[names.index(u)])]


def two_periods(seed: int = 1) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    units = [rng.choice([f"u{i}" for i in range(12)], size=n) for n in (60, 70)]
    values = [np.exp(rng.normal(5 + 0.2 * i, 0.4, len(u))) for i, u in enumerate(units)]
    return values[0], values[1], units[0], units[1]


def test_a_draw_of_a_quantile_is_that_of_the_drawn_users_written_out_copy_by_copy():
    values, _, units, _ = two_periods()
    count = len(set(units))
    times = np.random.default_rng(4).multinomial(count, [1 / count] * count, size=15)
    found = quantile_draws(values, units, quantile=0.9, rng=np.random.default_rng(4), draws=15)
    assert found.tolist() == [inverted(copied(values, units, row), 0.9) for row in times]


def test_draws_in_several_batches_are_as_many_as_asked(monkeypatch):
    values, _, units, _ = two_periods()
    whole = quantile_draws(values, units, quantile=0.5, rng=np.random.default_rng(4), draws=7)
    monkeypatch.setattr("launchpad_lib.inference.quantiles.CELLS_AT_ONCE", 3 * len(values))
    parts = quantile_draws(values, units, quantile=0.5, rng=np.random.default_rng(4), draws=7)
    assert parts.tolist() == whole.tolist()


@pytest.mark.parametrize(("period_sd", "period_df"), [(0.0, 1e6), (0.2, 9.0)])
def test_a_change_of_a_quantile_is_that_of_its_draws_with_the_noise_of_the_periods(period_sd, period_df):
    """A loop over the same random numbers; p by Student t with Welch-Satterthwaite degrees of freedom of the two variances."""
    before, after, users_before, users_after = two_periods()
    found = quantile_change(
        before, after, users_before, users_after, rng=np.random.default_rng(6), quantile=0.9, draws=40, period_sd=period_sd,
        period_df=period_df, level=0.9, min_units=5,
    )  # fmt: skip
    rng = np.random.default_rng(6)
    sides = []
    for values, users in ((after, users_after), (before, users_before)):
        count = len(set(users))
        times = rng.multinomial(count, [1 / count] * count, size=40)
        sides.append(np.log([inverted(copied(values, users, row), 0.9) for row in times]))
    ratio = sides[0] - sides[1]
    low, high = np.quantile(ratio + period_sd * rng.standard_t(period_df, size=40), [0.05, 0.95])
    old, new = inverted(before, 0.9), inverted(after, 0.9)
    variance = ratio.var(ddof=1) + period_sd**2
    freedom = variance**2 / (period_sd**4 / period_df) if period_sd else 1e6
    assert (found.before, found.after, found.ratio) == pytest.approx((old, new, new / old))
    assert (found.ci_low, found.ci_high) == pytest.approx((exp(low), exp(high)))
    assert found.p_value == pytest.approx(2 * student.sf(abs(log(new / old)) / sqrt(variance), freedom))
    assert (found.n_before, found.n_after, found.units_before, found.units_after) == (60, 70, len(set(users_before)), len(set(users_after)))  # fmt: skip
    assert found.refused_because is None


def test_a_change_is_refused_under_thirty_units_and_where_a_quantile_is_no_positive_number():
    users = np.array([f"u{i}" for i in range(30)])
    asked = {"rng": np.random.default_rng(1), "draws": 10}
    few = quantile_change(np.ones(29), np.ones(30), users[:29], users, **asked)
    assert few.refused_because == "29 units before and 30 after; each period needs 30"
    assert few.ratio is None and few.p_value is None and few[6:10] == (29, 30, 29, 30)
    same = quantile_change(np.ones(30), np.ones(30), users, users, **asked)
    assert (same.ratio, same.ci_low, same.ci_high, same.p_value) == (1.0, 1.0, 1.0, 1.0)
    moved = quantile_change(np.ones(30), np.full(30, 2.0), users, users, **asked)
    assert (moved.ratio, moved.p_value) == (pytest.approx(2.0), 0.0)
    for wrong in (np.zeros(30), np.r_[-1.0, np.ones(29)]):
        for parts in ((wrong, np.ones(30)), (np.ones(30), wrong)):
            assert quantile_change(*parts, users, users, **asked).refused_because == "a quantile of 0 has no ratio"


def test_the_share_of_the_mix_is_that_of_the_period_before_with_its_values_repeated():
    """By hand: before 3 web and 1 ios, after 1 web and 1 ios: each web value counts 1 / 3, each ios value 1 (weights x 3: 1 and 3)."""
    before, strata = np.array([1.0, 2.0, 3.0, 10.0]), np.array(["web", "web", "web", "ios"])
    after, later = np.array([2.0, 20.0]), np.array(["web", "ios"])
    mixed = inverted([1.0, 2.0, 3.0, 10.0, 10.0, 10.0], 0.75)
    expected = log(mixed / inverted(before, 0.75)) / log(20 / inverted(before, 0.75))
    assert mix_share(before, after, strata, later, quantile=0.75) == pytest.approx(expected)
    # 9 of 10 of the later ones are in a stratum that was seen before, 8 of 10 are too few.
    seen = np.array(["web"] * 9 + ["new"])
    assert mix_share(before, np.arange(1.0, 11.0), strata, seen, quantile=0.5) is not None
    assert mix_share(before, np.arange(1.0, 11.0), strata, np.array(["web"] * 8 + ["new"] * 2), quantile=0.5) is None
    assert mix_share(before, before, strata, strata) is None  # nothing changed
    assert mix_share(before, before * 1.009, strata, strata) is None
    assert mix_share(before, before * 1.011, strata, strata) == pytest.approx(0.0)
    assert mix_share(before[:0], after, strata[:0], later) is None and mix_share(before, after[:0], strata, later[:0]) is None  # fmt: skip
    assert mix_share(before * 0, after, strata, later) is None


SPLIT = datetime(2026, 1, 10)


def observations(seed: int = 3, rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at = [SPLIT + timedelta(hours=int(h)) for h in rng.integers(-100, 101, rows)]
    table = pd.DataFrame({"feature_id": rng.choice(["a", "b"], rows), "observed_at": at})
    users = rng.choice([*(f"u{i}" for i in range(20)), None], rows)
    later = (table["observed_at"] > SPLIT) & (table["feature_id"] == "a")
    latency = np.exp(rng.normal(4, 0.3, rows)) * np.where(later, 1.5, 1.0)
    latency[::17] = np.nan
    return table.assign(user_id=users, latency_ms=latency, platform=rng.choice(["web", "ios", None], rows))


def test_a_row_of_quantile_changes_holds_the_windows_beside_the_split_and_an_hour_stands_for_an_unknown_user():
    """Windows of 3 days, open before and closed after; the change itself is `quantile_change` of those rows (tested above)."""
    table = observations()
    noise = pd.DataFrame({"period_sd": [0.1], "period_df": [8.0]}, index=["a"])
    asked = {"draws": 30, "min_units": 5, "quantile": 0.9}
    found = quantile_changes(table, split_at=SPLIT, window_days=3, rng=np.random.default_rng(2), period_noise=noise, mix=("platform",), **asked)  # fmt: skip
    rng = np.random.default_rng(2)
    for feature, extra in (("a", {"period_sd": 0.1, "period_df": 8.0}), ("b", {})):
        own = table[(table["feature_id"] == feature) & table["latency_ms"].notna()]
        hours = (own["observed_at"] - SPLIT) / timedelta(hours=1)
        units = [u if isinstance(u, str) else str(at.floor("h")) for u, at in zip(own["user_id"], own["observed_at"], strict=True)]  # fmt: skip
        own = own.assign(unit=units)
        old, new = own[(hours > -72) & (hours <= 0)], own[(hours > 0) & (hours <= 72)]
        expected = quantile_change(
            old["latency_ms"].to_numpy(), new["latency_ms"].to_numpy(), old["unit"].to_numpy(dtype=str),
            new["unit"].to_numpy(dtype=str), rng=rng, **asked, **extra,
        )  # fmt: skip
        row = found.set_index("feature_id").loc[feature]
        assert row[list(expected._fields)[:10]].tolist() == pytest.approx(list(expected[:10]))
        days = [one["latency_ms"].quantile(0.9) for _, one in new.groupby(new["observed_at"].dt.date)]
        assert row["days_up"] == sum(d > expected.before for d in days)
        share = mix_share(
            old["latency_ms"].to_numpy(), new["latency_ms"].to_numpy(), old["platform"].fillna("unknown").to_numpy(dtype=str),
            new["platform"].fillna("unknown").to_numpy(dtype=str), quantile=0.9,
        )  # fmt: skip
        assert row["mix_share_platform"] == pytest.approx(share, nan_ok=True)
    few = quantile_changes(table, split_at=SPLIT, window_days=3, rng=rng, period_noise=noise, mix=(), min_units=500)
    assert few["days_up"].isna().all() and few["refused_because"].str.contains("each period needs 500").all()


def step_up(p: list[float]) -> list[float]:
    """Benjamini-Hochberg by its definition: the smallest p_(j) m / j over j >= i."""
    order = np.argsort(p)
    q = [min(min(p[order[j]] * len(p) / (j + 1) for j in range(i, len(p))), 1.0) for i in range(len(p))]
    return [q[list(order).index(i)] for i in range(len(p))]


def test_changes_and_levels_stand_side_by_side_and_only_a_level_makes_a_regression():
    """By hand: a moved between the windows only, b's level stands, e has no p of either, g has a level only."""
    changes = pd.DataFrame(
        {
            "feature_id": list("abce"), "p_value": [0.001, 0.5, 0.04, np.nan], "ratio": [1.4, 1.02, 0.8, None],
        }
    )  # fmt: skip
    shifts = pd.DataFrame(
        {"feature_id": list("abceg"), "shift_p": [0.6, 0.001, 0.2, np.nan, 0.002], "is_regression": [False, True, False, False, True]}
    )  # fmt: skip
    found = regression_table(changes, shifts)
    assert found["feature_id"].tolist() == ["b", "g", "a", "c", "e"]  # regressions first, then by the ratio
    assert found["is_regression"].tolist() == [True, True, False, False, False]
    assert found["is_judged"].tolist() == [True, True, True, True, False]
    expected = dict(zip("abc", step_up([0.001, 0.5, 0.04]), strict=True))
    assert found.set_index("feature_id")["change_q"].dropna().to_dict() == pytest.approx(expected)
    alone = regression_table(changes, shifts.iloc[:0])
    assert not alone["is_regression"].any() and not alone["is_judged"].any()


def freireich() -> tuple[list[float], list[bool]]:
    rows = [
        *[(t, 1) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)],
        *[(t, 0) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)],
    ]
    return [float(t) for t, _ in rows], [bool(o) for _, o in rows]  # fmt: skip


def test_survival_and_its_limits_are_greenwoods_by_a_loop():
    """S = product (1 - d / n); var log S = sum d / n (n - d); limits S^exp(-+ z sd / |ln S|)."""
    times, happened = freireich()
    found = {p.time: p for p in kaplan_meier(times, happened, level=0.9)}
    survival, variance = 1.0, 0.0
    for time in sorted({t for t, h in zip(times, happened, strict=True) if h}):
        n = sum(t >= time for t in times)
        d = sum(t == time and h for t, h in zip(times, happened, strict=True))
        survival, variance = survival * (1 - d / n), variance + d / n / (n - d)
        half = norm.ppf(0.95) * sqrt(variance) / abs(log(survival))
        point = found.pop(time)
        assert (point.at_risk, point.events) == (n, d) and point.survival == pytest.approx(survival)
        assert (point.ci_low, point.ci_high) == pytest.approx((survival ** exp(half), survival ** exp(-half)))
    assert not found


def test_the_median_is_the_first_time_at_one_half_and_its_limits_are_those_of_the_curves_limits():
    points = kaplan_meier([1, 2, 3, 4, 5, 6, 7, 8], [True] * 8)
    low, high = (next((p.time for p in points if getattr(p, n) <= 0.5), None) for n in ("ci_low", "ci_high"))
    assert median_survival(points) == (4.0, low, high) and low < 4 < high
    assert median_survival(points[:3]) == (None, low, None) and median_survival([]) == (None, None, None)


def test_the_log_rank_statistic_is_the_sum_over_event_times_by_a_loop_over_three_groups():
    """Observed less expected events of the first two groups, with the hypergeometric covariance (Mantel 1966)."""
    rng = np.random.default_rng(7)
    groups = [(list(rng.integers(1, 9, n).astype(float)), list(rng.random(n) < 0.7)) for n in (12, 15, 10)]
    gap, covariance = np.zeros(3), np.zeros((3, 3))
    for time in range(1, 9):
        n = np.array([sum(t >= time for t in g[0]) for g in groups], dtype=float)
        d = np.array([sum(t == time and h for t, h in zip(*g, strict=True)) for g in groups], dtype=float)
        if d.sum() and n.sum() > 1:
            share = n / n.sum()
            gap += d - d.sum() * share
            covariance += d.sum() * (n.sum() - d.sum()) / (n.sum() - 1) * (np.diag(share) - np.outer(share, share))
    statistic = gap[:2] @ np.linalg.solve(covariance[:2, :2], gap[:2])
    found = log_rank(groups)
    assert found.chi_square == pytest.approx(statistic) and found.degrees_of_freedom == 2
    assert found.p_value == pytest.approx(chi2.sf(statistic, 2)) and found.refused_because is None
    assert log_rank([]) == (None, 0, None, "0 of 0 groups hold units; at least two groups need some")
    assert log_rank([([], []), ([1.0], [True])]).degrees_of_freedom == 1


def test_durations_are_checked_in_a_sentence():
    with pytest.raises(ValueError, match="durations has 2 values and observed 1: there must be one flag per duration"):
        kaplan_meier([1, 2], [True])
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=f"durations: {wrong!r} is not a time from 0 up; leave such units out"):
            kaplan_meier([1, wrong], [True, True])
    assert kaplan_meier([0.0, 1.0], [True, True])[0].time == 0.0


def arms(seed: int = 2) -> tuple[np.ndarray, np.ndarray, Moments, Moments]:
    rng = np.random.default_rng(seed)
    one, zero = rng.normal(5, 2, 25), rng.normal(4, 1, 40)
    return one, zero, *(Moments(len(v), v.sum(), (v**2).sum()) for v in (one, zero))


def test_a_difference_of_means_is_scipys_welch_test():
    one, zero, treatment, control = arms()
    expected = ttest_ind(one, zero, equal_var=False)
    limits = expected.confidence_interval(0.9)
    found = absolute_difference(treatment, control, level=0.9)
    assert found.estimate == pytest.approx(one.mean() - zero.mean()) and found.p_value == pytest.approx(expected.pvalue)
    assert (found.ci_low, found.ci_high) == pytest.approx((limits.low, limits.high)) and found.refused_because is None
    flat = Moments(5, 5.0, 5.0)
    assert absolute_difference(flat, flat) == (0.0, None, None, None, "no value varies")


def test_fiellers_limits_are_the_roots_of_his_quadratic():
    """(m1 - r m0)^2 = z^2 (v1 + r^2 v0), solved by numpy."""
    one, zero, treatment, control = arms()
    v1, v0, m1, m0, z = one.var(ddof=1) / 25, zero.var(ddof=1) / 40, one.mean(), zero.mean(), norm.ppf(0.95)
    roots = sorted(np.roots([m0**2 - z * z * v0, -2 * m1 * m0, m1**2 - z * z * v1]) - 1)
    found = fieller_difference(treatment, control, level=0.9)
    assert found[:3] == pytest.approx((m1 / m0 - 1, *roots))
    assert found.p_value == pytest.approx(ttest_ind(one, zero, equal_var=False).pvalue)
    for mean in (0.0, -4.0, 0.1):
        weak = Moments(40, 40 * mean, 40.0 + 40 * mean**2)
        assert fieller_difference(treatment, weak).refused_because == "the control mean is not clearly above 0"


def test_a_sequential_limit_is_the_published_formula_at_the_planned_units():
    """Waudby-Smith et al. (2023), theorem 2.2 and the tuning of their appendix B.2 for t = 900; two looks, levels .95 and .9."""
    one, zero, treatment, control = arms()
    n, spread = 65, sqrt(65 * (one.var(ddof=1) / 25 + zero.var(ddof=1) / 40))
    for alpha in (0.05, 0.1):
        rho = sqrt((-2 * log(alpha) + log(-2 * log(alpha) + 1)) / 900)
        half = spread * sqrt(2 * (n * rho**2 + 1) / (n**2 * rho**2) * log(sqrt(n * rho**2 + 1) / alpha))
        variance = treatment.variance_of_mean + control.variance_of_mean
        assert sequence_half_width(variance, n=65, tuning_n=900, level=1 - alpha) == pytest.approx(half)


def test_wilsons_limits_end_at_nought_and_one_and_wrong_counts_are_told():
    """(p + z^2 / 2n -+ z sqrt(p q / n + z^2 / 4n^2)) / (1 + z^2 / n) at level .9."""
    z, n, p = norm.ppf(0.95), 12, 5 / 12
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(5, 12, level=0.9) == pytest.approx((p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))  # fmt: skip
    assert wilson(0, 7)[:2] == (0.0, 0.0) and wilson(7, 7)[2] == 1.0 and wilson(0, 0) == (None, None, None)
    assert wilson(1, 7).ci_low > 0 and wilson(6, 7).ci_high < 1
    for call in (lambda: wilson(8, 7), lambda: newcombe(1, 2, 8, 7), lambda: newcombe(8, 7, 1, 2)):
        with pytest.raises(ValueError, match="successes=8: must be between 0 and n=7; check the counts"):
            call()
    with pytest.raises(ValueError, match="successes=-1"):
        wilson(-1, 7)
    assert newcombe(0, 0, 1, 2) == newcombe(1, 2, 0, 0) == (None, None, None)


def test_newcombes_limits_combine_wilsons_and_shrink_with_the_units_in_both_periods():
    """Zou and Donner (2008): d - sqrt(a^2 + b^2 - 2 r a b), a and b the distances of the rates to their limits."""
    one, two = wilson(56, 70, level=0.9), wilson(48, 80, level=0.9)
    a, b = one.estimate - one.ci_low, two.ci_high - two.estimate
    c, d = one.ci_high - one.estimate, two.estimate - two.ci_low
    gap = 56 / 70 - 48 / 80
    assert newcombe(56, 70, 48, 80, level=0.9) == pytest.approx((gap, gap - sqrt(a**2 + b**2), gap + sqrt(c**2 + d**2)))
    covariance = 0.001
    r = covariance / sqrt(0.8 * 0.2 / 70 * 0.6 * 0.4 / 80)
    expected = (gap, gap - sqrt(a**2 + b**2 - 2 * r * a * b), gap + sqrt(c**2 + d**2 - 2 * r * c * d))
    assert newcombe(56, 70, 48, 80, level=0.9, covariance=covariance) == pytest.approx(expected)
    whole = newcombe(56, 70, 48, 80, level=0.9, covariance=9.0)
    assert whole == pytest.approx((gap, gap - abs(a - b), gap + abs(c - d)))
    opposed = newcombe(56, 70, 48, 80, level=0.9, covariance=-9.0)
    assert opposed == pytest.approx((gap, gap - (a + b), gap + (c + d)))
    sure = newcombe(70, 70, 48, 80, covariance=0.1)
    assert sure == pytest.approx(newcombe(70, 70, 48, 80))


def test_rates_of_two_periods_with_common_units_are_compared_with_their_covariance_unit_by_unit():
    """A loop over 90 units: 40 in both periods, 30 only before, 20 only after."""
    rng = np.random.default_rng(5)
    before = {u: int(rng.random() < 0.6) for u in range(70)}
    after = {u: int(rng.random() < (0.8 if before.get(u) else 0.2)) for u in range(30, 90)}
    pb, pa = np.mean(list(before.values())), np.mean(list(after.values()))
    both = before.keys() & after.keys()
    covariance = sum((before[u] - pb) * (after[u] - pa) for u in both) / (70 * 60)
    row = {
        "converted_before": sum(before.values()), "n_before": 70, "converted_after": sum(after.values()), "n_after": 60, "n_both": 40,
        "converted_both": sum(before[u] * after[u] for u in both), "converted_before_of_both": sum(before[u] for u in both),
        "converted_after_of_both": sum(after[u] for u in both),
    }  # fmt: skip
    nobody = dict.fromkeys(row, 0)
    small = dict.fromkeys(row, 0) | {"converted_before": 1, "n_before": 29, "converted_after": 20, "n_after": 30}
    just = small | {"n_before": 30}
    found = compare_rates(pd.DataFrame([row, nobody, small, just, dict.fromkeys(row, None)]))
    ka, kb = row["converted_after"], row["converted_before"]
    pooled = (ka + kb) / 130
    z = (pa - pb) / sqrt(pooled * (1 - pooled) * (1 / 70 + 1 / 60) - 2 * covariance)
    assert found["p_value"].iloc[0] == pytest.approx(2 * norm.sf(abs(z)))
    assert found.loc[0, ["absolute_lift", "ci_low", "ci_high"]].tolist() == pytest.approx(list(newcombe(ka, 60, kb, 70, covariance=covariance)))  # fmt: skip
    assert found.loc[0, ["rate_before", "rate_after"]].tolist() == pytest.approx([pb, pa])
    assert found["is_small"].tolist() == [False, True, True, False, True]
    p = [found["p_value"].iloc[0], proportions_ztest([20, 1], [30, 30])[1]]
    assert found["p_value"].iloc[3] == pytest.approx(p[1])
    assert found["p_adjusted"].dropna().tolist() == pytest.approx(step_up(p)) and found["p_adjusted"].isna().tolist() == [False, True, True, False, True]  # fmt: skip
    assert found["is_changed"].tolist() == [bool(v <= 0.05) for v in found["p_adjusted"]]
    assert found.loc[[1, 4], ["rate_before", "rate_after", "absolute_lift", "p_value"]].isna().all(axis=None)
    apart = compare_rates(pd.DataFrame([row]).drop(columns="n_both"))
    assert apart["p_value"].iloc[0] == pytest.approx(proportions_ztest([ka, kb], [60, 70])[1])
    assert not compare_rates(pd.DataFrame([just]), false_discovery_rate=1e-9)["is_changed"].any()


def test_the_score_test_at_its_edges():
    assert score_test_p(1, 2, 0, 0) is None and score_test_p(0, 0, 1, 2) is None
    assert score_test_p(0, 5, 0, 7) == 1.0 == score_test_p(5, 5, 7, 7)
    same = 0.25 / 10  # everybody is in both periods and did the same: the variance of the difference is nought
    assert score_test_p(5, 10, 5, 10, covariance=same) == 1.0 and score_test_p(6, 10, 4, 10, covariance=same) is None
    assert unequal_rates_p([1], [2]) is None and unequal_rates_p([1, 0], [2, 0]) is None
    assert unequal_rates_p([0, 0], [3, 4]) == 1.0 == unequal_rates_p([3, 4], [3, 4])
    assert unequal_rates_p([5, 9, 1], [10, 12, 8]) == pytest.approx(chi2.sf(sum((k - n * 0.5) ** 2 / (n * 0.25) for k, n in ((5, 10), (9, 12), (1, 8))), 2))  # fmt: skip
    assert largest_differs_p(0, 0) is None and largest_differs_p(3, 0) == pytest.approx(0.25)


def test_a_planned_split_is_tested_by_pearsons_sum_and_refused_where_there_is_none():
    """(60 - 50)^2 / 50 twice is 4; against 3 to 1: (60 - 75)^2 / 75 + (40 - 25)^2 / 25 = 12."""
    even = sample_ratio_mismatch([60, 40])
    assert even.chi_square == pytest.approx(4) and even.p_value == pytest.approx(chi2.sf(4, 1)) and not even.is_mismatch
    planned = sample_ratio_mismatch([60, 40], weights=[3, 1])
    assert planned.chi_square == pytest.approx(12) and planned.is_mismatch and planned.refused_because is None
    assert sample_ratio_mismatch([0, 0]) == (None, None, False, "2 variants with 0 units; two need some")
    assert sample_ratio_mismatch([5]).refused_because == "1 variants with 5 units; two need some"
    for weights in ([1, 0], [1], [1, 2, 3]):
        with pytest.raises(ValueError, match="must be one number above 0 for each of 2 variants"):
            sample_ratio_mismatch([5, 5], weights=weights)


def counts(metric: str = "s", **arms_of: tuple[int, int]) -> pd.DataFrame:
    rows = [(metric, v, n, k, None) for v, (k, n) in arms_of.items()]
    return pd.DataFrame(rows, columns=["metric", "variant", "units", "converted", "refused_because"])


@pytest.mark.parametrize(("role", "level"), [("success", 0.975), ("guardrail", 0.95)])
def test_every_figure_of_a_variant_is_that_of_statsmodels_at_its_level(role, level):
    """Two variants: a success metric is compared at 1 - .05 / 2 with p doubled, a guardrail at .95."""
    found = compare_variants(counts(y=(40, 200), a=(60, 210), b=(45, 190)), control="y", role=role, margin=0.1)
    assert (
        found["variant"].tolist() == ["y", "a", "b"] and set(found["role"]) == {role} and set(found["margin"]) == {0.1}
    )
    row = found.iloc[1]
    assert row[["value_low", "value_high"]].tolist() == pytest.approx(
        list(proportion_confint(60, 210, method="wilson"))
    )
    assert row[["lift", "ci_low", "ci_high"]].tolist() == pytest.approx(list(newcombe(60, 210, 40, 200, level=level)))
    p = proportions_ztest([60, 40], [210, 200])[1]
    assert row["p"] == pytest.approx(2 * p if role == "success" else p)
    relative = fieller_difference(Moments(210, 60, 60), Moments(200, 40, 40), level=level)
    assert row[["relative_lift", "relative_low", "relative_high"]].tolist() == pytest.approx(list(relative[:3]))
    spread = sqrt(0.2 * 0.8 * (1 / 210 + 1 / 200))
    reach = norm.ppf(1 - (0.0125 if role == "success" else 0.025)) + norm.ppf(0.8)  # corrected as the limits
    assert row["detectable_lift"] == pytest.approx(reach * spread)
    assert row[["n", "n_control", "value"]].tolist() == [210, 200, pytest.approx(60 / 210)]
    assert found.iloc[0][["lift", "p", "reading"]].isna().all() and found.iloc[0]["n_control"] == 200
    assert found.iloc[2]["p"] == pytest.approx(min(1.0, proportions_ztest([45, 40], [190, 200])[1] * (2 if role == "success" else 1)))  # fmt: skip


def test_a_sequential_variant_has_sequential_limits_at_the_planned_units_and_nothing_relative():
    found = compare_variants(counts(y=(40, 200), a=(60, 210)), control="y", role="success", design="sequential", planned_units=700).iloc[1]  # fmt: skip
    variance = sum(Moments(n, k, k).variance_of_mean for n, k in ((210, 60), (200, 40)))
    half, gap = sequence_half_width(variance, n=410, tuning_n=700, level=0.95), 60 / 210 - 40 / 200
    assert found[["lift", "ci_low", "ci_high"]].tolist() == pytest.approx([gap, gap - half, gap + half])
    assert found[["p", "relative_lift", "relative_low", "relative_high"]].isna().all()
    flat = compare_variants(counts(y=(0, 20), a=(21, 21)), control="y", role="success", design="sequential").iloc[1]
    assert flat["refused_because"] == "in neither arm does the outcome vary, so a confidence sequence has no width"
    half = compare_variants(counts(y=(0, 20), a=(3, 21)), control="y", role="success", design="sequential").iloc[1]
    assert half["refused_because"] is None
    assert pd.isna(half["detectable_lift"])


def reading(
    converted: tuple[int, int], *, role: str = "success", margin: float = 0.05, n: int = 400, min_units: int = 2
) -> str:
    table = compare_variants(counts(x=(converted[0], n), y=(converted[1], n)), control="y", role=role, margin=margin, min_units=min_units)  # fmt: skip
    return table.iloc[1]["reading"]


def test_the_readings_are_those_of_the_limits():
    """Limits of 200 against 200 of 400: 6.9 points to each side; 100 against 200: all below 0."""
    assert reading((250, 200)) == "above" and reading((100, 200)) == "below" and reading((201, 200)) == "open"
    assert reading((200, 200), role="guardrail", margin=0.07) == "within the margin"
    assert reading((200, 200), role="guardrail", margin=0.068) == "open"
    assert reading((100, 200), role="guardrail") == "below" and reading((0, 0)) == "not measured"
    assert reading((201, 200), min_units=401) == "too few units" and reading((201, 200), min_units=400) == "open"
    few = compare_variants(counts(x=(1, 1), y=(3, 9)), control="y", role="success").iloc[1]
    assert few["refused_because"] == "1 unit of the variant and 9 of the control have a window that is over; needs two"
    alone = compare_variants(counts(x=(1, 5)), control="y", role="success").iloc[0]
    assert alone["refused_because"].startswith("5 units of the variant and 0 of the control")
    given = counts(x=(1, 5), y=(1, 5)).assign(refused_because=[None, "no such event"])
    told = compare_variants(given, control="y", role="success").set_index("variant")
    assert told.loc["y", "refused_because"] == "no such event" and pd.isna(told.loc["y", "value"])


FAIR = SampleRatio(0.0, 1.0, False)


def test_the_decision_says_what_is_harmed_what_is_missing_and_why_not():
    rows = compare_variants(counts(y=(200, 400), a=(250, 400), b=(201, 400), c=(100, 400)), control="y", role="success")
    guard = compare_variants(counts("g", y=(200, 400), a=(200, 400), b=(100, 400), c=(200, 400)), control="y", role="guardrail", margin=0.2)  # fmt: skip
    table = pd.concat([rows, guard], ignore_index=True)
    assert decide(table, variant="a", ratio=FAIR) == Decision("a", "ship", better=("s",))
    assert decide(table, variant="b", ratio=FAIR) == Decision("b", "do not ship: harm shown", harmed=("g",))
    assert decide(table, variant="c", ratio=FAIR).harmed == ("s",)
    open_one = decide(rows, variant="b", ratio=FAIR)
    assert (open_one.choice, open_one.missing[0][:3]) == ("keep running", ("s", "success", "open"))
    assert open_one.missing[0].more_units == more_units(rows[rows["variant"] == "b"].iloc[0].to_dict())
    refused = {
        "units were not assigned in the planned ratio, so no difference can be trusted": decide(table, variant="a", ratio=SampleRatio(20.0, 0.0, True)),
        "the variant has no success metric to be judged by": decide(guard, variant="a", ratio=FAIR),
        "no such event": decide(table.assign(refused_because=[*[None] * 7, "no such event"]), variant="c", ratio=FAIR),
    }  # fmt: skip
    for reason, found in refused.items():
        assert (found.choice, found.refused_because) == ("refused", reason)
    assert decide(table, variant="z", ratio=FAIR).choice == "refused"
    decisions = [Decision("r", "refused"), Decision("c", "do not ship: harm shown"), Decision("b", "keep running"), Decision("a", "keep running"), Decision("d", "ship")]  # fmt: skip
    assert [d.variant for d in best_first(decisions, table)] == ["d", "a", "b", "c", "r"]


def test_further_units_are_those_that_bring_the_limit_to_the_line():
    """By hand: distance .02 to the limit, room .01: (4 - 1) x 1,000 = 3,000; with a margin of .01 the room is .02: none needed."""
    row = {"lift": 0.01, "ci_low": -0.01, "n": 500, "n_control": 500, "role": "success", "margin": None}
    assert more_units(row) == 3000
    assert more_units(row | {"role": "guardrail", "margin": 0.005}) == 780  # (16 / 9 - 1) x 1,000 = 778, two digits up
    assert more_units(row | {"role": "guardrail", "margin": 0.01}) is None  # the limit lies on the line
    assert more_units(row | {"lift": None}) is None and more_units(row | {"lift": float("nan")}) is None
    assert more_units(row | {"lift": -0.01, "ci_low": -0.03}) is None and more_units(row | {"lift": 0.0, "ci_low": -0.01}) is None  # fmt: skip
    assert more_units(row | {"lift": 0.001, "ci_low": -0.0091}) is None  # beyond a hundredfold
    assert more_units(row | {"ci_low": 0.01}) is None and more_units(row | {"lift": 0.01, "ci_low": -0.0002, "n": 5, "n_control": 5}) == 1  # fmt: skip


def partial_r2(y: np.ndarray, rest: np.ndarray, name: np.ndarray) -> float:
    """1 - residual sum with the covariate over that without it, by numpy's least squares."""
    sums = [
        ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum()
        for x in (np.c_[np.ones(len(y)), rest], np.c_[np.ones(len(y)), rest, name])
    ]
    return 1 - sums[1] / sums[0]


def test_the_benchmark_is_the_group_that_leaves_least_by_numpys_least_squares():
    """Two columns that say nearly the same are a group; alone each would explain little beside the other."""
    rng = np.random.default_rng(4)
    n = 300
    weak, strong = rng.normal(size=n), rng.normal(size=n)
    treated = (0.8 * strong + 0.3 * weak + rng.normal(size=n) > 0).astype(float)
    y = 0.5 * treated + 0.6 * strong + 0.2 * weak + rng.normal(size=n)
    near = strong + 0.05 * rng.normal(size=n)
    table = pd.DataFrame({"weak": weak, "strong": strong, "near": near, "twice": 2 * strong, "flat": 1.0, "treated": treated, "y": y})  # fmt: skip
    table.loc[n] = [np.nan, 0, 0, 0, 1, 1, 0]
    groups = {"weak": ["weak", "flat"], "strong": ["strong", "near", "twice"]}
    asked = {"groups": groups, "outcome": "y", "standard_error": 0.24}
    design = np.c_[np.ones(n), weak, strong, near, treated]
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    plain = sqrt((left**2).sum() / (n - 5) * np.linalg.inv(design.T @ design)[4, 4])  # textbook least squares
    for estimate, sign in ((0.5, 1), (-0.5, -1)):
        found = benchmark(table, estimate=estimate, **asked)
        r_t = partial_r2(treated, weak[:, None], np.c_[strong, near])
        r_y = partial_r2(y, np.c_[weak, treated], np.c_[strong, near])
        moved = bounded_estimate(estimate, standard_error=plain, freedom=n - 5, r2_treatment=r_t, r2_outcome=r_y)
        assert found.covariate == "strong" and found.refused_because is None and found.freedom == n - 5
        assert found.plain_error == pytest.approx(plain) and found.left.estimate == pytest.approx(moved.estimate)
        half = (moved.ci_high - moved.estimate) * 0.24 / plain  # limits as wide as those of the estimate
        assert found.left[1:] == pytest.approx((moved.estimate - half, moved.estimate + half))
        assert found.is_survived == (min(sign * found.left.ci_low, sign * found.left.ci_high) > 0)
    assert (
        benchmark(table, estimate=3.0, **asked).is_survived and not benchmark(table, estimate=0.05, **asked).is_survived
    )
    for estimate, error in ((None, 0.1), (0.1, None), (0.1, 0.0)):
        nothing = benchmark(table, estimate=estimate, **asked | {"standard_error": error})
        assert nothing == (None, None, False, None, 0, "there is no estimate to move")
    flat = benchmark(table, estimate=0.1, **asked | {"groups": {"flat": ["flat"]}})
    assert flat.refused_because == "no covariate measured before exposure varies" and not flat.is_survived
    total = benchmark(table.assign(copy=table["treated"]), estimate=0.1, **asked | {"groups": {"copy": ["copy"]}})
    assert total.refused_because == "a confounder like 'copy' could explain all of the exposure"
    assert (total.covariate, total.left, total.is_survived) == ("copy", None, False)


def test_a_bound_is_that_of_the_paper_with_strength_and_level_and_none_where_no_confounder_is_possible():
    """Cinelli and Hazlett (2020), equations written out for strength 3 and level .9."""
    rt, ry, k, df, se = 0.05, 0.1, 3.0, 200, 0.02
    with_t = k * rt / (1 - rt)
    shared = k * rt**2 / ((1 - k * rt) * (1 - rt))
    with_y = ((sqrt(k) + sqrt(shared)) / sqrt(1 - shared)) ** 2 * ry / (1 - ry)
    bias = se * sqrt(df * with_y * with_t / (1 - with_t))
    half = student.ppf(0.95, df - 1) * se * sqrt((1 - with_y) / (1 - with_t) * df / (df - 1))
    asked = {"standard_error": se, "freedom": df, "strength": k, "level": 0.9}
    found = bounded_estimate(0.1, r2_treatment=rt, r2_outcome=ry, **asked)
    assert found == pytest.approx((0.1 - bias, 0.1 - bias - half, 0.1 - bias + half))
    turned = bounded_estimate(-0.1, r2_treatment=rt, r2_outcome=ry, **asked)
    assert turned == pytest.approx((-0.1 + bias, -0.1 + bias - half, -0.1 + bias + half))
    assert bounded_estimate(0.0, r2_treatment=rt, r2_outcome=ry, **asked).estimate == pytest.approx(-bias)
    all_of_y = bounded_estimate(0.1, r2_treatment=rt, r2_outcome=0.6, **asked)
    assert all_of_y.ci_low == pytest.approx(all_of_y.ci_high)
    for r2 in ((0.34, 0.1), (1.0, 0.1), (0.1, 1.0), (0.26, 0.1)):
        assert bounded_estimate(0.1, r2_treatment=r2[0], r2_outcome=r2[1], **asked) is None
    assert independent_columns(pd.DataFrame({"a": [1.0, 2, 4], "b": [3.0, 5, 9], "c": [0.0, 1, 0]}), ["b", "a", "c"]) == ["b", "c"]  # fmt: skip
    assert independent_columns(pd.DataFrame({"a": []}), ["a"]) == []


def test_e_values_and_robustness_values_at_their_edges():
    assert e_value(None) == (None, None) and e_value(1.0) == (1.0, None) and e_value(2.0, ratio_low=1.5) == (pytest.approx(2 + sqrt(2)), None)  # fmt: skip
    assert (
        e_value(2.0, ratio_low=1.0, ratio_high=4.0).limit == 1.0
        and e_value(0.5, ratio_low=0.2, ratio_high=1.0).limit == 1.0
    )
    assert e_value(0.5, ratio_low=0.4, ratio_high=0.8).limit == pytest.approx(1.25 + sqrt(1.25 * 0.25))
    assert e_value(2.0, ratio_low=1.25, ratio_high=4.0).limit == pytest.approx(1.25 + sqrt(1.25 * 0.25))
    for estimate, error, freedom in ((None, 0.1, 9), (0.1, None, 9), (0.1, 0.0, 9), (0.1, 0.1, 1)):
        assert robustness_value(estimate, standard_error=error, freedom=freedom) is None
    assert (
        robustness_value(0.1, standard_error=0.1, freedom=2)
        == robustness_value(-0.1, standard_error=0.1, freedom=2)
        > 0
    )
    assert robustness_value(0.01, standard_error=0.1, freedom=50, alpha=0.05) == 0


def world(n: int = 400, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z, w = rng.normal(size=n), rng.normal(size=n)
    treated = (rng.random(n) < 1 / (1 + np.exp(-0.5 * z))).astype(int)
    returned = (rng.random(n) < np.clip(0.45 + 0.1 * z + 0.15 * treated, 0, 1)).astype(int)
    return pd.DataFrame({"z": z, "w": w, "flat": 1.0, "treated": treated, "returned": returned, "spent": z + treated + rng.normal(size=n)})  # fmt: skip


def test_weighted_means_enter_the_standardised_difference_and_a_flat_covariate_has_none():
    """By hand: weighted means (2 + 3 x 6) / 4 = 5 and 1, variances 8 and 2: 4 / sqrt 5."""
    values, treated = np.array([[2.0, 1], [6, 1], [0, 1], [2, 1]]), np.array([1, 1, 0, 0])
    found = standardised_differences(values, treated, np.array([[1.0], [3], [2], [2]]))
    assert found[:, 0] == pytest.approx([4 / sqrt(5), 0.0])


def test_standardised_differences_of_many_rows_are_numpys_own():
    """More rows than a block; three weightings at once; means and variances by numpy, column by column."""
    rng = np.random.default_rng(4)
    x, weights = rng.normal(5, 2, (150_000, 2)).astype(np.float32), rng.random((150_000, 3))
    treated = rng.integers(0, 2, 150_000)
    found, one, zero = standardised_differences(x, treated, weights), treated == 1, treated == 0
    for column in range(2):
        own = x[:, column].astype(float)
        spread = sqrt((own[one].var(ddof=1) + own[zero].var(ddof=1)) / 2)
        for number, w in enumerate(weights.T):
            gap = np.average(own[one], weights=w[one]) - np.average(own[zero], weights=w[zero])
            assert found[column, number] == pytest.approx(gap / spread, abs=1e-9)


def test_kish_of_equal_weights_is_their_number():
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7)


def test_a_placebo_row_holds_the_effect_of_that_outcome_and_its_limit():
    table = world().assign(old=lambda d: (d["z"] > 0).astype(float))
    table.loc[table.index[:150], "old"] = np.nan
    found = doubt_table(table, covariates=["w"], placebos=[Placebo("old", "was old")], estimate=-0.3, rng=np.random.default_rng(2)).iloc[0]  # fmt: skip
    known = table[table["old"].notna()]
    effect = crossfit_effects(known, covariates=["w"], outcome="old", rng=np.random.default_rng(2)).ate
    assert found[["check", "n", "refused_because"]].tolist() == ["was old", 250, None] and found[
        "limit"
    ] == pytest.approx(0.1)
    assert found[["estimate", "ci_low", "ci_high"]].tolist() == pytest.approx([effect.absolute_lift, effect.ci_low, effect.ci_high])  # fmt: skip
    assert found["verdict"] == "fails"


def test_placebos_known_of_the_same_rows_share_folds_and_propensity_and_each_keeps_its_own_refusal():
    """Two known of all rows, one flat, one of other rows, one of too few; the shared fit is `crossfit_outcomes` itself."""
    rng = np.random.default_rng(5)
    table = world().assign(old=lambda d: (d["z"] > 0) * 1.0, young=rng.integers(0, 2, 400) * 1.0, same=1.0)
    table["rare"], table["late"] = np.where(np.arange(400) < 150, 1.0, np.nan), table["young"]
    table.loc[table.index[:20], "late"] = np.nan
    placebos = [Placebo(name, name) for name in ("old", "late", "rare", "young", "same")]
    asked = {"covariates": ["w"], "rng": np.random.default_rng(2)}
    found = doubt_table(table, placebos=placebos, estimate=0.1, **asked).set_index("check")
    assert found.index.tolist() == ["old", "late", "rare", "young", "same"]
    assert found["n"].tolist() == [400, 380, 150, 400, 400]
    outcomes = ["old", "young", "same"]
    shared = crossfit_outcomes(table, covariates=["w"], outcomes=outcomes, rng=np.random.default_rng(2))
    for name, fitted in zip(outcomes, shared, strict=True):
        if name != "same":
            assert found.loc[name, "estimate"] == fitted.ate.absolute_lift
    assert found.loc["same", "refused_because"] == "the outcome is the same for all"
    assert found.loc["rare", "refused_because"] == "it is known for 150 of 400 units only"
    assert shared[0].balance is shared[1].balance and shared[2].balance.empty
