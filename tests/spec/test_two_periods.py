"""Counts of two periods with those who are in both, against a brute force over users written from the definitions."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest

from launchpad_lib.inference import compare_rates, newcombe
from launchpad_lib.metrics import feature_adoption, funnel, funnel_changes

MONDAY = datetime(2026, 1, 5)
THROUGH = datetime(2026, 1, 19)
WEEKS = {
    "before": (MONDAY, MONDAY + timedelta(days=7)),
    "after": (MONDAY + timedelta(days=7), MONDAY + timedelta(days=14)),
}
OVERLAP = ("n_both", "converted_both", "converted_before_of_both", "converted_after_of_both")


def random_log(seed: int) -> pd.DataFrame:
    rng = random.Random(seed)
    rows = [
        {
            "user_id": f"u{rng.randrange(12)}",
            "event_name": rng.choice("ABC"),
            "event_at": MONDAY + timedelta(hours=rng.randrange(13 * 24)),
            "feature_id": rng.choice(["quiz", "search", None]),
            "platform": rng.choice(["web", None]),
        }
        for _ in range(160)
    ]
    return pd.DataFrame(rows).astype({"event_at": "datetime64[us]"})


def counted(before: dict[str, bool], after: dict[str, bool]) -> dict[str, int]:
    """From who is in a period, and whether it converted there."""
    both = before.keys() & after.keys()
    return {
        "n_before": len(before),
        "converted_before": sum(before.values()),
        "n_after": len(after),
        "converted_after": sum(after.values()),
        "n_both": len(both),
        "converted_both": sum(before[u] and after[u] for u in both),
        "converted_before_of_both": sum(before[u] for u in both),
        "converted_after_of_both": sum(after[u] for u in both),
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_funnel_s_change_counts_who_is_in_both_periods(seed):
    """Each user's depth in each period by `funnel` on that user's events alone, which the funnel's own brute force holds."""
    frame = random_log(seed)
    rules = {"steps": ["A", "B", "C"], "window": "1d", "observed_through": THROUGH}
    depths: dict[str, dict[str, int]] = {"before": {}, "after": {}}
    for side, span in WEEKS.items():
        found = funnel(
            ibis.memtable(frame.assign(own=frame["user_id"])), **rules, entered=span, breakdown="own"
        ).to_pandas()
        reached = found[found["users"] > 0].groupby("segment")["step"].max()
        depths[side] = reached.to_dict()
    got = funnel_changes(ibis.memtable(frame), **rules, **WEEKS).order_by(["scope", "step"]).to_pandas()
    for row, low, high in zip(got.to_dict("records"), (1, 2, 1), (2, 3, 3), strict=True):
        sides = [{u: d >= high for u, d in depths[s].items() if d >= low} for s in ("before", "after")]
        expected = counted(*sides)
        assert {k: row[k] for k in expected} == expected, row
    assert got["scope"].tolist() == ["step", "step", "whole"]


def test_segments_of_a_change_add_up_to_it_and_the_missing_value_is_one():
    events = ibis.memtable(random_log(4))
    rules = {"steps": ["A", "B"], "window": "1d", "observed_through": THROUGH} | WEEKS
    whole = funnel_changes(events, **rules).to_pandas()
    split = funnel_changes(events, **rules, breakdown="platform").to_pandas()
    assert split["segment"].isna().any()
    for name in ("n_before", "converted_before", "n_after", "converted_after"):
        assert split[split["scope"] == "whole"][name].sum() == whole[whole["scope"] == "whole"][name].sum()


def test_a_misspelt_step_or_a_period_without_anybody_is_refused_by_the_function_itself():
    events = ibis.memtable(random_log(0))
    rules = {"window": "1d", "observed_through": THROUGH}
    misspelt = funnel_changes(events, steps=["A", "BB"], **rules, **WEEKS).to_pandas()
    assert misspelt["step_name"].tolist() == ["BB", "BB"] and misspelt["n_before"].isna().all()
    assert misspelt["refused_because"].str.startswith("event 'BB': does not occur in the log").all()
    early = {"before": (datetime(2025, 1, 1), datetime(2025, 1, 8)), "after": WEEKS["after"]}
    nobody = funnel_changes(events, steps=["A", "B"], **rules, **early).to_pandas()
    assert nobody["refused_because"].str.endswith("in the period before").all()


@pytest.mark.parametrize("seed", range(3))
def test_adoption_of_two_weeks_counts_who_is_active_in_both(seed):
    frame = random_log(seed)
    weeks = [frame[frame["event_at"].between(a, b, inclusive="left")] for a, b in WEEKS.values()]
    sides = [{u: bool((own["feature_id"] == "quiz").any()) for u, own in week.groupby("user_id")} for week in weeks]
    found = feature_adoption(ibis.memtable(frame), feature_ids=["quiz", "nowhere"], observed_through=THROUGH)
    rows = found.to_pandas().set_index("feature_id")
    expected = counted(*sides)
    assert {k: int(rows.loc["quiz", k]) for k in expected} == expected
    assert pd.isna(rows.loc["nowhere", "converted_after"])  # nobody ever used it: undefined, not 0
    assert str(rows.loc["quiz", "week_on"])[:10] == "2026-01-12"


def test_without_users_in_both_the_interval_is_newcombe_s():
    row = {"n_before": 80, "converted_before": 48, "n_after": 70, "converted_after": 56}
    independent = compare_rates(pd.DataFrame([row])).iloc[0]
    stated = compare_rates(pd.DataFrame([row | dict.fromkeys(OVERLAP, 0)])).iloc[0]
    for found in (independent, stated):
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(newcombe(56, 70, 48, 80)[1:])
        assert found["p_value"] == pytest.approx(0.00805, abs=1e-5)  # Pearson's chi-square by hand: 7.03


def test_the_interval_of_a_change_covers_where_the_same_people_are_in_both_periods():
    """300 users in both periods, no change, a user's habit .1 or .9: by simulation 95 % of intervals hold 0.

    Taken for independent they would hold it nearly always: the correlation is about .64.
    """
    rng = np.random.default_rng(20260101)
    held, widths, naive = 0, [], []
    rounds = 600
    for _ in range(rounds):
        habit = np.where(rng.random(300) < 0.5, 0.1, 0.9)
        before, after = rng.random(300) < habit, rng.random(300) < habit
        counts = {
            "n_before": 300,
            "converted_before": before.sum(),
            "n_after": 300,
            "converted_after": after.sum(),
            "n_both": 300,
            "converted_both": (before & after).sum(),
            "converted_before_of_both": before.sum(),
            "converted_after_of_both": after.sum(),
        }
        found = compare_rates(pd.DataFrame([counts])).iloc[0]
        held += found["ci_low"] <= 0 <= found["ci_high"]
        widths.append(found["ci_high"] - found["ci_low"])
        alone = newcombe(int(after.sum()), 300, int(before.sum()), 300)
        naive.append(alone.ci_high - alone.ci_low)
    assert abs(held / rounds - 0.95) < 3 * math.sqrt(0.95 * 0.05 / rounds)
    assert np.mean(widths) / np.mean(naive) == pytest.approx(math.sqrt(1 - 0.64), abs=0.02)


def test_everybody_in_both_with_the_same_outcome_is_no_change():
    row = {"n_before": 50, "converted_before": 20, "n_after": 50, "converted_after": 20}
    both = {"n_both": 50, "converted_both": 20, "converted_before_of_both": 20, "converted_after_of_both": 20}
    found = compare_rates(pd.DataFrame([row | both])).iloc[0]
    assert (found["absolute_lift"], found["p_value"]) == (0.0, 1.0)
    assert found["ci_high"] == pytest.approx(0.0, abs=0.02)
