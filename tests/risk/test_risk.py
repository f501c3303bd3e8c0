"""Risk: the future moves no input, scores agree with scikit-learn, intervals and the not-better path; each test says what it is held against."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from launchpad_lib.contract.features import Feature
from launchpad_lib.risk import (
    INPUTS,
    breaches,
    evaluate,
    feature_weights,
    published_scores,
    ranking_scores,
    recall_at_top,
    reliability_bins,
    risk_panel,
    score,
    state_table,
)
from launchpad_lib.risk.impact import refitted_probabilities


def daily(*, days: int = 60, features: int = 8, seed: int = 1, persistence: float = 0.8) -> pd.DataFrame:
    """Features whose p95 wanders about its objective of 200 ms; high persistence makes tomorrow predictable from today."""
    rng = np.random.default_rng(seed)
    rows, meta = [], []
    for f in range(features):
        state = 0.0
        for day in range(days):
            state = persistence * state + rng.normal(0, np.sqrt(1 - persistence**2))
            rows.append(
                (
                    f"f{f}",
                    pd.Timestamp("2026-01-01") + pd.Timedelta(days=day),
                    200 * np.exp(0.2 * state - 0.15),
                    0.99,
                    0.02,
                    4.2,
                )
            )
        meta.append(
            Feature(
                feature_id=f"f{f}",
                slo_p95_latency_ms=200.0,
                slo_crash_free_users=0.9,
                slo_error_rate=0.1,
                slo_feedback_score=3.0,
            )
        )
    metrics = pd.DataFrame(
        rows,
        columns=[
            "feature_id",
            "observed_on",
            "p95_latency_ms",
            "crash_free_users_rate",
            "error_rate",
            "mean_feedback_score",
        ],
    )
    return breaches(metrics.assign(observations=60), meta)


def test_a_changed_future_moves_labels_but_no_input():
    table = daily()
    cut = pd.Timestamp("2026-02-01")
    later = table["observed_on"] > cut
    moved = table.assign(
        p95_latency_ms=table["p95_latency_ms"].where(~later, 9999.0),
        error_rate=table["error_rate"].where(~later, 0.9),
        is_breach=table["is_breach"].where(~later, 1),
    )
    marks = pd.DataFrame({"at": [cut + pd.Timedelta(days=2)], "kind": ["deployment"], "feature_id": ["f0"]})
    before = risk_panel(table, horizon_days=7, min_breach_days=2)
    after = risk_panel(moved, horizon_days=7, min_breach_days=2, annotations=marks)
    known = [p[p["as_of_on"] <= cut].set_index(["feature_id", "as_of_on"]) for p in (before, after)]
    pd.testing.assert_frame_equal(known[0][list(INPUTS)], known[1][list(INPUTS)])
    assert known[1].loc[("f0", cut), "degrades"] == 1


def test_a_label_counts_breaches_of_the_next_days_only_and_is_unknown_until_they_are_seen():
    """Hand count: breaches on days 20 and 22 of 30, horizon 3, at least 2: only the cut-off of day 19 sees both."""
    table = daily(days=30, features=1)
    table = table.assign(is_breach=[int(i in (20, 22)) for i in range(30)])
    found = risk_panel(table, horizon_days=3, min_breach_days=2).set_index("as_of_on")["degrades"]
    assert found[found == 1].index.tolist() == [pd.Timestamp("2026-01-20")]
    assert found.iloc[-3:].isna().all() and found.iloc[:-3].notna().all()


def test_scores_are_those_of_scikit_learn_also_with_ties_and_weights():
    rng = np.random.default_rng(2)
    truth, p = rng.integers(0, 2, 200).astype(float), rng.integers(0, 10, 200) / 10
    weights = np.vstack([np.ones(200), rng.integers(0, 4, 200)])
    precision, area = ranking_scores(truth, p, weights)
    for i, w in enumerate(weights):
        assert precision[i] == pytest.approx(average_precision_score(truth, p, sample_weight=w))
        assert area[i] == pytest.approx(roc_auc_score(truth, p, sample_weight=w))


def test_the_refitted_regressions_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    x, x_new = rng.normal(size=(300, 3)), rng.normal(size=(5, 3))
    truth = (rng.random(300) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    weights = np.vstack([np.ones(300), rng.integers(0, 3, 300)])
    found = refitted_probabilities(x, truth, x_new, weights)
    scaled, scaled_new = ((v - x.mean(axis=0)) / x.std(axis=0) for v in (x, x_new))
    for i, w in enumerate(weights):
        expected = (
            LogisticRegression(C=0.5, tol=1e-8, max_iter=1000)
            .fit(scaled, truth, sample_weight=w)
            .predict_proba(scaled_new)[:, 1]
        )
        assert found[i] == pytest.approx(expected, abs=1e-4)


def test_recall_at_the_top_and_whole_features_are_drawn_by_hand():
    """Two days, top 1: day 1 names a (degrades), day 2 names a (does not) while b degrades: recall 1 of 2."""
    test = pd.DataFrame({"as_of_on": [1, 1, 2, 2], "feature_id": list("abab"), "degrades": [1.0, 0.0, 0.0, 1.0]})
    assert recall_at_top(test, np.array([0.9, 0.1, 0.9, 0.1]), np.ones((1, 4)), top=1)[0] == 0.5
    weights = feature_weights(np.array(list("abab")), rng=np.random.default_rng(4), draws=20)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, :2].sum(axis=1) == 2).all()


def test_reliability_bins_hold_all_predictions_and_their_shares():
    """Hand count: four predictions of 0.2 with one hit, four of 0.8 with three."""
    found = reliability_bins(np.array([1, 0, 0, 0, 1, 1, 1, 0.0]), np.repeat([0.2, 0.8], 4), bins=2)
    assert found["n"].tolist() == [4, 4] and found["observed"].tolist() == [0.25, 0.75]
    assert found["predicted"].tolist() == pytest.approx([0.2, 0.8])


def test_on_noise_the_model_is_not_called_better_and_a_baseline_is_used():
    """No day depends on another: over 20 products the model is chosen at most twice."""
    chosen = []
    for seed in range(20):
        panel = risk_panel(daily(seed=seed, persistence=0.0), horizon_days=7, min_breach_days=3)
        chosen.append(evaluate(panel, horizon_days=7, rng=np.random.default_rng(seed)).chosen)
    assert chosen.count("model") <= 2


def test_intervals_hold_their_estimate_and_a_short_history_is_refused():
    panel = risk_panel(daily(days=80, persistence=0.9), horizon_days=7, min_breach_days=2)
    table = evaluate(panel, horizon_days=7, rng=np.random.default_rng(5)).table
    for name in ("pr_auc", "brier_skill", "recall_at_top"):
        assert (table[f"{name}_low"] <= table[name] + 1e-9).all() and (
            table[name] <= table[f"{name}_high"] + 1e-9
        ).all()
    assert (
        "needed for a split"
        in evaluate(
            panel[panel["as_of_on"] < "2026-01-20"], horizon_days=7, rng=np.random.default_rng(5)
        ).refused_because
    )


def test_impact_is_the_product_of_its_printed_parts_and_ranks_have_intervals():
    panel = risk_panel(daily(), horizon_days=7, min_breach_days=2)
    users = pd.Series({f"f{i}": 100.0 + i for i in range(8)})
    for chosen in ("model", "best single signal", "persistence", "base rate"):
        found = score(panel, chosen=chosen, users_per_week=users, rng=np.random.default_rng(6))
        assert found["impact_score"].to_numpy() == pytest.approx(
            (found["p_degrade"] * found["users_per_week"] * found["severity"]).to_numpy()
        )
        assert found["rank"].tolist() == list(range(1, 9))
        assert ((found["rank_low"] >= 1) & (found["rank_high"] <= 8) & (found["rank_low"] <= found["rank_high"])).all()


def test_without_features_or_objectives_there_is_an_empty_panel_and_a_reason():
    nothing = daily().iloc[:0]
    panel = risk_panel(nothing, horizon_days=7, min_breach_days=2)
    assert panel.empty
    assert evaluate(panel, horizon_days=7, rng=np.random.default_rng(7)).refused_because
    assert score(panel, chosen="base rate", users_per_week=pd.Series(dtype=float), rng=np.random.default_rng(7)).empty


def days(states: str, *, start: str = "2026-01-01", feature: str = "f") -> pd.DataFrame:
    """One row a day: x missed, o met, a dash is a day without a row; only p95 latency has an objective (200 ms)."""
    rows = [
        (feature, pd.Timestamp(start) + pd.Timedelta(days=i), 300.0 if s == "x" else 100.0, 60)
        for i, s in enumerate(states)
        if s != "-"
    ]
    table = pd.DataFrame(rows, columns=["feature_id", "observed_on", "p95_latency_ms", "observations"])
    nothing = {c: np.nan for c in ("error_rate", "crash_free_users_rate", "mean_feedback_score")}
    return table.assign(**nothing)


LATENCY_ONLY = Feature(feature_id="f", slo_p95_latency_ms=200.0)


@pytest.mark.parametrize(
    ("history", "state", "since"),
    [
        ("oooooxx", "degraded now", "2026-01-06"),
        ("oxoxoxx", "degraded now", "2026-01-02"),  # one day between two missed ones ends no run
        ("oxooxox", "degraded now", "2026-01-05"),  # two do
        ("xxxxooo", "healthy", None),  # an incident that is over
        ("oooooox", "healthy", None),
        ("xxxxx--", "cannot tell", None),  # silent now: 1 of the last 3 days is known
        ("ooooo-o", "healthy", None),
    ],
)
def test_state_is_that_of_the_last_days_and_since_is_the_first_day_of_the_run(history, state, since):
    """Hand count: at least 2 of the last 3 dates up to 7 January."""
    table = breaches(days(history), [LATENCY_ONLY])
    through = pd.Timestamp("2026-01-07 20:00")
    found = state_table(table, [LATENCY_ONLY], through=through, min_breach_days=2).iloc[0]
    assert found["state"] == state
    assert (None if pd.isna(found["since_on"]) else str(found["since_on"].date())) == since
    assert found["missed"] == ("p95 latency" if state == "degraded now" else None) or pd.isna(found["missed"])


def test_a_day_without_a_value_or_with_few_observations_is_unknown_and_not_healthy():
    table = days("oox")
    table = table.assign(p95_latency_ms=[100.0, np.nan, 300.0], observations=[60, 60, 5])
    found = breaches(table, [LATENCY_ONLY], min_observations=30)
    assert found["is_breach"].tolist()[0] == 0 and found["is_breach"].isna().tolist() == [False, True, True]
    assert found["missed_slo_error_rate"].isna().all()  # no objective is declared for errors


def test_a_floor_is_missed_below_and_a_ceiling_above_and_the_objective_itself_is_met():
    feature = Feature(feature_id="f", slo_error_rate=0.0, slo_crash_free_users=0.9, slo_feedback_score=3.0)
    table = days("ooo").assign(
        error_rate=[0.0, 0.01, 0.0], crash_free_users_rate=[0.9, 0.95, 0.89], mean_feedback_score=[3.0, 3.1, 4.0]
    )
    found = breaches(table, [feature])
    assert found["is_breach"].tolist() == [0, 1, 1]
    assert found["missed_slo_error_rate"].tolist() == [0, 1, 0]
    assert found["missed_slo_crash_free_users"].tolist() == [0, 0, 1]


def test_a_declared_feature_without_telemetry_and_one_without_objective_have_a_row_each():
    features = [LATENCY_ONLY, Feature(feature_id="none"), Feature(feature_id="unseen", slo_error_rate=0.1)]
    found = state_table(
        breaches(days("ooo"), features), features, through=pd.Timestamp("2026-01-03"), min_breach_days=2
    ).set_index("feature_id")["state"]
    assert found.to_dict() == {"f": "healthy", "none": "not asked", "unseen": "cannot tell"}


def test_fewer_than_five_features_cannot_be_tested_since_every_draw_would_be_nearly_the_sample():
    panel = risk_panel(daily(features=4, days=80, persistence=0.9), horizon_days=7, min_breach_days=2)
    found = evaluate(panel, horizon_days=7, rng=np.random.default_rng(8))
    assert found.chosen is None and "4 features with a history; 5 are needed" in found.refused_because
    assert list(found.reliability) == ["predicted", "observed", "n", "ci_low", "ci_high"] and found.reliability.empty
    assert list(found.importance) == ["input", "brier_rise", "ci_low", "ci_high"] and found.importance.empty
    scored = published_scores(
        panel, found, states_of(panel), users_per_week=pd.Series(dtype=float), rng=np.random.default_rng(8)
    )
    assert scored.empty


def states_of(panel: pd.DataFrame, *healthy: str) -> pd.DataFrame:
    names = sorted(panel["feature_id"].unique())
    return pd.DataFrame({"feature_id": names, "state": ["healthy" if n in healthy else "degraded now" for n in names]})


def test_only_features_that_are_healthy_now_are_ranked():
    panel = risk_panel(daily(), horizon_days=7, min_breach_days=2)
    found = evaluate(panel, horizon_days=7, rng=np.random.default_rng(6))
    users = pd.Series({f"f{i}": 100.0 for i in range(8)})
    scored = published_scores(
        panel, found, states_of(panel, "f1", "f6"), users_per_week=users, rng=np.random.default_rng(6)
    )
    assert sorted(scored["feature_id"]) == ["f1", "f6"] and scored["rank_high"].max() <= 2
