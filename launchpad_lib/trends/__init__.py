"""What moved over time: incidents, shifts of level, drift of distributions, burn of error budgets."""

from launchpad_lib.trends.burn_rate import WINDOWS, BurnWindow, burn_rates
from launchpad_lib.trends.drift import drift_between, drift_table, new_values, one_row_per_unit
from launchpad_lib.trends.drift_tests import Difference, decile_counts, psi_of_counts
from launchpad_lib.trends.incidents import BUDGETS, MINUTES, Watched, watched
from launchpad_lib.trends.level_noise import spell_contrast_sd
from launchpad_lib.trends.levels import LevelChange, Levels, level_changes
from launchpad_lib.trends.objectives import SIGNALS, budget_table, budgets_of
from launchpad_lib.trends.outages import MOST_WEEKS, outage_table
from launchpad_lib.trends.series import LevelTables, level_tables, nearest_annotation, spell_noise_of_change
from launchpad_lib.trends.silence import silence_table

__all__ = [
    "BUDGETS",
    "MINUTES",
    "MOST_WEEKS",
    "SIGNALS",
    "WINDOWS",
    "BurnWindow",
    "Difference",
    "LevelChange",
    "LevelTables",
    "Levels",
    "Watched",
    "budget_table",
    "budgets_of",
    "burn_rates",
    "decile_counts",
    "drift_between",
    "drift_table",
    "level_changes",
    "level_tables",
    "nearest_annotation",
    "new_values",
    "one_row_per_unit",
    "outage_table",
    "psi_of_counts",
    "silence_table",
    "spell_contrast_sd",
    "spell_noise_of_change",
    "watched",
]
