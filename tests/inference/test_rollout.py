"""Group-time effects: an independent program, hand counts, and products whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from launchpad_lib.inference.rollout import RolloutPanel, rollout_effect


def panel_of(users: list[np.ndarray], switched_on: list[int]) -> RolloutPanel:
    """One array of (user, period) 0 or 1 per place."""
    names = tuple(f"place {k}" for k in range(len(users)))
    active = np.array([own.sum(axis=0) for own in users])
    both = np.array([own.T.astype(np.int64) @ own for own in users])
    return RolloutPanel(names, np.array(switched_on), np.array([len(own) for own in users]), active, both)


def drawn(rng, shares: np.ndarray, n: int) -> np.ndarray:
    """Users of one place, each with a habit of their own around the shares of its periods."""
    habit = rng.normal(0, 0.1, (n, 1))
    return (rng.random((n, len(shares))) < np.clip(shares + habit, 0.01, 0.99)).astype(np.int64)


# What csdid 0.4.3 (a port of the authors' R package `did`) says of this panel: control group not yet treated, outcome
# regression without covariates, universal base period: estimate and standard error of each wave and period.
CSDID = {
    (3, 0): (-0.0255, 0.03682484), (3, 1): (-0.04225, 0.03552239), (3, 3): (0.03025, 0.03641365),
    (3, 4): (0.0515, 0.03540706), (3, 5): (-0.00618182, 0.03808904), (3, 6): (0.077, 0.04278025),
    (3, 7): (0.1285, 0.04276491), (5, 0): (-0.016, 0.050187), (5, 1): (0.00327273, 0.04903554),
    (5, 2): (0.02690909, 0.04821799), (5, 3): (-0.04545455, 0.0497717), (5, 5): (0.07672727, 0.04889911),
    (5, 6): (0.076, 0.05324299), (5, 7): (0.0835, 0.05306529), (6, 0): (0.10166667, 0.06385859),
    (6, 1): (0.13, 0.06091319), (6, 2): (0.025, 0.05834565), (6, 3): (0.06666667, 0.05922212),
    (6, 4): (0.15666667, 0.05958615), (6, 6): (0.15, 0.06143492), (6, 7): (0.1775, 0.06307721),
}  # fmt: skip
CSDID_STUDY = {
    -6: 0.101667, -5: 0.03875, -4: 0.01142, -3: 0.004419, -2: -0.009987, 0: 0.063119, 1: 0.079306, 2: 0.023712,
    3: 0.077, 4: 0.1285,
}  # fmt: skip


def csdid_panel() -> RolloutPanel:
    rng = np.random.default_rng(20261126)
    users, switched_on = [], [3, 3, 5, 6, 8]
    for place, (n, g) in enumerate(zip([300, 200, 250, 150, 400], switched_on, strict=True)):
        habit, own = rng.beta(2, 3, n) + 0.05 * place, np.zeros((n, 8), np.int64)
        for i in range(n):
            for t in range(8):
                share = habit[i] - 0.02 * t + (0.08 + 0.02 * (t - g) if t >= g else 0)
                own[i, t] = rng.random() < min(max(share, 0.01), 0.99)
        users.append(own)
    return panel_of(users, switched_on)


def test_the_cells_and_the_event_study_are_those_of_an_independent_program():
    found = rollout_effect(csdid_panel())
    cells = {(r.switched_on, r.period): r for r in found.cells.itertuples()}
    assert cells.keys() == CSDID.keys()
    for key, (estimate, _) in CSDID.items():
        assert cells[key].estimate == pytest.approx(estimate, abs=1e-7)
    study = dict(zip(found.study["since_switch"], found.study["estimate"], strict=True))
    assert study == pytest.approx(CSDID_STUDY, abs=1e-6)


def test_the_standard_error_of_the_check_is_that_of_an_independent_program():
    """The last wave alone, which is one place: its longest difference before, without shocks."""
    panel = csdid_panel()
    last = panel.within(np.array([False, False, False, True, True]))
    row = rollout_effect(last).checks.iloc[0]
    half = (row["ci_high"] - row["ci_low"]) / 2 / stats.norm.ppf(0.975)
    assert row["estimate"] == pytest.approx(CSDID[(6, 0)][0], abs=1e-7)
    assert half == pytest.approx(CSDID[(6, 0)][1], rel=0.02)


def test_two_places_by_hand():
    """NO 50, 50, then 70 of 100; SE 40, 40, 42: (70 - 50) - (42 - 40) = 18 points."""
    users, active = np.array([100, 100]), np.array([[50, 50, 70], [40, 40, 42]])
    both = np.minimum(active[:, :, None], active[:, None, :])
    found = rollout_effect(RolloutPanel(("NO", "SE"), np.array([2, 3]), users, active, both))
    assert found.estimate == pytest.approx(0.18)
    # Whoever is active in the first period is so later too: the change is +1 for 20 of 100 and for 2 of 100.
    assert found.standard_error**2 == pytest.approx(0.2 * 0.8 / 99 + 0.02 * 0.98 / 99)
    assert (found.n_treated, found.n_control, found.shock) == (100, 100, 0.0)


WAVES = [4, 4, 4, 6, 6, 6, 8, 8, 8, 11, 11, 11]


def truth_of(switched_on: list[int], periods: int, *, users: list[int]) -> float:
    """Heterogeneous and growing: 3 points in the first wave, 5 in the second, 2 in the third, half a point more in each
    period; averaged over the cells that can be compared, by the users of the wave.
    """
    cells = [(effect_of(g, t), n) for g, n in zip(switched_on, users, strict=True) for t in range(g, periods) if g < 11]
    return float(np.average([e for e, _ in cells], weights=[n for _, n in cells]))


def effect_of(g: int, t: int) -> float:
    return {4: 0.03, 6: 0.05, 8: 0.02}.get(g, 0.0) + 0.005 * (t - g) if g <= t and g < 11 else 0.0


def one_product(rng, *, shock: float = 0.0, drift: float = 0.0, has_effect: bool = True):
    """Twelve countries in three waves and one that stays off; `drift`: what the first wave gains in every period."""
    periods, users = 11, []
    for place, g in enumerate(WAVES):
        shares = 0.5 - 0.01 * np.arange(periods) + 0.02 * (place % 4) + rng.normal(0, shock, periods)
        shares = shares + (drift * np.arange(periods) if g == 4 else 0)
        if has_effect:
            shares = shares + np.array([effect_of(g, t) for t in range(periods)])
        users.append(drawn(rng, shares, 1500))
    return rollout_effect(panel_of(users, WAVES))


@pytest.mark.parametrize(("shock", "has_effect"), [(0.0, True), (0.02, True), (0.02, False)])
def test_growing_effects_in_three_waves_are_found_without_bias_and_covered(shock, has_effect):
    """The seed was fixed before looking. With shocks the limits allow for periods that hang together, so those of
    independent ones are covered more often than 95 %.
    """
    truth = truth_of(WAVES, 11, users=[1500] * 12) if has_effect else 0.0
    rng, draws = np.random.default_rng(20261127), 120
    found = [one_product(rng, shock=shock, has_effect=has_effect) for _ in range(draws)]
    estimates = np.array([f.estimate for f in found])
    covered = np.mean([f.ci_low <= truth <= f.ci_high for f in found])
    assert abs(estimates.mean() - truth) < 3 * estimates.std() / np.sqrt(draws)
    assert 0.89 <= covered and (shock or covered <= 0.99)


def test_a_pre_trend_in_one_wave_is_named_and_the_others_are_not():
    found = one_product(np.random.default_rng(20261128), drift=0.02)
    assert found.checks["switched_on"].tolist()[1:] == [4]
    assert found.checks["verdict"].tolist() == ["fails", "fails"]
    assert found.checks["estimate"].iloc[1] == pytest.approx(-0.06, abs=0.02)  # 2 points a period, three periods


def test_without_a_pre_trend_no_wave_is_named_and_enough_users_pass():
    rng, periods = np.random.default_rng(20261129), 6
    users = [drawn(rng, np.full(periods, 0.4 + 0.05 * k), 30_000) for k in range(4)]
    found = rollout_effect(panel_of(users, [4, 4, 6, 6]))
    assert found.checks["verdict"].tolist() == ["passes"]
    assert found.checks["limit"].tolist() == [0.01]


def test_what_cannot_be_compared_is_refused_in_a_sentence():
    rng = np.random.default_rng(1)
    flat = [drawn(rng, np.full(4, 0.5), 100) for _ in range(2)]
    assert "all places are switched on in the same period" in rollout_effect(panel_of(flat, [2, 2])).refused_because
    assert "no place that is switched on" in rollout_effect(panel_of(flat, [4, 4])).refused_because
    few = rollout_effect(panel_of([flat[0][:29], flat[1]], [2, 4]))
    assert "no place that is switched on has 30 users" in few.refused_because and few.left_out == ("place 0",)
    assert "before it is on" in rollout_effect(panel_of(flat, [0, 0])).refused_because
    assert rollout_effect(panel_of(flat[:1] * 301, [1] * 300 + [4])).refused_because.startswith("301 places are too")


def test_a_wave_without_anybody_left_to_compare_with_is_left_out_by_name():
    rng = np.random.default_rng(2)
    flat = [drawn(rng, np.full(6, 0.5), 400) for _ in range(3)]
    found = rollout_effect(panel_of(flat, [2, 3, 5]))
    assert found.left_out == ("place 2",)
    assert set(found.cells[found.cells["since_switch"] >= 0]["switched_on"]) == {2, 3}
    assert found.checks["verdict"].tolist()[0] != "cannot be checked"


def test_one_period_before_the_switch_cannot_be_checked_and_shocks_are_not_known():
    rng = np.random.default_rng(3)
    found = rollout_effect(panel_of([drawn(rng, np.full(4, 0.5), 400) for _ in range(2)], [1, 4]))
    assert (found.checks["verdict"].tolist(), found.shock, found.freedom) == (["cannot be checked"], None, None)


def test_another_level_is_wider_by_its_quantile():
    found = rollout_effect(csdid_panel())
    wider = found.at_level(0.99)
    half = stats.t.ppf(0.995, found.freedom) * found.standard_error
    assert (wider.ci_low, wider.ci_high) == pytest.approx((found.estimate - half, found.estimate + half))
