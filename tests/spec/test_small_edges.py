"""Edges that changed code got past: each once survived a mutation of the code (docs/mutants.md)."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import numpy as np
import pytest

from launchpad_lib.metrics import (
    active_days,
    active_users,
    depth,
    funnel_changes,
    funnel_times,
    funnel_trend,
    lifecycle,
    path_steps,
    retention,
    stickiness,
)
from launchpad_lib.metrics.correlates import funnel_correlates
from launchpad_lib.metrics.exposures import Outcome, experiment_units
from launchpad_lib.metrics.intake import missing_values, placeholder_users
from launchpad_lib.metrics.rollouts import rollout_counts
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


def log(*rows: tuple[str, str, int]):
    """(user, event, hour of January 2026) as an event log; sessions are days."""
    begin = datetime(2026, 1, 1)
    return ibis.memtable(
        [
            {
                "user_id": user,
                "event_name": name,
                "event_at": begin + timedelta(hours=hour),
                "session_key": user,
                "properties": PLAN,
            }
            for user, name, hour in rows
        ]
    )


PLAN = '{"experiment_id": "e", "variant": "b"}'


def test_where_nobody_has_entered_it_is_not_said_that_nobody_arrived():
    """Both entered within the last two hours, so nobody is counted yet."""
    events = log(("a", "visit", 23), ("b", "visit", 23))
    found = funnel_times(
        events, steps=["visit", "visit"], window="2h", observed_through=datetime(2026, 1, 2)
    ).to_pandas()
    assert not found["refused_because"].str.startswith("nobody reached").any()
    assert found["refused_because"].notna().all()


def test_the_period_that_is_not_over_is_not_complete():
    """By hand: the 1st is over when the data end at noon of the 2nd, the 2nd is not."""
    found = lifecycle(log(("a", "x", 1), ("a", "x", 25)), observed_through=datetime(2026, 1, 2, 12), period="day")
    assert found.order_by("period_on").to_pandas()["is_complete"].tolist() == [True, False]


def test_one_step_may_be_asked_of_a_path():
    found = path_steps(log(("a", "A", 1), ("a", "B", 2), ("a", "C", 3)), anchor="A", length=1).to_pandas()
    assert found[["position", "event_name"]].values.tolist() == [[1, "B"]]


def test_a_rollout_without_a_period_says_how_long_one_would_be():
    found = rollout_counts(
        log(("a", "x", 1)).mutate(country=ibis.literal("NO")),
        by="country",
        switched_on={"NO": datetime(2026, 1, 9)},
        observed_through=datetime(2026, 1, 10),
        period_days=5,
    )
    assert found.period_days == 5
    assert found.refused_because == "no period of 5 days since the first place was switched on is over yet"


def test_nobody_is_observed_on_no_day():
    events = log(("a", "x", 1)).mutate(user_id=ibis.null("string"))
    found = stickiness(events, observed_through=datetime(2026, 1, 2)).to_pandas().iloc[0]
    assert (found["mau"], found["days_observed"]) == (0, 0) and found["refused_because"]


def test_two_outcomes_of_any_event_are_counted_in_their_own_windows():
    """By hand: exposed at 1 o'clock; of the events at 2 and 30, one is within a day and both are within two."""
    day = timedelta(days=1)
    outcomes = [Outcome(None, day), Outcome("buy", day), Outcome(None, 2 * day)]
    events = log(("u", "experiment_exposed", 1), ("u", "buy", 2), ("u", "see", 30))
    (found,) = experiment_units(events, experiment_id="e", outcomes=outcomes, observed_through=None)
    assert found.matrix("inside").tolist() == [[1, 1, 2]]


def test_only_the_properties_that_are_named_are_compared():
    events = log(("a", "visit", 1), ("a", "buy", 2), ("b", "visit", 1)).mutate(
        platform=ibis.literal("web"), plan=ibis.literal("pro")
    )
    asked = {"steps": ["visit", "buy"], "window": "2h", "observed_through": datetime(2026, 1, 3), "at_least": 1}
    found = funnel_correlates(events, properties=["plan"], **asked).to_pandas()
    assert found["property"].dropna().unique().tolist() == ["plan"]


def test_of_two_periods_the_later_one_may_have_nobody():
    weeks = {
        "before": (datetime(2026, 1, 1), datetime(2026, 1, 2)),
        "after": (datetime(2026, 1, 2), datetime(2026, 1, 3)),
    }
    events = log(("a", "visit", 1), ("a", "buy", 2))
    found = funnel_changes(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 9), **weeks)
    whole = found.filter(found.scope == "whole").to_pandas()["refused_because"].tolist()
    assert whole == ["no mature unit entered in the period after"]


def test_a_trend_begins_with_its_period():
    events = log(("a", "visit", 1), ("a", "buy", 2))
    found = funnel_trend(
        events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 9), period="day"
    )
    assert found.columns[0] == "period_on"


def test_the_table_of_placeholders_has_its_columns_and_no_more():
    found = placeholder_users(telemetry=ibis.memtable({"user_id": ["null", "null", "undefined", "ada"]}))
    assert list(found.columns) == ["table_name", "user_id", "rows"]
    assert found[["user_id", "rows"]].values.tolist() == [["null", 2], ["undefined", 1]]


def test_a_mean_depth_has_its_limits_from_users_who_have_several_sessions():
    """The delta method written out in floats: a with sessions of 2, 0 and 0 events inside, b with one of 4, c with one of 0."""
    rows = [("a", "1", 2), ("a", "2", 0), ("a", "3", 0), ("b", "4", 4), ("c", "5", 0)]
    events = ibis.memtable(
        [
            {"user_id": user, "session_key": key, "event_name": name, "event_at": datetime(2026, 1, 1)}
            for user, key, slides in rows
            for name in ["start", *["slide"] * slides]
        ]
    )
    found = depth(events, start_event="start", interaction_events=["slide"]).to_pandas().iloc[0]
    y, x = np.array([2.0, 4.0, 0.0]), np.array([3.0, 1.0, 1.0])
    ratio = y.sum() / x.sum()
    half = 1.959963984540054 * np.sqrt(3 / 2 * ((y - ratio * x) ** 2).sum()) / x.sum()
    assert found["mean_interactions"] == ratio
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((max(ratio - half, 0.0), ratio + half))


def test_a_retention_that_is_still_open_says_by_when():
    events = ibis.memtable([{"user_id": "a", "event_name": "x", "event_at": datetime(2026, 1, 1)}])
    found = retention(events, returns=[7], observed_through=datetime(2026, 1, 3, 12)).to_pandas()
    assert found["refused_because"].tolist() == [
        "day 7: no user has been observed to the end by 2026-01-03 12:00 UTC (1 still open), so there is no rate yet; "
        "wait or ask for a shorter time"
    ]


@pytest.mark.parametrize("ask", [active_users, active_days, stickiness])
def test_a_log_without_instants_is_refused_by_name(ask):
    with pytest.raises(ValueError, match="event_at"):
        ask(ibis.memtable([{"user_id": "a", "event_name": "x"}]), observed_through=datetime(2026, 1, 3))


def test_a_rollout_that_cannot_be_counted_counts_nobody_anywhere():
    events = ibis.memtable([{"user_id": "a", "event_at": datetime(2026, 1, 1), "country": "DE"}])
    found = rollout_counts(
        events,
        by="country",
        switched_on={"DE": datetime(2026, 1, 2)},
        period_days=7,
        observed_through=datetime(2026, 1, 4),
    )
    assert found.refused_because == "no period of 7 days since the first place was switched on is over yet"
    assert (found.begins, found.period_days, found.before, found.places) == (None, 7, 0, ())
    assert [len(one) for one in (found.switched_on, found.users, found.active, found.both)] == [0, 0, 0, 0]
    assert (found.without_place, found.later) == (0, 0)


def test_a_refused_retention_names_the_periods_it_was_asked_for():
    events = ibis.memtable([{"user_id": "a", "event_name": "x", "event_at": datetime(2026, 1, 1)}])
    found = retention(
        events, returns=[1, (7, 9)], start_event="y", counting="calendar", observed_through=datetime(2026, 2, 1)
    ).to_pandas()
    assert found[["period_from", "period_to"]].values.tolist() == [[1, 1], [7, 9]]
    assert found["users"].isna().all() and found["refused_because"].notna().all()


def test_placeholders_with_as_many_rows_stand_by_table_and_name():
    users = ibis.memtable({"user_id": ["undefined", "null"]})
    found = placeholder_users(telemetry=users, events=ibis.memtable({"user_id": ["null", "undefined", "null"]}))
    assert found.values.tolist() == [
        ["events", "null", 2], ["events", "undefined", 1], ["telemetry", "null", 1], ["telemetry", "undefined", 1],
    ]  # fmt: skip
