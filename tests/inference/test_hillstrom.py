"""The e-mail experiment of Kevin Hillstrom (MineThatData, 2008): 64,000 customers, three arms, one row per unit.

Published: visit 18.28 / 15.14 / 10.62 %, conversion 1.253 / 0.884 / 0.573 %, spend 1.423 / 1.077 / 0.653 (Mens, Womens, No
E-Mail); spend lift of Mens 0.7698 (SE .14525, interval .4851 to 1.0545), of Womens 0.4244 (SE .13033). The sums here are those
of the published file; `history` (spend of the year before) is the covariate.
"""

from __future__ import annotations

import pytest

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.findings.experiment_page import experiments_page
from launchpad_lib.findings.experiment_plans import ask_experiments
from tests.findings.test_experiment_sentences import WON, log

MENS, WOMENS, NONE = "Mens E-Mail", "Womens E-Mail", "No E-Mail"
HISTORY = {
    MENS: (21307, 5174105.18, 2700687619.2752),
    NONE: (21306, 5132245.81, 2597172414.5563),
    WOMENS: (21387, 5187130.98, 2652326978.521),
}
SUMS = {
    (MENS, "visit"): (3894, 3894, 1092584.38), (MENS, "conversion"): (267, 267, 86340.81), (MENS, "spend"): (30311.69, 6759024.4973, 9857526.2586),
    (NONE, "visit"): (2262, 2262, 652531.54), (NONE, "conversion"): (122, 122, 38725.18), (NONE, "spend"): (13908.33, 2870050.3621, 4267933.8399),
    (WOMENS, "visit"): (3238, 3238, 907033.28), (WOMENS, "conversion"): (189, 189, 60463.89), (WOMENS, "spend"): (23038.11, 4911446.5763, 7513096.1923),
}  # fmt: skip


def found():
    rows = []
    for (variant, metric), (total, squares, product) in SUMS.items():
        n, x, xx = HISTORY[variant]
        before = {"pre_sum": x, "pre_squares": xx, "pre_product": product}
        rows.append({"variant": variant, "metric": metric, "n": n, "sum": total, "sum_squares": squares} | before)
    plan = {
        "experiment_id": "hillstrom",
        "control": NONE,
        "shares": {MENS: 1, WOMENS: 1, NONE: 1},
        "metrics": [
            {"value": "visit", "role": "success"},
            {"value": "conversion", "role": "exploratory"},
            {"kind": "sum", "value": "spend", "name": "spend", "role": "success"},
        ],
        "aggregates": rows,
    }
    events = log(WON)
    return experiments_page(events, ask_experiments(events, [PlannedExperiment.model_validate(plan)]))


def test_the_published_rates_and_lifts_of_hillstrom():
    page = found()
    values = page.rows.set_index(["metric", "variant"])["value"]
    for metric, digits, published in (
        ("visit", 4, (0.1828, 0.1514, 0.1062)),
        ("conversion", 5, (0.01253, 0.00884, 0.00573)),
        ("spend", 3, (1.423, 1.077, 0.653)),
    ):
        assert tuple(round(values[metric, v], digits) for v in (MENS, WOMENS, NONE)) == published
    plain = page.estimates[page.estimates["estimator"] == "unadjusted"].set_index(["metric", "variant"])
    z = 2.4977  # of 1 - 0.05 / 4: two variants, two success metrics
    for variant, lift, error in ((MENS, 0.7698, 0.14525), (WOMENS, 0.4244, 0.13033)):
        row = plain.loc[("spend", variant)]
        assert row["lift"] == pytest.approx(lift, abs=1e-4)
        assert (row["ci_high"] - row["ci_low"]) / 2 == pytest.approx(z * error, rel=2e-3)
    assert page.each[0].ratio.p_value == pytest.approx(0.9050, abs=0.02) and not page.each[0].ratio.is_mismatch


def test_both_mailings_of_hillstrom_can_be_shipped_and_history_helps_little():
    page = found()
    assert page.conclusion.verdict == "Ship “Mens E-Mail”: visit is above control, no guardrail was declared."
    assert [d.choice for d in page.each[0].decisions] == ["ship", "ship"]
    cuped = page.estimates[page.estimates["estimator"] == "cuped"]
    assert cuped["variance_left"].between(0.97, 1.0).all()
