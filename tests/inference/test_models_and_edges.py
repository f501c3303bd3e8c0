"""The models of what was not randomised against scikit-learn with the settings written out, and every refusal just at its edge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from launchpad_lib.inference import Placebo, crossfit_effects, doubt_table, effects, mix_share
from launchpad_lib.inference.nuisances import Nuisance, crossfit, user_folds


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of a busy machine wait for each other."""
    with threadpool_limits(limits=1):
        yield


def scaled(model):
    return make_pipeline(StandardScaler(), model)


LINEAR = {
    "linear, shrunk": lambda: scaled(LogisticRegression(C=0.02, solver="newton-cholesky", max_iter=50)),
    "linear": lambda: scaled(LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=50)),
}


def world_of(kind: str, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(21)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2.5 * x[:, 1])) if kind == "linear" else 0.5
    return x, (rng.random(rows) < chance).astype(float), np.arange(rows) % 4


@pytest.mark.parametrize("kind", ["linear", "linear, shrunk"])
def test_of_few_rows_predictions_are_those_of_scikit_learn_chosen_on_the_third_and_fourth_fold(kind):
    """Under 400 rows there are no trees; the first two folds, where trees would be tuned, decide nothing."""
    x, y, fold = world_of(kind, 399)
    predicted = {}
    for name, make in LINEAR.items():
        predicted[name] = np.empty(len(y))
        for k in range(4):
            predicted[name][fold == k] = make().fit(x[fold != k], y[fold != k]).predict_proba(x[fold == k])[:, 1]
    late = fold >= 2
    best = min(LINEAR, key=lambda name: log_loss(y[late], predicted[name][late].clip(1e-5, 1 - 1e-5)))
    found = crossfit(x, y, fold, users=np.arange(len(y)), rng=np.random.default_rng(4))
    assert found.model == best == kind and found.predicted == pytest.approx(predicted[best])


def test_an_outcome_that_is_the_same_for_all_that_are_learnt_from_is_predicted_as_it_is():
    x, y, fold = world_of("linear", 80)
    treated = np.arange(80) % 2
    y = np.where(treated == 1, 1.0, y)
    found = crossfit(x, y, fold, users=np.arange(80), rng=np.random.default_rng(4), treated=treated, arm=1)
    assert found.predicted.tolist() == [1.0] * 80
    nobody = crossfit(x, y, fold, users=np.arange(80), rng=np.random.default_rng(4), treated=np.zeros(80), arm=1)
    assert nobody.predicted.tolist() == [0.0] * 80


def test_folds_share_every_mark_evenly_and_a_user_has_the_largest_of_its_marks():
    """20 users with a row of mark 2 among rows of mark 0, and 23 of mark 1: each of 4 folds has 5 of the first, 5 or 6 of the others."""
    users = np.r_[np.repeat(np.arange(20), 3), np.arange(20, 43)]
    marks = np.r_[np.tile([0, 2, 0], 20), np.ones(23, int)]
    fold = user_folds(users, marks, folds=4, rng=np.random.default_rng(3))
    assert all(len(set(fold[users == u])) == 1 for u in range(43))
    assert np.bincount(fold[:60:3], minlength=4).tolist() == [5] * 4
    assert sorted(np.bincount(fold[60:], minlength=4)) == [5, 6, 6, 6]
    one, other = (user_folds(users, marks, folds=4, rng=np.random.default_rng(s))[60:] for s in (1, 2))
    assert one.tolist() != other.tolist()


def given(monkeypatch, e, n: int) -> None:
    half = Nuisance(np.full(n, 0.5), "linear")
    propensity = Nuisance(np.asarray(e, float) + np.zeros(n), "linear")
    monkeypatch.setattr(effects, "_nuisances", lambda *asked: [propensity, half, half])


def table(n: int, treated, **more) -> pd.DataFrame:
    rng = np.random.default_rng(14)
    frame = pd.DataFrame({"z": rng.normal(size=n), "treated": treated, "returned": rng.integers(0, 2, n)})
    return frame.assign(**more)


def asked(frame: pd.DataFrame, **rules) -> effects.CrossFit:
    return crossfit_effects(frame, covariates=["z"], rng=np.random.default_rng(1), **rules)


def test_a_group_needs_thirty_units_of_thirty_users_and_two_a_fold(monkeypatch):
    given(monkeypatch, 0.5, 60)
    just = table(60, np.arange(60) % 2)
    assert asked(just).ate.refused_because is None
    less = table(59, np.arange(59) % 2)
    assert asked(less).ate.refused_because == "29 treated and 30 untreated units; each group needs 30"
    given(monkeypatch, 0.5, 59)
    assert asked(less, min_group=29).ate.refused_because is None
    more = asked(just, folds=16).ate
    assert more.refused_because == "30 treated and 30 untreated units; each group needs 32"
    shared = table(61, np.r_[np.arange(60) % 2, 1], user=np.r_[np.arange(59), 57, 57])
    few = asked(shared, cluster="user").ate
    assert few.refused_because == "they are of 29 treated and 30 untreated users; each group needs 30"
    assert (few.n_treated, few.n_control, few.users) == (31, 30, 59) and few[1:10] == (None,) * 9
    assert few[13:16] == (None, None, None)


def test_every_reason_why_nothing_can_be_asked_is_a_whole_sentence():
    whole = table(400, np.arange(400) % 2)
    first = np.arange(400) < 12
    reasons = {
        "the outcome is unknown for 12 of 400 units": whole.assign(returned=np.where(first, np.nan, whole["returned"])),
        "the outcome is the same for all": whole.assign(returned=1),
        "in one group the outcome is the same for all, so it cannot be modelled": whole.assign(returned=np.where(whole["treated"] == 1, 1, whole["returned"])),
        "the covariate z is missing for 12 units": whole.assign(z=np.where(first, np.nan, whole["z"])),
        "no covariate measured before exposure varies": whole.assign(z=3.0),
        "what was known before tells who is treated, so nobody can be compared": whole.assign(z=whole["treated"] * 2.0),
    }  # fmt: skip
    for reason, frame in reasons.items():
        found = asked(frame)
        assert [(e.estimand, e.refused_because) for e in found[:3]] == [
            (name, reason) for name in ("ATE", "ATT", "ATO")
        ]
        assert (found.ate.n_treated, found.ate.n_control, found.ate.users) == (200, 200, 400)
        assert found.models == () and found.balance.empty and found.balance.columns[0] == "covariate"
        assert found.best is found.ate


@pytest.mark.parametrize(("count", "is_refused"), [(20, False), (21, True)])
def test_more_than_a_twentieth_out_of_reach_refuses_the_effect_for_everybody(monkeypatch, count, is_refused):
    """Of 400 units half are treated: out of reach is a chance under 1/20 of 1/2, or one over 1 - 1/40; 20 of 400 are a twentieth."""
    n, treated = 400, np.arange(400) % 2
    for beyond, within in ((0.0249, 0.0251), (0.9751, 0.9749)):
        given(monkeypatch, np.where(np.arange(n) < count, beyond, 0.5), n)
        found = asked(table(n, treated))
        assert (found.ate.refused_because is not None) is is_refused
        if is_refused:
            assert found.ate.refused_because == "5 % of these units had hardly a chance of the other arm: the groups hardly overlap"  # fmt: skip
            assert found.best is found.ato and found.ate.n_treated == 200 and found.ate.largest_smd is not None
        given(monkeypatch, np.where(np.arange(n) < count, within, 0.5), n)
        assert "hardly a chance" not in str(asked(table(n, treated)).ate.refused_because)


def test_the_effect_on_the_treated_counts_those_whose_staying_away_was_hardly_possible(monkeypatch):
    n, treated = 400, np.arange(400) % 2
    given(monkeypatch, np.where((np.arange(n) < 22) & (treated == 1), 0.976, 0.5), n)
    found = asked(table(n, treated))
    assert found.ate.refused_because is None  # 11 of 400
    assert (
        found.att.refused_because
        == "6 % of these units had hardly a chance of the other arm: the groups hardly overlap"
    )
    assert found.ato.refused_because is None and found.best is found.ate
    given(monkeypatch, np.where((np.arange(n) < 22) & (treated == 0), 0.976, 0.5), n)
    assert "hardly a chance" not in str(asked(table(n, treated)).att.refused_because)


def test_covariates_that_do_not_vary_are_left_out_and_a_placebo_that_half_know_is_not_checked(monkeypatch):
    n = 400
    frame = table(n, np.arange(n) % 2, flat=1.0, before=np.where(np.arange(n) < 200, np.nan, np.arange(n) // 2 % 2))
    given(monkeypatch, 0.5, n)
    found = crossfit_effects(frame, covariates=["flat", "z"], rng=np.random.default_rng(1))
    assert found.balance["covariate"].tolist() == ["z"]
    row = doubt_table(frame, covariates=["z"], placebos=[Placebo("before", "the day before")], estimate=0.3, rng=np.random.default_rng(1)).iloc[0]  # fmt: skip
    assert row[["check", "n", "verdict", "refused_because"]].tolist() == ["the day before", 200, "cannot be checked", "it is known for 200 of 400 units only"]  # fmt: skip
    assert row["limit"] == pytest.approx(0.1) and row[["estimate", "ci_low", "ci_high"]].isna().all()
    known = frame.assign(before=np.where(np.arange(n) < 199, np.nan, np.arange(n) // 2 % 2))
    given(monkeypatch, 0.5, 201)
    row = doubt_table(known, covariates=["z"], placebos=[Placebo("before", "the day before")], estimate=0.3, rng=np.random.default_rng(1)).iloc[0]  # fmt: skip
    assert row["n"] == 201 and row["refused_because"] is None and row["ci_low"] < row["estimate"] < row["ci_high"]


@pytest.mark.parametrize("new", ["app", "zoo"])
def test_a_stratum_that_is_new_has_no_weight_whatever_its_name(new):
    """By hand: of 10 later values 9 are on web as all before: each of the 4 earlier ones counts 9 / 4, so the median stays 2."""
    before, after = np.array([1.0, 2.0, 3.0, 4.0]), np.arange(11.0, 21.0)
    strata = np.array(["web"] * 9 + [new])
    assert mix_share(before, after, np.array(["web"] * 4), strata, quantile=0.5) == pytest.approx(0.0)
