"""Is it healthy: latency, crashes, budgets, risk."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.health_tables import HEALTH_TABLES
from launchpad_lib.contract.catalogue.metric import Metric, ResultTable

LATENCY_REGRESSIONS = Metric(
    name="latency_regressions",
    label="Features that got slower",
    question="How many features became slower and stayed so?",
    numerator="features whose level of daily p95 latency rose and still stands there, with an adjusted p under 0.05"
    " (Benjamini-Hochberg over features), up on {sustained_days} of the last {window_days} days (or as large a share of"
    " the days since) and not surely by less than {smallest_rise}",
    denominator="features that could be judged",
    interval="",
    unit="count",
    direction="lower",
    maturity="{unjudged} features could not be judged and are in neither count",
    source="shared definitions, Telemetry: regression",
)
P95_CHANGE_WORST = Metric(
    name="p95_latency_change_worst",
    label="Largest change of p95 latency",
    question="How much slower did the worst feature get from one week to the next?",
    numerator="p95 latency of the last {window_days} days / that of the {window_days} days before, minus 1; the"
    " largest over features, so it overstates",
    denominator="observations of the feature in the last {window_days} days",
    interval="bootstrap clustered by user (by hour where the user is unknown), slow spells added, 95 %",
    unit="fraction",
    direction="lower",
    maturity="",
    source="shared definitions, Telemetry: latency",
)
CRASH_FREE_USERS_WORST = Metric(
    name="crash_free_users_worst",
    label="Crash-free users, lowest",
    question="In which feature do most users meet a crash?",
    numerator="users without a crash; the lowest over features",
    denominator="users whose crash flag is known, over all telemetry of the feature",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity="",
    source="shared definitions, Telemetry: crash-free users",
)
APDEX_WORST = Metric(
    name="apdex_worst",
    label="Apdex, lowest",
    question="Which feature satisfies its users least by its latency?",
    numerator="observations of at most {threshold_ms} ms, and half of those up to {tolerated_ms} ms; one with an error"
    " is frustrated; the lowest over features",
    denominator="observations of the feature with a latency or an error",
    interval="normal approximation 95 %",
    unit="score",
    direction="higher",
    maturity="",
    source="Apdex Technical Specification 1.1",
)
BUDGET_ALERTS = Metric(
    name="budget_alerts",
    label="Features that burn their error budget",
    question="How many features spend their error budget too fast now?",
    numerator="features with a burn rate over the factor in a long and in a short window (14.4 at 1 h and 5 min, 6 at"
    " 6 h and 30 min, 3 at 1 day and 2 h, 1 at 3 days and 6 h), guarded by an exact binomial test; an objective of"
    " 100 % has no budget, so any failure of the last 3 days counts",
    denominator="features with an objective (errors, latency, crashes, availability) that could be judged",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="Google SRE Workbook, chapter 5",
)
SILENT_FEATURES = Metric(
    name="silent_features",
    label="Features that fell silent",
    question="Which features stopped sending telemetry?",
    numerator="features without a row for more than twice their longest earlier gap between days",
    denominator="features with telemetry on at least 5 days",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Telemetry: a missing bucket is a gap",
)
DEGRADED_NOW = Metric(
    name="features_degraded_now",
    label="Features degraded now",
    question="How many features miss an objective now?",
    numerator="features that missed a declared objective on {breach_days} or more of their last {state_days} days",
    denominator="features with a declared objective that could be judged",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Risk: state before prediction",
)
RISK_MODEL_USED = Metric(
    name="risk_model_used",
    label="Brier skill of the score used, {score}",
    question="Does the score know more than the base rate?",
    numerator="1 − Brier score / Brier score of the base rate, on later days; of the model, or of the baseline that it"
    " is not shown to beat",
    denominator="feature-days of the test period",
    interval="bootstrap over whole features, 95 %",
    unit="score",
    direction="higher",
    maturity="",
    source="shared definitions, Risk: report",
)
RISK_PR_AUC = Metric(
    name="risk_pr_auc",
    label="PR-AUC of the score used, {score}",
    question="How well are degradations ranked first?",
    numerator="average precision on later days; the base rate's is the share of degradations",
    denominator="feature-days of the test period",
    interval="bootstrap over whole features, 95 %",
    unit="score",
    direction="higher",
    maturity="",
    source="shared definitions, Risk: report",
)
RISK_RECALL_AT_TOP = Metric(
    name="risk_recall_at_top",
    label="Degradations among the top {top} of a day",
    question="Of what degrades, how much would a team that can look at {top} features a day see?",
    numerator="feature-days that degrade and are ranked among the first {top} features of their day",
    denominator="feature-days of the test period; the share is of those that degrade",
    interval="bootstrap over whole features, 95 %",
    unit="fraction",
    direction="higher",
    maturity="",
    source="shared definitions, Risk: report",
)
RISK_TOP_IMPACT = Metric(
    name="risk_top_impact",
    label="Highest impact score",
    question="Which feature would hurt most users if it degraded?",
    numerator="probability of degrading in the next {horizon_days} days × distinct users of the last 7 days × severity"
    " (p95 latency over its objective, at least 1); the highest over features",
    denominator="features that were ranked",
    interval="bootstrap over whole features, 95 %",
    unit="score",
    direction="lower",
    maturity="",
    source="shared definitions, Risk: impact",
)

METRICS: tuple[Metric, ...] = (
    LATENCY_REGRESSIONS,
    P95_CHANGE_WORST,
    CRASH_FREE_USERS_WORST,
    APDEX_WORST,
    BUDGET_ALERTS,
    SILENT_FEATURES,
    DEGRADED_NOW,
    RISK_MODEL_USED,
    RISK_PR_AUC,
    RISK_RECALL_AT_TOP,
    RISK_TOP_IMPACT,
)

TABLES: tuple[ResultTable, ...] = HEALTH_TABLES
