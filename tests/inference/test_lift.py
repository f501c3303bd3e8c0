"""Lift against published values (NHEFS, E-values), the simulated fact of definitions and hand counts; each test says which."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import (
    adjusted_lift,
    crossfit_effects,
    difference_lift,
    doubt_table,
    e_value,
    robustness_value,
    starter_table,
)
from launchpad_lib.inference.weighting import effective_size, standardised_difference

NHEFS = Path(__file__).resolve().parents[2] / "data/sample/nhefs/nhefs.csv"


@pytest.fixture(scope="module")
def nhefs() -> tuple[pd.DataFrame, list[str]]:
    """The covariates of Hernan and Robins, What If, program 12.2: categories as dummies, squares of the measured ones."""
    people = pd.read_csv(NHEFS).dropna(subset=["wt82_71"]).rename(columns={"qsmk": "treated", "wt82_71": "gain"})
    measured = ["age", "smokeintensity", "smokeyrs", "wt71"]
    dummies = pd.get_dummies(people[["education", "exercise", "active"]].astype(str), drop_first=True, dtype=float)
    table = pd.concat([people, dummies, (people[measured] ** 2).add_suffix("_squared")], axis=1)
    return table, ["sex", "race", *measured, *dummies.columns, *(f"{m}_squared" for m in measured)]


def test_smokers_who_quit_gain_what_hernan_and_robins_report(nhefs):
    """What If, chapters 12 and 13: crude 2.54 kg, inverse-probability weighted 3.44 (2.4 to 4.5), standardised 3.52."""
    table, covariates = nhefs
    assert len(table) == 1566
    assert table.groupby("treated")["gain"].mean().diff()[1] == pytest.approx(2.54, abs=0.005)
    found = crossfit_effects(table, covariates=covariates, outcome="gain", rng=np.random.default_rng(1))
    assert 3.2 < found.ate.absolute_lift < 3.65  # the split moves it by about 0.05
    assert found.ate.ci_low == pytest.approx(2.4, abs=0.25) and found.ate.ci_high == pytest.approx(4.5, abs=0.25)
    before, after = found.balance["smd_before"].abs().max(), found.support.largest_smd
    assert before > 0.25 and after < 0.1


def test_statsmodels_gives_the_standardised_effect_of_nhefs(nhefs):
    """The same data through the parametric AIPW of the notebook: between the published 3.44 and 3.52, give or take 0.1."""
    table, covariates = nhefs
    found = adjusted_lift(table.rename(columns={"gain": "returned"}), covariates=tuple(covariates))
    assert 3.34 < found.absolute_lift < 3.62


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
    naive, landmark = difference_lift(ever, method="naive"), difference_lift(at_7, method="landmark")
    stratified = np.mean([difference_lift(g, method="stratum").absolute_lift for _, g in ever.groupby("loyal")])
    assert naive.absolute_lift == pytest.approx(0.21, abs=0.01)
    assert stratified == pytest.approx(0.11, abs=0.01)
    assert landmark.absolute_lift == pytest.approx(0.09, abs=0.01)
    both = crossfit_effects(at_7, covariates=["loyal"], rng=np.random.default_rng(2), folds=2, repeats=1)
    assert both.ate.ci_low < 0 < both.ate.ci_high
    assert abs(both.ate.absolute_lift) < 0.01 and abs(both.att.absolute_lift) < 0.01


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


def test_the_intervals_of_both_effects_cover_the_truth_at_their_level():
    """120 samples of 400; truth 0.1 for all and for the treated. Standard error of the coverage 0.02."""
    rng = np.random.default_rng(3)
    found = [crossfit_effects(confounded(rng), covariates=["z"], rng=rng, folds=2, repeats=1) for _ in range(120)]
    for name in ("ate", "att"):
        effects = [getattr(f, name) for f in found if f.support.refused_because is None]
        assert len(effects) > 100
        assert 0.89 < np.mean([e.ci_low <= 0.1 <= e.ci_high for e in effects]) <= 0.99


def test_a_placebo_outcome_that_the_confounder_made_fails_unless_it_is_adjusted_for():
    rng = np.random.default_rng(4)
    table = confounded(rng, n=4000).assign(noise=rng.normal(size=4000))
    assert doubt_table(table, covariates=["noise"], placebos={"before": "b"}, rng=rng)["verdict"].tolist() == ["fails"]
    assert doubt_table(table, covariates=["z"], placebos={"before": "b"}, rng=rng)["verdict"].tolist() == ["no effect"]


def test_a_lift_is_refused_where_the_groups_hardly_overlap():
    rng = np.random.default_rng(5)
    z = rng.normal(size=2000)
    table = pd.DataFrame(
        {"z": z, "treated": (z + 0.1 * rng.normal(size=2000) > 0).astype(int), "returned": rng.integers(0, 2, 2000)}
    )
    found = crossfit_effects(table, covariates=["z"], rng=rng)
    assert found.ate.absolute_lift is None and "hardly overlap" in found.ate.refused_because


def test_effective_size_and_standardised_difference_are_the_hand_counts():
    """(1 + 1 + 2)^2 / (1 + 1 + 4) = 16 / 6; means 3 and 1 with both variances 2: 2 / sqrt 2."""
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert standardised_difference(np.array([2.0, 4.0, 0.0, 2.0]), np.array([1, 1, 0, 0]), np.ones(4)) == pytest.approx(
        np.sqrt(2)
    )


def test_starters_are_counted_from_their_first_start_and_only_when_their_window_is_over():
    """Hand count: a completes at once and returns; b never completes; c starts too late; d never starts."""
    t = pd.Timestamp("2026-01-05 10:00")
    h = pd.Timedelta(hours=1)
    rows = [
        ("a", "page", t), ("a", "start", t + 30 * h), ("a", "done", t + 31 * h), ("a", "page", t + 60 * h),
        ("b", "start", t), ("b", "page", t + 20 * h),
        ("c", "start", t + 200 * h), ("d", "page", t),
    ]  # fmt: skip
    events = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at"]).assign(platform="web")
    found = starter_table(
        events,
        start_event="start",
        complete_event="done",
        landmark_days=1,
        outcome_days=1,
        observed_through=datetime(2026, 1, 14),
    )
    found = found.set_index("user_id")
    assert found.index.tolist() == ["a", "b"]
    assert found["treated"].to_dict() == {"a": 1, "b": 0}
    assert found["returned"].to_dict() == {
        "a": 1,
        "b": 0,
    }  # a comes back 30 h after its start; b after 20 h, before the landmark
    assert found.loc["a", "tenure_days"] == pytest.approx(30 / 24)
