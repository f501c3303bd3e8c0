"""Edges that changed code got past: each once survived a mutation of the code (docs/mutants.md)."""

from __future__ import annotations

from datetime import datetime

import ibis
import numpy as np
import pytest

from launchpad_lib.metrics import stickiness
from launchpad_lib.metrics.intake import missing_values
from launchpad_lib.metrics.step_counts import group_quantiles
from launchpad_lib.metrics.trials import TrialQuestion, start_trials


@pytest.mark.parametrize("groups", [1, 3])
def test_quantiles_of_few_groups_with_many_values_are_those_of_numpy(groups):
    """Where values are selected and not sorted; every rank that is looked up must be in its place."""
    draw = np.random.default_rng(20261127)
    group = np.sort(draw.integers(0, groups, 5_000))
    micros = draw.permutation(10_000_000)[:5_000]
    found = group_quantiles(group, micros.copy(), groups)
    for number in range(groups):
        expected = np.quantile(micros[group == number] / 1e6, [0.5, 0.9])
        assert found[number] == pytest.approx(expected, abs=1e-9)


def test_a_clock_that_runs_days_ahead_makes_no_day_of_stickiness():
    """By hand: through noon of the 2nd there are two days with one user each; what is dated the 3rd and 4th is not yet."""
    rows = [("a", 1), ("a", 2), ("b", 3), ("c", 4)]
    events = ibis.memtable([{"user_id": user, "event_at": datetime(2026, 1, day, 10)} for user, day in rows])
    found = stickiness(events, observed_through=datetime(2026, 1, 2, 12)).to_pandas().iloc[0]
    assert (found["mean_dau"], found["mau"], found["days"], found["days_observed"]) == (1.0, 1, 2, 2)


def test_a_trial_says_whose_it_is_before_anything_else():
    rows = [("a", "begin", 1), ("a", "finish", 1), ("b", "begin", 1), ("b", "begin", 9)]
    events = ibis.memtable(
        [
            {
                "user_id": user,
                "event_name": name,
                "event_at": datetime(2026, 1, day, 10),
                "platform": "web",
                "country": "NO",
            }
            for user, name, day in rows
        ]
    )
    question = TrialQuestion("finished", ("finish",), ("begin",))
    (found,) = start_trials(events, [question], outcome_days=1, observed_through=datetime(2026, 1, 20))
    assert list(found.table.columns[:4]) == ["user", "began_at", "treated", "returned"]


def test_the_table_of_missing_values_has_its_columns_and_no_more():
    table = ibis.memtable({"user_id": ["a", None], "platform": ["web", "web"]})
    found = missing_values(events=table)
    assert list(found.columns) == ["table_name", "column", "rows", "missing", "missing_share"]
    assert dict(zip(found["column"], found["missing"], strict=True)) == {"user_id": 1, "platform": 0}
