"""Every headline number of a page with its limits, its n and what fills the blanks of its definition; every check of the data.

Read off tables made by hand: `golden/headlines.txt` and `golden/checks.txt` were read against them. A changed line is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.contract.catalogue import lift as lift_tables
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings import engagement_results as engagement
from launchpad_lib.findings import experiment_results as experiment_results
from launchpad_lib.findings import funnel_results as funnels
from launchpad_lib.findings import latency_results, lifecycle_results, quality_checks
from launchpad_lib.findings import retention_results as retention
from launchpad_lib.findings.budgets import alert_count
from launchpad_lib.findings.health_states import health_table
from launchpad_lib.findings.latency import regression_count, silent_count
from launchpad_lib.findings.lift import lift_conclusion
from launchpad_lib.findings.risk import degraded_count, highest_impact, score_estimate
from launchpad_lib.lake import Copies, Outside
from launchpad_lib.metrics.intake import Intake
from tests.findings import test_cohorts as cohorts
from tests.findings import test_experiment_sentences as experiments
from tests.findings import test_latency_findings as latency
from tests.findings import test_lift_sentences as lift
from tests.findings import test_quality_findings as quality
from tests.findings import test_risk_findings as risk
from tests.findings import test_whole_tables as tables
from tests.findings.saying import cell, golden, rows
from tests.findings.test_whole_pages import STATES

ASKED = retention.RetentionQuestion((1, 7), datetime(2026, 2, 2), start_event="cart", report_timezone="Europe/Berlin")
STABLE = pd.DataFrame(
    {
        "feature_id": ["a", "b"], "apdex": [0.9, 0.5], "apdex_low": [0.8, 0.4], "apdex_high": [0.95, 0.6], "observations": [50, 60],
        "crash_free_users_rate": [0.7, 0.99], "crash_free_users_low": [0.6, 0.9], "crash_free_users_high": [0.8, 1.0], "users": [70, 80],
    }
)  # fmt: skip


def detail(part: pd.DataFrame, **which: str) -> Estimate:
    return engagement.of_the_detail(part, tables.asked(), **which)


@cache
def won(**plan):
    return experiments.told(experiments.log({"x": (1000, 300, 500), "y": (1000, 200, 500), "z": (1000, 210, 480)}))[0]


def changes():
    periods = funnels.compared_periods(tables.funnel(), days=7)
    found = funnels.funnel_shift(tables.counted(), tables.funnel())
    return funnels.conversion_change(found, tables.funnel(), periods)


def health(*given: dict) -> pd.DataFrame:
    found = pd.DataFrame(given)
    return health_table(found, latency.silence(*found["feature_id"]))


def told(name: str) -> Estimate:
    table = tables.TABLES["engagement"]()
    return engagement.quantity(table, name, tables.asked())


NOW = (("a", "degraded now"), ("b", "healthy"), ("c", "cannot tell"), ("d", "not asked"))
LIFTS = lift.results(
    lift.HELPED | {"name": "a"}, lift.REFUSED | {"name": "b"}, lift.HELPED | {"name": "c", "is_asked": False}
)
LIFTS = LIFTS._replace(trials=pd.DataFrame({"feature_id": ["f0", "f1"], "compared": [900, 20]}))
WAYS = {"users": "per user", "sessions": "per session"}

HEADLINES: dict[str, Callable[[], Estimate | Worst | dict[str, Estimate]]] = {
    "adoption": lambda: detail(tables.TABLES["adoption"](), rate="adoption_rate", n="active_users"),
    "completion": lambda: {
        WAYS[by]: detail(tables.TABLES["completion"](), rate="completion_rate", n="starts", counted=by) for by in WAYS
    },
    "engagement": lambda: {
        name: told(name) for name in (engagement.INTERACTIONS, engagement.DURATION, engagement.SHARES, engagement.STICKINESS)
    },
    "funnel": lambda: {
        "conversion": funnels.funnel_conversion(tables.TABLES["funnel"](), tables.funnel()),
        "seconds": funnels.funnel_seconds(tables.TABLES["funnel"](), tables.funnel()),
        "change": changes(),
    },
    "retention": lambda: {
        "day 1": retention.retention_on(cohorts.retention_rows(cohorts.GOOD), ASKED, 1),
        "day 1 to 7": retention.retention_on(cohorts.retention_rows(cohorts.GOOD), ASKED, 1, 7),
        "nobody": retention.retention_on(cohorts.retention_rows({(1, 1): (0, 0)}), ASKED, 1),
    },
    "resurrected": lambda: {
        "of the last day": lifecycle_results.resurrected_share(STATES, ASKED, lifecycle_period="day"),
        "nobody active": lifecycle_results.resurrected_share(STATES.assign(active=0), ASKED, lifecycle_period="day"),
        "none complete": lifecycle_results.resurrected_share(STATES.assign(is_complete=False), ASKED, lifecycle_period="day"),
    },
    "lifetime": lambda: {
        "reached": lifecycle_results.lifetime_median(cohorts.lifetime_rows(12.5), churn_gap="14d"),
        "not yet": lifecycle_results.lifetime_median(cohorts.lifetime_rows(None), churn_gap="14d"),
    },
    "stability": lambda: {
        "apdex": latency_results.least_apdex(STABLE, called={"b": "Beta"}, threshold_ms=300.0),
        "crash-free": latency_results.least_crash_free(STABLE, called={"a": "Alpha"}),
        "no apdex": latency_results.least_apdex(STABLE.iloc[:0], called={}, threshold_ms=1.5),
        "no crash-free": latency_results.least_crash_free(STABLE.iloc[:0], called={}),
    },
    "largest change": lambda: {
        "risen": latency_results.largest_change(
            SimpleNamespace(regressions=pd.DataFrame([latency.feature("a"), latency.feature("b", ratio=1.5, ci_low=1.25, ci_high=2.0)])),
            called={"b": "Beta"}, window_days=7,
        ),
        "not judged": latency_results.largest_change(
            SimpleNamespace(regressions=pd.DataFrame([latency.unjudged("a")])), called={}, window_days=7
        ),
    },
    "regressions": lambda: {
        "one of two": regression_count(
            health(latency.standing("a"), latency.feature("b"), latency.unjudged("c")), window_days=7, sustained_days=4, smallest_rise=0.1
        ),
        "none judged": regression_count(health(latency.unjudged("c")), window_days=7, sustained_days=4, smallest_rise=0.1),
    },
    "silent": lambda: {
        "one of two": silent_count(latency.silence("a", "b", silent=("b",))),
        "unknown": silent_count(latency.silence("a").assign(is_silent=pd.array([pd.NA], dtype="boolean"))),
    },
    "alerts": lambda: {
        "one of two": alert_count(latency.budgets(latency.burn("a", alert=True), latency.burn("a", alert=True), latency.burn("b", alert=False), latency.burn("c", alert=None))),
        "none judged": alert_count(latency.budgets(latency.burn("c", alert=None))),
        "none declared": alert_count(latency.budgets()),
    },
    "degraded": lambda: {
        "one of two": degraded_count(risk.states(*NOW), min_breach_days=2),
        "cannot tell": degraded_count(risk.states(*NOW[2:]), min_breach_days=2),
        "not asked": degraded_count(risk.states(*NOW[3:]), min_breach_days=2),
    },
    "score": lambda: {
        "tested": score_estimate(risk.evaluated(), "brier_skill", top=3),
        "not tested": score_estimate(risk.REFUSED, "pr_auc", top=3),
    },
    "impact": lambda: {
        "highest": highest_impact(
            risk.ranked(("b", 1, 1), ("c", 2, 3)).assign(impact_score=[30.0, 40.0]), risk.evaluated(), called={"c": "Gamma"}, horizon_days=7
        ),
        "not tested": highest_impact(risk.NONE, risk.REFUSED, called={}, horizon_days=7),
        "nobody": highest_impact(risk.NONE, risk.evaluated(), called={}, horizon_days=7),
    },
    "lift": lambda: LIFTS.estimates("start trials", "ATE"),
    "e-values": lambda: LIFTS.e_values,
    "robustness values": lambda: LIFTS.robustness_values,
    "experiment": lambda: won().lifts,
    "experiment, relative": lambda: won().relative_lifts,
    "experiment, detectable": lambda: won().detectable_lifts,
    "experiment, split": lambda: won().sample_ratio,
    "quality": lambda: {
        "refused": quality_checks.rejected_share(Intake(301, 5)),
        "outside": quality_checks.outside_estimate([Outside("events", "after", 3, quality.END, quality.END)], Intake(97, 5)),
        "nothing outside": quality_checks.outside_estimate([], Intake(0, 5)),
        "conflicts": quality_checks.conflict_estimate(Copies(300, 2)),
        "gaps": quality_checks.gap_estimate(quality.GAPS),
        "placeholders": quality_checks.placeholder_estimate(quality.PLACEHOLDERS, rows=1000),
        "no user": quality_checks.placeholder_estimate(quality.PLACEHOLDERS, rows=0),
        "drift": quality_checks.drifted_columns(quality.drift(quality.MOVED, {"column": "b"}), days=14),
        "blind": quality_checks.drifted_columns(quality.drift(quality.BLIND), days=14),
    },
}  # fmt: skip


def read(found: Estimate | Worst | dict) -> list[str]:
    """One line for each number: its name, value, limits, n, reason and rules in order of their names."""
    lines = []
    for name, one in (found if isinstance(found, dict) else {"": found}).items():
        estimate, segment = (one.estimate, f" of {one.segment}") if isinstance(one, Worst) else (one, "")
        rules = ", ".join(f"{k}={v}" for k, v in sorted(estimate.rules.items()))
        lines.append(" | ".join([f"{name}{segment}", *map(cell, estimate[:5]), rules]))
    return lines


@pytest.mark.parametrize("name", HEADLINES)
def test_a_headline_has_these_numbers_and_fills_its_definition_with_these_words(name):
    assert read(HEADLINES[name]()) == golden("headlines")[name]


def checks() -> dict[str, list[quality_checks.Check]]:
    """Each check where it passes, where it does not, and where it cannot be made."""
    refused = SimpleNamespace(**vars(quality.ARRIVED) | {"refused_because": "received_at was filled"})
    on_time = SimpleNamespace(**vars(quality.ARRIVED) | {"late": 0, "late_share": 0.0, "ahead": 0})
    at = quality.END
    outside = [
        Outside("events", "before", 2, datetime(2026, 1, 1), datetime(2026, 1, 2)),
        Outside("telemetry", "after", 1, at, at),
    ]
    return {
        "refused rows": [quality_checks.refused_check(Intake(*n)) for n in ((99, 1), (98, 2), (7, 0), (0, 0))],
        "arrival": [c for given in (quality.ARRIVED, on_time, refused) for c in quality_checks.arrival_checks(given, quality.RESTATED)],
        "outside": [quality_checks.outside_check(given) for given in (outside, [])],
        "copies": [quality_checks.copy_check(Copies(*n)) for n in ((0, 0), (5, 0), (5, 1), (0, 0, 1), (5, 1, 40))],
        "gaps": [quality_checks.gap_check(given) for given in (quality.GAPS, quality.NO_GAPS)],
        "age": [
            *(quality_checks.age_check(as_of, through=[at, None]) for as_of in (None, "2026-01-25T23:58:00", "2026-01-25T23:59:00", "2026-01-19T05:58:00+06:00", "2026-01-01")),
            quality_checks.age_check("2026-01-25", through=[None]),
        ],
        "placeholders": [quality_checks.placeholder_check(quality.PLACEHOLDERS.head(k), rows=n) for k, n in ((2, 9), (0, 9), (0, 0))],
        "drift": [
            quality_checks.drift_check(given, days=14)
            for given in (quality.drift(quality.MOVED, {"column": "b"}), quality.drift({}), quality.drift(quality.BLIND))
        ],
    }  # fmt: skip


@pytest.mark.parametrize("name", list(checks()))
def test_a_check_has_this_row_where_it_passes_and_where_it_does_not(name):
    assert rows(quality_checks.checks_table(checks()[name])) == golden("checks")[name]


def test_every_headline_and_check_is_told_and_no_other():
    assert list(golden("headlines")) == list(HEADLINES) and list(golden("checks")) == list(checks())


def test_the_tables_of_an_experiment_hold_these_rows():
    assert rows(won().rows) == golden("experiment")["rows"] and rows(won().units) == golden("experiment")["units"]


def test_every_column_that_the_lift_page_declares_is_filled_where_the_lift_can_be_told():
    """A feature without effect in 600 users; only the reasons of rows that stand are empty."""
    rng = np.random.default_rng(7)
    finish, back = rng.random(600) < 0.5, rng.random(600) < 0.5
    found = lift.asked(lift.product(rng, 600, finish=finish, back=back, name=("go", "end")), ("go", "end"))
    for what, frame in (
        (lift_tables.LIFT, found.lifts), (lift_tables.LIFT_TRIALS, found.trials), (lift_tables.LIFT_BALANCE, found.balance),
        (lift_tables.LIFT_DOUBTS, found.doubts), (lift_tables.LIFT_STRENGTH, found.strength),
    ):  # fmt: skip
        assert frame.columns.tolist() == [c.name for c in what.columns]
        assert [c for c in frame.columns if frame[c].isna().all()] in ([], ["refused_because"]), what.name
        assert set(frame["feature_id"]) == {"f"}
    assert found.lifts[["design", "estimand"]].duplicated().sum() == 0 and len(found.lifts) == 4
    assert lift_conclusion(found).verdict in (
        "Whether finishing f makes people come back is not settled.",
        "Finishing f has no effect larger than 2 points on coming back.",
    )
