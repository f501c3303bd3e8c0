"""Lift against published values (NHEFS, E-values), the simulated fact of definitions and hand counts; each test says which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import (
    Placebo,
    benchmark,
    bounded_estimate,
    control_exposure,
    crossfit_effects,
    doubt_table,
    e_value,
    robustness_value,
)
from launchpad_lib.inference.doubt import placebo_limit, placebo_verdict
from launchpad_lib.inference.support import effective_size, standardised_differences


def test_an_e_value_is_that_of_vanderweele_and_ding_2017():
    """Their example: RR 3.9 (1.8 to 8.7) has E-values 7.26 and 3.0; a protective 0.80 (0.71 to 0.91) has 1.81 and 1.43."""
    assert [round(v, 2) for v in e_value(3.9, ratio_low=1.8, ratio_high=8.7)] == [7.26, 3.0]
    assert [round(v, 2) for v in e_value(0.80, ratio_low=0.71, ratio_high=0.91)] == [1.81, 1.43]
    assert e_value(1.2, ratio_low=0.9, ratio_high=1.6).limit == 1.0


def test_a_robustness_value_is_that_of_cinelli_and_hazlett_2020():
    """Their Darfur example: 0.09731582 (0.02325654), 783 degrees of freedom: 13.9 %, and 7.6 % for the interval at 5 %."""
    darfur = {"standard_error": 0.02325654, "freedom": 783}
    assert round(robustness_value(0.09731582, **darfur), 3) == 0.139
    assert round(robustness_value(0.09731582, **darfur, alpha=0.05), 3) == 0.076
    assert robustness_value(0.01, **darfur, alpha=0.05) == 0.0


def difference(table: pd.DataFrame) -> float:
    return table.groupby("treated")["returned"].mean().diff()[1]


def confounded(rng: np.random.Generator, *, n: int = 400, effect: float = 0.1) -> pd.DataFrame:
    z = rng.normal(size=n)
    treated = (rng.random(n) < 1 / (1 + np.exp(-0.8 * z))).astype(int)
    return pd.DataFrame(
        {
            "z": z,
            "treated": treated,
            "returned": (rng.random(n) < np.clip(0.45 + 0.12 * z + effect * treated, 0, 1)).astype(int),
            "before": (z > 0).astype(float),
        }
    )


def simulated_fact(rng: np.random.Generator, users: int = 200_000) -> pd.DataFrame:
    """Completing has no effect. Half of the users are loyal: they stay longer (churn 0.00174 a day against 0.01064) and complete
    sooner (0.0551 a day against 0.00359). Only a user who is still there can complete: immortal time."""
    loyal = rng.random(users) < 0.5
    left = rng.exponential(1 / np.where(loyal, 0.00174222, 0.01064223))
    completed = rng.exponential(1 / np.where(loyal, 0.05512438, 0.00359471))
    completed = np.where((completed <= left) & (completed <= 30), completed, np.inf)
    return pd.DataFrame(
        {"loyal": loyal.astype(float), "left": left, "completed": completed, "returned": (left > 30).astype(int)}
    )


def test_without_any_effect_only_landmark_and_adjustment_together_give_none():
    """The simulated fact of the definitions: naive about +21 points, stratified without landmark +11, landmark without adjustment +9, both 0."""
    users = simulated_fact(np.random.default_rng(20260101))
    ever = users.assign(treated=np.isfinite(users["completed"]).astype(int))
    at_7 = users[users["left"] > 7].assign(treated=lambda u: (u["completed"] <= 7).astype(int))
    stratified = np.mean([difference(g) for _, g in ever.groupby("loyal")])
    assert difference(ever) == pytest.approx(0.21, abs=0.01)
    assert stratified == pytest.approx(0.11, abs=0.01)
    assert difference(at_7) == pytest.approx(0.09, abs=0.01)
    both = crossfit_effects(at_7, covariates=["loyal"], rng=np.random.default_rng(2), folds=2)
    assert both.ate.ci_low < 0 < both.ate.ci_high
    assert abs(both.ate.absolute_lift) < 0.01 and abs(both.att.absolute_lift) < 0.01


def test_a_placebo_outcome_that_the_confounder_made_fails_unless_it_is_adjusted_for():
    rng = np.random.default_rng(4)
    table = confounded(rng, n=20_000).assign(noise=rng.normal(size=20_000))
    asked = {"placebos": [Placebo("before", "b")], "estimate": 0.12, "rng": rng}
    assert doubt_table(table, covariates=["noise"], **asked)["verdict"].tolist() == ["fails"]
    assert doubt_table(table, covariates=["z"], **asked)["verdict"].tolist() == ["passes"]


@pytest.mark.parametrize(
    ("low", "high", "limit", "verdict"),
    [
        (-0.02, 0.02, 0.02, "passes"),
        (0.005, 0.02, 0.02, "passes"),  # not 0, but too small to matter beside the estimate it defends
        (-0.021, 0.01, 0.02, "too wide to tell"),
        (-0.3, 0.3, 0.02, "too wide to tell"),
        (0.001, 0.021, 0.02, "fails"),
        (-0.1, -0.05, 0.02, "fails"),
        (None, None, 0.02, "cannot be checked"),
    ],
)
def test_a_placebo_is_judged_by_equivalence(low, high, limit, verdict):
    """Definitions, Retention lift, point 4: passes only within the limit; an interval that merely holds 0 does not tell."""
    assert placebo_verdict(low, high, limit=limit) == verdict


def test_the_limit_of_a_placebo_is_a_point_or_a_third_of_the_estimate():
    assert [round(placebo_limit(e), 4) for e in (0.0, 0.03, -0.12, 0.031, None)] == [0.01, 0.01, 0.04, 0.0103, 0.01]


def test_a_check_on_two_hundred_users_is_too_wide_to_tell_and_one_that_is_constant_or_unknown_cannot_be_made():
    """By construction: 200 users give about 14 points to either side, ten times the limit of one point."""
    rng = np.random.default_rng(11)
    table = confounded(rng, n=200).assign(flat=1.0, rare=np.where(np.arange(200) < 100, 1.0, np.nan))
    placebos = [Placebo("before", "before"), Placebo("flat", "flat"), Placebo("rare", "rare")]
    found = doubt_table(table, covariates=["z"], placebos=placebos, estimate=0.02, rng=rng)
    assert found["verdict"].tolist() == ["too wide to tell", "cannot be checked", "cannot be checked"]
    assert found["refused_because"].tolist()[1:] == [
        "the outcome is the same for all",
        "it is known for 100 of 200 units only",
    ]
    assert found["limit"].tolist() == [0.01] * 3


def test_what_a_confounder_like_a_measured_one_leaves_is_that_of_cinelli_and_hazlett_2020():
    """Their Darfur example, table of bounds: one, two and three times `female` leave 0.0752, 0.0529 and 0.0304 with those limits."""
    darfur = {"standard_error": 0.02325654, "freedom": 783, "r2_treatment": 0.009071, "r2_outcome": 0.109031}
    published = {1: (0.0752, 0.0323, 0.1182), 2: (0.0529, 0.0130, 0.0929), 3: (0.0304, -0.0063, 0.0670)}
    for strength, expected in published.items():
        assert bounded_estimate(0.09731582, strength=strength, **darfur) == pytest.approx(expected, abs=1e-4)
        mirrored = bounded_estimate(-0.09731582, strength=strength, **darfur)
        assert mirrored == pytest.approx((-expected[0], -expected[2], -expected[1]), abs=1e-4)


def test_what_a_confounder_leaves_is_the_formula_by_hand_where_every_term_counts():
    """R squared .3 with the treatment, .2 with the outcome: with_treatment = .3 / .7, shared = .09 / .49, with_outcome =
    ((1 + sqrt shared) / sqrt(1 - shared))^2 .25 = .625; bias = se sqrt(df with_outcome with_treatment / (1 - with_treatment));
    limits by the t quantile of df - 1 = 9, 2.26216."""
    asked = {"standard_error": 0.1, "freedom": 10, "r2_treatment": 0.3, "r2_outcome": 0.2}
    with_outcome = ((1 + (0.09 / 0.49) ** 0.5) / (1 - 0.09 / 0.49) ** 0.5) ** 2 * 0.25
    bias = 0.1 * (10 * with_outcome * 0.75) ** 0.5
    half = 2.262157 * 0.1 * ((1 - with_outcome) / (4 / 7) * 10 / 9) ** 0.5
    assert bounded_estimate(0.5, **asked) == pytest.approx((0.5 - bias, 0.5 - bias - half, 0.5 - bias + half), abs=1e-6)


def test_a_covariate_that_explains_nothing_moves_nothing_and_one_that_explains_all_is_no_bound():
    asked = {"standard_error": 0.1, "freedom": 100}
    still = bounded_estimate(0.5, r2_treatment=0.0, r2_outcome=0.2, **asked)
    assert still.estimate == 0.5
    assert bounded_estimate(0.5, r2_treatment=0.5, r2_outcome=0.2, **asked) is None
    # With R squared .3 and .6 the bound of the outcome is over 1: all that is left of it is explained, and no width remains.
    left = bounded_estimate(0.5, r2_treatment=0.3, r2_outcome=0.6, **asked)
    assert left.ci_low == left.estimate == left.ci_high == pytest.approx(0.5 - 0.1 * (100 * 0.75) ** 0.5)
    assert bounded_estimate(0.5, r2_treatment=0.3, r2_outcome=1.0, **asked) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_benchmark_is_the_covariate_that_leaves_least_on_either_side_of_0(sign):
    """weak goes with both a little, strong more: whichever sign the estimate has, another `strong` leaves less."""
    rng = np.random.default_rng(16)
    weak, strong = rng.normal(size=(2, 5000))
    treated = (rng.random(5000) < 1 / (1 + np.exp(-0.1 * weak - 0.6 * strong))).astype(int)
    returned = (rng.random(5000) < np.clip(0.5 + 0.02 * weak + 0.1 * strong, 0, 1)).astype(int)
    table = world(5000, weak=weak, strong=strong, treated=treated, returned=returned)
    found = benchmark(
        table,
        groups={"weak": ["weak"], "strong": ["strong"]},
        outcome="returned",
        estimate=0.2 * sign,
        standard_error=0.015,
    )
    assert found.covariate == "strong" and found.is_survived and abs(found.left.estimate) < 0.2
    # Smaller and less sure: what is left lies on the same side of 0 and its interval does not.
    half = benchmark(
        table, groups={"strong": ["strong"]}, outcome="returned", estimate=0.10 * sign, standard_error=0.03
    )
    assert (
        sign * half.left.estimate > 0 > min(sign * half.left.ci_low, sign * half.left.ci_high) and not half.is_survived
    )
    told = treated + 0.01 * rng.normal(size=5000)
    all_of_it = benchmark(
        table.assign(told=told),
        groups={"told": ["told"]},
        outcome="returned",
        estimate=0.2 * sign,
        standard_error=0.015,
    )
    assert not all_of_it.is_survived and "could explain all of the exposure" in all_of_it.refused_because


def test_a_benchmark_is_survived_only_beside_weak_confounders():
    """z moves both treatment and outcome (partial R squared about 0.13 and 0.06): another z would leave nothing of 3 points."""
    table = confounded(np.random.default_rng(12), n=4000).assign(noise=np.random.default_rng(13).normal(size=4000))
    asked = {"outcome": "returned", "estimate": 0.03, "standard_error": 0.012}
    strong = benchmark(table, groups={"noise": ["noise"], "z": ["z"]}, **asked)
    assert strong.covariate == "z" and not strong.is_survived and strong.left.estimate < 0.0
    weak = benchmark(table, groups={"noise": ["noise"]}, **asked)
    assert weak.covariate == "noise" and weak.is_survived
    assert not benchmark(table, groups={"z": ["z"]}, outcome="returned", estimate=None, standard_error=None).is_survived
    assert benchmark(table.assign(z=1), groups={"z": ["z"]}, **asked).refused_because.startswith("no covariate")


def world(n: int = 400, **columns) -> pd.DataFrame:
    """A harmless table of starters; the columns given replace its own."""
    rng = np.random.default_rng(14)
    base = {"z": rng.normal(size=n), "treated": rng.integers(0, 2, n), "returned": rng.integers(0, 2, n)}
    return pd.DataFrame(base | columns)


def test_effective_size_and_standardised_difference_are_the_hand_counts():
    """(1 + 1 + 2)^2 / (1 + 1 + 4) = 16 / 6; means 3 and 1 with both variances 2: 2 / sqrt 2."""
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    values, treated = np.array([[2.0], [4.0], [0.0], [2.0]]), np.array([1, 1, 0, 0])
    assert standardised_differences(values, treated, np.ones((4, 1))) == pytest.approx(np.array([[np.sqrt(2)]]))


def sessions_with_a_control(hidden: float, seed: int, n: int = 6000) -> pd.DataFrame:
    """Sessions: finishing adds 10 points to coming back; clicking a banner adds nothing, and is likelier where
    somebody finishes. Both and coming back hang on what is measured (`liking`) and, by `hidden`, on what nobody measures."""
    rng = np.random.default_rng(seed)
    liking, mood = rng.normal(size=n), rng.normal(size=n)
    drive = 0.7 * liking + hidden * mood
    treated = rng.random(n) < 1 / (1 + np.exp(-drive))
    banner = rng.random(n) < 1 / (1 + np.exp(0.5 - drive - 0.8 * treated))
    back = rng.random(n) < np.clip(0.4 + 0.1 * treated + 0.08 * liking + 0.12 * hidden * mood, 0, 1)
    columns = {"treated": treated, "did_control": banner, "returned": back}
    return pd.DataFrame({k: v.astype(int) for k, v in columns.items()} | {"liking": liking})


@pytest.mark.parametrize(("hidden", "verdict"), [(0.0, "passes"), (1.0, "fails")])
def test_an_exposure_that_cannot_matter_shows_what_nobody_measured(hidden, verdict):
    """Limits of a third of 15 points; seeds were fixed before looking."""
    table = sessions_with_a_control(hidden, seed=20261127)
    asked = {"covariates": ["liking"], "exposure": "did_control", "label": "banner", "estimate": 0.15}
    found = control_exposure(table, rng=np.random.default_rng(1), **asked).iloc[0]
    assert found["verdict"] == verdict and found["limit"] == pytest.approx(0.05)
    assert (found["ci_low"] <= 0 <= found["ci_high"]) == (hidden == 0.0)


@pytest.mark.parametrize(("hidden", "fewest", "most"), [(0.0, 0, 1), (1.0, 5, 6)])
def test_a_control_seldom_fails_where_nothing_is_hidden_and_nearly_always_where_something_is(hidden, fewest, most):
    """The small version of `scripts/studies/negative_control.py`: six draws of 3,000 sessions, seeds fixed before looking."""
    asked = {"covariates": ["liking"], "exposure": "did_control", "label": "banner", "estimate": 0.15}
    tables = [sessions_with_a_control(hidden, seed=20261128 + draw, n=3000) for draw in range(6)]
    said = [control_exposure(t, rng=np.random.default_rng(1), **asked).iloc[0]["verdict"] for t in tables]
    assert fewest <= said.count("fails") <= most


def test_an_exposure_that_nobody_did_or_that_is_the_real_one_cannot_be_checked():
    table = sessions_with_a_control(0.0, seed=2)
    asked = {"covariates": ["liking"], "exposure": "did_control", "label": "banner", "estimate": 0.1}
    never = control_exposure(table.assign(did_control=0), rng=np.random.default_rng(1), **asked).iloc[0]
    same = control_exposure(table.assign(did_control=table["treated"]), rng=np.random.default_rng(1), **asked).iloc[0]
    assert never["verdict"] == same["verdict"] == "cannot be checked"
    assert never["refused_because"] == "0 treated and 6,000 untreated units; each group needs 30"
    assert same["refused_because"].startswith("what was known before tells who is treated")
