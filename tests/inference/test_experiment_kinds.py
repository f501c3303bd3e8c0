"""Every kind of metric of a planned experiment, from events to its comparison, against plain pandas and scipy on the same
units; the brute force is written from the definitions: first exposure, outcomes after it, units whose window is over.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.findings.experiment_plans import ask_experiments
from launchpad_lib.findings.experiment_results import experiment_results
from launchpad_lib.metrics.kernels import unit_rows

START, DAY = datetime(2026, 1, 5), timedelta(days=1)
UNITS = 1200
RNG = np.random.default_rng(20261126)


def units() -> pd.DataFrame:
    """One row per unit: what it did before and after, drawn once."""
    rng = RNG
    taste = rng.gamma(1.0, 1.0, UNITS)
    variant = rng.choice(["a", "b"], UNITS)
    frame = pd.DataFrame(
        {
            "user": [f"u{i}" for i in range(UNITS)],
            "variant": variant,
            "team": [f"t{i}" for i in rng.integers(0, 80, UNITS)],
            "platform": rng.choice(["web", "ios"], UNITS, p=[0.7, 0.3]),
            "exposed": [START + timedelta(hours=int(h)) for h in rng.integers(0, 72, UNITS)],
            "visits": rng.poisson(1 + taste),
            "visits_before": rng.poisson(1 + taste),
        }
    )
    frame["orders"] = rng.binomial(frame["visits"], 0.3)
    frame["back"] = rng.random(UNITS) < 0.4
    return frame


WORLD = units()


def prices(row, what: str) -> list[float]:
    """The amounts of a unit's orders, by its name: half of them above 40."""
    draw = np.random.default_rng(int(row.user[1:]) * 7 + len(what))
    return np.round(np.exp(draw.normal(3.5, 1.0, row.orders)), 2).tolist()


def log(world: pd.DataFrame) -> ibis.Table:
    rows = []
    for r in world.itertuples():
        team = {"team": r.team}
        fields = {"experiment_id": "e", "variant": r.variant} | team
        rows.append((r.user, "experiment_exposed", r.exposed, json.dumps(fields), r.platform))
        rows += [(r.user, "visit", r.exposed + timedelta(minutes=k + 1), None, r.platform) for k in range(r.visits)]
        rows += [
            (r.user, "visit", r.exposed - timedelta(hours=k + 1), None, r.platform) for k in range(r.visits_before)
        ]
        rows += [
            (r.user, "order", r.exposed + timedelta(hours=k + 1), json.dumps({"price": p}), r.platform)
            for k, p in enumerate(prices(r, "order"))
        ]
        rows += [(r.user, "open", r.exposed + 2 * DAY, None, r.platform)] if r.back else []
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at", "properties", "platform"])
    schema = {
        "user_id": "string",
        "event_name": "string",
        "event_at": "timestamp",
        "properties": "string",
        "platform": "string",
    }
    return ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)


LOG = log(WORLD)
METRICS = [
    {"event": "order", "name": "bought"},
    {"event": "visit", "kind": "count", "name": "visits", "role": "exploratory"},
    {"event": "order", "kind": "sum", "value": "price", "name": "revenue", "role": "exploratory", "winsorise": 0.9},
    {"event": "order", "kind": "ratio", "per_event": "visit", "name": "orders per visit", "role": "exploratory"},
    {"kind": "retention", "begins": "1d", "name": "back", "role": "exploratory"},
    {"event": "order", "kind": "quantile", "value": "price", "quantile": 0.9, "name": "dear", "role": "exploratory"},
]


def plan(**more) -> PlannedExperiment:
    base = {
        "experiment_id": "e",
        "control": "a",
        "shares": {"a": 1, "b": 1},
        "metrics": METRICS,
        "window": "3d",
        "ends_on": "2026-01-08",
    }
    return PlannedExperiment.model_validate(base | more)


def found(**more):
    (asked,) = ask_experiments(LOG, [plan(**more)], observed_through=START + 30 * DAY)
    return experiment_results(LOG, asked)


def by_hand() -> pd.DataFrame:
    world = WORLD.copy()
    world["revenue"] = [sum(prices(r, "order")) for r in world.itertuples()]
    world["bought"] = (world["orders"] > 0).astype(float)
    world["back"] = world["back"].astype(float)
    return world


HAND = by_hand()


def arms(column: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(HAND.loc[HAND["variant"] == v, column].to_numpy(float) for v in ("b", "a"))  # type: ignore[return-value]


def row(results, metric: str) -> pd.Series:
    return results.rows[(results.rows["metric"] == metric) & (results.rows["variant"] == "b")].iloc[0]


def estimate(results, metric: str, estimator: str) -> pd.Series:
    rows = results.estimates
    return rows[(rows["metric"] == metric) & (rows["estimator"] == estimator)].iloc[0]


@pytest.mark.parametrize(("metric", "column"), [("visits", "visits"), ("revenue", "revenue")])
def test_means_are_those_of_welchs_t_of_scipy(metric, column):
    results = found()
    b, a = arms(column)
    test = stats.ttest_ind(b, a, equal_var=False)
    told = estimate(results, metric, "unadjusted")
    assert row(results, metric)["value"] == pytest.approx(b.mean())
    assert told["lift"] == pytest.approx(b.mean() - a.mean()) and told["p"] == pytest.approx(test.pvalue)
    limits = test.confidence_interval(0.95)
    assert (told["ci_low"], told["ci_high"]) == pytest.approx((limits.low, limits.high))


def test_a_share_counts_units_and_retention_those_who_came_back_after_its_beginning():
    results = found()
    for metric, column in (("bought", "bought"), ("back", "back")):
        b, a = arms(column)
        assert row(results, metric)["lift"] == pytest.approx(b.mean() - a.mean())
        assert row(results, metric)["converted"] == b.sum() if metric == "bought" else True


def test_a_ratio_of_sums_has_the_cluster_robust_error_of_a_regression_through_its_units():
    """The delta method by hand: residuals y - R d over the mean of d."""
    told = estimate(found(), "orders per visit", "unadjusted")
    values, variances = [], []
    for v in ("b", "a"):
        own = HAND[HAND["variant"] == v]
        ratio = own["orders"].sum() / own["visits"].sum()
        residual = (own["orders"] - ratio * own["visits"]) / own["visits"].mean()
        values.append(ratio)
        variances.append(residual.var(ddof=1) / len(own))
    assert told["lift"] == pytest.approx(values[0] - values[1])
    assert (told["ci_high"] - told["ci_low"]) / 2 == pytest.approx(1.96 * np.sqrt(sum(variances)), rel=2e-3)


def test_winsorised_stands_beside_the_plain_mean_with_the_pooled_cap():
    results = found()
    revenue = HAND["revenue"].to_numpy()
    cap = np.quantile(revenue[revenue != 0], 0.9)
    b, a = (np.minimum(x, cap) for x in arms("revenue"))
    assert dict(results.caps)["revenue"] == pytest.approx(cap)
    assert estimate(results, "revenue", "winsorised")["lift"] == pytest.approx(b.mean() - a.mean())
    assert estimate(results, "revenue", "unadjusted")["lift"] == pytest.approx(
        np.subtract(*[x.mean() for x in arms("revenue")])
    )


def test_cuped_is_the_regression_on_the_same_metric_before():
    """theta by hand, pooled within arms; the variance left is 1 - rho^2 of the pooled residuals."""
    told = estimate(found(), "visits", "cuped")
    groups = {v: HAND[HAND["variant"] == v] for v in ("b", "a")}
    cov = sum((len(g) - 1) * np.cov(g["visits"], g["visits_before"])[0, 1] for g in groups.values())
    var = sum((len(g) - 1) * g["visits_before"].var(ddof=1) for g in groups.values())
    adjusted = {v: g["visits"] - cov / var * g["visits_before"] for v, g in groups.items()}
    assert told["lift"] == pytest.approx(adjusted["b"].mean() - adjusted["a"].mean())
    assert (told["ci_low"], told["ci_high"]) == pytest.approx(
        tuple(stats.ttest_ind(adjusted["b"], adjusted["a"], equal_var=False).confidence_interval(0.95))
    )
    assert 0.4 < told["variance_left"] < 0.95
    before = estimate(found(), "visits", "before exposure")
    b, a = arms("visits_before")
    assert before["lift"] == pytest.approx(b.mean() - a.mean()) and before["p"] == pytest.approx(
        stats.ttest_ind(b, a, equal_var=False).pvalue
    )


def test_post_stratification_weighs_the_strata_by_their_units():
    told = estimate(found(strata="platform"), "visits", "post-stratified")
    lift = 0.0
    for _, own in HAND.groupby("platform"):
        means = own.groupby("variant")["visits"].mean()
        lift += len(own) / len(HAND) * (means["b"] - means["a"])
    assert told["lift"] == pytest.approx(lift)


def test_clusters_are_the_units_of_the_errors_and_of_the_sample_ratio():
    """Ratio of sums over clusters; statsmodels' cluster-robust regression has the same point and nearly the same error."""
    world = WORLD.copy()
    arm = {t: "ab"[i % 2] for i, t in enumerate(sorted(world["team"].unique()))}
    world["variant"] = world["team"].map(arm)
    events = log(world)
    (asked,) = ask_experiments(events, [plan(cluster="team")], observed_through=START + 30 * DAY)
    results = experiment_results(events, asked)
    told = estimate(results, "visits", "unadjusted")
    design = sm.add_constant((world["variant"] == "b").astype(float))
    groups = world["team"].astype("category").cat.codes
    fit = sm.OLS(world["visits"], design).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert told["lift"] == pytest.approx(fit.params.iloc[1])
    t = stats.t.ppf(0.975, 78)
    assert (told["ci_high"] - told["ci_low"]) / 2 / t == pytest.approx(fit.bse.iloc[1], rel=0.05)
    assert int(results.rows[results.rows["metric"] == "visits"]["n"].sum()) == world["team"].nunique()
    assert results.ratio.p_value == pytest.approx(1.0)


def test_a_quantile_over_rows_has_an_error_that_the_bootstrap_over_units_gives():
    results = found()
    rows = {
        v: [(i, p) for i, r in enumerate(HAND[HAND["variant"] == v].itertuples()) for p in prices(r, "order")]
        for v in "ab"
    }
    value = np.quantile([p for _, p in rows["b"]], 0.9)
    told = row(results, "dear")
    assert told["value"] == pytest.approx(value)
    rng = np.random.default_rng(1)
    own = HAND[HAND["variant"] == "b"]
    per_unit = [prices(r, "order") for r in own.itertuples()]
    draws = [
        np.quantile(np.concatenate([per_unit[k] for k in rng.integers(0, len(own), len(own))]), 0.9) for _ in range(400)
    ]
    assert (told["value_high"] - told["value_low"]) / 3.92 == pytest.approx(np.std(draws), rel=0.25)


def test_aggregates_give_the_same_answers_as_the_log():
    results = found()
    given = []
    for v in ("a", "b"):
        own = HAND[HAND["variant"] == v]
        y, x = own["visits"].to_numpy(float), own["visits_before"].to_numpy(float)
        before = {"pre_sum": x.sum(), "pre_squares": (x * x).sum(), "pre_product": (x * y).sum()}
        given.append(
            {"variant": v, "metric": "visits", "n": len(own), "sum": y.sum(), "sum_squares": (y * y).sum()} | before
        )
        b = own["bought"].sum()
        given.append({"variant": v, "metric": "bought", "n": len(own), "sum": b, "sum_squares": b})
        n, d = own["orders"].to_numpy(float), y
        below = {"denominator_sum": d.sum(), "denominator_squares": (d * d).sum(), "denominator_product": (n * d).sum()}
        given.append(
            {"variant": v, "metric": "orders per visit", "n": len(own), "sum": n.sum(), "sum_squares": (n * n).sum()}
            | below
        )
    metrics = [m for m in METRICS if m["name"] in ("visits", "bought", "orders per visit")]
    (asked,) = ask_experiments(LOG, [plan(metrics=metrics, aggregates=given)])
    other = experiment_results(LOG, asked)
    for metric in ("visits", "bought", "orders per visit"):
        for estimator in ("unadjusted", "cuped") if metric == "visits" else ("unadjusted",):
            one, two = (estimate(r, metric, estimator) for r in (results, other))
            assert one[["lift", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
                two[["lift", "ci_low", "ci_high", "p"]].tolist()
            )
    assert other.ratio.p_value == results.ratio.p_value


def test_one_row_per_unit_gives_the_same_answers_as_the_events():
    """The outcomes stand on the exposure itself."""
    rows = []
    for r in HAND.itertuples():
        fields = {
            "experiment_id": "e",
            "variant": r.variant,
            "revenue": r.revenue,
            "bought": bool(r.bought),
            "old": r.visits_before,
            "v": r.visits,
        }
        rows.append((r.user, "experiment_exposed", r.exposed, json.dumps(fields)))
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at", "properties"]).astype(
        {"event_at": "datetime64[us]"}
    )
    events = ibis.memtable(
        frame, schema={"user_id": "string", "event_name": "string", "event_at": "timestamp", "properties": "string"}
    )
    metrics = [
        {"value": "bought"}, {"kind": "sum", "value": "revenue", "role": "exploratory", "name": "revenue"},
        {"kind": "sum", "value": "v", "covariate": "old", "role": "exploratory", "name": "visits"},
    ]  # fmt: skip
    (asked,) = ask_experiments(events, [plan(metrics=metrics)], observed_through=START + 30 * DAY)
    other, results = experiment_results(events, asked), found()
    assert row(other, "bought")[["lift", "p", "n"]].tolist() == row(results, "bought")[["lift", "p", "n"]].tolist()
    assert pd.isna(row(other, "bought")["naive_converted"])
    for metric, estimator in (("revenue", "unadjusted"), ("visits", "cuped")):
        one, two = (estimate(r, metric, estimator)["lift"] for r in (other, results))
        assert one == pytest.approx(two)


def test_no_digit_hangs_on_the_parts_in_which_the_log_is_read(monkeypatch):
    """Sums of amounts in twice the precision: the same in one part and in many."""
    whole = found(segments=["platform"])
    monkeypatch.setattr(unit_rows, "MOST_ROWS", 500)
    parts = found(segments=["platform"])
    for name in ("rows", "estimates", "segments", "days"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(parts, name), check_exact=True)
    assert len(whole.segments) and len(whole.days)
