"""The effect on those who complied, against the definition of its limits, instrumental variables, and known truths."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from statsmodels.sandbox.regression.gmm import IV2SLS

from launchpad_lib.inference.complier import AssignedArm, complier_effect


def arm(did: np.ndarray, returned: np.ndarray) -> AssignedArm:
    return AssignedArm(len(did), int(did.sum()), int(returned.sum()), int((did & returned).sum()))


def drawn(rng, n: int, *, base: float, complies: float, effect: float, hidden: float = 0.2):
    """Users with a hidden type that makes them do it and come back; the variant makes a share of the others do it."""
    parts = []
    for is_shown in (True, False):
        kind, luck = rng.random(n) < 0.5, rng.random(n)
        did = (rng.random(n) < base + hidden * kind) | (is_shown & (luck < complies))
        returned = rng.random(n) < 0.3 + hidden * kind + effect * did
        parts.append((did, returned))
    return parts


def test_the_estimate_is_that_of_two_stage_least_squares():
    variant, control = drawn(np.random.default_rng(1), 2000, base=0.1, complies=0.4, effect=0.1)
    did, returned = (np.concatenate([v, c]).astype(float) for v, c in zip(variant, control, strict=True))
    shown = np.repeat([1.0, 0.0], 2000)
    design, instruments = (np.column_stack([np.ones(4000), column]) for column in (did, shown))
    expected = IV2SLS(returned, design, instruments).fit().params[1]
    assert complier_effect(arm(*variant), arm(*control)).estimate == pytest.approx(expected)


def test_the_limits_are_the_effects_that_do_not_differ_between_the_arms():
    """Anderson and Rubin, by their definition: b is inside where y - b d passes a test at its level."""
    (dv, yv), (dc, yc) = drawn(np.random.default_rng(2), 1500, base=0.1, complies=0.3, effect=0.1)
    found = complier_effect(arm(dv, yv), arm(dc, yc))
    z = stats.norm.ppf(0.975)

    def is_inside(b: float) -> bool:
        v, c = yv - b * dv, yc - b * dc
        return abs(v.mean() - c.mean()) <= z * sqrt(v.var(ddof=1) / len(v) + c.var(ddof=1) / len(c))

    for limit, out in ((found.ci_low, -1e-6), (found.ci_high, 1e-6)):
        assert is_inside(limit - out) and not is_inside(limit + out)


@pytest.mark.parametrize("complies", [0.0, 0.01, 0.03, 0.1, 0.5])
def test_the_limits_hold_however_few_comply(complies):
    """With a hidden type behind doing it and return; an effect that is refused excludes nothing. Seed before looking."""
    rng, draws, wrong = np.random.default_rng((20261126, int(100 * complies))), 600, 0
    for _ in range(draws):
        variant, control = drawn(rng, 1000, base=0.1, complies=complies, effect=0.15)
        found = complier_effect(arm(*variant), arm(*control))
        wrong += found.ci_low is not None and not found.ci_low <= 0.15 <= found.ci_high
    assert wrong / draws <= 0.05 + 3 * sqrt(0.05 * 0.95 / draws)


def test_an_assignment_that_moves_nobody_has_no_effect_to_tell():
    same = AssignedArm(1000, 300, 400, 150)
    found = complier_effect(same, same)
    assert found.estimate is None and "made nobody do it" in found.refused_because
    few = complier_effect(AssignedArm(1000, 310, 420, 150), same)
    assert few.estimate is None and "too few users to do it" in few.refused_because and few.share > 0
    assert "an arm has 29 users; each needs 30" in complier_effect(AssignedArm(29, 9, 9, 9), same).refused_because
