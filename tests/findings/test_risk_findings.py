"""What the risk page says in each world. Frames are written by hand; expected words are read off them."""

from __future__ import annotations

import pandas as pd
import pytest

from launchpad_lib.contract.findings import VERDICTS
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.risk import degraded_count, highest_impact, risk_conclusion, score_estimate
from launchpad_lib.risk import Evaluation, in_order_to_look, risk_table
from tests.findings.saying import held
from tests.findings.test_latency_findings import HOSTILE, words

USERS = pd.Series({"a": 100, "b": 300, "c": 200})


def states(*rows: tuple[str, str]) -> pd.DataFrame:
    reason = {"cannot tell": "0 of the last 3 days can be judged", "not asked": "no objective is declared"}
    return pd.DataFrame(
        {
            "feature_id": [f for f, _ in rows],
            "state": [s for _, s in rows],
            "as_of_on": pd.Timestamp("2026-01-18"),
            "since_on": [pd.Timestamp("2026-01-12") if s == "degraded now" else pd.NaT for _, s in rows],
            "days_missed": [2 if s == "degraded now" else 0 for _, s in rows],
            "days_known": 3,
            "missed": ["p95 latency and feedback" if s == "degraded now" else None for _, s in rows],
            "reason": [reason.get(s, "an objective was missed") for _, s in rows],
        }
    )


def evaluated(chosen: str = "model", gain: tuple = (0.02, 0.01, 0.03)) -> Evaluation:
    measures = {
        f"{m}{end}": [v] for m in ("brier_skill", "pr_auc") for end, v in (("", 0.3), ("_low", 0.1), ("_high", 0.5))
    }
    table = pd.DataFrame({"name": [chosen], "n_test": [131], **measures})
    return Evaluation(table, chosen, *gain, pd.DataFrame(), pd.DataFrame(), None)


REFUSED = Evaluation(
    pd.DataFrame(), None, None, None, None, pd.DataFrame(), pd.DataFrame(), "3 days with known outcome"
)


def ranked(*rows: tuple[str, int, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["feature_id", "rank_low", "rank_high"])
    numbers = {
        "p_degrade": 0.4,
        "p_low": 0.2,
        "p_high": 0.6,
        "because": "errors",
        "impact_score": 40.0,
        "ci_low": 9.0,
        "ci_high": 90.0,
    }
    return table.assign(**numbers, users_per_week=table["feature_id"].map(USERS).fillna(10))


NONE = ranked().iloc[:0]


def said(now: pd.DataFrame, evaluation: Evaluation, table: pd.DataFrame, called: dict | None = None):
    return risk_conclusion(now, evaluation, table, users_per_week=USERS, called=called or {}, horizon_days=7)


def test_what_is_degraded_now_comes_first_with_its_objectives_and_its_date():
    found = said(
        states(("a", "degraded now"), ("b", "degraded now"), ("c", "healthy")), evaluated(), ranked(("c", 1, 1))
    )
    assert found.verdict == "b and a are degraded now."  # 300 users before 100
    first = found.findings[0]
    assert (first.severity, first.verb, first.feature_id, first.users, first.since) == (
        "act",
        "fix",
        "b",
        300,
        "2026-01-12",
    )
    assert first.sentence == (
        "b is degraded now: it missed its objective for p95 latency and feedback on 2 of the last 3 days that can be"
        " judged, since 12 Jan 2026; 300 users in the last 7 days."
    )


def test_a_score_that_could_not_be_tested_publishes_no_probability():
    now = states(("a", "healthy"), ("b", "healthy"))
    found = said(now, REFUSED, NONE)
    assert found.verdict == "No feature with an objective is degraded now; no probability is published."
    assert "Not testable: no probability is published. 3 days with known outcome." in words(found)
    assert "first" not in words(found) and "probability of" not in words(found)
    assert risk_table(now, NONE)["probability"].isna().all()
    assert score_estimate(REFUSED, "brier_skill", top=3).refused_because == "3 days with known outcome"
    assert highest_impact(NONE, REFUSED, called={}, horizon_days=7).estimate.is_refused


def test_a_probability_is_published_only_for_features_that_are_healthy_now():
    now = states(("a", "degraded now"), ("b", "healthy"), ("c", "cannot tell"))
    found = risk_table(now, ranked(("a", 1, 3), ("b", 1, 3), ("c", 1, 3))).set_index("unit")
    assert found["probability"].notna().to_dict() == {"a": False, "b": True, "c": False}
    assert set(found["state"]) <= VERDICTS


def test_look_first_is_said_where_the_first_rank_is_sure():
    found = said(states(("a", "healthy"), ("b", "healthy")), evaluated(), ranked(("a", 1, 1), ("b", 2, 2)))
    assert (
        "look at a first: 40.0 % (20.0 to 60.0 %) probability of degrading in the next 7 days, 100 users a week; errors."
        in words(found)
    )


def test_ranks_that_cannot_be_told_apart_are_said_and_the_order_is_that_of_users():
    table = in_order_to_look(ranked(("a", 1, 3), ("b", 1, 3), ("c", 1, 3)))
    assert table["feature_id"].tolist() == ["b", "c", "a"]  # 300, 200, 100 users
    found = said(states(("a", "healthy"), ("b", "healthy"), ("c", "healthy")), evaluated(), table)
    assert "cannot be told: their ranks run from 1 to 3 of 3" in words(found) and "look at" not in words(found)
    sure = in_order_to_look(ranked(("a", 1, 1), ("b", 2, 3), ("c", 2, 3)))
    assert sure["feature_id"].tolist() == ["a", "b", "c"]


def test_one_feature_that_can_be_scored_is_ranked_against_nobody():
    found = said(states(("a", "healthy")), evaluated(), ranked(("a", 1, 1)))
    assert "Only a can be scored: 40.0 % (20.0 to 60.0 %) probability of degrading." in words(found)


@pytest.mark.parametrize(
    ("chosen", "gain", "expected"),
    [
        ("model", (0.02, 0.01, 0.03), "The model is shown to beat its baselines: Brier score better by +0.020, 95 % interval +0.010 to +0.030."),
        ("persistence", (0.02, -0.01, 0.03), "The score used is the persistence: the model is not shown to beat it,"),
        ("base rate", (0.02, None, None), "not shown to beat it, its gain has no interval."),
    ],
)  # fmt: skip
def test_the_score_that_is_used_is_named_and_a_model_is_not_praised_without_proof(chosen, gain, expected):
    assert expected in words(said(states(("a", "healthy")), evaluated(chosen, gain), ranked(("a", 1, 1))))


def test_features_that_cannot_be_judged_and_those_without_objective_are_told_apart():
    now = states(("a", "cannot tell"), ("b", "not asked"), ("c", "healthy"))
    found = said(now, evaluated(), ranked(("c", 1, 1)))
    assert found.verdict == "No feature that could be judged is degraded now."
    assert "State cannot be told: a (0 of the last 3 days can be judged)." in words(found)
    assert "Not asked: b declares no objective." in words(found)
    assert "1 of 2 features with an objective meets them now." in words(found)
    assert (degraded_count(now, min_breach_days=2).value, degraded_count(now, min_breach_days=2).n) == (0.0, 1)


def test_without_objectives_nothing_is_asked_and_with_blind_ones_nothing_is_ranked():
    assert (
        said(states(("a", "not asked")), REFUSED, NONE).verdict
        == "No feature declares an objective, so nothing can be degraded."
    )
    assert said(states(), REFUSED, NONE).verdict == "No feature declares an objective, so nothing can be degraded."
    blind = states(("a", "cannot tell"))
    assert said(blind, REFUSED, NONE).verdict == "No feature with an objective can be judged now, so nothing is ranked."
    assert degraded_count(blind, min_breach_days=2).refused_because == "0 of the last 3 days can be judged"
    assert "not asked" in degraded_count(states(), min_breach_days=2).refused_because


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_changes_no_sentence_around_it(name):
    now = states(
        (name, "degraded now"), (f"{name}2", "healthy"), (f"{name}3", "cannot tell"), (f"{name}4", "not asked")
    )
    found = said(now, evaluated(), ranked((f"{name}2", 1, 1), (f"{name}5", 2, 2)))
    assert found.verdict == f"{named(name)} is degraded now."
    held(found, name, f"{name}2", f"{name}3", f"{name}4")
    assert all("\x00" not in f.sentence and len(f.sentence) < 1000 for f in found.findings)


@pytest.mark.parametrize(
    "kinds", [("degraded now",) * 3, ("healthy",) * 3, ("cannot tell", "healthy"), ("cannot tell",), ()]
)
@pytest.mark.parametrize("evaluation", [evaluated(), REFUSED], ids=["tested", "refused"])
def test_a_verdict_is_short(kinds, evaluation):
    now = states(*((f"f{i}", kind) for i, kind in enumerate(kinds)))
    verdict = held(said(now, evaluation, NONE)).verdict
    assert len(verdict.split()) <= 16 and not set("()[]") & set(verdict) and verdict.endswith(".")
