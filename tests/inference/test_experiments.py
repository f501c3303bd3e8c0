"""Experiments against published numbers and hand counts; each test says which. Counts come from the engine (test_unit_tables)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import (
    Moments,
    absolute_difference,
    best_first,
    compare_variants,
    decide,
    fieller_difference,
    newcombe,
    sample_ratio_mismatch,
    score_test_p,
)
from launchpad_lib.inference.arms import arm_of_rate, detectable, sequence_half_width
from launchpad_lib.inference.experiment import Decision, more_units
from launchpad_lib.inference.sample_ratio import SampleRatio

FAIR, BROKEN = SampleRatio(0.1, 0.75, False), SampleRatio(30.0, 4e-8, True)


def test_differences_of_means_are_the_published_numbers():
    """Revenue a user 1396.87 of 3407 against 2422.7 of 3461 (gbstats documentation)."""
    control, treatment = Moments(3407, 1396.87, 52377.9767), Moments(3461, 2422.7, 134698.29)
    absolute = absolute_difference(treatment, control)
    assert [round(v, 5) for v in absolute[:4]] == [0.29, 0.04538, 0.53462, 0.02016]


def test_a_sequential_interval_is_that_of_gbstats():
    """gbstats SequentialTwoSidedTTest: 100 of 1000 against 130 of 1000, tuning 2000."""
    found = compared(two(130, 100), design="sequential", planned_units=2000).iloc[1]
    assert found["ci_low"] == pytest.approx(-0.0132557, abs=2e-4)
    assert found["ci_high"] == pytest.approx(0.0732557, abs=2e-4)


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
    found = detectable(0.3 * 0.7, n_treatment=500, n_control=500)
    assert found == pytest.approx(0.0812, abs=1e-4)
    rng = np.random.default_rng(2)
    a, b = rng.binomial(500, 0.3 + found, 2000) / 500, rng.binomial(500, 0.3, 2000) / 500
    assert np.mean(np.abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / 500) > 1.96) == pytest.approx(0.8, abs=0.04)


def counts(metric: str, **arms: tuple[int, int]) -> pd.DataFrame:
    """As the engine gives them: variant=(converted, units)."""
    rows = [(metric, v, n, k, None) for v, (k, n) in arms.items()]
    return pd.DataFrame(rows, columns=["metric", "variant", "units", "converted", "refused_because"])


def compared(success: dict, guardrail: dict | None = None, *, margin: float = 0.05, **asked) -> pd.DataFrame:
    """The success metric `s` and, where given, the guardrail `g`, against the control y."""
    rows = [compare_variants(counts("s", **success), control="y", role="success", **asked)]
    if guardrail is not None:
        rows.append(compare_variants(counts("g", **guardrail), control="y", role="guardrail", margin=margin, **asked))
    return pd.concat(rows, ignore_index=True)


def two(k1: int, k0: int, n: int = 1000) -> dict:
    return {"x": (k1, n), "y": (k0, n)}


@pytest.mark.parametrize(
    ("success", "guardrail", "ratio", "choice"),
    [
        ((300, 200), (500, 500), FAIR, "ship"),
        ((300, 200), (500, 500), BROKEN, "refused"),
        ((210, 200), (500, 500), FAIR, "keep running"),
        ((200, 300), (500, 500), FAIR, "do not ship: harm shown"),
        ((300, 200), (400, 500), FAIR, "do not ship: harm shown"),
        ((300, 200), (480, 500), FAIR, "keep running"),  # not worse by the interval, but not within 5 points either
        ((300, 200), (0, 0), FAIR, "keep running"),  # nobody did it: not measured, never a pass
        ((0, 0), (500, 500), FAIR, "keep running"),
    ],
)
def test_the_rule_decides_three_ways_as_it_is_written(success, guardrail, ratio, choice):
    assert decide(compared(two(*success), two(*guardrail)), variant="x", ratio=ratio).choice == choice


def test_a_fall_within_the_margin_is_tolerated_and_one_beyond_it_is_harm():
    """Newcombe by hand: 4,800 and 4,900 of 10,000 is -2.4 to +0.4 points; 4,600 is -4.4 to -1.6, below control."""
    readings = {
        k: compared(two(3000, 2000, 10_000), two(k, 4900, 10_000), margin=m)["reading"].iloc[-1]
        for k, m in ((4800, 0.05), (4600, 0.05), (4601, 0.03))
    }
    assert readings == {4800: "within the margin", 4600: "within the margin", 4601: "below"}


def test_what_is_missing_is_named_with_roughly_how_many_units():
    """By hand: 33.0 against 30.0 % of 1,000 each is +3.0 points (-1.1 to +7.1): (4.1 / 3.0)^2 - 1 = 0.84 of 2,000 units more."""
    missing = decide(compared(two(330, 300), two(480, 500)), variant="x", ratio=FAIR).missing
    assert [(m.metric, m.role, m.reading) for m in missing] == [("s", "success", "open"), ("g", "guardrail", "open")]
    assert missing[0].more_units == 1700
    # -2.0 (-6.4 to +2.4), margin 5: room 3.0, width 4.4: (4.37 / 3)^2 - 1 = 1.12 of 2,000.
    assert missing[1].more_units == 2300
    wrong_side = compared(two(299, 300)).iloc[1].to_dict()
    assert more_units(wrong_side) is None
    assert more_units(wrong_side | {"lift": 1e-6, "ci_low": -0.04}) is None


def test_a_guardrail_that_is_not_in_the_data_is_an_error_in_the_plan():
    rows = counts("quiz_complete", **two(0, 0)).assign(refused_because="event 'quiz_complete': does not occur")
    refused = compare_variants(rows, control="y", role="guardrail", margin=0.05)
    assert refused["lift"].isna().all() and refused["refused_because"].notna().all()
    both = pd.concat([compared(two(300, 200)), refused])
    assert decide(both, variant="x", ratio=FAIR)[1:5] == ("refused", (), (), "event 'quiz_complete': does not occur")


def test_an_arm_with_few_units_decides_nothing_and_one_without_two_is_refused():
    few = compared({"x": (12, 12), "y": (200, 1000)}, min_units=30)
    assert few["reading"].tolist()[1] == "too few units" and few["lift"].notna().sum() == 1
    assert decide(few, variant="x", ratio=FAIR).choice == "keep running"
    for x in ((0, 0), (1, 1)):
        found = compared({"x": x, "y": (200, 1000)})
        assert "needs two" in found["refused_because"].iloc[1] and found["lift"].isna().all()
        assert decide(found, variant="x", ratio=FAIR).choice == "refused"


@pytest.mark.parametrize("design", ["fixed", "sequential"])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (50, 50), (0, 50), (50, 0), (0, 3), (1, 0)])
def test_constant_and_rare_outcomes_stand(design, x, y):
    found = compared({"x": (x, 50), "y": (y, 50)}, design=design).iloc[1]
    is_flat = x in (0, 50) and y in (0, 50)
    if design == "sequential" and is_flat:
        assert "in neither arm does the outcome vary" in found["refused_because"]
    else:
        assert found["ci_low"] <= found["lift"] <= found["ci_high"] and np.isfinite(found["ci_high"] - found["ci_low"])
        assert found["ci_low"] < found["ci_high"]
    if y == 0:
        assert pd.isna(found["relative_lift"])


def test_n_of_a_comparison_counts_its_two_arms_and_the_control_has_no_lift():
    found = compared({"x": (60, 400), "y": (40, 300), "z": (40, 200)}).set_index("variant")
    assert found[["n", "n_control"]].to_numpy().tolist() == [[300, 300], [400, 300], [200, 300]]
    assert found.index[0] == "y" and pd.isna(found.loc["y", "lift"]) and found.loc["y", "value"] == 40 / 300


def test_of_several_variants_each_has_to_win_at_a_stricter_level_and_is_shown_so():
    """Two comparisons: the limits are those of a 97.5 % interval and p is doubled (Bonferroni); a guardrail's stay at 95 %."""
    arms = {"x": (60, 400), "y": (40, 400), "z": (40, 400)}
    found = compared(arms, arms).set_index(["metric", "variant"])
    shown = found.loc[("s", "x"), ["ci_low", "ci_high"]].tolist()
    assert shown == pytest.approx(newcombe(60, 400, 40, 400, level=0.975)[1:])
    assert found.loc[("s", "x"), "p"] == pytest.approx(2 * score_test_p(60, 400, 40, 400))
    assert found.loc[("s", "z"), "p"] == 1.0
    assert found.loc[("g", "x"), ["ci_low", "ci_high"]].tolist() == pytest.approx(newcombe(60, 400, 40, 400)[1:])
    assert found.loc[("g", "x"), "p"] == pytest.approx(score_test_p(60, 400, 40, 400))


def test_a_sequential_interval_hangs_on_the_planned_units_and_has_no_p():
    one, other = (compared(two(130, 100), design="sequential", planned_units=u).iloc[1] for u in (2000, 20_000))
    variance = sum(arm_of_rate(k, 1000).variance_of_value for k in (130, 100))
    half = sequence_half_width(variance, n=2000, tuning_n=2000, level=0.95)
    assert (one["ci_low"], one["ci_high"]) == pytest.approx((0.03 - half, 0.03 + half))
    assert other["ci_low"] < one["ci_low"] and pd.isna(one["p"]) and pd.isna(one["relative_lift"])


def test_the_best_decision_comes_first():
    rows = compared({"w": (350, 1000), "x": (300, 1000), "y": (200, 1000), "z": (100, 1000), "v": (210, 1000)})
    decisions = [decide(rows, variant=v, ratio=FAIR) for v in "vxzw"]
    assert [d.variant for d in best_first(decisions, rows)] == ["w", "x", "v", "z"]


def test_planned_shares_decide_the_sample_ratio():
    """95:5 of 1,002 units: 952 and 50 are due; 950 and 52 is chi-square 0.08. Against an equal split it is a mismatch."""
    planned = sample_ratio_mismatch([950, 52], weights=[95, 5])
    assert planned.chi_square == pytest.approx((950 - 951.9) ** 2 / 951.9 + (52 - 50.1) ** 2 / 50.1)
    assert not planned.is_mismatch and sample_ratio_mismatch([950, 52]).is_mismatch
    for few in ([5], [0, 0], []):
        assert (
            sample_ratio_mismatch(few).p_value is None and "two need some" in sample_ratio_mismatch(few).refused_because
        )
    with pytest.raises(ValueError, match="above 0"):
        sample_ratio_mismatch([5, 5], weights=[1, 0])


def test_between_identical_arms_the_rule_ships_at_most_one_time_in_forty():
    """A/A: 400 experiments; only a lift above 0 ships, so 2.5 %; standard error 0.8 %."""
    rng = np.random.default_rng(3)
    shipped = [
        decide(compared(two(*rng.binomial(100, 0.3, 2), n=100)), variant="x", ratio=FAIR).choice == "ship"
        for _ in range(400)
    ]
    assert np.mean(shipped) < 0.05


def test_the_bounds_of_the_rule_are_where_it_says():
    """Exactly `min_units` is enough; a rate of 1 has no detectable lift; without being told, an arm needs two units."""
    assert compared({"x": (20, 30), "y": (2, 30)}, min_units=30)["reading"].iloc[1] == "above"
    assert compared({"x": (2, 2), "y": (500, 1000)})["reading"].iloc[1] == "open"
    assert pd.isna(compared({"x": (40, 50), "y": (50, 50)})["detectable_lift"].iloc[1])
    by_rate = detectable(0.2 * 0.8, n_treatment=1000, n_control=1000)
    assert compared(two(300, 200))["detectable_lift"].iloc[1] == by_rate
    default, told = (compared(two(130, 100), design="sequential", **a) for a in ({}, {"planned_units": 5000}))
    pd.testing.assert_frame_equal(default, told)


def test_a_variant_without_a_success_metric_is_refused():
    rows = compared(two(300, 200), two(500, 500))
    for found in (
        decide(rows, variant="w", ratio=FAIR),
        decide(rows[rows["role"] == "guardrail"], variant="x", ratio=FAIR),
    ):
        assert found.choice == "refused" and "no success metric" in found.refused_because


def test_more_than_a_hundredfold_is_not_called_a_number_of_units():
    """Width over room is r: r^2 - 1 times the 1,000 units more; 10 is 99-fold and 10.05 is 100.0025-fold."""
    row = {"n": 500, "n_control": 500, "role": "success", "margin": None, "lift": 0.01}
    assert more_units(row | {"ci_low": 0.01 - 0.1}) == 99_000
    assert more_units(row | {"ci_low": 0.01 - 0.1005}) is None


def test_the_order_of_decisions_is_that_of_the_success_metric():
    rows = pd.concat([compared(two(1, 1), {"w": (900, 1000), "x": (100, 1000), "y": (500, 1000)}).query("role == 'guardrail'"),
                      compared({"w": (300, 1000), "x": (350, 1000), "y": (200, 1000)})])  # fmt: skip
    decisions = [Decision(v, "ship") for v in "wx"]
    assert [d.variant for d in best_first(decisions, rows)] == ["x", "w"]
