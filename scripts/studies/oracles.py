"""What independent programs say of fixed data: the answers that `tests/inference/test_oracles.py` holds ours against.

Each program in an environment of its own; it needs nothing of ours. The data are arithmetic, without a random generator:

    python -m venv oracle && oracle/bin/pip install doubleml==0.11.4      # or tea-tasting==1.14.0 pandas, gbstats==0.8.0
    oracle/bin/python scripts/studies/oracles.py doubleml                 # or tea-tasting, gbstats

Adds its part to `tests/inference/oracles.json`.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ANSWERS = Path(__file__).resolve().parents[2] / "tests/inference/oracles.json"
TUNING = 800


def spread(n: int, root: int) -> np.ndarray:
    """Numbers between 0 and 1 that fill it evenly: k times the square root of a prime, its whole part cut off."""
    return np.modf(np.arange(1, n + 1) * np.sqrt(root))[0]


def experiment() -> pd.DataFrame:
    """420 units in two arms of unequal size: revenue, clicks, views, and the same from before, whole numbers."""
    n = 420
    taste, luck, other = spread(n, 2), spread(n, 3), spread(n, 5)
    variant = (spread(n, 7) < 0.4).astype(int)
    before = np.floor(40 * taste**3)
    views = np.floor(3 + 9 * luck + 4 * taste)
    clicks = np.floor(views * (0.2 + 0.3 * other) + 0.4 * variant)
    views_before = np.floor(2 + 8 * spread(n, 11) + 4 * taste)
    return pd.DataFrame(
        {
            "variant": variant,
            "revenue": np.floor(0.6 * before + 30 * luck**4 + 2 * variant),
            "revenue_before": before,
            "clicks": clicks,
            "views": views,
            "clicks_before": np.floor(views_before * (0.2 + 0.3 * taste)),
            "views_before": views_before,
            "bought": (other < 0.2 + 0.07 * variant).astype(int),
        }
    )


def observed() -> dict[str, np.ndarray]:
    """500 units with treatment, outcome, a covariate, and given nuisances: propensity e, mean outcomes m1 and m0."""
    n = 500
    z, luck, other = spread(n, 2), spread(n, 3), spread(n, 5)
    e = 0.2 + 0.6 * z
    t = (luck < e).astype(int)
    y = 2 * z + t * (0.5 + z) + 3 * other**2
    return {"z": z, "treated": t, "y": y, "e": e, "m1": 1.4 + 2.9 * z, "m0": 0.9 + 2.1 * z}


def doubleml() -> dict[str, Any]:
    """AIPW of the interactive regression model with the nuisances given, for everybody and for the treated."""
    import doubleml as dml
    from sklearn.linear_model import LinearRegression, LogisticRegression

    world = observed()
    data = dml.DoubleMLData.from_arrays(world["z"].reshape(-1, 1), world["y"], world["treated"])
    given = {"d": {"ml_g0": world["m0"][:, None], "ml_g1": world["m1"][:, None], "ml_m": world["e"][:, None]}}
    found = {}
    for name, score in (("ATE", "ATE"), ("ATT", "ATTE")):
        model = dml.DoubleMLIRM(data, LinearRegression(), LogisticRegression(), score=score, n_folds=2)
        model.fit(external_predictions=given)
        found[name] = {"estimate": float(model.coef[0]), "standard_error": float(model.se[0])}
    return found


def tea_tasting() -> dict[str, Any]:
    """Welch's t on a mean, a ratio of sums, and both with their covariate (CUPED)."""
    import tea_tasting as tt

    metrics = {
        "mean": tt.Mean("revenue", use_t=True, equal_var=False),
        "ratio": tt.RatioOfMeans("clicks", "views", use_t=True, equal_var=False),
        "mean, cuped": tt.Mean("revenue", "revenue_before", use_t=True, equal_var=False),
        "ratio, cuped": tt.RatioOfMeans(
            "clicks", "views", "clicks_before", "views_before", use_t=True, equal_var=False
        ),
    }
    result = tt.Experiment(metrics).analyze(experiment())
    kept = ("effect_size", "effect_size_ci_lower", "effect_size_ci_upper", "pvalue")
    return {name: {key: float(getattr(result[name], key)) for key in kept} for name in metrics}


def gbstats() -> dict[str, Any]:
    """Absolute differences: fixed and sequential, of a mean, a rate, a ratio of sums, and of a mean with its covariate."""
    from gbstats.frequentist.tests import (
        FrequentistConfig,
        SequentialConfig,
        SequentialTwoSidedTTest,
        TwoSidedTTest,
    )
    from gbstats.models.statistics import (
        ProportionStatistic,
        RatioStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
        compute_theta,
    )

    table = experiment()
    arms = [table[table["variant"] == v] for v in (0, 1)]

    def mean(a: pd.DataFrame, name: str) -> Any:
        return SampleMeanStatistic(n=len(a), sum=float(a[name].sum()), sum_squares=float((a[name] ** 2).sum()))

    def adjusted(a: pd.DataFrame) -> Any:
        post, pre = mean(a, "revenue"), mean(a, "revenue_before")
        products = float((a["revenue"] * a["revenue_before"]).sum())
        return RegressionAdjustedStatistic(
            n=len(a), post_statistic=post, pre_statistic=pre, post_pre_sum_of_products=products, theta=0.0
        )

    def ratio(a: pd.DataFrame) -> Any:
        products = float((a["clicks"] * a["views"]).sum())
        return RatioStatistic(
            n=len(a), m_statistic=mean(a, "clicks"), d_statistic=mean(a, "views"), m_d_sum_of_products=products
        )

    with_covariate = [adjusted(a) for a in arms]
    theta = compute_theta(*with_covariate)
    for one in with_covariate:
        one.theta = theta
    pairs = {
        "mean": [mean(a, "revenue") for a in arms],
        "rate": [ProportionStatistic(n=len(a), sum=int(a["bought"].sum())) for a in arms],
        "ratio": [ratio(a) for a in arms],
        "mean, cuped": with_covariate,
    }
    found = {}
    for name, (zero, one) in pairs.items():
        fixed = TwoSidedTTest(zero, one, FrequentistConfig(difference_type="absolute", alpha=0.05))
        asked = SequentialConfig(difference_type="absolute", alpha=0.05, sequential_tuning_parameter=TUNING)
        for kind, test in (("fixed", fixed), ("sequential", SequentialTwoSidedTTest(zero, one, asked))):
            result = test.compute_result()
            found[f"{name}, {kind}"] = {
                "estimate": float(result.expected),
                "ci": [float(x) for x in result.ci],
                "p": None if result.p_value is None else float(result.p_value),
            }
    return found


PROGRAMS = {"doubleml": doubleml, "tea-tasting": tea_tasting, "gbstats": gbstats}


def main() -> None:
    """Adds the answers of one program to the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=list(PROGRAMS))
    name = parser.parse_args().program
    known = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {}
    known[name] = {"version": version(name), "answers": PROGRAMS[name]()}
    ANSWERS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
