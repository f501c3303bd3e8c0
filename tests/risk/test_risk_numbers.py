"""The figures of risk held against scikit-learn, scipy and counts by hand; every test says which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from launchpad_lib.contract.features import Feature
from launchpad_lib.risk import (
    INPUTS,
    breaches,
    evaluate,
    feature_weights,
    in_order_to_look,
    is_first_known,
    judged,
    predict,
    published_scores,
    reliability_bins,
    risk_panel,
    risk_table,
    score,
    state_days,
    state_table,
)
from launchpad_lib.risk.impact import refitted_probabilities
from launchpad_lib.risk.scores import interval

HORIZON = 7
START = pd.Timestamp("2026-01-01")


def panel_of(*, days: int = 60, features: int = 6, strength: float = 2.0, seed: int = 1) -> pd.DataFrame:
    """A panel whose label follows its first input; the other inputs say nothing, the fourth is a count of 0 to 7."""
    rng = np.random.default_rng(seed)
    n = days * features
    x = rng.normal(size=(n, len(INPUTS)))
    x[:, 3] = rng.integers(0, 8, n)
    table = pd.DataFrame(x, columns=list(INPUTS))
    table["degrades"] = (rng.random(n) < 1 / (1 + np.exp(-strength * x[:, 0] + 1))).astype(float)
    table["as_of_on"] = np.repeat(pd.date_range(START, periods=days), features)
    table["feature_id"] = np.tile([f"f{i}" for i in range(features)], days)
    return table


def halves(panel: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of 60 days: the last 21 (from day 40, counted from 1) test; the 7 before the split are in neither half."""
    day = (panel["as_of_on"] - START).dt.days + 1
    return panel[day < 40 - HORIZON], panel[day >= 40].reset_index(drop=True)


def fitted(rows: pd.DataFrame, inputs: list[str]):
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(rows[inputs].to_numpy(), rows["degrades"])


def expected_scores(panel: pd.DataFrame) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    train, test = halves(panel)
    one = ["breaches_before"]
    return {
        "base rate": np.full(len(test), train["degrades"].mean()),
        "persistence": (test["breaches_before"] / 7).clip(0.01, 0.99).to_numpy(),
        "best single signal": fitted(train, one).predict_proba(test[one].to_numpy())[:, 1],
        "model": fitted(train, list(INPUTS)).predict_proba(test[list(INPUTS)].to_numpy())[:, 1],
    }, test


def copies(test: pd.DataFrame, *, seed: int, features: int = 6, draws: int = 500) -> list[np.ndarray]:
    """Row numbers of each bootstrap sample of whole features, written out copy by copy."""
    drawn = np.random.default_rng(seed).multinomial(features, [1 / features] * features, size=draws)
    number = test["feature_id"].str[1:].astype(int).to_numpy()
    return [np.repeat(np.arange(len(test)), times[number]) for times in drawn]


def test_every_figure_of_the_evaluation_is_that_of_scikit_learn_on_the_later_days():
    panel = panel_of()
    found = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(3)).table.set_index("name")
    scores, test = expected_scores(panel)
    truth = test["degrades"].to_numpy()
    samples = copies(test, seed=3)
    assert found.index.tolist() == list(scores)
    assert set(found["n_test"]) == {21 * 6} and set(found["positives_test"]) == {truth.sum()}
    base = scores["base rate"]
    for name, p in scores.items():
        row = found.loc[name]
        place = test.assign(p=p).sort_values(["as_of_on", "p", "feature_id"], ascending=[True, False, True])
        is_top = np.isin(np.arange(len(test)), place.groupby("as_of_on").head(3).index)
        measures = {
            "pr_auc": lambda i, p=p: average_precision_score(truth[i], p[i]),
            "roc_auc": lambda i, p=p: roc_auc_score(truth[i], p[i]),
            "brier": lambda i, p=p: np.mean((truth[i] - p[i]) ** 2),
            "brier_skill": lambda i, p=p: 1 - np.sum((truth[i] - p[i]) ** 2) / np.sum((truth[i] - base[i]) ** 2),
            "recall_at_top": lambda i, top=is_top: truth[i][top[i]].sum() / truth[i].sum(),
        }
        for measure, of in measures.items():
            assert row[measure] == pytest.approx(of(np.arange(len(test)))), (name, measure)
            if name == "model" and measure in ("brier", "brier_skill", "recall_at_top"):
                low, high = np.quantile([of(i) for i in samples], [0.025, 0.975])
                assert (row[f"{measure}_low"], row[f"{measure}_high"]) == pytest.approx((low, high)), measure


def test_the_gain_is_the_best_baselines_error_less_the_models_and_a_clear_gain_chooses_the_model():
    """Independent: scikit-learn's Brier scores, over samples of whole features written out copy by copy."""
    panel = panel_of()
    found = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(3))
    scores, test = expected_scores(panel)
    truth = test["degrades"].to_numpy()
    best = min((n for n in scores if n != "model"), key=lambda n: brier_score_loss(truth, scores[n]))

    def gain(i):
        return np.mean((truth[i] - scores[best][i]) ** 2 - (truth[i] - scores["model"][i]) ** 2)

    assert found.gain == pytest.approx(gain(np.arange(len(test))))
    limits = np.quantile([gain(i) for i in copies(test, seed=3)], [0.025, 0.975])
    assert (found.gain_low, found.gain_high) == pytest.approx(tuple(limits))
    assert found.gain_low > 0 and found.chosen == "model" and found.refused_because is None
    pd.testing.assert_frame_equal(found.reliability, reliability_bins(truth, scores["model"]))


@pytest.mark.parametrize("baseline", ["base rate", "persistence", "best single signal"])
def test_without_a_gain_the_baseline_with_the_smallest_error_is_used(baseline):
    """Labels planted for each baseline: drawn evenly; with chance breaches / 7; falling with the breaches."""
    panel = panel_of(strength=0.0, seed=4)
    share = {
        "base rate": np.full(len(panel), 0.5),
        "persistence": panel["breaches_before"] / 7,
        "best single signal": 1 - panel["breaches_before"] / 7,
    }[baseline]
    labels = (np.random.default_rng(2).random(len(panel)) < share).astype(float)
    found = evaluate(panel.assign(degrades=labels), horizon_days=HORIZON, rng=np.random.default_rng(3))
    errors = found.table.set_index("name")["brier"].drop("model")
    assert found.chosen == errors.idxmin() == baseline
    assert found.gain_low <= 0


def test_labels_of_the_days_before_the_split_teach_nothing_and_the_day_before_them_does():
    """Of 60 days the first test day is the 40th; horizon 7: days 33 to 39 are purged, day 32 is learned from."""
    panel = panel_of()
    day = (panel["as_of_on"] - START).dt.days + 1

    def model_error(days):
        flipped = panel.assign(degrades=panel["degrades"].where(~day.isin(days), 1 - panel["degrades"]))
        table = evaluate(flipped, horizon_days=HORIZON, rng=np.random.default_rng(3)).table
        return table.set_index("name").loc["model", "brier"]

    assert model_error(range(33, 40)) == model_error([])
    assert model_error([32]) != model_error([]) and model_error([40]) != model_error([])


def test_importance_is_the_rise_of_the_error_as_scikit_learn_shuffles_too_and_the_largest_comes_first():
    panel = panel_of()
    train, test = halves(panel)
    found = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(3)).importance.set_index("input")
    inputs = list(INPUTS)
    other = permutation_importance(
        fitted(train, inputs), test[inputs].to_numpy(), test["degrades"], scoring="neg_brier_score", n_repeats=200, random_state=1
    )  # fmt: skip
    expected = pd.Series(other.importances_mean, index=inputs)[found.index]
    spread = pd.Series(other.importances.std(axis=1), index=inputs)[found.index]
    assert ((found["brier_rise"] - expected).abs() <= 4 * spread / np.sqrt(20) + 1e-12).all()
    assert found.index[0] == "p95_over_slo" and found["brier_rise"].is_monotonic_decreasing
    # 20 shuffles: their 2.5 and 97.5 % quantiles lie about two standard deviations of a shuffle apart on each side.
    width = (found["ci_high"] - found["ci_low"]) / (2 * spread)
    assert width.between(1.0, 2.6).all()
    assert (found["ci_low"] < found["brier_rise"]).all() and (found["brier_rise"] < found["ci_high"]).all()


def test_a_split_needs_four_horizons_five_features_and_both_outcomes_on_both_sides():
    rng = np.random.default_rng(3)
    enough = evaluate(panel_of(days=28), horizon_days=HORIZON, rng=rng)
    short = evaluate(panel_of(days=27), horizon_days=HORIZON, rng=rng)
    assert enough.refused_because is None
    assert short.refused_because == "27 days with known outcome; 28 are needed for a split in time"
    assert short.chosen is None and short.gain is None and short.gain_low is None and short.gain_high is None
    assert short.table.empty and short.reliability.empty and short.importance.empty
    assert evaluate(panel_of(features=5), horizon_days=HORIZON, rng=rng).refused_because is None
    panel = panel_of()
    is_later = panel["as_of_on"] >= START + pd.Timedelta(days=39)
    for side in (is_later, ~is_later):
        one = evaluate(panel.assign(degrades=panel["degrades"].where(~side, 0.0)), horizon_days=HORIZON, rng=rng)
        assert one.refused_because == (
            "the days before or after the split have only one outcome, so nothing can be learned or tested"
        )


def test_days_whose_outcome_is_not_known_are_no_days_of_the_evaluation():
    panel = panel_of()
    unknown = panel.assign(as_of_on=panel["as_of_on"] + pd.Timedelta(days=60), degrades=np.nan)
    first = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(3)).table
    more = evaluate(pd.concat([panel, unknown]), horizon_days=HORIZON, rng=np.random.default_rng(3)).table
    pd.testing.assert_frame_equal(first, more)


def test_the_baselines_say_what_their_names_say():
    """Hand count: 0, 3 and 7 breaches of 7 days; shares 0 and 1 are kept off certainty. One outcome only: its share."""
    train, rows = panel_of(days=20), panel_of(days=1, features=3).assign(breaches_before=[0, 3, 7])
    assert predict("persistence", train, rows).tolist() == pytest.approx([0.01, 3 / 7, 0.99])
    assert predict("base rate", train, rows).tolist() == pytest.approx([train["degrades"].mean()] * 3)
    for name in ("model", "best single signal"):
        assert predict(name, train.assign(degrades=1.0), rows).tolist() == [1.0] * 3
        inputs = list(INPUTS) if name == "model" else ["breaches_before"]
        expected = fitted(train, inputs).predict_proba(rows[inputs].to_numpy())[:, 1]
        assert predict(name, train, rows) == pytest.approx(expected)


def test_an_interval_leaves_out_the_sample_and_needs_half_of_the_draws():
    """numpy's quantiles of the draws; the first value, the sample itself, is no draw."""
    draws = np.array([99.0, *range(41)])
    assert interval(draws) == pytest.approx((1.0, 39.0))
    assert interval(np.array([0.0, 1.0, np.nan, np.inf, 3.0])) == pytest.approx((1.05, 2.95))
    assert interval(np.array([0.0, 1.0, np.nan, np.nan])) == (None, None)


def test_reliability_limits_are_wilsons_by_scipy_and_there_are_five_bins():
    truth = np.array([0, 0, 1, 0, 1, 0, 1, 1, 1, 1.0])
    found = reliability_bins(truth, np.linspace(0.05, 0.95, 10))
    assert found["n"].tolist() == [2] * 5 and found["predicted"].tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    for i, row in found.iterrows():
        hits = int(truth[2 * i : 2 * i + 2].sum())
        expected = binomtest(hits, 2).proportion_ci(method="wilson")
        assert row["observed"] == hits / 2
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_every_draw_takes_as_many_features_as_there_are_each_with_the_same_chance():
    """Multinomial: 3 of 3 features in each draw; over 20,000 draws each comes once on average (sd of the mean 0.006)."""
    names = np.array(["b", "a", "c", "a"])
    found = feature_weights(names, rng=np.random.default_rng(1), draws=20_000)
    assert found.shape == (20_001, 4) and (found[0] == 1).all()
    assert (found[1:, :3].sum(axis=1) == 3).all() and (found[:, 1] == found[:, 3]).all()
    assert found[1:].mean(axis=0) == pytest.approx(np.ones(4), abs=0.03)


def loop_ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each column in each row, 1 the largest; the earlier column where two are equal."""
    return np.array([[1 + sum(v > w or (v == w and j < i) for j, v in enumerate(r)) for i, w in enumerate(r)] for r in values])  # fmt: skip


def expected_draws(chosen: str, panel: pd.DataFrame, latest: pd.DataFrame, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if chosen == "persistence":
        b = latest["breaches_before"].to_numpy()
        return rng.beta(b + 0.5, 7.5 - b, size=(80, len(b)))
    times = rng.multinomial(6, [1 / 6] * 6, size=80)[:, panel["feature_id"].str[1:].astype(int)]
    truth = panel["degrades"].to_numpy()
    if chosen == "base rate":
        return np.array([[np.average(truth, weights=w)] * len(latest) for w in times])
    inputs = list(INPUTS) if chosen == "model" else ["breaches_before"]
    x = panel[inputs].to_numpy()
    mean, sd = x.mean(axis=0), x.std(axis=0)
    new = (latest[inputs].to_numpy() - mean) / sd
    rows = []
    for w in times:
        model = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit((x - mean) / sd, truth, sample_weight=w)
        rows.append(model.predict_proba(new)[:, 1])
    return np.array(rows)


@pytest.mark.parametrize("chosen", ["model", "best single signal", "persistence", "base rate"])
def test_scores_ranks_and_their_limits_are_those_of_the_draws_counted_one_by_one(chosen):
    """Independent: scikit-learn refitted draw by draw (or Jeffreys' beta), ranks counted by a loop over pairs."""
    panel = panel_of(days=40, strength=1.0)
    users = pd.Series({"f0": 10.0, "f1": 40.0, "f2": 20.0, "f3": 30.0, "f4": 35.0})  # f5 was met by nobody
    found = score(panel, chosen=chosen, users_per_week=users, rng=np.random.default_rng(9), draws=80).set_index(
        "feature_id"
    )
    latest = panel[panel["as_of_on"] == panel["as_of_on"].max()].reset_index(drop=True)
    weight = np.array([10, 40, 20, 30, 35, 0]) * np.maximum(latest["p95_over_slo"], 1)
    drawn = expected_draws(chosen, panel, latest, seed=9)
    ranks = loop_ranks(drawn * weight.to_numpy())
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    expected = pd.DataFrame(
        {
            "impact_score": predict(chosen, panel, latest) * weight,
            "ci_low": low * weight, "ci_high": high * weight, "p_low": low, "p_high": high,
            "severity": np.maximum(latest["p95_over_slo"], 1),
        }
    ).set_index(latest["feature_id"])  # fmt: skip
    assert found.loc["f5", "users_per_week"] == 0 and found.loc["f1", "users_per_week"] == 40
    for column in expected:
        assert found[column].reindex(expected.index).tolist() == pytest.approx(expected[column].tolist(), abs=2e-3)
    order = expected.reset_index().sort_values(["impact_score", "feature_id"], ascending=[False, True])["feature_id"]
    assert found.index.tolist() == order.tolist() and found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    for name, quantile in (("rank_low", 0.025), ("rank_high", 0.975)):
        by_hand = [np.sort(ranks[:, i])[int(np.ceil(quantile * 80)) - 1] for i in range(6)]
        assert found[name].dtype == np.int64
        assert found[name].reindex(latest["feature_id"]).tolist() == by_hand


def test_only_the_last_day_of_a_feature_is_scored_and_what_is_not_known_yet_teaches_nothing():
    panel = panel_of(days=40)
    last = panel["as_of_on"] == panel["as_of_on"].max()
    open_days = panel.assign(degrades=panel["degrades"].where(~last))
    users = pd.Series({f"f{i}": 1.0 for i in range(6)})
    found = score(open_days, chosen="base rate", users_per_week=users, rng=np.random.default_rng(9))
    assert found["p_degrade"].tolist() == pytest.approx([panel.loc[~last, "degrades"].mean()] * 6)
    shuffled = score(open_days.sample(frac=1, random_state=1), chosen="model", users_per_week=users, rng=np.random.default_rng(9))  # fmt: skip
    direct = predict("model", panel[~last], panel[last])
    assert shuffled.set_index("feature_id")["p_degrade"].sort_index().tolist() == pytest.approx(direct.tolist())
    one = score(open_days, chosen="base rate", users_per_week=users, rng=np.random.default_rng(9), only=["f3"])
    assert one["feature_id"].tolist() == ["f3"] and one["rank"].tolist() == [1]
    none = score(open_days, chosen="base rate", users_per_week=users, rng=np.random.default_rng(9), only=[])
    assert none.empty and none.columns.tolist() == found.columns.tolist()
    unlearned = panel.assign(degrades=np.nan)
    assert score(unlearned, chosen="base rate", users_per_week=users, rng=np.random.default_rng(9)).empty


@pytest.mark.parametrize(
    ("at", "words"),
    list(
        enumerate(
            [
                "p95 close to or over its objective",
                "p95 above its week",
                "p95 that jumps from day to day",
                "objectives missed on recent days",
                "errors",
                "crashes",
                "a recent deployment",
            ]
        )
    ),
)
def test_the_reason_names_the_input_farthest_above_what_is_usual(at, words):
    """By hand: the last day of f0 lies .6 sd (and another input .55 sd) above the mean of the known days, f1 .4 sd."""
    panel = panel_of(days=40)
    last = panel["as_of_on"] == panel["as_of_on"].max()
    known = panel[~last]
    mean, sd = known[list(INPUTS)].mean(), known[list(INPUTS)].std()
    changed = panel.assign(degrades=panel["degrades"].where(~last))
    for feature, above in (("f0", 0.6), ("f1", 0.4)):
        row = last & (panel["feature_id"] == feature)
        values = mean - sd
        values.iloc[at] = mean.iloc[at] + above * sd.iloc[at]
        other = (at + 1) % len(INPUTS)
        values.iloc[other] = mean.iloc[other] + (above - 0.05) * sd.iloc[other]
        changed.loc[row, list(INPUTS)] = values.to_numpy()
    users = pd.Series({f"f{i}": 1.0 for i in range(6)})
    found = score(changed, chosen="base rate", users_per_week=users, rng=np.random.default_rng(9))
    because = found.set_index("feature_id")["because"]
    assert because["f0"] == words and because["f1"] == "nothing unusual"


def test_an_input_that_never_varies_is_no_reason_and_moves_no_probability():
    panel = panel_of(days=40)
    panel = panel.assign(deploys_before=0.0)
    users = pd.Series({f"f{i}": 1.0 for i in range(6)})
    found = score(panel, chosen="model", users_per_week=users, rng=np.random.default_rng(9))
    assert np.isfinite(found[["p_low", "p_high"]].to_numpy()).all()
    assert "a recent deployment" not in set(found["because"])
    x = panel[list(INPUTS)].to_numpy()
    without = refitted_probabilities(x[:, :6], panel["degrades"].to_numpy(), x[:5, :6], np.ones((1, len(x))))
    with_it = refitted_probabilities(x, panel["degrades"].to_numpy(), x[:5], np.ones((1, len(x))))
    assert with_it[0] == pytest.approx(without[0], abs=1e-9)


def test_the_order_is_told_only_where_the_first_is_first_in_nearly_every_draw():
    ranked = pd.DataFrame({"feature_id": ["c", "b", "a"], "users_per_week": [1.0, 5.0, 5.0], "rank_high": [1, 3, 3]})
    unsure = ranked.assign(rank_high=[2, 3, 3])
    assert is_first_known(ranked) and not is_first_known(unsure) and not is_first_known(ranked.head(1))
    assert is_first_known(ranked.head(2))
    assert in_order_to_look(ranked)["feature_id"].tolist() == ["c", "b", "a"]
    looked = in_order_to_look(unsure)
    assert looked["feature_id"].tolist() == ["a", "b", "c"] and looked.index.tolist() == [0, 1, 2]


def test_only_a_healthy_feature_that_was_scored_has_a_probability_in_the_risk_table():
    states = pd.DataFrame(
        {"feature_id": ["a", "b", "c"], "state": ["healthy", "degraded now", "healthy"], "as_of_on": [START] * 3}
    )
    ranked = pd.DataFrame(
        {"feature_id": ["a", "b"], "p_degrade": [0.2, 0.9], "p_low": [0.1, 0.8], "p_high": [0.3, 0.95]}
    )
    found = risk_table(states, ranked)
    assert found["unit"].tolist() == ["a", "b", "c"] and found["as_of"].tolist() == [START] * 3
    assert found.loc[0, ["probability", "ci_low", "ci_high"]].tolist() == [0.2, 0.1, 0.3]
    assert found.loc[1:, ["probability", "ci_low", "ci_high"]].isna().all(axis=None)


def test_scores_are_published_for_healthy_features_with_the_chosen_name():
    panel = panel_of()
    evaluation = evaluate(panel, horizon_days=HORIZON, rng=np.random.default_rng(3))
    states = pd.DataFrame({"feature_id": ["f0", "f1", "f2"], "state": ["healthy", "cannot tell", "healthy"]})
    users = pd.Series({f"f{i}": 10.0 for i in range(6)})
    found = published_scores(panel, evaluation, states, users_per_week=users, rng=np.random.default_rng(4))
    direct = score(panel, chosen="model", users_per_week=users, rng=np.random.default_rng(4), only=["f0", "f2"])
    pd.testing.assert_frame_equal(found, direct)
    refused = evaluation._replace(chosen=None)
    nothing = published_scores(panel, refused, states, users_per_week=users, rng=np.random.default_rng(4))
    assert nothing.empty and nothing.columns.tolist() == found.columns.tolist()


def feature_days(p95: list[float], **columns: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(
        {"feature_id": "f", "observed_on": pd.date_range(START, periods=len(p95)), "observations": 60}
    ).assign(p95_latency_ms=p95, error_rate=0.0, crash_free_users_rate=1.0, mean_feedback_score=4.0)
    return table.assign(**columns)


def test_the_inputs_of_a_day_are_those_of_numpy_over_the_days_up_to_it():
    rng = np.random.default_rng(5)
    p95, errors, free = 200 * np.exp(rng.normal(0, 0.3, 20)), rng.random(20) / 10, 1 - rng.random(20) / 10
    p95[17] = 0.0  # no logarithm: the day is left out of the volatility
    features = [Feature(feature_id="f", slo_p95_latency_ms=200.0)]
    table = breaches(feature_days(list(p95), error_rate=list(errors), crash_free_users_rate=list(free)), features)
    marks = pd.DataFrame(
        [
            (START + pd.Timedelta(days=12, hours=9), "deployment", "f"),  # eight days ago: too old
            (START + pd.Timedelta(days=13, hours=9), "deployment", "f"),
            (START + pd.Timedelta(days=15, hours=9), "deployment", None),  # of all features
            (START + pd.Timedelta(days=15, hours=9), "deployment", "g"),
            (START + pd.Timedelta(days=15, hours=9), "incident", "f"),
            (START + pd.Timedelta(days=19, hours=23), "deployment", "f"),
        ],
        columns=["at", "kind", "feature_id"],
    )
    panel = risk_panel(table, horizon_days=3, min_breach_days=2, annotations=marks)
    found = panel.set_index("as_of_on").loc[START + pd.Timedelta(days=19)]
    assert found["p95_over_slo"] == pytest.approx(p95[17:20].mean() / 200)
    assert found["p95_change"] == pytest.approx(p95[19] / p95[13:20].mean() - 1)
    assert found["p95_volatility"] == pytest.approx(np.std(np.log(np.delete(p95[6:20], 11)), ddof=1))
    assert found["breaches_before"] == (p95[13:20] > 200).sum()
    assert found["error_rate_before"] == pytest.approx(errors[13:20].mean())
    assert found["crash_share_before"] == pytest.approx(1 - free[13:20].mean())
    assert found["deploys_before"] == 3
    assert panel["as_of_on"].min() == START + pd.Timedelta(days=6)  # seven days of history


def test_a_day_without_a_row_is_a_day_of_the_panel_and_means_are_of_the_days_that_are_there():
    """By hand: days 9 and 10 of 14 are missing (p95 100 before, 160 after); on the 11th its 3 days hold one value."""
    p95 = [100.0, 110.0] * 4 + [0.0, 0.0] + [160.0] * 4
    rows = feature_days(p95).drop(index=[8, 9])
    panel = risk_panel(
        breaches(rows, [Feature(feature_id="f", slo_p95_latency_ms=200.0)]), horizon_days=3, min_breach_days=1
    ).set_index("as_of_on")
    found = panel.loc[START + pd.Timedelta(days=10)]
    assert found["p95_over_slo"] == pytest.approx(160 / 200)
    assert found["p95_change"] == pytest.approx(160 / 116 - 1)  # 100, 110, 100, 110, -, -, 160
    assert found["breaches_before"] == 0 and found["deploys_before"] == 0
    # The days after 7 January include one without a value: whether it degrades is not known.
    assert np.isnan(panel.loc[START + pd.Timedelta(days=6), "degrades"])
    assert panel.loc[START + pd.Timedelta(days=10), "degrades"] == 0


def test_an_empty_panel_has_the_columns_and_kinds_of_a_full_one():
    nothing = breaches(feature_days([100.0] * 20), [])
    found = risk_panel(nothing, horizon_days=3, min_breach_days=1)
    full = risk_panel(
        breaches(feature_days([100.0, 110.0] * 10), [Feature(feature_id="f", slo_p95_latency_ms=200.0)]),
        horizon_days=3,
        min_breach_days=1,
    )
    assert found.empty and found.columns.tolist() == full.columns.tolist()
    assert found["as_of_on"].dtype.kind == "M" and found["degrades"].dtype == float


def test_the_state_says_how_many_days_which_objectives_and_as_of_when():
    """Hand count over the last 3 dates up to 7 January, at least 2: missed are p95 (two days), errors (one), not feedback."""
    features = [
        Feature(feature_id="f", slo_p95_latency_ms=200.0, slo_error_rate=0.1, slo_feedback_score=3.0),
        Feature(feature_id="g", slo_p95_latency_ms=200.0),
        Feature(feature_id="h", slo_p95_latency_ms=200.0),
        Feature(feature_id="none"),
    ]
    f = feature_days([100, 100, 100, 100, 300, 100, 300], error_rate=[0.5, 0, 0, 0, 0, 0, 0.2])
    g = feature_days([300, 100, 100, 100, 100, 100, 300]).assign(feature_id="g")
    h = feature_days([300, 300, 300, 300, 300]).assign(feature_id="h")
    stray = feature_days([100.0]).assign(feature_id="stray")
    table = breaches(pd.concat([f, g, h, stray]), features)
    found = state_table(table, features, through=START + pd.Timedelta(days=6, hours=20), min_breach_days=2)
    assert state_days(2) == 3 and found["feature_id"].tolist() == ["f", "g", "h", "none"]
    rows = found.set_index("feature_id")
    assert rows.loc["f", ["state", "days_missed", "days_known"]].tolist() == ["degraded now", 2, 3]
    assert rows.loc["f", "reason"] == "an objective was missed on 2 of the last 3 days"
    assert rows.loc["f", "missed"] == "p95 latency and error rate"
    assert rows.loc["f", "since_on"] == START + pd.Timedelta(days=4)
    assert rows.loc["g", ["state", "days_missed", "days_known"]].tolist() == ["healthy", 1, 3]
    assert rows.loc["g", "reason"] == "an objective was missed on 1 of the last 3 days"
    assert rows.loc["h", ["state", "days_missed", "days_known"]].tolist() == ["cannot tell", 1, 1]
    assert rows.loc["h", "reason"] == "1 of the last 3 days can be judged"
    assert rows.loc["none", ["state", "reason"]].tolist() == ["not asked", "no objective is declared"]
    assert rows["as_of_on"].dt.day.tolist()[:3] == [7, 7, 5] and pd.isna(rows.loc["none", "as_of_on"])
    assert rows.loc[["g", "h"], "missed"].isna().all() and rows.loc[["g", "h", "none"], "since_on"].isna().all()
    assert judged(found)["feature_id"].tolist() == ["f", "g"]
    turned = judged(found.assign(days_missed=[1, 1, 0, 0], state=["healthy"] * 4).iloc[[1, 0, 2]])
    assert turned["feature_id"].tolist() == ["f", "g", "h"] and turned.index.tolist() == [0, 1, 2]


def test_of_several_runs_of_missed_days_the_last_says_since_when():
    """Missed on days 1, 2, then 6, then 10, 12, 13, 14, by hand: one day between two missed ones ends no run."""
    slow = {1, 2, 6, 10, 12, 13, 14}
    days = feature_days([300.0 if day in slow else 100.0 for day in range(1, 15)])
    features = [Feature(feature_id="f", slo_p95_latency_ms=200.0)]
    found = state_table(breaches(days, features), features, through=START + pd.Timedelta(days=13), min_breach_days=2)
    assert found[["state", "since_on"]].to_numpy().tolist() == [["degraded now", START + pd.Timedelta(days=9)]]


def test_equal_impacts_are_in_the_order_of_their_names():
    panel = panel_of(days=40)
    found = score(panel, chosen="base rate", users_per_week=pd.Series(dtype=float), rng=np.random.default_rng(9))
    assert found["impact_score"].tolist() == [0.0] * 6
    assert found["feature_id"].tolist() == ["f0", "f1", "f2", "f3", "f4", "f5"] and found["rank_high"].tolist() == [1, 2, 3, 4, 5, 6]  # fmt: skip


def test_a_rate_that_is_known_on_one_of_seven_days_is_that_days():
    """By hand: errors and crashes are known on the last day of ten only."""
    known = [np.nan] * 9
    table = breaches(
        feature_days([100.0, 110.0] * 5, error_rate=[*known, 0.2], crash_free_users_rate=[*known, 0.9]),
        [Feature(feature_id="f", slo_p95_latency_ms=200.0)],
    )
    found = risk_panel(table, horizon_days=3, min_breach_days=1)
    assert found["as_of_on"].tolist() == [START + pd.Timedelta(days=9)]
    assert found.iloc[0][["error_rate_before", "crash_share_before"]].tolist() == pytest.approx([0.2, 0.1])
