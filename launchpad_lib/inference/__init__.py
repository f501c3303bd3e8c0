"""Counts and frames in, estimates with intervals out."""

from launchpad_lib.inference.benchmark import Benchmark, benchmark, bounded_estimate, independent_columns
from launchpad_lib.inference.comparison import compare_rates, largest_differs_p, score_test_p, unequal_rates_p
from launchpad_lib.inference.correlates import Ratio, compare_correlates, odds_ratio, share_ratio
from launchpad_lib.inference.doubt import EValue, Placebo, control_exposure, doubt_table, e_value, robustness_value
from launchpad_lib.inference.effects import ESTIMANDS, CrossFit, Effect, Estimand, crossfit_effects, crossfit_outcomes
from launchpad_lib.inference.experiment import Decision, Shortfall, best_first, decide
from launchpad_lib.inference.means import (
    Contrast,
    Moments,
    absolute_difference,
    fieller_difference,
)
from launchpad_lib.inference.multiplicity import benjamini_hochberg, holm
from launchpad_lib.inference.proportions import Difference, Interval, newcombe, wilson
from launchpad_lib.inference.quantiles import QuantileChange, mix_share, quantile_change, quantile_draws
from launchpad_lib.inference.ratio_change import RatioSums, ratio_change
from launchpad_lib.inference.regression import quantile_changes, regression_table
from launchpad_lib.inference.sample_ratio import SampleRatio, sample_ratio_mismatch
from launchpad_lib.inference.survival import LogRank, SurvivalPoint, kaplan_meier, log_rank, median_survival
from launchpad_lib.inference.variants import compare_variants

__all__ = [
    "ESTIMANDS",
    "Estimand",
    "Benchmark",
    "Contrast",
    "CrossFit",
    "Decision",
    "Difference",
    "EValue",
    "Effect",
    "Interval",
    "LogRank",
    "Moments",
    "Placebo",
    "QuantileChange",
    "Ratio",
    "RatioSums",
    "SampleRatio",
    "Shortfall",
    "SurvivalPoint",
    "absolute_difference",
    "benchmark",
    "benjamini_hochberg",
    "best_first",
    "bounded_estimate",
    "compare_correlates",
    "compare_rates",
    "compare_variants",
    "largest_differs_p",
    "unequal_rates_p",
    "crossfit_effects",
    "crossfit_outcomes",
    "decide",
    "control_exposure",
    "doubt_table",
    "e_value",
    "fieller_difference",
    "holm",
    "independent_columns",
    "kaplan_meier",
    "log_rank",
    "median_survival",
    "mix_share",
    "newcombe",
    "odds_ratio",
    "quantile_change",
    "share_ratio",
    "quantile_changes",
    "quantile_draws",
    "ratio_change",
    "regression_table",
    "robustness_value",
    "sample_ratio_mismatch",
    "score_test_p",
    "wilson",
]
