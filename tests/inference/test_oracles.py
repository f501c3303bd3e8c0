"""Experiments and effects against independent programs on fixed data (`scripts/studies/oracles.py` says how to ask them
again); their answers are in `oracles.json`.
"""

from __future__ import annotations

import json
import sys
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import crossfit_effects, effects
from launchpad_lib.inference.adjustment import cuped
from launchpad_lib.inference.arms import WIDTH, Arm, arm_difference, arm_of_rate, sequence_half_width, welch
from launchpad_lib.inference.nuisances import Nuisance

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "studies"))

import oracles  # noqa: E402

SAID = {name: part["answers"] for name, part in json.loads(oracles.ANSWERS.read_text(encoding="utf-8")).items()}


def arm_of(table: pd.DataFrame, *columns: str | None) -> Arm:
    """The fifteen sums of (y, d, x, z); None is 1 a unit."""
    own = np.column_stack([np.ones(len(table)) if c is None else table[c].to_numpy(float) for c in columns])
    products = [own[:, a] @ own[:, b] for a in range(4) for b in range(a, 4)]
    arm = Arm(np.array([len(table), *own.sum(axis=0), *products]))
    assert len(arm.moments) == WIDTH
    return arm


def arms(*columns: str | None) -> tuple[Arm, Arm]:
    """Treatment and control."""
    table = oracles.experiment()
    return arm_of(table[table["variant"] == 1], *columns), arm_of(table[table["variant"] == 0], *columns)


# Both programs take theta over all units as one group, ours is pooled within the arms, so that an effect is not in it.
CUPED = 2e-4
MEAN, RATIO = (
    ("revenue", None, "revenue_before", None),
    ("clicks", "views", "clicks_before", "views_before"),
)


@pytest.mark.parametrize(("name", "columns"), [("mean", MEAN), ("ratio", RATIO)])
def test_differences_plain_and_adjusted_are_those_of_tea_tasting(name, columns):
    """CUPED of a ratio: both programs linearise numerator, denominator and their covariates."""
    pair = arms(*columns)
    adjusted = cuped(*pair)
    found = {
        name: arm_difference(*pair),
        f"{name}, cuped": welch(adjusted.estimate, adjusted.variances, (pair[0].n, pair[1].n), level=0.95),
    }
    for key, mine in found.items():
        theirs = SAID["tea-tasting"][key]
        said = [theirs[k] for k in ("effect_size", "effect_size_ci_lower", "effect_size_ci_upper", "pvalue")]
        assert list(mine[:4]) == pytest.approx(said, rel=CUPED if key.endswith("cuped") else 1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["mean", "ratio", "mean, cuped"])
def test_differences_fixed_and_sequential_are_those_of_gbstats(name):
    pair = arms(*(RATIO if name == "ratio" else MEAN))
    if name.endswith("cuped"):
        one = cuped(*pair)
        estimate, variances = one.estimate, one.variances
    else:
        estimate = pair[0].value - pair[1].value
        variances = (pair[0].variance_of_value, pair[1].variance_of_value)
    units = (pair[0].n, pair[1].n)
    fixed, said = welch(estimate, variances, units, level=0.95), SAID["gbstats"][f"{name}, fixed"]
    rel = CUPED if name.endswith("cuped") else 1e-6
    limits = [fixed.estimate, fixed.ci_low, fixed.ci_high, fixed.p_value]
    assert limits == pytest.approx([said["estimate"], *said["ci"], said["p"]], rel=rel)
    half = sequence_half_width(sum(variances), n=sum(units), tuning_n=oracles.TUNING, level=0.95)
    assert [estimate - half, estimate + half] == pytest.approx(
        SAID["gbstats"][f"{name}, sequential"]["ci"], rel=10 * rel
    )


def test_the_sequence_of_a_rate_is_that_of_gbstats():
    """Theirs divides the squares by n, ours by n - 1: the width differs by less than 1 / n."""
    table = oracles.experiment()
    one, zero = (
        arm_of_rate(int(own["bought"].sum()), len(own)) for own in (table[table["variant"] == v] for v in (1, 0))
    )
    half = sequence_half_width(
        one.variance_of_value + zero.variance_of_value, n=one.n + zero.n, tuning_n=oracles.TUNING, level=0.95
    )
    low, high = SAID["gbstats"]["rate, sequential"]["ci"]
    assert one.value - zero.value == pytest.approx((low + high) / 2, abs=1e-12)
    assert half == pytest.approx((high - low) / 2, rel=1 / zero.n)


def test_effects_for_everybody_and_for_the_treated_are_those_of_doubleml(monkeypatch):
    """Nuisances given; their standard error divides by n, ours by n - 1 (users as clusters of one)."""
    world = oracles.observed()
    table = pd.DataFrame(world).rename(columns={"y": "returned"})
    given = [Nuisance(world["e"], "linear"), Nuisance(world["m0"], "linear"), Nuisance(world["m1"], "linear")]
    monkeypatch.setattr(effects, "_nuisances", lambda *asked: given)
    found = crossfit_effects(table, covariates=["z"], rng=np.random.default_rng(1))
    n = len(table)
    for estimand in ("ATE", "ATT"):
        mine, theirs = found.of(estimand), SAID["doubleml"][estimand]
        assert mine.refused_because is None
        assert mine.absolute_lift == pytest.approx(theirs["estimate"], abs=1e-10)
        assert mine.standard_error == pytest.approx(theirs["standard_error"] * sqrt(n / (n - 1)), rel=1e-9)
