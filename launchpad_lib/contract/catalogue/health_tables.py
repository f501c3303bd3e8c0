"""Result tables of the health pages: latency, crashes, budgets, risk."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import ResultTable
from launchpad_lib.contract.tables import Column

FEATURE = Column("feature_id", "string", True, "the feature")
LOW = Column("ci_low", "float64", False, "lower 95 % limit")
HIGH = Column("ci_high", "float64", False, "upper 95 % limit")
REFUSED = Column("refused_because", "string", False, "why there is no number; NULL where there is one")

CHANGES = ResultTable(
    "changes",
    "one row per feature, signal and change that was found",
    (
        FEATURE,
        Column("signal", "string", True, "what changed: p95_latency_ms"),
        Column("changed_at", "timestamp", True, "first day of the new level, best supported"),
        Column("first_at", "timestamp", False, "earliest of 95 % of the days that the data support"),
        Column("last_at", "timestamp", False, "latest of 95 % of the days that the data support"),
        Column("ratio", "float64", True, "new level / the one just before it"),
        LOW,
        HIGH,
        Column("probability", "float64", True, "that the rise (or fall) is larger than smallest_rise"),
        Column("is_current", "boolean", True, "no later level is back beyond the middle of the two"),
    ),
)
HEALTH = ResultTable(
    "health",
    "one row per feature",
    (
        FEATURE,
        Column("state", "string", True, "worse, healthy, cannot tell: a word of the closed vocabulary"),
        Column("since", "timestamp", False, "since when, where it is known (UTC)"),
        Column("users", "int64", False, "distinct users of the last window; hours where users are unknown"),
        Column("p95_before_ms", "float64", False, "p95 latency of the window before"),
        Column("p95_after_ms", "float64", False, "p95 latency of the last window"),
        Column("detectable_ratio", "float64", False, "smallest rise, as a ratio, that would be found 8 times in 10"),
        Column("reason", "string", True, "why the state is what it is, in words"),
    ),
)
STABILITY = ResultTable(
    "stability",
    "one row per feature with telemetry",
    (
        FEATURE,
        Column("users", "int64", False, "users whose crash flag is known"),
        Column("crash_free_users_rate", "float64", False, "fraction"),
        Column("crash_free_users_low", "float64", False, "lower 95 % limit, Wilson"),
        Column("crash_free_users_high", "float64", False, "upper 95 % limit, Wilson"),
        Column("sessions", "int64", False, "sessions whose crash flag is known"),
        Column("crash_free_sessions_rate", "float64", False, "fraction"),
        Column("crash_free_sessions_low", "float64", False, "lower 95 % limit, Wilson"),
        Column("crash_free_sessions_high", "float64", False, "upper 95 % limit, Wilson"),
        Column("observations", "int64", False, "observations that Apdex judges"),
        Column("apdex", "float64", False, "0 to 1"),
        Column("apdex_low", "float64", False, "lower 95 % limit"),
        Column("apdex_high", "float64", False, "upper 95 % limit"),
    ),
)
OBJECTIVES = ResultTable(
    "objectives",
    "one row per feature and objective",
    (
        FEATURE,
        Column("signal", "string", True, "errors, latency, crashes, availability"),
        Column("state", "string", True, "burns now, burned before, spent, within, cannot tell"),
        Column("sli_rate", "float64", False, "share of the period's observations that did not fail"),
        Column("objective_rate", "float64", True, "the share that the objective asks for"),
        Column("observations", "int64", True, "of the period; of crashes: known users, each once a UTC date"),
        Column(
            "budget_left_share", "float64", False, "share of the failures allowed in the period that did not happen"
        ),
        Column("worst_burn", "float64", False, "largest burn rate of the period that both windows of a pair reached"),
        Column("worst_at", "timestamp", False, "when it was reached (UTC)"),
        Column("used_up", "string", True, "when no budget is left at the present burn, or why that is not told"),
        Column("used_up_at", "timestamp", False, "the same for programs (UTC)"),
        Column("used_up_first_at", "timestamp", False, "lower 95 % limit"),
        Column("used_up_last_at", "timestamp", False, "upper 95 % limit; NULL where it may be never"),
    ),
)
BUDGETS = ResultTable(
    "budgets",
    "one row per feature, objective and pair of windows",
    (
        FEATURE,
        Column("signal", "string", True, "errors, latency, crashes, availability"),
        Column("budget", "float64", True, "share of failures that the objective allows; 0 allows none"),
        Column("long_hours", "float64", True, "length of the long window"),
        Column("short_hours", "float64", True, "length of the short window"),
        Column("factor", "float64", True, "an alert needs a burn rate over it in both windows"),
        Column("events_long", "int64", True, "observations of the long window"),
        Column("bad_long", "int64", True, "failures of the long window"),
        Column("burn_long", "float64", False, "share of failures / budget; NULL without observations or budget"),
        Column("events_short", "int64", True, "observations of the short window"),
        Column("bad_short", "int64", True, "failures of the short window"),
        Column("burn_short", "float64", False, "share of failures / budget; NULL without observations or budget"),
        Column("is_alert", "boolean", False, "NULL where the windows hold no observation"),
        Column("worst_burn", "float64", False, "largest burn rate that both windows reached in the period"),
        Column("worst_at", "timestamp", False, "when it was reached (UTC)"),
        Column("was_alert", "boolean", False, "whether an alert would have fired in the period"),
        REFUSED,
    ),
)
RISK = ResultTable(
    "risk",
    "one row per feature",
    (
        Column("unit", "string", True, "what may degrade: the feature"),
        Column("as_of", "timestamp", False, "last day that was looked at (UTC)"),
        Column("probability", "float64", False, "of degrading within the horizon; NULL where none is published"),
        LOW,
        HIGH,
        Column("state", "string", True, "degraded now, healthy, cannot tell, not asked"),
    ),
)

LATENCY_DAILY = ResultTable(
    "latency_daily",
    "one row per feature and local date with telemetry",
    (
        FEATURE,
        Column("observed_on", "timestamp", True, "the local date"),
        Column("observations", "int64", True, "rows of telemetry"),
        Column("users", "int64", True, "distinct known users"),
        Column("latency_observations", "int64", True, "rows with a latency"),
        Column("p50_latency_ms", "float64", False, "NULL where no latency is known"),
        Column("p95_latency_ms", "float64", False, "NULL where no latency is known"),
        Column("p99_latency_ms", "float64", False, "NULL where no latency is known"),
        Column("crash_free_users_rate", "float64", False, "fraction of users whose crash flag is known"),
        Column("error_rate", "float64", False, "fraction of rows whose errors are known"),
        Column("mean_feedback_score", "float64", False, "1 to 5"),
        Column("p95_7d_latency_ms", "float64", False, "of the 7 calendar days that end here, within 0.4 %"),
    ),
)
REGRESSIONS = ResultTable(
    "regressions",
    "one row per feature with telemetry",
    (
        FEATURE,
        Column("is_regression", "boolean", True, "the level moved up and still stands there"),
        Column("is_judged", "boolean", True, "the level of the history has a p value"),
        Column("before", "float64", False, "p95 latency of the window before, ms"),
        Column("after", "float64", False, "p95 latency of the last window, ms"),
        Column("after_low", "float64", False, "lower 95 % limit of it; users drawn with all their observations"),
        Column("after_high", "float64", False, "upper 95 % limit of it"),
        Column("ratio", "float64", False, "after / before"),
        LOW,
        HIGH,
        Column("p_value", "float64", False, "of no change between the windows"),
        Column("change_q", "float64", False, "adjusted p of no change between the windows"),
        Column("n_before", "int64", False, "observations of the window before"),
        Column("n_after", "int64", False, "observations of the last window"),
        Column("units_before", "int64", False, "users, or hours where they are unknown"),
        Column("units_after", "int64", False, "users, or hours where they are unknown"),
        Column(
            "mix_share_platform", "float64", False, "share of the log change that another mix of platforms explains"
        ),
        Column("mix_share_app_version", "float64", False, "share that another mix of versions explains"),
        Column("shift_on", "timestamp", False, "best supported first day of a new level"),
        Column("shift_first_on", "timestamp", False, "earliest of 95 % of the days that the data support"),
        Column("shift_last_on", "timestamp", False, "latest of 95 % of the days that the data support"),
        Column("shift_ratio", "float64", False, "new level / old level"),
        Column("shift_low", "float64", False, "lower 95 % limit"),
        Column("shift_high", "float64", False, "upper 95 % limit"),
        Column("shift_probability", "float64", False, "that it is larger than smallest_rise"),
        Column("shift_p", "float64", False, "of no shift, the search over all days included"),
        Column("shift_q", "float64", False, "adjusted p of no shift"),
        Column("days_above", "float64", False, "of the last days, those above the middle of the two levels"),
        Column("days_of", "float64", False, "last days since the shift, at most a window"),
        Column("detectable_ratio", "float64", False, "rise, as a ratio, that is found 8 times in 10 after a week"),
        Column("annotation", "string", False, "deployment or incident near the shift"),
        REFUSED,
        Column("shift_refused", "string", False, "why no shift could be looked for"),
    ),
)
SILENCE = ResultTable(
    "silence",
    "one row per feature, in telemetry or declared",
    (
        FEATURE,
        Column("last_on", "timestamp", False, "last local date with telemetry"),
        Column("days_observed", "int64", True, "dates with telemetry"),
        Column("longest_gap_days", "int64", False, "longest step between neighbouring dates; 1 is a row every day"),
        Column("days_silent", "int64", False, "dates since, up to the end of telemetry"),
        Column("is_silent", "boolean", False, "more than twice its longest step; NULL where too few dates are known"),
    ),
)
OUTAGES = ResultTable(
    "outages",
    "one row per feature and silence that is over",
    (
        FEATURE,
        Column("started_at", "timestamp", True, "begin of its first hour without a row (UTC)"),
        Column("ended_at", "timestamp", True, "begin of the first hour with rows again (UTC)"),
        Column("silent_hours", "int64", True, "whole hours without a row"),
        Column("expected", "float64", True, "rows of the same weekday and hours, mean of the weeks before"),
        Column("weeks", "int64", True, "how many weeks those were, at most 8"),
    ),
)
STATES = ResultTable(
    "states",
    "one row per feature, in telemetry or declared",
    (
        FEATURE,
        Column("state", "string", True, "degraded now, healthy, cannot tell, not asked"),
        Column("as_of_on", "timestamp", False, "last date that can be judged"),
        Column("since_on", "timestamp", False, "first missed date of the run that leads to now"),
        Column("days_missed", "int64", False, "of the last dates, those on which an objective was missed"),
        Column("days_known", "int64", False, "of the last dates, those that can be judged"),
        Column("missed", "string", False, "objectives that were missed since then"),
        Column("reason", "string", True, "why the state is what it is"),
    ),
)
RISK_SCORES = ResultTable(
    "risk_scores",
    "one row per score: the model and its baselines",
    (
        Column("name", "string", False, "model, or a baseline"),
        *(
            Column(f"{measure}{end}", "float64", False, f"{words}{limit}")
            for measure, words in (
                ("pr_auc", "average precision on later days"),
                ("roc_auc", "area under the ROC curve"),
                ("brier", "mean squared error of the probabilities"),
                ("brier_skill", "1 - Brier score / that of the base rate"),
                ("recall_at_top", "degradations among the first of their day"),
            )
            for end, limit in (("", ""), ("_low", ", lower 95 % limit"), ("_high", ", upper 95 % limit"))
        ),
        Column("n_test", "int64", False, "feature-days of the test period"),
        Column("positives_test", "int64", False, "of these, those that degrade"),
        REFUSED,
    ),
)
RISK_RANKS = ResultTable(
    "risk_ranks",
    "one row per healthy feature that was scored, in the order to look",
    (
        FEATURE,
        Column("rank", "int64", True, "by impact"),
        Column("rank_low", "int64", True, "2.5 % of the draws rank it higher"),
        Column("rank_high", "int64", True, "2.5 % of the draws rank it lower"),
        Column("impact_score", "float64", True, "probability x users a week x severity"),
        LOW,
        HIGH,
        Column("p_degrade", "float64", True, "probability of degrading within the horizon"),
        Column("users_per_week", "int64", True, "distinct users of the last 7 days"),
        Column("severity", "float64", True, "p95 latency over its objective, at least 1"),
        Column("because", "string", True, "the input farthest above the features' usual"),
    ),
)

HEALTH_TABLES: tuple[ResultTable, ...] = (
    CHANGES,
    HEALTH,
    STABILITY,
    OBJECTIVES,
    BUDGETS,
    RISK,
    LATENCY_DAILY,
    REGRESSIONS,
    SILENCE,
    OUTAGES,
    STATES,
    RISK_SCORES,
    RISK_RANKS,
)
