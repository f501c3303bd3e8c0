"""Experiments against published numbers, the Optimizely data and hand counts; each test says which."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import (
    Moments,
    absolute_difference,
    decide,
    detectable_difference,
    experiment_result,
    fieller_difference,
    newcombe,
    relative_difference,
    sample_ratio_mismatch,
    sequential_difference,
)

OPTIMIZELY = Path(__file__).resolve().parents[2] / "data/sample/optimizely"
DAY = timedelta(days=1)
T = datetime(2026, 1, 1)


def test_lifts_of_means_are_the_published_delta_method_numbers():
    """Revenue a user 1396.87 of 3407 against 2422.7 of 3461 (gbstats documentation)."""
    control, treatment = Moments(3407, 1396.87, 52377.9767), Moments(3461, 2422.7, 134698.29)
    relative, absolute = relative_difference(treatment, control), absolute_difference(treatment, control)
    assert [round(v, 5) for v in relative[:4]] == [0.70732, -0.03526, 1.44989, 0.06191]
    assert [round(v, 5) for v in absolute[:4]] == [0.29, 0.04538, 0.53462, 0.02016]


def test_a_sequential_interval_is_that_of_gbstats():
    """gbstats SequentialTwoSidedTTest: 100 of 1000 against 130 of 1000, tuning 2000."""
    found = sequential_difference(Moments(1000, 130, 130), Moments(1000, 100, 100), tuning_n=2000)
    assert found.ci_low == pytest.approx(-0.0132557, abs=2e-4)
    assert found.ci_high == pytest.approx(0.0732557, abs=2e-4)


def test_fiellers_limits_solve_fiellers_equation_and_hold_the_truth():
    """At both limits r the z value of (treatment - (1 + r) control) is 1.96, by definition; coverage by 600 simulated experiments."""
    one, zero = Moments(400, 60, 60), Moments(400, 40, 40)
    found = fieller_difference(one, zero)
    for r in (found.ci_low, found.ci_high):
        z = (one.mean - (1 + r) * zero.mean) / np.sqrt(one.variance_of_mean + (1 + r) ** 2 * zero.variance_of_mean)
        assert abs(z) == pytest.approx(1.959964, abs=1e-4)
    rng = np.random.default_rng(1)
    pairs = [
        (Moments(400, a, a), Moments(400, b, b))
        for a, b in zip(rng.binomial(400, 0.12, 600), rng.binomial(400, 0.1, 600), strict=True)
    ]
    assert 0.93 < np.mean([f.ci_low <= 0.2 <= f.ci_high for f in (fieller_difference(a, b) for a, b in pairs)]) < 0.975


def test_a_relative_lift_is_not_shown_where_the_control_is_not_clearly_above_0():
    """2 conversions of 400: z^2 / k is above 1 (g = 1.9)."""
    assert (
        fieller_difference(Moments(400, 9, 9), Moments(400, 2, 2)).refused_because
        == "the control mean is not clearly above 0"
    )


def test_a_detectable_difference_is_found_eight_times_in_ten():
    """Formula by hand: (1.96 + 0.8416) sqrt(0.3 0.7 2 / 500) = 0.0812; and by simulation of 2,000 experiments."""
    found = detectable_difference(rate=0.3, n_treatment=500, n_control=500)
    assert found == pytest.approx(0.0812, abs=1e-4)
    rng = np.random.default_rng(2)
    a, b = rng.binomial(500, 0.3 + found, 2000) / 500, rng.binomial(500, 0.3, 2000) / 500
    assert np.mean(np.abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / 500) > 1.96) == pytest.approx(0.8, abs=0.04)


def test_optimizely_counts_are_the_published_ones_and_a_naive_join_doubles_them():
    """Units 3304 / 3367 / 3329; purchasers within 48 h 163 / 169 / 223; a naive join counts 1,101 instead of 555."""
    decisions = pd.read_parquet(OPTIMIZELY / "decisions.parquet")
    bought = pd.read_parquet(OPTIMIZELY / "events_purchase.parquet")
    exposures = pd.DataFrame(
        {"user_id": decisions["visitor_id"], "variant": decisions["variation_id"], "event_at": decisions["timestamp"]}
    )
    outcomes = pd.DataFrame({"user_id": bought["visitor_id"], "event_at": bought["timestamp"]})
    first = str(exposures["variant"].iloc[0])
    found = experiment_result(exposures, outcomes, control=first, window=timedelta(hours=48))
    assert sorted(zip(found.arms["units"], found.arms["converted"], strict=True)) == [
        (3304, 163),
        (3329, 223),
        (3367, 169),
    ]
    assert found.arms["naive_converted"].sum() == 1101 and found.arms["converted"].sum() == 555
    assert sorted(found.arms["rate"].round(6)) == [0.049334, 0.050193, 0.066987]
    assert not sample_ratio_mismatch(found.arms["units"].tolist()).is_mismatch


def test_a_unit_whose_window_is_not_over_is_in_neither_count():
    """Hand count, window 1 day, observed to the end of day 2: a and b are mature, c is not although it converted."""
    exposures = pd.DataFrame(
        {"user_id": list("abcd"), "variant": ["x", "y", "x", "y"], "event_at": [T, T, T + 1.5 * DAY, T + DAY]}
    )
    outcomes = pd.DataFrame({"user_id": ["a", "c"], "event_at": [T + DAY / 2, T + 1.6 * DAY]})
    arms = experiment_result(exposures, outcomes, control="y", window=DAY, observed_through=T + 2 * DAY).arms.set_index(
        "variant"
    )
    assert arms["units"].to_dict() == {"y": 2, "x": 1}
    assert arms["units_immature"].to_dict() == {"y": 0, "x": 1}
    assert arms["converted"].to_dict() == {"y": 0, "x": 1}


def test_an_experiment_that_is_not_there_or_lacks_its_control_is_refused():
    nobody = pd.DataFrame({"user_id": [], "variant": [], "event_at": pd.to_datetime([])})
    outcomes = pd.DataFrame({"user_id": ["a"], "event_at": pd.to_datetime([T])})
    assert "no unit was exposed" in experiment_result(nobody, outcomes, control="y", window=DAY).refused_because
    other = pd.DataFrame({"user_id": ["a", "b"], "variant": ["x", "z"], "event_at": [T, T]})
    assert "variants seen: x, z" in experiment_result(other, outcomes, control="y", window=DAY).refused_because


def made(k1: int, k0: int, n: int = 1000):
    exposures = pd.DataFrame({"user_id": range(2 * n), "variant": ["x"] * n + ["y"] * n, "event_at": T})
    users = [*range(k1), *range(n, n + k0)]
    return experiment_result(
        exposures, pd.DataFrame({"user_id": users, "event_at": T + DAY / 2}), control="y", window=DAY
    )


@pytest.mark.parametrize(
    ("success", "guardrail", "broken", "choice"),
    [
        ((300, 200), (500, 500), False, "ship"),
        ((300, 200), (500, 500), True, "no decision"),
        ((210, 200), (500, 500), False, "do not ship"),
        ((300, 200), (400, 500), False, "do not ship"),
        ((300, 200), (480, 500), False, "do not ship"),  # not worse by the interval, but not within 5 points either
    ],
)
def test_the_rule_decides_as_it_is_written(success, guardrail, broken, choice):
    assert (
        decide(made(*success), {"g": made(*guardrail)}, variant="x", is_ratio_broken=broken, margin=0.05).choice
        == choice
    )


def test_a_misspelt_guardrail_is_never_a_pass():
    """A guardrail that nobody did (`quiz_complete` for `quiz_completed`): beside a clear win it printed "Ship"."""
    found = decide(made(300, 200), {"quiz_complete": made(0, 0)}, variant="x", is_ratio_broken=False, margin=0.05)
    assert found.choice == "no decision" and "'quiz_complete' was not measured" in found.because


def test_no_guardrail_is_called_harmless_where_none_was_measured():
    found = decide(made(300, 200), {}, variant="x", is_ratio_broken=False, margin=0.05)
    assert found == ("ship", "the success metric is above control; no guardrail was measured")


def test_of_several_variants_each_has_to_win_at_a_stricter_level():
    """Two comparisons: the limit of the decision is that of a 97.5 % interval (Bonferroni); Newcombe's of 60 and 40 of 400 by the two levels."""
    exposures = pd.DataFrame(
        {"user_id": range(1200), "variant": ["x"] * 400 + ["y"] * 400 + ["z"] * 400, "event_at": T}
    )
    users = [*range(60), *range(400, 440), *range(800, 840)]
    arms = experiment_result(
        exposures, pd.DataFrame({"user_id": users, "event_at": T + DAY / 2}), control="y", window=DAY
    ).arms.set_index("variant")
    assert arms.loc["x", "lift_low"] == pytest.approx(newcombe(60, 400, 40, 400)[1])
    assert arms.loc["x", "corrected_low"] == pytest.approx(newcombe(60, 400, 40, 400, level=0.975)[1])
    assert arms.loc["x", "corrected_low"] < arms.loc["x", "lift_low"]


def test_between_identical_arms_the_rule_ships_at_most_one_time_in_forty():
    """A/A: 300 experiments; only a lift above 0 ships, so 2.5 %; standard error 0.9 %."""
    rng = np.random.default_rng(3)
    shipped = [
        decide(made(*rng.binomial(100, 0.3, 2), n=100), {}, variant="x", is_ratio_broken=False, margin=0.05).choice
        == "ship"
        for _ in range(300)
    ]
    assert np.mean(shipped) < 0.05
