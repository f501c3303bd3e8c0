"""Which baseline the model is held against: the one with the smallest error on the days, not on a draw of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from launchpad_lib.risk import evaluate
from tests.risk.test_risk_numbers import HORIZON, expected_scores, panel_of

BASELINES = ("base rate", "persistence", "best single signal")


@pytest.mark.parametrize("seed", range(4))
def test_the_gain_is_that_over_the_best_baseline_whatever_was_drawn(seed):
    """Labels that follow nothing: base rate and best single signal are about equally good; scikit-learn's Brier scores."""
    panel = panel_of(strength=0.0, seed=11)
    scores, test = expected_scores(panel)
    truth = test["degrades"].to_numpy()
    errors = {name: brier_score_loss(truth, p) for name, p in scores.items()}
    found = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(seed))
    assert found.gain == pytest.approx(min(errors[name] for name in BASELINES) - errors["model"])
    assert found.importance.columns.tolist() == ["input", "brier_rise", "ci_low", "ci_high"]
