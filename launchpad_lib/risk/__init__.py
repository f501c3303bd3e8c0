"""Which feature will degrade next: a forward-looking label, inputs as of the cut-off, baselines beside the model."""

from launchpad_lib.risk.impact import score
from launchpad_lib.risk.model import Evaluation, evaluate, predict
from launchpad_lib.risk.panel import INPUTS, breaches, risk_panel
from launchpad_lib.risk.scores import feature_weights, ranking_scores, recall_at_top, reliability_bins

__all__ = [
    "INPUTS",
    "Evaluation",
    "breaches",
    "evaluate",
    "feature_weights",
    "predict",
    "ranking_scores",
    "recall_at_top",
    "reliability_bins",
    "risk_panel",
    "score",
]
