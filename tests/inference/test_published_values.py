"""Expected values are published; each test names where."""

from __future__ import annotations

import pytest

from launchpad_lib.inference import (
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
