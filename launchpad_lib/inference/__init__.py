"""Counts and frames in, estimates with intervals out."""

from launchpad_lib.inference.doubt import EValue, doubt_table, e_value
from launchpad_lib.inference.experiment import Experiment, experiment_result
from launchpad_lib.inference.lift import LiftEstimate, adjusted_lift, difference_lift, landmark_table
from launchpad_lib.inference.proportions import Difference, Interval, newcombe, wilson
from launchpad_lib.inference.quantiles import QuantileChange, mix_share, quantile_change, quantile_draws
from launchpad_lib.inference.regression import quantile_changes, regression_table
from launchpad_lib.inference.sample_ratio import SampleRatio, sample_ratio_mismatch
from launchpad_lib.inference.starters import starter_table
from launchpad_lib.inference.weighting import CrossFit, Effect, Support, crossfit_effects

__all__ = [
    "CrossFit",
    "Difference",
    "EValue",
    "Effect",
    "Experiment",
    "Interval",
    "LiftEstimate",
    "QuantileChange",
    "SampleRatio",
    "Support",
    "adjusted_lift",
    "crossfit_effects",
    "difference_lift",
    "doubt_table",
    "e_value",
    "experiment_result",
    "landmark_table",
    "mix_share",
    "newcombe",
    "quantile_change",
    "quantile_changes",
    "quantile_draws",
    "regression_table",
    "sample_ratio_mismatch",
    "starter_table",
    "wilson",
]
