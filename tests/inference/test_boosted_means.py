"""Which model of the race predicts, and with what: scikit-learn's own, with every setting written out here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from launchpad_lib.inference import nuisances
from launchpad_lib.inference.nuisances import crossfit


def data(rows: int, *, binary: bool, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and five folds; y depends on a product, which no straight line follows, and a mean on a slope besides."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).round(1)  # fewer than 256 values: a bin each, whichever rows are looked at
    mean = 1.5 * np.sign(x[:, 0] * x[:, 1])
    y = (
        (rng.random(rows) < 1 / (1 + np.exp(-mean))).astype(float)
        if binary
        else mean + 2 * x[:, 2] + rng.normal(0, 0.5, rows)
    )
    return x, y, np.arange(rows) % 5


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other cost more than these few rows."""
    with threadpool_limits(limits=1):
        yield


def seed_of(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(2**31))


SMALL = {"learning_rate": 0.12, "max_leaf_nodes": 6, "min_samples_leaf": 20, "l2_regularization": 1.0}


@pytest.mark.parametrize("binary", [True, False])
def test_trees_stop_where_held_rows_are_told_best_and_later_folds_take_the_mean(binary):
    rows = nuisances.FEWEST_BOOSTED
    x, y, fold = data(rows, binary=binary)
    users = np.arange(rows)
    found = crossfit(x, y, fold, users=users, rng=np.random.default_rng(7))
    assert found.model == ("boosted" if binary else "linear, then boosted")
    make = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    expected, best = np.empty(rows), []
    for k in range(5):
        test, train = fold == k, fold != k
        straight, left = np.zeros(rows), y
        if not binary:  # trees of what a ridge leaves
            ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0)))
            straight = ridge.fit(x[train], y[train]).predict(x)
            left = y - straight
        if k < nuisances.TUNED_FOLDS:
            model = make(**SMALL, max_iter=120, early_stopping=True, n_iter_no_change=12, random_state=seed_of(7))
            model.fit(x[train], left[train], X_val=x[test], y_val=left[test])
            best.append(int(np.argmax(model.validation_score_)))
            assert 0 < best[-1] < 120
            trees = best[-1]
        else:
            trees = round(sum(best) / len(best))
        # The same trees grown again without looking at the held rows.
        again = make(**SMALL, max_iter=trees, early_stopping=False, random_state=seed_of(7)).fit(x[train], left[train])
        expected[test] = again.predict_proba(x[test])[:, 1] if binary else straight[test] + again.predict(x[test])
    assert found.predicted == pytest.approx(expected, abs=1e-9)


def test_a_straight_line_wins_where_the_truth_is_one_and_few_rows_grow_no_trees():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(600, 2))
    y = x @ [1.0, -2.0] + rng.normal(0, 3.0, 600)
    fold = np.arange(600) % 5
    for rows in (600, 60):
        own = slice(None, rows)
        found = crossfit(x[own], y[own], fold[own], users=np.arange(rows), rng=np.random.default_rng(3))
        assert found.model == "linear"
        for k in range(5):
            test = fold[own] == k
            ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0)))
            expected = ridge.fit(x[own][~test], y[own][~test]).predict(x[own][test])
            assert found.predicted[test] == pytest.approx(expected)


def test_the_mean_of_one_arm_is_learnt_from_its_rows_and_told_for_all():
    rng = np.random.default_rng(5)
    rows = 400
    x, treated = rng.normal(size=(rows, 2)), rng.integers(0, 2, rows)
    y = np.where(treated == 1, 10.0, 0.0) + x[:, 0]
    fold = np.arange(rows) % 4
    for arm in (0, 1):
        found = crossfit(x, y, fold, users=np.arange(rows), rng=rng, treated=treated, arm=arm)
        assert found.predicted == pytest.approx(10.0 * arm + x[:, 0], abs=0.3)


def test_probabilities_of_few_rows_are_those_of_the_more_shrunken_of_two_logistic_models_where_it_predicts_better():
    rng = np.random.default_rng(11)
    rows = 120
    x, y = rng.normal(size=(rows, 12)), rng.integers(0, 2, rows).astype(float)
    fold = np.arange(rows) % 5
    found = crossfit(x, y, fold, users=np.arange(rows), rng=np.random.default_rng(1))
    assert found.model == "linear, shrunk"  # nothing is to be learnt here
    for k in range(5):
        test = fold == k
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=500, tol=1e-8))
        expected = model.fit(x[~test], y[~test]).predict_proba(x[test])[:, 1]
        assert found.predicted[test] == pytest.approx(expected, abs=1e-3)


def test_a_mean_that_is_the_same_everywhere_is_told_without_a_model():
    x, fold = np.random.default_rng(1).normal(size=(50, 2)), np.arange(50) % 5
    for value in (0.0, 1.0, 3.5):
        found = crossfit(x, np.full(50, value), fold, users=np.arange(50), rng=np.random.default_rng(1))
        assert (found.predicted == value).all()


def test_of_a_few_treated_the_hardly_penalised_model_does_not_race():
    """Ten of the rarer kind for each covariate: with 79 trials on a side it won by luck, and left 22 users to compare."""
    rng = np.random.default_rng(20261127)
    n, width = 2_000, 5
    x = rng.normal(size=(n, width))
    users, fold = np.arange(n), np.arange(n) % 6
    steep = 3 * x[:, 0] - 5
    few, many = (np.argsort(np.argsort(-(steep + rng.logistic(size=n)))) < kept for kept in (49, 50))
    for treated, models in ((few, {"linear, shrunk", "boosted"}), (many, {"linear"})):
        found = crossfit(x, treated.astype(float), fold, users=users, rng=np.random.default_rng(1))
        assert found.model in models
    # An outcome is learnt as before.
    arm = np.zeros(n, int)
    assert (
        crossfit(x, few.astype(float), fold, users=users, rng=np.random.default_rng(1), treated=arm).model == "linear"
    )
