"""Counts and frames in, estimates with intervals out."""

from launchpad_lib.inference.comparison import compare_rates, score_test_p
from launchpad_lib.inference.experiment import Experiment, experiment_result
from launchpad_lib.inference.lift import LiftEstimate, adjusted_lift, difference_lift, landmark_table
from launchpad_lib.inference.multiplicity import benjamini_hochberg, holm
from launchpad_lib.inference.proportions import Difference, Interval, newcombe, wilson
from launchpad_lib.inference.sample_ratio import SampleRatio, sample_ratio_mismatch
from launchpad_lib.inference.survival import LogRank, SurvivalPoint, kaplan_meier, log_rank, median_survival

__all__ = [
    "Difference",
    "Experiment",
    "Interval",
    "LiftEstimate",
    "LogRank",
    "SampleRatio",
    "SurvivalPoint",
    "adjusted_lift",
    "benjamini_hochberg",
    "compare_rates",
    "difference_lift",
    "experiment_result",
    "holm",
    "kaplan_meier",
    "landmark_table",
    "log_rank",
    "median_survival",
    "newcombe",
    "sample_ratio_mismatch",
    "score_test_p",
    "wilson",
]
