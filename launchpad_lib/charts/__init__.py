"""Result table in, chart out; the title is the question, intervals are drawn.

Whatever the table holds, a chart stands: the number of its marks is bounded, its names fit, and where there is nothing
to draw it says why in one sentence (the table's `refused_because`, where it has one).
"""

from launchpad_lib.charts.comparisons import (
    balance_chart,
    difference_chart,
    drift_chart,
    event_study_chart,
    forest_chart,
    funnel_chart,
    interval_bars,
    rates_by,
    ratio_chart,
)
from launchpad_lib.charts.courses import (
    active_users_chart,
    bar_counts,
    lifecycle_chart,
    rate_by_period,
)
from launchpad_lib.charts.distributions import (
    cohort_matrix,
    distribution_chart,
    matrix_chart,
    reliability_diagram,
    retention_chart,
    survival_chart,
)
from launchpad_lib.charts.experiments import detectable_chart, effect_by_day, lift_chart
from launchpad_lib.charts.incidents import incident_chart
from launchpad_lib.charts.levels import level_chart
from launchpad_lib.charts.multiples import latency_chart

__all__ = [
    "active_users_chart",
    "balance_chart",
    "bar_counts",
    "cohort_matrix",
    "detectable_chart",
    "difference_chart",
    "distribution_chart",
    "drift_chart",
    "effect_by_day",
    "event_study_chart",
    "forest_chart",
    "funnel_chart",
    "incident_chart",
    "interval_bars",
    "latency_chart",
    "level_chart",
    "lifecycle_chart",
    "lift_chart",
    "matrix_chart",
    "rate_by_period",
    "rates_by",
    "ratio_chart",
    "reliability_diagram",
    "retention_chart",
    "survival_chart",
]
