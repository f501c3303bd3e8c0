"""The scorecard repeats what earlier pages say, in their words, worst first; nothing it could not read is called fine."""

from __future__ import annotations

import json
import re
from datetime import datetime
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from launchpad_lib.contract.features import Feature, ShownBy
from launchpad_lib.contract.findings import Finding
from launchpad_lib.contract.manifest import FeatureRow
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings import budgets, latency, risk
from launchpad_lib.findings import scorecard_cells as cells
from launchpad_lib.findings.scorecard import Scorecard, scorecard, scorecard_conclusion
from launchpad_lib.findings.scorecard_correction import family_of, smallest_change
from launchpad_lib.findings.scorecard_worked import RESULT_AT
from launchpad_lib.page.harvest import anchor_of
from launchpad_lib.page.run_results import EarlierPage, RunResults
from tests.findings.saying import HOSTILE, held

PAGES = ("engagement", "retention_lift", "latency_trends", "risk_scoring", "experiments")
NAMES = ("quiz", "menu", "cart")


def features(*ids: str, **more: object) -> list[Feature]:
    return [Feature(feature_id=i, slo_p95_latency_ms=300.0, **more) for i in ids]  # type: ignore[arg-type]


def tables(ids: tuple[str, ...] = NAMES) -> dict[str, pd.DataFrame]:
    """A week in which nothing happened."""
    n = len(ids)

    def frame(**columns: object) -> pd.DataFrame:
        return pd.DataFrame({"feature_id": ids, **{k: [v] * n for k, v in columns.items()}})

    limits = {"ci_low": -0.03, "ci_high": 0.03}
    moved = {"week_on": "2026-01-12", "days": 7, "n_before": 400, "rate_before": 0.5, "n_after": 400, "rate_after": 0.5}
    counted = {"week_on": "2026-01-12", "users": 200, "active_users": 400, "adoption_rate": 0.5}
    shift = {"shift_p": 0.7, "detectable_ratio": 1.2, "n_after": 900}
    return {
        "adoption": frame(**counted, ci_low=0.45, ci_high=0.55, refused_because=None),
        "adoption_changes": frame(
            **moved, absolute_lift=0.0, **limits, p_value=0.9, p_adjusted=0.9, is_changed=False, refused_because=None
        ),
        "health": frame(state="healthy", reason="no rise was found; one of 20 % would be, 8 times in 10"),
        "states": frame(state="healthy", reason="an objective was missed on 0 of the last 3 days"),
        "regressions": frame(
            after=200.0, after_low=190.0, after_high=210.0, p_value=0.8, refused_because=None, **shift
        ),
        "latency_daily": frame(observed_on=pd.Timestamp("2026-01-18"), p95_latency_ms=200.0, latency_observations=120),
        "lift": frame(verdict="no effect larger than", design="start trials", estimate=0.0, **limits, n=900, refused_because=None),
    }  # fmt: skip


def put(found: dict[str, pd.DataFrame], table: str, feature_id: str, **values: object) -> None:
    rows = found[table].astype(object)
    for name, value in values.items():
        rows.loc[rows["feature_id"] == feature_id, name] = value
    found[table] = rows


def run(found: dict[str, pd.DataFrame], **pages: EarlierPage) -> RunResults:
    return RunResults({name: EarlierPage("ok", None, ()) for name in PAGES} | pages, found)


def card_of(found: dict[str, pd.DataFrame], declared: list[Feature] | None = None, **pages: EarlierPage) -> Scorecard:
    return scorecard(
        run(found, **pages),
        declared or features(*NAMES),
        smallest_change=0.02,
        telemetry_through=datetime(2026, 1, 18, 12),
    )


def said(card: Scorecard, *names: str) -> str:
    return held(scorecard_conclusion(card, is_run=True), *names).verdict


def row(card: Scorecard, feature_id: str) -> FeatureRow:
    return next(r for r in card.rows if r.feature_id == feature_id)


def test_where_nothing_got_worse_the_verdict_says_how_little_would_have_shown():
    card = card_of(tables())
    assert said(card) == "Nothing got worse that these data could show: 6 points of adoption, 27 % of latency."
    # By hand: nine tests, so 5 % / 9 two-sided; (2.773 + 0.842) standard errors of 0.03 / 1.96, and 1.2 to that part.
    z = norm.ppf(1 - 0.05 / 18) + norm.ppf(0.8)
    assert card.family.adoption == pytest.approx(z * 0.03 / norm.ppf(0.975))
    assert card.family.latency == pytest.approx(1.2 ** (z / (norm.ppf(0.975) + norm.ppf(0.8))))
    assert card.needing_action.value == 0 and card.needing_action.n == 3


def test_the_worst_feature_stands_first_and_the_verdict_names_it():
    found = tables()
    put(found, "health", "cart", state="worse", reason="p95 latency of the last days times 1.50")
    put(found, "regressions", "cart", p_value=1e-6)
    said_there = Finding("act", "fix", "Cart got slower.", "cart", "which-features-became-slower", users=70)
    card = card_of(found, latency_trends=EarlierPage("ok", None, (said_there,)))
    assert [r.feature_id for r in card.rows][0] == "cart" and said(card, *NAMES) == "cart got slower."
    first = card.rows[0]
    assert (first.severity, first.verb, first.health.word, first.health.value) == ("act", "fix", "worse", 70)
    assert (first.health.page, first.health.anchor) == ("latency_trends", "which-features-became-slower")
    assert first.sentence == "Cart got slower." and card.needing_action.value == 1


def test_what_does_not_stand_when_all_is_corrected_together_is_to_be_looked_at():
    """By hand: 0.01 of nine tests is 0.09 after Benjamini and Hochberg; of three on its own page it was 0.03."""
    found = tables()
    put(found, "health", "cart", state="worse", reason="p95 latency of the last days times 1.20")
    put(found, "regressions", "cart", p_value=0.01)
    card = card_of(found)
    assert row(card, "cart").health.word == "worse" and row(card, "cart").health.severity == "watch"
    assert said(card, *NAMES) == "Nothing is shown to need action; look at cart."
    # Of two of nine 0.011 * 9 / 2 = 0.0495 stands.
    put(found, "adoption_changes", "menu", absolute_lift=-0.05, ci_low=-0.09, ci_high=-0.012, p_value=0.011)
    card = card_of(found)
    assert row(card, "cart").health.severity == "act"
    assert card.family.q["menu", "adoption"] == pytest.approx(0.0495)
    put(found, "regressions", "cart", p_value=0.8)
    put(found, "adoption_changes", "menu", p_value=0.02)
    assert row(card_of(found), "menu").change.word == "may have moved"
    put(found, "adoption_changes", "menu", p_value=1e-5)
    fell = card_of(found)
    assert row(fell, "menu").change.word == "fell" and said(fell) == "Adoption of menu fell."


def test_the_states_of_both_pages_are_one_word_the_gravest():
    found = tables()
    put(found, "states", "menu", state="degraded now")
    put(found, "health", "menu", state="cannot tell", reason="no telemetry")
    put(found, "health", "cart", state="cannot tell", reason="a rise of less than 130 % would be missed")
    card = card_of(found)
    assert [row(card, n).health.word for n in ("menu", "cart", "quiz")] == ["degraded now", "cannot tell", "healthy"]
    silent = Finding("act", "find out", "Quiz sent no telemetry for 5 days.", "quiz", "who-fell-silent")
    burns = Finding("act", "fix", "Cart burns its error budget.", "cart", "is-an-error-budget-burning")
    card = card_of(found, latency_trends=EarlierPage("ok", None, (silent, burns)))
    assert [row(card, n).health.word for n in ("quiz", "cart")] == ["fell silent", "burns its budget"]
    assert said(card, *NAMES) == "menu is degraded now; quiz fell silent; 1 more needs action."


def test_latency_is_over_its_objective_only_where_its_whole_interval_is():
    found = tables()
    put(found, "regressions", "quiz", after=310.0, after_low=290.0, after_high=330.0)
    put(found, "regressions", "menu", after=340.0, after_low=320.0, after_high=360.0)
    declared = [*features("quiz", "menu"), Feature(feature_id="cart")]
    card = card_of(found, declared)
    assert [(row(card, n).objective.word, row(card, n).objective.severity) for n in NAMES] == [
        ("310 ms", "watch"), ("340 ms", "act"), ("not asked", "unknown"),
    ]  # fmt: skip
    assert card.objectives["share"].tolist() == pytest.approx([340 / 300, 310 / 300])
    assert said(card, *NAMES) == "menu is over its objective."
    series = row(card, "menu").objective.series
    assert (series[0].day, series[0].value, series[0].n, series[0].is_complete) == ("2026-01-18", 200.0, 120, False)


def test_an_experiment_answers_where_the_lift_page_has_no_answer():
    found, shown = tables(), ShownBy(experiment_id="e1", variant="b", control="a")
    put(found, "lift", "quiz", verdict="refused", refused_because="nobody is mature")
    decided = {"experiment_id": ["e1"], "decision": ["do not ship: harm shown"], "variant": ["b"], "units": [900]}
    found["experiment_overview"] = pd.DataFrame(decided)
    card = card_of(found, features(*NAMES, experiment=shown))
    assert row(card, "quiz").worked.word == "do not ship: harm shown" and row(card, "quiz").worked.page == "experiments"
    assert row(card, "menu").worked.word == "no effect larger than", "the lift page ranks its own designs"
    assert said(card, *NAMES) == "quiz did harm."


def test_a_page_that_refused_or_failed_is_no_good_news():
    found = tables()
    for name in ("health", "states", "regressions", "latency_daily"):
        del found[name]
    failed = EarlierPage("failed", "ValueError: it broke", ())
    no_telemetry = EarlierPage("refused", "the lake holds no telemetry; ingest some", ())
    card = card_of(found, latency_trends=failed, risk_scoring=no_telemetry)
    assert {r.health.word for r in card.rows} == {r.objective.word for r in card.rows} == {"refused"}
    assert card.rows[0].health.says == "latency_trends failed, ValueError: it broke."
    assert card.rows[0].severity == "unknown"
    assert said(card) == "Nothing got worse that these data could show: 5 points of adoption; health cannot be told."
    told = scorecard_conclusion(card, is_run=True).findings
    assert told[0].sentence.startswith("Health and latency cannot be told of any feature. latency_trends failed")
    found["states"] = tables()["states"].assign(state="not asked", reason="no objective is declared")
    assert card_of(found, latency_trends=failed).rows[0].health.word == "refused"
    found["states"] = tables()["states"]
    card = card_of(found, latency_trends=failed)
    assert {r.health.word for r in card.rows} == {"healthy"}, "the other page tells the state"
    assert said(card) == "Nothing got worse that these data could show: 5 points of adoption; latency cannot be told."
    nothing = scorecard(RunResults(dict.fromkeys(PAGES, failed), {}), features(*NAMES), smallest_change=0.02)
    assert said(nothing) == "These data cannot show whether anything got worse." and nothing.needing_action.is_refused
    by_hand = scorecard(RunResults(), features("quiz"), smallest_change=0.02)
    assert "retention_lift is read from a run" in str(by_hand.rows[0].worked.says)
    held(scorecard_conclusion(by_hand, is_run=False), "quiz")


def test_of_two_equally_bad_features_the_one_that_hurts_more_users_stands_first():
    found = tables()
    said_of = [
        Finding("act", "fix", f"{n} is bad.", n, "what-is-degraded-now", users=u) for n, u in (("menu", 5), ("cart", 9))
    ]
    for name in ("menu", "cart"):
        put(found, "states", name, state="degraded now")
    card = card_of(found, risk_scoring=EarlierPage("ok", None, tuple(said_of)))
    assert [r.feature_id for r in card.rows] == ["cart", "menu", "quiz"]
    put(found, "regressions", "menu", after=400.0, after_low=380.0, after_high=420.0)
    card = card_of(found, risk_scoring=EarlierPage("ok", None, tuple(said_of)))
    assert [r.feature_id for r in card.rows] == ["menu", "cart", "quiz"], "two of its cells are grave"


def test_every_cell_leads_to_a_heading_of_its_page():
    pages = {"engagement": [cells.USED_AT], "retention_lift": [RESULT_AT], "experiments": [RESULT_AT]}
    pages |= {"latency_trends": [latency.SLOWER, latency.SILENT, budgets.BUDGETS], "risk_scoring": [risk.NOW]}
    for name, anchors in pages.items():
        text = (Path(__file__).parents[2] / f"notebooks/{name}.ipynb").read_text(encoding="utf-8")
        sources = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
        headings = {anchor_of(h) for h in re.findall(r"^## +(.+?)$", "\n".join(sources), re.MULTILINE)}
        assert set(anchors) <= headings, name


def test_without_a_declared_feature_nothing_is_asked():
    card = scorecard(run(tables()), [], smallest_change=0.02)
    assert said(card) == "No feature is declared, so there is no scorecard."
    assert card.table.empty and card.objectives.empty and card.needing_action.is_refused


@pytest.mark.parametrize("world", ["calm", "slow", "silent", "hurt", "refused"])
def test_every_sentence_holds_with_hostile_names_and_sixty_features(world):
    ids = (*HOSTILE, *(f"feature {k} with a long name of about sixty characters in all" for k in range(50)))
    found = tables(ids)
    declared = [Feature(feature_id=i, owner_team="<b>team</b>", slo_p95_latency_ms=300) for i in ids]
    pages: dict[str, EarlierPage] = {}
    if world == "slow":
        found["health"]["state"] = "worse"
        found["regressions"]["p_value"] = 1e-9
    elif world == "silent":
        said_of = [Finding("act", "find out", f"{named(i)} is silent.", i, "who-fell-silent") for i in ids]
        pages["latency_trends"] = EarlierPage("ok", None, tuple(said_of))
    elif world == "hurt":
        found["lift"]["verdict"] = "hurt"
        put(found, "adoption_changes", ids[3], absolute_lift=-0.2, ci_low=-0.25, ci_high=-0.15, p_value=1e-9)
    elif world == "refused":
        found = {}
        pages = dict.fromkeys(PAGES, EarlierPage("failed", "x" * 900, ()))
    card = card_of(found, declared, **pages)
    assert len(card.rows) == 60 and len(card.table) == 60
    held(scorecard_conclusion(card, is_run=True), *ids)
    for one in card.rows:
        assert len(one.sentence) < 600 and "\n" not in one.sentence and one.sentence[-1] in ".?"


def test_the_smallest_change_is_found_eight_times_in_ten():
    """A simulation with known truth: a normal estimate whose true change is the smallest one said, 20,000 draws."""
    rng, error = np.random.default_rng(20261127), 0.013
    smallest = smallest_change(-1.959964 * error, 1.959964 * error)
    drawn = rng.normal(smallest, error, 20_000)
    assert np.mean(np.abs(drawn) > 1.959964 * error) == pytest.approx(0.8, abs=3 * sqrt(0.16 / 20_000))


def test_a_family_without_tests_has_nothing_to_say():
    family = family_of(None, None)
    assert family.q == {} and family.adoption is None and family.latency is None
