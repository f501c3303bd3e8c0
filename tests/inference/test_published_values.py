"""Expected values are published; each test names where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import (
    adjusted_lift,
    difference_lift,
    newcombe,
    sample_ratio_mismatch,
    wilson,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_limits_are_those_of_newcombe_1998_table_i(k, n, low, high):
    found = wilson(k, n)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("counts", "limits"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_are_those_of_newcombe_1998_method_10(counts, limits):
    found = newcombe(*counts)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == limits


def test_an_empty_denominator_gives_no_number():
    assert wilson(0, 0).estimate is None
    assert newcombe(0, 0, 1, 2).absolute_lift is None


def test_sample_ratio_mismatch_of_kohavi_2020():
    found = sample_ratio_mismatch([821588, 815482])
    assert found.chi_square == pytest.approx(22.7744, abs=1e-4)
    assert found.p_value == pytest.approx(1.8218e-6, rel=1e-3)
    assert found.is_mismatch


def test_a_confounder_measured_before_exposure_is_adjusted_away():
    """Simulated with zero effect: the unadjusted difference is far from 0, the adjusted one covers it."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=6000)
    table = pd.DataFrame(
        {
            "treated": (rng.random(6000) < 1 / (1 + np.exp(-z))).astype(int),
            "returned": (rng.random(6000) < 1 / (1 + np.exp(-z))).astype(int),
        }
    )
    table = table.assign(events_before=z)
    assert difference_lift(table, method="unadjusted").ci_low > 0.1
    found = adjusted_lift(table, covariates=("events_before",))
    assert found.ci_low < 0 < found.ci_high


def test_a_lift_is_refused_where_a_group_is_too_small():
    table = pd.DataFrame({"treated": [1] * 5 + [0] * 100, "returned": [0, 1] * 52 + [0], "events_before": range(105)})
    assert "needs 30" in adjusted_lift(table, covariates=("events_before",)).refused_because
