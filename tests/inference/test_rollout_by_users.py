"""Every number of a roll-out again from the users themselves and from regressions of statsmodels, and a complier by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from launchpad_lib.inference.complier import AssignedArm, complier_effect
from launchpad_lib.inference.rollout import (
    CELL_COLUMNS,
    CHECK_COLUMNS,
    STUDY_COLUMNS,
    RolloutPanel,
    rollout_effect,
)
from tests.inference.test_rollout import drawn, panel_of

SWITCHED_ON = [3, 3, 5, 6, 7]
SIZES = [300, 200, 250, 150, 400]
PERIODS = 7


def world(seed: int = 4, shock: float = 0.05) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [drawn(rng, 0.4 + rng.normal(0, shock, PERIODS), n) for n in SIZES]


def weights_of(g: int, t: int) -> np.ndarray:
    """What every place and period weighs in the cell of a wave and a period, one place at a time."""
    own = [k for k, on in enumerate(SWITCHED_ON) if on == g]
    others = [k for k, on in enumerate(SWITCHED_ON) if on > max(t, g - 1) and on != g]
    weights = np.zeros((len(SIZES), PERIODS))
    for places, sign in ((own, 1), (others, -1)):
        for k in places:
            part = sign * SIZES[k] / sum(SIZES[j] for j in places)
            weights[k, t] += part
            weights[k, g - 1] -= part
    return weights


def shock_of(users: list[np.ndarray]) -> tuple[float, int]:
    """Variance of place-wide shocks: the weighted residuals of places and periods before the first switch, beyond what
    the users explain; the residual maker is made of regressions, one for every place and period."""
    early = min(SWITCHED_ON)
    cells = [(k, t) for k in range(len(users)) for t in range(early)]
    design = np.array(
        [[k == j for j in range(len(users))] + [t == s for s in range(1, early)] for k, t in cells], float
    )
    weights = np.array([SIZES[k] for k, _ in cells]) / np.mean(SIZES)
    shares = np.array([users[k][:, t].mean() for k, t in cells])
    fit = sm.WLS(shares, design, weights=weights).fit()
    chance = np.zeros((len(cells), len(cells)))
    for a, (k, t) in enumerate(cells):
        for b, (j, s) in enumerate(cells):
            if k == j:
                chance[a, b] = np.cov(users[k][:, t], users[k][:, s])[0, 1] / SIZES[k]
    maker = np.array([weights * sm.WLS(one, design, weights=weights).fit().resid for one in np.eye(len(cells))])
    squares = float((weights * fit.resid**2).sum())
    return max(squares - float((maker * chance).sum()), 0.0) / float(np.trace(maker)), (len(users) - 1) * (early - 1)


def told(users: list[np.ndarray], weights: np.ndarray, *, has_shocks: bool = True) -> tuple[float, float, float | None]:
    """Estimate, standard error and degrees of freedom of weighted shares: each user's weighted sum is one number."""
    sums = [own @ weights[k] for k, own in enumerate(users)]
    by_users = sum(s.var(ddof=1) / len(s) for s in sums)
    shock, freedom = shock_of(users) if has_shocks else (0.0, 0)
    sides = sum(row[row > 0].sum() ** 2 + row[row < 0].sum() ** 2 for row in weights)
    total = by_users + shock * sides
    estimate = float(sum(s.mean() for s in sums))
    return estimate, total**0.5, freedom * (total / (shock * sides)) ** 2 if shock else None


def limits(estimate: float, error: float, freedom: float | None, level: float = 0.95) -> tuple[float, float]:
    quantile = stats.norm.ppf((1 + level) / 2) if freedom is None else stats.t.ppf((1 + level) / 2, freedom)
    return estimate - quantile * error, estimate + quantile * error


USERS = world()


def test_every_cell_has_the_limits_of_its_users_and_of_the_shocks_of_places():
    found = rollout_effect(panel_of(USERS, SWITCHED_ON), level=0.9)
    assert tuple(found.cells.columns) == CELL_COLUMNS
    assert found.shock is not None and found.shock > 0.02
    assert found.shock**2 == pytest.approx(shock_of(USERS)[0])
    asked = [(g, t) for g in (3, 5, 6) for t in range(PERIODS) if t != g - 1]
    assert list(zip(found.cells["switched_on"], found.cells["period"], strict=True)) == asked
    for row in found.cells.itertuples():
        estimate, error, freedom = told(USERS, weights_of(row.switched_on, row.period))
        assert row.estimate == pytest.approx(estimate)
        assert (row.ci_low, row.ci_high) == pytest.approx(limits(estimate, error, freedom, 0.9))
        assert row.since_switch == row.period - row.switched_on
        assert row.n_treated == {3: 500, 5: 250, 6: 150}[row.switched_on]
        later = max(row.period, row.switched_on - 1)
        assert row.n_control == sum(n for n, on in zip(SIZES, SWITCHED_ON, strict=True) if on > later and (
            on != row.switched_on))  # fmt: skip


def test_the_whole_and_the_study_weigh_waves_by_their_users():
    found = rollout_effect(panel_of(USERS, SWITCHED_ON))
    after = [(g, t) for g in (3, 5, 6) for t in range(g, PERIODS)]
    size = {3: 500, 5: 250, 6: 150}

    def average(cells):
        return sum(weights_of(g, t) * size[g] for g, t in cells) / sum(size[g] for g, _ in cells)

    estimate, error, freedom = told(USERS, average(after))
    assert (found.estimate, found.standard_error, found.freedom) == pytest.approx((estimate, error, freedom))
    assert (found.ci_low, found.ci_high) == pytest.approx(limits(estimate, error, freedom))
    assert (found.n_treated, found.n_control, found.left_out, found.refused_because) == (900, 800, (), None)
    assert tuple(found.study.columns) == STUDY_COLUMNS
    assert found.study["since_switch"].tolist() == [-6, -5, -4, -3, -2, 0, 1, 2, 3]
    for row in found.study.itertuples():
        own = [(g, g + row.since_switch) for g in (3, 5, 6) if 0 <= g + row.since_switch < PERIODS]
        estimate, error, freedom = told(USERS, average(own))
        assert row.estimate == pytest.approx(estimate)
        assert (row.ci_low, row.ci_high) == pytest.approx(limits(estimate, error, freedom))
        assert row.n_treated == sum(size[g] for g, _ in own)
        assert row.n_control == max(
            sum(n for n, on in zip(SIZES, SWITCHED_ON, strict=True) if on > max(t, g - 1) and on != g) for g, t in own
        )


def test_the_check_before_the_switch_weighs_waves_as_the_effect_does_and_leaves_shocks_out():
    found = rollout_effect(panel_of(USERS, SWITCHED_ON))
    assert tuple(found.checks.columns) == CHECK_COLUMNS
    cells = {3: 4, 5: 2, 6: 1}  # periods in which each wave is compared
    size = {3: 500, 5: 250, 6: 150}
    whole = sum(weights_of(g, 0) * size[g] * n for g, n in cells.items()) / sum(size[g] * n for g, n in cells.items())
    estimate, error, _ = told(USERS, whole, has_shocks=False)
    row = found.checks.iloc[0]
    assert row["estimate"] == pytest.approx(estimate)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(limits(estimate, error, None))
    assert row["limit"] == pytest.approx(max(0.01, abs(found.estimate) / 3)) and row["n"] == 900
    assert pd.isna(row["switched_on"]) and pd.isna(row["refused_because"])
    named = {}
    for g in cells:  # limits of three waves at once
        estimate, error, _ = told(USERS, weights_of(g, 0), has_shocks=False)
        low, high = limits(estimate, error, None, 1 - 0.05 / 3)
        if not low <= 0 <= high and abs(estimate) > row["limit"]:
            named[g] = (estimate, low, high)
    assert named and found.checks["switched_on"].tolist()[1:] == list(named)
    for one in found.checks.iloc[1:].itertuples():
        assert (one.estimate, one.ci_low, one.ci_high) == pytest.approx(named[one.switched_on])
        assert (one.n, one.verdict, one.limit, one.refused_because) == (
            size[one.switched_on],
            "fails",
            row["limit"],
            None,
        )


def test_a_wave_with_one_period_before_is_left_out_of_the_check_which_says_so():
    flat = world(seed=8, shock=0.0)
    found = rollout_effect(panel_of(flat, [1, 3, 3, 7, 7]))
    row = found.checks.iloc[0]
    assert row["refused_because"] == (
        "one period before the switch is too few: at least two are needed; told without the waves that have no more"
    )
    of_wave = rollout_effect(panel_of(flat, [1, 3, 3, 7, 7])).cells.set_index(["switched_on", "period"])["estimate"]
    assert row["estimate"] == pytest.approx(of_wave[3, 0]) and row["n"] == 300 + 450


def test_places_at_the_edge_of_what_is_asked_for():
    flat = world(seed=8, shock=0.0)
    panel = panel_of([flat[0][:30], flat[1][:29], flat[2], flat[3][:1], flat[4]], [3, 3, 5, 5, 0])
    found = rollout_effect(panel)
    assert found.left_out == ("place 1", "place 3", "place 4", "place 2") and found.n_treated == 30
    one = rollout_effect(panel, min_users=1)  # two users are needed for a variance
    assert one.left_out == ("place 3", "place 4", "place 2") and one.n_treated == 59
    with_rest = rollout_effect(panel_of([*flat[:2], flat[2][:30]], [3, 3, 7]))
    assert (with_rest.left_out, with_rest.n_control, with_rest.n_treated) == ((), 30, 500)
    many = RolloutPanel(
        tuple(f"p{k}" for k in range(300)), np.array([2] * 299 + [3]), np.full(300, 40),
        np.tile([20, 20, 20], (300, 1)), np.full((300, 3, 3), 10),
    )  # fmt: skip
    assert rollout_effect(many).refused_because is None
    refused = rollout_effect(panel_of(flat[:1], [3]))
    assert (refused.n_treated, refused.n_control, refused.shock, refused.freedom) == (0, 0, None, None)
    assert (
        refused.at_level(0.5) == refused and [len(t) for t in (refused.cells, refused.study, refused.checks)] == [0] * 3
    )
    assert [tuple(t.columns) for t in (refused.cells, refused.study, refused.checks)] == [
        CELL_COLUMNS, STUDY_COLUMNS, CHECK_COLUMNS,
    ]  # fmt: skip


def test_a_complier_effect_by_hand():
    """600 of 1,000 against 200 of 800 did it, 400 against 280 returned: (0.4 - 0.35) / (0.6 - 0.25)."""
    variant, control = AssignedArm(1000, 600, 400, 300), AssignedArm(800, 200, 280, 90)
    found = complier_effect(variant, control, level=0.9)
    assert found.estimate == pytest.approx(0.05 / 0.35) and found.share == pytest.approx(0.35)
    error = (0.6 * 0.4 / 999 + 0.25 * 0.75 / 799) ** 0.5
    z = stats.norm.ppf(0.95)
    assert (found.share_low, found.share_high) == pytest.approx((0.35 - z * error, 0.35 + z * error))
    for b in (found.ci_low, found.ci_high):  # a limit is an effect that just differs at its level
        spread = 0.0
        for n, d, y, both in ((1000, 0.6, 0.4, 0.3), (800, 0.25, 0.35, 0.1125)):
            spread += (y * (1 - y) - 2 * b * (both - d * y) + b * b * d * (1 - d)) / (n - 1)
        assert abs(0.05 - 0.35 * b) == pytest.approx(z * spread**0.5)
    assert found.ci_low < found.estimate < found.ci_high and found.refused_because is None


def test_arms_at_the_edge_of_what_is_told():
    thirty = AssignedArm(30, 20, 15, 10), AssignedArm(40, 1, 12, 1)
    assert complier_effect(*thirty).refused_because is None
    assert complier_effect(*thirty[::-1]).refused_because == (
        "no more users did it in the variant than in the control, so the assignment made nobody do it"
    )
    assert complier_effect(*thirty[::-1]).share == pytest.approx(1 / 40 - 20 / 30)
    same = complier_effect(thirty[0], thirty[0])
    assert same.share == 0 and same.estimate is None and "made nobody do it" in str(same.refused_because)
    few = complier_effect(AssignedArm(1, 1, 1, 1), thirty[1], min_users=0)
    assert few == (None,) * 6 + ("an arm has 1 users; each needs 2",)
    assert complier_effect(AssignedArm(2, 2, 1, 1), AssignedArm(2, 0, 1, 0), min_users=0).share == 1.0
