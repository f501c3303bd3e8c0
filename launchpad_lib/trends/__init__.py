"""What moved over time: shifts of level, drift of distributions, burn of error budgets."""

from launchpad_lib.trends.burn_rate import WINDOWS, BurnWindow, burn_rates
from launchpad_lib.trends.changepoints import LevelShift, level_shifts, spell_contrast_sd
from launchpad_lib.trends.drift import decile_counts, drift_between, drift_table, one_row_per_unit, psi_of_counts
from launchpad_lib.trends.series import nearest_annotation, shift_table, spell_noise_of_change

__all__ = [
    "WINDOWS",
    "BurnWindow",
    "LevelShift",
    "burn_rates",
    "decile_counts",
    "drift_between",
    "drift_table",
    "level_shifts",
    "nearest_annotation",
    "one_row_per_unit",
    "psi_of_counts",
    "shift_table",
    "spell_contrast_sd",
    "spell_noise_of_change",
]
