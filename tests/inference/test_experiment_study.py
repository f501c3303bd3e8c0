"""Small versions of the study of experiments (`make studies`): its seeds, fewer draws; limits are three standard errors."""

from __future__ import annotations

import sys
from math import comb, sqrt
from pathlib import Path

import numpy as np
import pytest

from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.proportions import newcombe

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "studies"))

import experiments as study  # noqa: E402

DRAWS = 1_500
ERROR = 3 * sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.parametrize("kind", ["revenue", "ratio", "clusters"])
def test_means_ratios_and_clusters_alarm_falsely_one_time_in_twenty(kind):
    alarms, coverage = study.means(np.random.default_rng([study.SEED, 1]), kind, 600, DRAWS)
    assert alarms == pytest.approx(0.05, abs=ERROR + 0.005) and coverage == pytest.approx(0.95, abs=ERROR + 0.005)


def test_rates_alarm_falsely_one_time_in_twenty():
    alarms, coverage = study.rates(np.random.default_rng([study.SEED, 2]), 2_000, 0.5, DRAWS)
    assert alarms == pytest.approx(0.05, abs=ERROR) and coverage == pytest.approx(0.95, abs=ERROR)


def test_what_rates_do_is_the_sum_over_every_pair_of_counts():
    """Two arms of 12 by the product's own functions, pair by pair; two arms of 2,000 at 20 %: the rule ships 2.49 %, so
    the 2.6 % of 10,000 draws are their error.
    """
    chance = [comb(12, k) * 0.3**k * 0.7 ** (12 - k) for k in range(13)]
    pairs = [(a, b, chance[a] * chance[b]) for a in range(13) for b in range(13)]
    limits = {(a, b): newcombe(a, 12, b, 12)[1:] for a, b, _ in pairs}
    alarms = sum(w for a, b, w in pairs if score_test_p(a, 12, b, 12) <= 0.05)
    coverage = sum(w for a, b, w in pairs if limits[a, b][0] <= 0 <= limits[a, b][1])
    ships = sum(w for a, b, w in pairs if limits[a, b][0] > 0)
    assert study.exact_rates(12, 0.3) == pytest.approx((alarms, coverage, ships))
    assert study.exact_rates(2_000, 0.2)[2] == pytest.approx(0.02495, abs=5e-5)


def test_ten_arms_and_five_metrics_ship_an_aa_test_at_most_one_time_in_forty():
    """The rule itself on 40 draws, and the arrays that the study uses: the same draws, the same answer."""
    once = study.shipped_at_once(np.random.default_rng([study.SEED, 3]), 10, 5, 40)
    assert once == study.shipped(np.random.default_rng([study.SEED, 3]), 10, 5, "fixed", 40)
    wide = study.shipped_at_once(np.random.default_rng([study.SEED, 3]), 1, 1, 4_000)
    assert once <= 0.025 + 3 * sqrt(0.025 * 0.975 / 40) and wide == pytest.approx(
        0.025, abs=3 * sqrt(0.025 * 0.975 / 4_000)
    )


def test_a_sequence_with_its_tuning_fixed_holds_at_every_look_and_one_tuned_to_the_day_does_not():
    """Field notes: tuned to the n of the day 8.6 % at a 10,000-fold growth."""
    found = study.looking(np.random.default_rng([study.SEED, 4]), 600, steps=8_000)
    limit = 0.05 + 3 * sqrt(0.05 * 0.95 / 600)
    assert all(found[k] <= limit for k in ("1000", "10000", "100000"))
    assert found["the n of the day"] > 0.06 and found["fixed, 1.96"] > 0.5


def test_cuped_leaves_one_minus_rho_squared_of_the_variance():
    """Of the estimate within 3 %; over the draws within their error (a ratio of two variances: sqrt(4 / draws) each)."""
    left, told, coverage = study.cuped_left(np.random.default_rng([study.SEED, 5]), 0.6, 500, 800)
    assert told == pytest.approx(0.64, rel=0.03) and left == pytest.approx(0.64, rel=0.15)
    assert coverage == pytest.approx(0.95, abs=3 * sqrt(0.05 * 0.95 / 800))
