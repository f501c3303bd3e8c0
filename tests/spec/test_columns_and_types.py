"""The columns of every result table, in their order and with their types, answered, refused and empty alike; and whole
sentences where nobody is counted.

Written from the docstrings: s text, i whole number, f number, d date, t instant, b truth.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import pandas as pd
import pyarrow as pa
import pytest

from launchpad_lib import metrics

START = datetime(2026, 1, 1)
THROUGH = START + timedelta(days=30)
SEEN = {"observed_through": THROUGH}
WINDOW = {"window": "1d", **SEEN}
WEEKS = {"before": (START, START + timedelta(days=7)), "after": (START + timedelta(days=7), START + timedelta(days=14))}
KINDS = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "d": pa.date32(), "b": pa.bool_()}
WILSON = "ci_low f, ci_high f, "
FUNNEL = (
    f"step i, step_name s, is_optional b, users i, n i, base s, conversion_rate f, step_conversion_rate f, {WILSON}"
    "users_at_risk i, median_seconds f, p90_seconds f, median_seconds_from_entry f, p90_seconds_from_entry f, "
    "entrants_immature i, users_removed i, refused_because s"
)
RETENTION = (
    f"period_from i, period_to i, users i, retained i, retention_rate f, {WILSON}users_immature i, is_complete b, "
    "refused_because s"
)
CHANGES = (
    "scope s, step i, step_name s, base s, n_before i, converted_before i, n_after i, converted_after i, n_both i, "
    "converted_both i, converted_before_of_both i, converted_after_of_both i, refused_because s"
)
CORRELATES = (
    "step i, step_name s, next_step_name s, kind s, property s, value s, users i, users_on i, all_users i, "
    "all_users_on i, on_in I, at_risk I, all_on_in I, all_at_risk I, refused_because s"
)
SHARING = (
    f"viewers i, views i, shares i, shares_per_viewer f, {WILSON}shares_per_view f, per_view_ci_low f, "
    "per_view_ci_high f, immature i, refused_because s"
)
DEPTH = (
    "sessions i, mean_interactions f, median_interactions f, p90_interactions f, mean_kinds f, median_kinds f, "
    f"p90_kinds f, {WILSON}refused_because s"
)
ADOPTION = (
    "feature_id s, week_on d, n_before i, converted_before i, n_after i, converted_after i, n_both i, "
    "converted_both i, converted_before_of_both i, converted_after_of_both i, refused_because s"
)
# By name: the call (of the log and of an event that it may or may not have), and its columns.
TABLES = {
    "funnel": (lambda e, n: metrics.funnel(e, steps=[n, "buy"], **WINDOW), FUNNEL),
    "funnel by segment": (
        lambda e, n: metrics.funnel(e, steps=[n, "buy"], breakdown="platform", **WINDOW),
        "segment s, " + FUNNEL,
    ),
    "funnel_trend": (lambda e, n: metrics.funnel_trend(e, steps=[n, "buy"], **WINDOW), "period_on d, " + FUNNEL),
    "funnel_times": (
        lambda e, n: metrics.funnel_times(e, steps=[n, "buy"], **WINDOW),
        "place i, time s, users i, n i, share f, refused_because s",
    ),
    "funnel_next_events": (
        lambda e, n: metrics.funnel_next_events(e, steps=[n, "buy"], **WINDOW),
        "step i, step_name s, next_event s, users i, dropped i, share f, median_seconds f, refused_because s",
    ),
    "funnel_changes": (lambda e, n: metrics.funnel_changes(e, steps=[n, "buy"], **WINDOW, **WEEKS), CHANGES),
    "funnel_changes by segment": (
        lambda e, n: metrics.funnel_changes(e, steps=[n, "buy"], breakdown="platform", **WINDOW, **WEEKS),
        "segment s, " + CHANGES,
    ),
    "funnel_correlates": (
        lambda e, n: metrics.funnel_correlates(e, steps=[n, "buy"], at_least=1, **WINDOW),
        CORRELATES,
    ),
    "funnel_rules": (
        lambda e, n: metrics.funnel_rules(e, steps=[n, "buy"], **WINDOW),
        f"place i, rule s, why s, step i, step_name s, users i, n i, conversion_rate f, {WILSON}refused_because s",
    ),
    "completion": (
        lambda e, n: metrics.completion(e, start_event=n, complete_event="buy", **WINDOW),
        f"starts i, completed i, immature i, completion_rate f, {WILSON}refused_because s",
    ),
    "completions": (
        lambda e, n: metrics.completions(e, pairs=[(n, "buy")], **WINDOW),
        f"start_event s, complete_event s, starts i, completed i, immature i, completion_rate f, {WILSON}"
        "refused_because s",
    ),
    "share_rate": (
        lambda e, n: metrics.share_rate(e, view_event=n, share_event="buy", **WINDOW),
        f"viewers i, sharers i, immature i, share_rate f, {WILSON}refused_because s",
    ),
    "shares_per_viewer": (
        lambda e, n: metrics.shares_per_viewer(e, view_event=n, share_event="buy", **WINDOW),
        SHARING,
    ),
    "depth": (lambda e, n: metrics.depth(e, start_event=n, interaction_events=["buy"]), DEPTH),
    "session_duration": (
        lambda e, n: metrics.session_duration(e),
        "sessions i, median_seconds f, p90_seconds f, refused_because s",
    ),
    "frequency": (
        lambda e, n: metrics.frequency(e, event_name=n, **SEEN),
        "place i, times s, users i, n i, share f, refused_because s",
    ),
    "path_steps": (
        lambda e, n: metrics.path_steps(e, anchor=n),
        "position i, event_name s, units i, n i, share f, refused_because s",
    ),
    "transitions": (
        lambda e, n: metrics.transitions(e),
        "from_event s, to_event s, transitions i, from_count i, share f, median_seconds f, refused_because s",
    ),
    "retention": (lambda e, n: metrics.retention(e, returns=[1, 7], start_event=n, **SEEN), RETENTION),
    "retention by week": (
        lambda e, n: metrics.retention(e, returns=[1], start_event=n, cohort_by="week", **SEEN),
        "cohort d, " + RETENTION,
    ),
    "retention by property": (
        lambda e, n: metrics.retention(e, returns=[1], start_event=n, cohort_property="platform", **SEEN),
        "cohort s, " + RETENTION,
    ),
    "retention, recurring": (
        lambda e, n: metrics.retention(
            e, returns=[1], start_event=n, start="recurring", counting="calendar", period="week", **SEEN
        ),
        RETENTION,
    ),
    "pooled_retention": (
        lambda e, n: metrics.pooled_retention(
            metrics.retention(e, returns=[1], start_event=n, cohort_by="week", **SEEN)
        ),
        f"period_from i, period_to i, users i, retained i, users_immature i, retention_rate f, {WILSON}refused_because s",
    ),
    "retention_curve": (
        lambda e, n: metrics.retention_curve(e, days=[1, 7], start_event=n, **SEEN),
        f"day i, users i, retained i, users_immature i, retention_rate f, {WILSON}refused_because s",
    ),
    "behavioural_cohorts": (
        lambda e, n: metrics.behavioural_cohorts(e, event=n, at_least=1, within="1d", **SEEN),
        "user_id s, cohort s, refused_because s",
    ),
    "activity_spans": (
        lambda e, n: metrics.activity_spans(e, gap="7d", group_property="platform", **SEEN),
        "user_id s, duration_days f, is_churned b, group_name s, refused_because s",
    ),
    "lifecycle": (
        lambda e, n: metrics.lifecycle(e, **SEEN),
        "period_on d, new i, returning i, resurrected i, dormant i, active i, is_complete b, refused_because s",
    ),
    "daily_active_users": (lambda e, n: metrics.daily_active_users(e), "active_on d, dau i"),
    "active_users": (
        lambda e, n: metrics.active_users(e, **SEEN),
        "active_on d, dau i, wau i, mau i, stickiness f, days_observed i, refused_because s",
    ),
    "active_days": (lambda e, n: metrics.active_days(e, **SEEN), "days i, users i, n i, share f, refused_because s"),
    "stickiness": (
        lambda e, n: metrics.stickiness(e, **SEEN),
        "mean_dau f, mau i, days i, days_observed i, stickiness f, refused_because s",
    ),
    "adoption": (
        lambda e, n: metrics.adoption(e, feature_id=n),
        f"active_on d, users i, active_users i, adoption_rate f, {WILSON}refused_because s",
    ),
    "adoption_weekly": (
        lambda e, n: metrics.adoption_weekly(e, feature_id=n, **SEEN),
        f"week_on d, users i, active_users i, adoption_rate f, {WILSON}daily_mean_rate f, days i, is_complete b, "
        "refused_because s",
    ),
    "feature_adoption": (lambda e, n: metrics.feature_adoption(e, feature_ids=[n], **SEEN), ADOPTION),
    "feature_overlap": (
        lambda e, n: metrics.feature_overlap(e, feature_id=n),
        f"feature_a s, feature_b s, users_a i, users_b i, users_both i, share_of_a f, {WILSON}jaccard f, "
        "overlap_lift f, refused_because s",
    ),
}
# What tables that name no event say of an empty log.
NAME_NOTHING = {
    "session_duration": "there is no session",
    "transitions": "the log holds no event of a known unit, so nothing follows anything",
    "activity_spans": "every user was first seen within 7 days of the end of the data, so nobody can be judged",
    "lifecycle": "the log holds no event of a known user",
    "active_users": "the log holds no event of a known user",
    "active_days": "no known user was active in the last 28 complete days",
    "stickiness": "no known user was active in the 28 days before the data end",
    "feature_overlap": "fewer than two features have users, so there is nothing to overlap",
    "daily_active_users": "",  # has no such column
}
LATER = START + timedelta(days=90)
NOBODY_THERE = {
    "nobody in the last week": (
        lambda e: metrics.feature_adoption(e, feature_ids=["visit"], observed_through=LATER),
        "nobody was active in the last complete week",
    ),
    "nobody in the week before": (
        lambda e: metrics.feature_adoption(e, feature_ids=["visit"], observed_through=START + timedelta(days=5)),
        "nobody was active in the week before the last complete one",
    ),
    "nobody lately": (
        lambda e: metrics.frequency(e, event_name="visit", window_days=7, observed_through=LATER),
        "nobody did 'visit' in the last 7 complete days",
    ),
    "one day": (
        lambda e: metrics.stickiness(e, observed_through=START + timedelta(hours=3)),
        "one day is observed, and of one day all users are users of that day; stickiness takes two days or more",
    ),
    "nobody stopped": (
        lambda e: metrics.funnel_next_events(e.filter(e.user_id == "c"), steps=["visit", "buy"], **WINDOW),
        "no mature unit stopped before the last step, so there is nothing that it did instead",
    ),
    "nobody went on": (
        lambda e: metrics.funnel_times(e, steps=["buy", "help"], **WINDOW),
        "nobody reached the last step, so there is no time to it",
    ),
    "too few to compare": (
        lambda e: metrics.funnel_correlates(e, steps=["visit", "buy"], at_least=9, **WINDOW),
        "no mature unit reached a step and at least 9 of them a value or an event after it, so nothing can be compared",
    ),
    "nobody by filters": (
        lambda e: metrics.funnel(
            e, steps=[metrics.Step("buy", (("platform", "tv"),)), "help"], breakdown="platform", **WINDOW
        ),
        "the funnel: nobody did 'buy' as asked; check filters and period",
    ),
    "nobody in both periods": (
        lambda e: metrics.funnel_changes(
            e, steps=[metrics.Step("visit", (("platform", "tv"),)), "buy"], breakdown="platform", **WINDOW, **WEEKS
        ),
        "nobody entered in either of the two periods",
    ),
    "nobody came": (
        lambda e: metrics.retention(
            e, returns=[1], start_event=metrics.Step("visit", (("platform", "tv"),)), cohort_by="week", **SEEN
        ),
        "nobody did the start event as asked, so nobody can come back; check filters and period",
    ),
    "no unit": (
        lambda e: metrics.path_steps(e.mutate(session_key=ibis.null("string")), anchor="visit"),
        "no known unit has 'visit'",
    ),
    "no session": (
        lambda e: metrics.depth(
            e.mutate(session_key=ibis.null("string")), start_event="visit", interaction_events=["buy"]
        ),
        "no session has 'visit'",
    ),
    "not yet": (
        lambda e: metrics.behavioural_cohorts(
            e, event="buy", at_least=1, within="7d", observed_through=START + timedelta(days=5)
        ),
        "no user has been observed for 7 days from the start by 2026-01-06 00:00 UTC",
    ),
}


def log() -> ibis.Table:
    rows = [
        ("a", "visit", 0), ("a", "buy", 1), ("a", "visit", 25), ("b", "visit", 2), ("b", "help", 3),
        ("c", "visit", 7 * 24 + 1), ("c", "buy", 7 * 24 + 2), ("a", "visit", 7 * 24 + 30), ("a", "help", 29 * 24 + 23),
    ]  # fmt: skip
    frame = pd.DataFrame(
        {
            "user_id": pd.array([r[0] for r in rows], dtype="string"),
            "event_name": pd.array([r[1] for r in rows], dtype="string"),
            "event_at": pd.array([START + timedelta(hours=r[2]) for r in rows], dtype="datetime64[us]"),
            "feature_id": pd.array([r[1] for r in rows], dtype="string"),
            "session_key": pd.array([r[0] for r in rows], dtype="string"),
            "platform": pd.array(["web" if r[0] == "a" else None for r in rows], dtype="string"),
        }
    )
    return ibis.memtable(frame)


@pytest.mark.parametrize("state", ["answered", "unknown", "empty"])
@pytest.mark.parametrize("name", TABLES)
def test_columns_stand_in_their_order_with_their_types_whether_or_not_there_is_an_answer(name, state):
    call, columns = TABLES[name]
    events = log().filter(ibis.literal(False)) if state == "empty" else log()
    found = call(events, "visits" if state == "unknown" else "visit").to_pyarrow()
    kinds = KINDS | {"I": pa.list_(pa.int64())}
    assert [(f.name, f.type) for f in found.schema] == [
        (one.split()[0], kinds[one.split()[1]]) for one in columns.split(", ")
    ]
    what = "feature" if "adoption" in name else "event"
    assert len(found) or name == "daily_active_users"
    if state == "empty" and name != "daily_active_users":
        told = f"{what} 'visit': does not occur in the log; there are none"
        assert set(found["refused_because"].to_pylist()) == {NAME_NOTHING.get(name, told)}
    if state == "unknown" and name not in NAME_NOTHING:
        told = f"{what} 'visits': does not occur in the log; did you mean 'visit'?"
        assert set(found["refused_because"].to_pylist()) == {told}


@pytest.mark.parametrize("name", NOBODY_THERE)
def test_where_nobody_is_counted_the_whole_sentence_stands(name):
    call, sentence = NOBODY_THERE[name]
    assert set(call(log()).to_pandas()["refused_because"]) == {sentence}
