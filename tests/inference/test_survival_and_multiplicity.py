"""Expected values are published; each test names where."""

from __future__ import annotations

import pandas as pd
import pytest

from launchpad_lib.inference import (
    benjamini_hochberg,
    compare_rates,
    kaplan_meier,
    log_rank,
    median_survival,
    newcombe,
    score_test_p,
)

# Benjamini and Hochberg (1995), section 3.2: fifteen p-values of the myocardial infarction study of Neuhaus et al.
BH_1995 = [
    0.0001,
    0.0004,
    0.0019,
    0.0095,
    0.0201,
    0.0278,
    0.0298,
    0.0344,
    0.0459,
    0.3240,
    0.4262,
    0.5719,
    0.6528,
    0.7590,
    1.0000,
]

# Freireich et al. (1963): weeks of remission under 6-MP (+ censored) and placebo, as in Kalbfleisch and Prentice.
SIX_MP = [
    *[(t, 1) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)],
    *[(t, 0) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)],
]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_benjamini_hochberg_rejects_the_four_of_their_paper():
    assert sum(p <= 0.05 for p in benjamini_hochberg(BH_1995)) == 4


def test_adjusted_p_values_keep_the_order_given_and_stay_in_bounds():
    shuffled = [0.5, 0.01, 0.04, 0.03]
    assert benjamini_hochberg(shuffled) == pytest.approx([0.5, 0.04, 0.16 / 3, 0.16 / 3])
    assert benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="no probability"):
        benjamini_hochberg([0.1, 1.2])


def test_kaplan_meier_of_freireich_1963():
    points = {p.time: p for p in kaplan_meier([t for t, _ in SIX_MP], [bool(o) for _, o in SIX_MP])}
    expected = {6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482}
    assert {t: round(p.survival, 4) for t, p in points.items()} == expected
    # Limits of S(6) and S(23) by log(-log), as lifelines 0.30 gives them (independent program).
    assert (points[6].ci_low, points[6].ci_high) == pytest.approx((0.6197, 0.9516), abs=1e-4)
    assert (points[23].ci_low, points[23].ci_high) == pytest.approx((0.1881, 0.6801), abs=1e-4)
    assert median_survival(list(points.values()))[0] == 23


def test_log_rank_of_freireich_1963():
    found = log_rank([([t for t, _ in SIX_MP], [bool(o) for _, o in SIX_MP]), (PLACEBO, [True] * len(PLACEBO))])
    assert found.chi_square == pytest.approx(16.79, abs=0.005)
    assert found.degrees_of_freedom == 1


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([([1.0], [True])], "at least two groups need some"),
        ([([1.0], [True]), ([], [])], "1 of 2 groups hold units"),
        ([([1.0, 2.0], [False, False]), ([3.0], [False])], "in no group has it happened"),
        ([([1.0], [True]), ([0.0], [False])], "at no time could two groups differ"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused_in_a_sentence(groups, reason):
    found = log_rank(groups)
    assert found.chi_square is None and found.p_value is None and reason in found.refused_because


def test_survival_without_any_event_has_no_point_and_an_arm_that_is_gone_has_no_width():
    """By definition: S(t) changes at event times only; after the last unit's event S = 0, with the limits at 0."""
    assert kaplan_meier([1, 2], [False, False]) == []
    last = kaplan_meier([1, 2], [True, True])[-1]
    assert (last.survival, last.ci_low, last.ci_high) == (0.0, 0.0, 0.0)


def test_a_rate_without_units_has_no_test_and_small_cells_take_no_part():
    """The last two rows are small, so that one p-value alone is adjusted, to itself."""
    counts = pd.DataFrame(
        {"converted_before": [48, 1, 0], "n_before": [80, 5, 0], "converted_after": [56, 4, 0], "n_after": [70, 5, 9]}
    )
    found = compare_rates(counts)
    assert found["p_adjusted"].iloc[0] == pytest.approx(score_test_p(56, 70, 48, 80))
    assert (found["ci_low"].iloc[0], found["ci_high"].iloc[0]) == newcombe(56, 70, 48, 80)[1:]
    assert found["is_changed"].tolist() == [True, False, False]
    assert found["is_small"].tolist() == [False, True, True]
    assert pd.isna(found["absolute_lift"].iloc[2])
