"""Effects of what was not randomised, against formulas written out, published data and simulated truth; each test says which."""

from __future__ import annotations

import re
from functools import partial
from math import exp, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from launchpad_lib.inference import crossfit_effects, effects, nuisances
from launchpad_lib.inference.nuisances import Nuisance, crossfit, user_folds

ROOT = Path(__file__).resolve().parents[2]
NHEFS = ROOT / "data/sample/nhefs/nhefs.csv"
ACIC = ROOT.parent / "shared/data/acic"
if not ACIC.is_dir():
    ACIC = ROOT.parents[1] / "shared/data/acic"


def world(n: int = 400, **columns) -> pd.DataFrame:
    """A harmless table; the columns given replace its own."""
    rng = np.random.default_rng(14)
    base = {"z": rng.normal(size=n), "treated": rng.integers(0, 2, n), "returned": rng.integers(0, 2, n)}
    return pd.DataFrame(base | columns)


def test_effects_limits_sizes_and_balance_are_the_formulas_written_out(monkeypatch):
    """Nuisances given: means of the AIPW terms by loops over users, Robinson's residuals for the ATO, Kish over users."""
    rng = np.random.default_rng(1)
    n, users = 300, rng.integers(0, 90, 300)
    table = world(n, user=users, returned=rng.integers(0, 2, n), w=rng.normal(size=n))
    e, m1, m0 = rng.uniform(0.2, 0.8, n), rng.uniform(0.1, 0.9, n), rng.uniform(0.1, 0.9, n)
    given = [Nuisance(e, "linear"), Nuisance(m0, "linear"), Nuisance(m1, "boosted")]
    monkeypatch.setattr(effects, "_nuisances", lambda *asked: given)
    found = crossfit_effects(table, covariates=["z", "w"], rng=rng, cluster="user", level=0.9)
    t, y = table["treated"].to_numpy(), table["returned"].to_numpy()
    m = e * m1 + (1 - e) * m0
    ate = m1 - m0 + t * (y - m1) / e - (1 - t) * (y - m0) / (1 - e)
    att = t * (y - m0) - (1 - t) * e / (1 - e) * (y - m0)
    robinson = ((t - e) * (y - m)).sum() / ((t - e) ** 2).sum()
    expected = {
        "ATE": (ate.mean(), (ate - ate.mean()) / n),
        "ATT": (att.sum() / t.sum(), (att - t * att.sum() / t.sum()) / t.sum()),
        "ATO": (robinson, (t - e) * (y - m - robinson * (t - e)) / ((t - e) ** 2).sum()),
    }
    weights = {
        "ATE": np.where(t == 1, 1 / e, 1 / (1 - e)),
        "ATT": np.where(t == 1, 1, e / (1 - e)),
        "ATO": np.where(t == 1, 1 - e, e),
    }
    groups = sorted(set(users))
    quantile = student.ppf(0.95, len(groups) - 1)
    for name, (lift, influence) in expected.items():
        effect = found.of(name)
        error = sqrt(sum(influence[users == u].sum() ** 2 for u in groups) * len(groups) / (len(groups) - 1))
        assert effect.refused_because is None and effect.users == len(groups)
        limits = (lift, error, lift - quantile * error, lift + quantile * error)
        assert effect[1:5] == pytest.approx(limits)
        assert effect.mean_treated - effect.mean_control == pytest.approx(lift)
        wider = effect.at_level(0.99)
        assert wider.ci_high - lift == pytest.approx(student.ppf(0.995, len(groups) - 1) * error)
        for arm, size in ((1, effect.effective_treated), (0, effect.effective_control)):
            sums = [weights[name][(users == u) & (t == arm)].sum() for u in groups]
            assert size == pytest.approx(sum(sums) ** 2 / sum(s**2 for s in sums))
        rows = found.balance.set_index("covariate")[f"smd_{name.lower()}"]
        assert effect.largest_smd == pytest.approx(rows.abs().max())
        for covariate in ("z", "w"):
            v = table[covariate].to_numpy()
            means = [np.average(v[t == arm], weights=weights[name][t == arm]) for arm in (1, 0)]
            spread = sqrt((v[t == 1].var(ddof=1) + v[t == 0].var(ddof=1)) / 2)
            assert rows[covariate] == pytest.approx((means[0] - means[1]) / spread, abs=1e-6)
    one, zero = (t * y).sum() / t.sum(), (t * y - att).sum() / t.sum()
    assert (found.att.mean_treated, found.att.mean_control) == pytest.approx((one, zero))
    inner = (t * y - t * one) / t.sum() / one - (t * y - att - t * zero) / t.sum() / zero
    half = quantile * sqrt(sum(inner[users == u].sum() ** 2 for u in groups) * len(groups) / (len(groups) - 1))
    ratios = (one / zero, one / zero * exp(-half), one / zero * exp(half))
    assert (found.att.ratio, found.att.ratio_low, found.att.ratio_high) == pytest.approx(ratios)
    assert found.models == ("linear", "linear", "boosted")


@pytest.fixture
def one_thread():
    """Threads of a busy machine wait for each other; `crossfit_effects` sets the same limit."""
    with threadpool_limits(limits=1):
        yield


@pytest.mark.usefixtures("one_thread")
def test_no_model_sees_the_user_it_predicts_for():
    """Folds hold whole users; a column that is each user's own noise tells nothing out of fold."""
    rng = np.random.default_rng(2)
    users = rng.integers(0, 200, 2000)
    fold = user_folds(users, rng.integers(0, 3, 2000), folds=5, rng=rng)
    assert all(len(set(fold[users == u])) == 1 for u in set(users)) and set(fold) == {0, 1, 2, 3, 4}
    luck, coin = rng.normal(size=200), rng.random(200) < 0.5
    x = np.column_stack([luck[users], rng.normal(size=2000)]).astype(np.float32)
    found = crossfit(x, coin[users].astype(float), fold, users=users, rng=rng)
    right = np.mean((found.predicted > 0.5) == coin[users])
    rows_apart = crossfit(x, coin[users].astype(float), np.arange(2000) % 5, users=np.arange(2000), rng=rng)
    assert right < 0.65 < 0.75 < np.mean((rows_apart.predicted > 0.5) == coin[users])


@pytest.mark.usefixtures("one_thread")
def test_the_model_is_chosen_by_its_loss_on_unseen_users():
    """A step and a product are found by trees only; a slope and a straight score by a line, with next to nothing of trees."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 3)).astype(np.float32)
    fold, users = np.arange(3000) % 5, np.arange(3000)
    curved = (rng.random(3000) < np.where(np.abs(x[:, 0]) > 0.7, 0.8, 0.2)).astype(float)
    straight = (rng.random(3000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    assert crossfit(x, curved, fold, users=users, rng=rng).model == "boosted"
    assert crossfit(x, straight, fold, users=users, rng=rng).model.startswith("linear")
    slope = crossfit(x, 2 * x[:, 0] + rng.normal(size=3000), fold, users=users, rng=rng)
    assert slope.model.startswith("linear") and np.mean(np.square(slope.predicted - 2 * x[:, 0])) < 0.01
    bent = 2 * x[:, 1] + np.abs(x[:, 0]) + 0.3 * rng.normal(size=3000)
    assert crossfit(x, bent, fold, users=users, rng=rng).model == "linear, then boosted"


@pytest.mark.usefixtures("one_thread")
def test_trees_end_where_they_tell_no_more_about_users_that_were_not_learnt_from():
    """Outcomes that hang on nothing: however long trees were learnt, the loss stays that of the mean, ln 2 per row.

    All two hundred trees lose more than 0.01 more per row here.
    """
    rng = np.random.default_rng(11)
    x, coin = rng.normal(size=(3000, 10)).astype(np.float32), (rng.random(3000) < 0.5).astype(float)
    fold, model = np.arange(3000) % 5, nuisances._Boosted(True, 3000, 1)
    seen = partial(model.tuned_means, held=np.ones(600, bool), known=coin[fold == 0])
    tuned = seen(x[fold != 0], coin[fold != 0], x[fold == 0])
    later = model.means(x[fold != 1], coin[fold != 1], x[fold == 1])
    full = nuisances._Boosted(True, 3000, 1).means(x[fold != 1], coin[fold != 1], x[fold == 1])
    losses = [nuisances._loss(coin[fold == k], p, True) / 600 for k, p in ((0, tuned), (1, later), (1, full))]
    assert model.best[0] < 20 and max(losses[:2]) < np.log(2) + 0.003 and losses[2] > np.log(2) + 0.01


@pytest.mark.usefixtures("one_thread")
def test_predictions_of_a_tuned_fold_are_those_of_a_model_of_as_many_trees():
    """The stage that is taken is the one that told most, not the last: as if it had been fitted with that number."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=(1500, 3)).astype(np.float32)
    y = np.abs(x[:, 0]) + 0.5 * rng.normal(size=1500)
    for values, is_binary in ((y, False), ((y > 0.8).astype(float), True)):
        model = nuisances._Boosted(is_binary, 1500, 1)
        held = np.arange(500) % 2 == 0
        tuned = model.tuned_means(x[500:], values[500:], x[:500], held=held, known=values[:500][held])
        assert model.means(x[500:], values[500:], x[:500]) == pytest.approx(tuned)


@pytest.mark.usefixtures("one_thread")
def test_trees_of_codes_are_those_of_the_values():
    """Values of at most 255 kinds: scikit-learn finds the same bins by itself, and so the same trees."""
    rng = np.random.default_rng(13)
    x = np.column_stack([rng.integers(-100, 100, 3000) / 4, np.log1p(rng.poisson(3, 3000))]).astype(np.float32)
    y = x[:, 0] * x[:, 1] / 20 + rng.normal(size=3000)
    codes = nuisances.binned(x)
    for values, is_binary in ((y, False), ((y > 0.5).astype(float), True)):
        of_codes, plain = (
            nuisances._Boosted(is_binary, 3000, 1).means(seen[:2500], values[:2500], seen[2500:]) for seen in (codes, x)
        )
        assert of_codes.tolist() == pytest.approx(plain.tolist(), abs=1e-12)


def test_bins_hold_about_as_many_rows_each_and_keep_the_order():
    """10,000 different values in 255 bins: 39 or 40 rows each; equal values have one code, whatever their number."""
    rng = np.random.default_rng(14)
    values = rng.permutation(10_000).astype(np.float32)
    ties = np.where(rng.random(10_000) < 0.9, 0, values)
    codes = nuisances.binned(np.column_stack([values, ties, np.full(10_000, 3.0)]))
    assert set(np.bincount(codes[:, 0])) == {39, 40} and (np.diff(codes[np.argsort(values), 0].astype(int)) >= 0).all()
    assert len(set(codes[ties == 0, 1])) == 1 and len(set(codes[ties > 0, 1])) > 20
    assert codes[:, 2].tolist() == [0] * 10_000


@pytest.fixture(scope="module")
def nhefs() -> tuple[pd.DataFrame, list[str]]:
    """The covariates of Hernan and Robins, What If, program 12.2: categories as dummies, squares of the measured ones."""
    people = pd.read_csv(NHEFS).dropna(subset=["wt82_71"]).rename(columns={"qsmk": "treated", "wt82_71": "gain"})
    measured = ["age", "smokeintensity", "smokeyrs", "wt71"]
    dummies = pd.get_dummies(people[["education", "exercise", "active"]].astype(str), drop_first=True, dtype=float)
    table = pd.concat([people, dummies, (people[measured] ** 2).add_suffix("_squared")], axis=1)
    return table, ["sex", "race", *measured, *dummies.columns, *(f"{m}_squared" for m in measured)]


def test_smokers_who_quit_gain_what_hernan_and_robins_report(nhefs):
    """What If, chapters 12 and 13: crude 2.54 kg, inverse-probability weighted 3.44 (2.4 to 4.5), standardised 3.52."""
    table, covariates = nhefs
    assert len(table) == 1566
    assert table.groupby("treated")["gain"].mean().diff()[1] == pytest.approx(2.54, abs=0.005)
    found = crossfit_effects(table, covariates=covariates, outcome="gain", rng=np.random.default_rng(1))
    assert 3.2 < found.ate.absolute_lift < 3.7  # the split moves it by about 0.1
    assert found.ate.ci_low == pytest.approx(2.4, abs=0.3) and found.ate.ci_high == pytest.approx(4.5, abs=0.3)
    assert found.balance["smd_before"].abs().max() > 0.25 and found.ate.largest_smd < 0.1
    assert found.att.refused_because is None and found.ato.refused_because is None


@pytest.mark.skipif(not ACIC.is_dir(), reason="the public worlds are not beside the project")
@pytest.mark.parametrize(("number", "ate", "att"), [(1, 2.128, 2.722), (2, 4.679, 4.679), (3, 4.752, 4.752)])
def test_intervals_hold_the_effects_of_the_public_worlds(number, ate, att):
    """ACIC 2016, three worlds with both potential outcomes. In the first 47 % of the units have a chance of treatment of
    less than 1 %: the ATE is refused, the ATT and the ATO stand."""
    x = pd.get_dummies(pd.read_csv(ACIC / "x.csv.gz"), drop_first=True, dtype=float)
    z = pd.read_csv(ACIC / f"zymu_{number}.csv.gz")
    assert (z.mu1 - z.mu0).mean() == pytest.approx(ate, abs=1e-3)
    table = x.assign(treated=z.z, returned=np.where(z.z == 1, z.y1, z.y0))
    found = crossfit_effects(table, covariates=list(x.columns), rng=np.random.default_rng(0))
    assert found.att.ci_low < att < found.att.ci_high
    assert number == 1 or found.ato.ci_low < ate < found.ato.ci_high
    if number == 1:
        assert "47 % of these units had hardly a chance of the other arm" in found.ate.refused_because
        assert found.best is found.ato
    else:
        assert found.ate.ci_low < ate < found.ate.ci_high and found.best is found.ate


@pytest.mark.parametrize(("share", "n"), [(0.02, 5000), (0.5, 600), (0.98, 5000)])
def test_randomised_treatment_is_never_refused_whatever_its_share(share, n):
    """A propensity that is small for everybody is not missing overlap; four samples each, effect 0.06, limits hold it 3 times or more."""
    rng, held = np.random.default_rng(5), []
    for _ in range(4):
        x = rng.normal(size=(n, 6))
        treated = (rng.random(n) < share).astype(int)
        returned = (rng.random(n) < 0.4 + 0.06 * treated).astype(int)
        table = pd.DataFrame(x, columns=list("abcdef")).assign(treated=treated, returned=returned)
        found = crossfit_effects(table, covariates=list("abcdef"), rng=rng)
        assert [e.refused_because for e in found[:3]] == [None] * 3
        held.append(found.ate.ci_low < 0.06 < found.ate.ci_high)
    assert sum(held) >= 3


def test_limits_of_users_with_several_trials_cover_at_their_level():
    """30 samples of 150 users with 4 trials each and a return rate of their own; rows taken for independent would cover less."""
    rng, covered, narrow = np.random.default_rng(6), [], []
    for _ in range(30):
        users = np.repeat(np.arange(150), 4)
        own, arm = rng.normal(size=150), rng.random(150) < 0.5
        z = rng.normal(size=600)
        treated = (arm[users] ^ (rng.random(600) < 0.1)).astype(int)
        returned = (rng.random(600) < np.clip(0.5 + 0.22 * own[users] + 0.05 * treated, 0, 1)).astype(int)
        table = pd.DataFrame({"z": z, "user": users, "treated": treated, "returned": returned})
        found = crossfit_effects(table, covariates=["z"], rng=rng, cluster="user", folds=2).ate
        plain = crossfit_effects(table, covariates=["z"], rng=rng, folds=2).ate
        covered.append(found.ci_low <= 0.05 <= found.ci_high)
        narrow.append(plain.ci_low <= 0.05 <= plain.ci_high)
    assert np.mean(covered) > 0.85 and np.mean(covered) > np.mean(narrow)


def test_the_same_luck_gives_the_same_digits():
    table = world(1200)
    one, again = (crossfit_effects(table, covariates=["z"], rng=np.random.default_rng(7)) for _ in range(2))
    assert one[:3] == again[:3]


BAD_WORLDS = {
    "empty arm": (world(treated=np.zeros(400, dtype=int)), "0 treated and 400 untreated units; each group needs 30"),
    "one unit": (world(n=1, treated=[1]), "each group needs 30"),
    "nobody": (world(n=0), "0 treated and 0 untreated units"),
    "constant outcome": (world(returned=np.ones(400, dtype=int)), "the outcome is the same for all"),
    "constant in one group": (
        world(treated=np.arange(400) % 2, returned=np.where(np.arange(400) % 2, 1, np.arange(400) // 2 % 2)),
        "in one group the outcome is the same for all",
    ),
    "constant covariate": (world(z=np.ones(400)), "no covariate measured before exposure varies"),
    "unknown outcomes": (world(returned=np.where(np.arange(400) < 12, np.nan, 1.0)), "unknown for 12 of 400 units"),
    "unknown covariate": (world(z=np.where(np.arange(400) < 3, np.nan, 1.0)), "covariate z is missing for 3 units"),
    "one user": (world(user=np.zeros(400, int)), "of 1 treated and 1 untreated users; each group needs 30"),
    "separation": (
        world(z=np.repeat([-1.0, 1.0], 200), treated=np.repeat([0, 1], 200)),
        "what was known before tells who is treated",
    ),
}


@pytest.mark.parametrize("name", BAD_WORLDS)
def test_a_world_that_carries_no_effect_is_refused_in_a_sentence(name):
    table, reason = BAD_WORLDS[name]
    cluster = "user" if "user" in table else None
    found = crossfit_effects(table, covariates=["z"], rng=np.random.default_rng(2), cluster=cluster)
    for effect in found[:3]:
        assert effect.absolute_lift is None and effect.ci_low is None and effect.ratio is None
        assert re.search(reason, effect.refused_because), effect.refused_because
    assert found.balance.empty and found.best.refused_because


def test_collinear_dummies_are_no_reason_to_refuse():
    """A product with web and iOS only: the two columns and the constant are collinear."""
    web = (np.arange(400) % 3 == 0).astype(float)
    found = crossfit_effects(world(web=web, ios=1 - web), covariates=["web", "ios", "z"], rng=np.random.default_rng(3))
    assert found.ate.refused_because is None and np.isfinite(found.ate.ci_low)


def test_where_half_are_out_of_reach_only_those_who_could_go_either_way_have_an_effect():
    """Nobody under z = 0 is treated: the ATE has no answer there; the effect on those above is 0.1."""
    rng = np.random.default_rng(8)
    z = rng.normal(size=6000)
    treated = ((z > 0) & (rng.random(6000) < 0.5)).astype(int)
    returned = (rng.random(6000) < np.clip(0.4 + 0.1 * (z > 0) + 0.1 * treated, 0, 1)).astype(int)
    found = crossfit_effects(
        pd.DataFrame({"z": z, "treated": treated, "returned": returned}), covariates=["z"], rng=rng
    )
    assert "hardly overlap" in found.ate.refused_because and found.best is found.ato
    for effect in (found.att, found.ato):
        assert effect.refused_because is None and effect.ci_low < 0.1 < effect.ci_high
    mirrored = pd.DataFrame({"z": z, "treated": 1 - treated, "returned": returned})
    other = crossfit_effects(mirrored, covariates=["z"], rng=rng)
    assert "hardly overlap" in other.ate.refused_because and "hardly overlap" in other.att.refused_because
    assert other.ato.refused_because is None


def test_a_few_users_with_nearly_all_the_weight_are_no_comparison(monkeypatch):
    """Given propensities: 40 treated, of whom two are alike to everybody else; Kish's size of the treated is under 15."""
    n = 2000
    treated = (np.arange(n) < 40).astype(int)
    e = np.where(np.arange(n) < 38, 0.6, 0.0101)
    given = [Nuisance(e, "linear"), Nuisance(np.full(n, 0.5), "linear"), Nuisance(np.full(n, 0.5), "linear")]
    monkeypatch.setattr(effects, "_nuisances", lambda *asked: given)
    found = crossfit_effects(world(n, treated=treated), covariates=["z"], rng=np.random.default_rng(9))
    assert re.search("after weighting [0-9]+ users are left of a group", found.ate.refused_because)


def test_a_covariate_that_weighting_leaves_apart_is_named(monkeypatch):
    n = 2000
    treated = np.arange(n) % 2
    given = [Nuisance(np.full(n, 0.5), "linear")] + [Nuisance(np.full(n, 0.5), "linear")] * 2
    monkeypatch.setattr(effects, "_nuisances", lambda *asked: given)
    rng = np.random.default_rng(10)
    near, far = (world(n, treated=treated, z=rng.normal(size=n) + gap * treated) for gap in (0.3, 0.6))
    assert crossfit_effects(near, covariates=["z"], rng=rng).ate.refused_because is None
    assert "difference of 0.6" in crossfit_effects(far, covariates=["z"], rng=rng).ate.refused_because
