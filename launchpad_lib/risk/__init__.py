"""Which feature will degrade next: a forward-looking label, inputs as of the cut-off, baselines beside the model."""

from launchpad_lib.risk.impact import in_order_to_look, is_first_known, published_scores, risk_table, score
from launchpad_lib.risk.model import Evaluation, evaluate, predict
from launchpad_lib.risk.panel import INPUTS, OBJECTIVES, breaches, declared_objectives, risk_panel
from launchpad_lib.risk.scores import feature_weights, ranking_scores, recall_at_top, reliability_bins
from launchpad_lib.risk.state import judged, state_days, state_table

__all__ = [
    "INPUTS",
    "OBJECTIVES",
    "Evaluation",
    "breaches",
    "declared_objectives",
    "evaluate",
    "feature_weights",
    "in_order_to_look",
    "is_first_known",
    "judged",
    "predict",
    "published_scores",
    "ranking_scores",
    "recall_at_top",
    "reliability_bins",
    "risk_panel",
    "risk_table",
    "score",
    "state_days",
    "state_table",
]
