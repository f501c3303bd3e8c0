"""Engagement, overlap and paths against plain loops over the log, hand counts and identities."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import (
    adoption,
    adoption_weekly,
    completion,
    depth,
    feature_overlap,
    frequency,
    path_steps,
    share_rate,
    shares_per_viewer,
    stickiness,
    transitions,
)
from tests.spec import reference as ref
from tests.spec.reference import START, Event

DAY, ZONE = 1440, "America/New_York"


def spread(users: int = 80, seed: int = 3, names: str = "ABCDEF") -> list[Event]:
    """`item` is a session and `prop` a feature here."""
    rng, features = random.Random(seed), ["quiz", "search", "home", None]
    rows = [
        Event(
            f"u{u}",
            rng.choice(names),
            rng.randint(0, 30 * DAY),
            rng.randint(0, 2),
            f"e{rng.random():.12f}",
            rng.choice(features),
            str(rng.randint(0, 2)),
        )
        for u in range(users)
        for _ in range(rng.randint(1, 10))
    ]
    rng.shuffle(rows)
    return rows


def table(events: list[Event]) -> ibis.Table:
    t = ref.table(events)
    return t.mutate(feature_id=t.plan)


def seen(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def test_daily_and_weekly_adoption_are_distinct_users_over_distinct_active_users():
    events = spread()
    days, weeks = defaultdict(lambda: (set(), set())), defaultdict(lambda: (set(), set()))
    for e in events:
        on = ref.local(e.at, ZONE)
        for place, key in ((days, on), (weeks, on - timedelta(days=on.weekday()))):
            place[key][1].add(e.user)
            if e.prop == "quiz":
                place[key][0].add(e.user)
    daily = adoption(table(events), feature_id="quiz", report_timezone=ZONE).order_by("active_on").to_pandas()
    assert daily[["users", "active_users"]].values.tolist() == [[len(a), len(b)] for _, (a, b) in sorted(days.items())]
    weekly = (
        adoption_weekly(table(events), feature_id="quiz", observed_through=seen(30 * DAY), report_timezone=ZONE)
        .order_by("week_on")
        .to_pandas()
    )
    assert weekly[["users", "active_users"]].values.tolist() == [
        [len(a), len(b)] for _, (a, b) in sorted(weeks.items())
    ]
    first = min(weeks)
    rates = [len(days[d][0]) / len(days[d][1]) for d in days if first <= d < first + timedelta(days=7)]
    assert weekly["daily_mean_rate"].iloc[0] == pytest.approx(sum(rates) / len(rates))
    assert weekly["is_complete"].tolist() == [w + timedelta(days=7) <= date(2026, 1, 30) for w in sorted(weeks)]


def test_an_event_without_a_feature_makes_its_user_active_and_no_adopter():
    events = table([Event("u", "A", 0), Event("v", "A", 0, prop="quiz")])
    assert adoption_weekly(events, feature_id="quiz", observed_through=seen(DAY)).to_pandas()[
        ["users", "active_users"]
    ].values.tolist() == [[1, 2]]
    unknown = adoption(events, feature_id="quizz").to_pandas()
    assert unknown["users"].isna().tolist() == [True], "a feature that does not occur is refused, never 0 %"
    assert "did you mean 'quiz'?" in unknown["refused_because"][0]


def test_depth_counts_started_sessions_with_zeros_and_tells_kinds():
    """Hand count: s0 has 3 interactions of 2 kinds, s1 none, s2 was not started."""
    rows = [("A", "0"), ("B", "0"), ("B", "0"), ("C", "0"), ("A", "1"), ("B", "2")]
    found = (
        depth(
            table([Event("u", n, i, item=s) for i, (n, s) in enumerate(rows)]),
            start_event="A",
            interaction_events=["B", "C"],
        )
        .to_pandas()
        .iloc[0]
    )
    assert (
        found["sessions"],
        found["mean_interactions"],
        found["median_interactions"],
        found["mean_kinds"],
        found["median_kinds"],
    ) == (2, 1.5, 1.5, 1.0, 1.0)
    assert found["p90_interactions"] == pytest.approx(2.7)


def test_completion_per_session_and_per_user_differ_where_a_user_completes_in_another_session():
    events = table(
        [
            Event("u", "A", 0, item="0"),
            Event("u", "B", 60, item="1"),
            Event("v", "A", 0, item="0"),
            Event("v", "B", 60, item="0"),
        ]
    )
    options = {"start_event": "A", "complete_event": "B", "window": "1d", "observed_through": seen(9 * DAY)}
    assert completion(events, **options, by="user_id").to_pandas()["completion_rate"].tolist() == [1.0]
    assert completion(events, **options, by="session_key").to_pandas()["completion_rate"].tolist() == [0.5]


def test_shares_per_viewer_have_the_limits_of_the_delta_method():
    """By plain loops: viewers with open windows are left out; shares before the first view or after its window are not counted."""
    events, window, through = spread(seed=8, names="ABX"), 3 * DAY, 25 * DAY
    own = []
    for log in ref.by_user(events).values():
        views = [e.at for e in log if e.name == "A"]
        if views and min(views) + window <= through:
            t0 = min(views)
            own.append(tuple(sum(e.name == n and t0 <= e.at <= t0 + window for e in log) for n in "AB"))
    x, y = pd.Series([v for v, _ in own], dtype=float), pd.Series([s for _, s in own], dtype=float)
    found = (
        shares_per_viewer(table(events), view_event="A", share_event="B", window="3d", observed_through=seen(through))
        .to_pandas()
        .iloc[0]
    )
    assert (found["viewers"], found["views"], found["shares"]) == (len(own), x.sum(), y.sum())
    assert found["shares_per_viewer"] == pytest.approx(y.mean())
    assert found["ci_high"] - found["shares_per_viewer"] == pytest.approx(
        1.959964 * y.std(ddof=1) / len(y) ** 0.5, rel=1e-6
    )
    residual = y - y.sum() / x.sum() * x
    half = 1.959964 * (len(x) / (len(x) - 1) * (residual**2).sum()) ** 0.5 / x.sum()
    assert found["per_view_ci_high"] - found["shares_per_view"] == pytest.approx(half, rel=1e-6)


def test_a_share_before_the_first_view_is_not_counted():
    events = table([Event("u", "B", 0), Event("u", "A", 10), Event("v", "A", 0), Event("v", "B", 5)])
    options = {"view_event": "A", "share_event": "B", "window": "1d", "observed_through": seen(9 * DAY)}
    assert share_rate(events, **options).to_pandas()["share_rate"].tolist() == [0.5]
    assert shares_per_viewer(events, **options).to_pandas()["shares"].tolist() == [1]


def test_nobody_views_gives_no_ratio_and_no_interval():
    found = (
        shares_per_viewer(
            table([Event("u", "X", 0)]), view_event="A", share_event="B", window="1d", observed_through=seen(9 * DAY)
        )
        .to_pandas()
        .iloc[0]
    )
    assert found["viewers"] == 0
    assert found[["shares_per_viewer", "ci_low", "ci_high", "shares_per_view"]].isna().all()


def test_frequency_puts_every_user_in_one_bucket():
    events = spread(names="A", users=60)
    last = date(2026, 1, 20)
    times = Counter(e.user for e in events if 0 <= (last - ref.local(e.at, "UTC")).days < 14)
    found = (
        frequency(table(events), event_name="A", observed_through=seen(20 * DAY + 60), window_days=14)
        .order_by("place")
        .to_pandas()
    )
    assert found["users"].tolist()[:4] == [sum(n == k for n in times.values()) for k in (1, 2, 3, 4)]
    assert found["users"].sum() == len(times)
    assert found["share"].sum() == pytest.approx(1)


def test_stickiness_uses_local_days():
    """Hand count: 23:30 UTC and 00:30 UTC are one day in New York, two in UTC."""
    events = table([Event("u", "A", 23 * 60 + 30), Event("u", "A", 24 * 60 + 30)])
    assert stickiness(events, observed_through=seen(2 * DAY - 1)).to_pandas()["days"].tolist() == [2]
    assert stickiness(events, observed_through=seen(2 * DAY - 1), report_timezone=ZONE).to_pandas()[
        "days"
    ].tolist() == [1]


def test_of_one_observed_day_there_is_no_stickiness():
    """One day: everybody active in it is active in it, so the ratio is 100 % whatever people do; no number, a reason."""
    events = table([Event("u", "A", 60), Event("v", "A", 90)])
    row = stickiness(events, observed_through=seen(120)).to_pandas().iloc[0]
    assert pd.isna(row["stickiness"]) and "one day is observed" in row["refused_because"]
    assert (row["mau"], row["days_observed"]) == (2, 1)
    row = stickiness(events, observed_through=seen(2 * DAY)).to_pandas().iloc[0]  # its end: the third day has not begun
    assert (row["stickiness"], row["days_observed"]) == (1.0, 2) and pd.isna(row["refused_because"])


def test_overlap_counts_users_of_both_features_and_pairs_without_any():
    events = [e for e in spread(users=30) if not (e.user < "u15" and e.prop == "home")]
    use = defaultdict(set)
    for e in events:
        if e.prop:
            use[e.prop].add(e.user)
    found = feature_overlap(table(events)).to_pandas()
    assert {(r.feature_a, r.feature_b): (r.users_a, r.users_b, r.users_both) for r in found.itertuples()} == {
        (a, b): (len(use[a]), len(use[b]), len(use[a] & use[b])) for a in use for b in use if a != b
    }
    none = feature_overlap(table([Event("u", "A", 0, prop="x"), Event("v", "A", 0, prop="y")])).to_pandas()
    assert none["users_both"].tolist() == [0, 0]


def sequences(events: list[Event], *, collapse: bool) -> dict[str, list[str]]:
    """Names per session in order; here names at one instant and receipt keep event_id order."""
    logs = defaultdict(list)
    for e in sorted(events, key=lambda e: (e.at, e.at + e.received, e.event_id)):
        own = logs[f"{e.user}-{e.item}"]
        if not (collapse and own and own[-1] == e.name):
            own.append(e.name)
    return logs


@pytest.mark.parametrize("repeats", ["kept", "collapsed"])
def test_transitions_are_the_neighbours_of_each_session_and_rare_names_are_one(repeats):
    events = spread()
    logs = sequences(events, collapse=repeats == "collapsed")
    ranking = Counter(n for names in logs.values() for n in names)
    kept = [n for n, _ in sorted(ranking.items(), key=lambda i: (-i[1], i[0]))[:4]]
    pairs = Counter()
    for names in logs.values():
        shown = [n if n in kept else "(other)" for n in names]
        pairs.update(zip(shown, [*shown[1:], "(end)"], strict=True))
    found = transitions(table(events), most=4, repeats=repeats).to_pandas()
    assert {(r.from_event, r.to_event): r.transitions for r in found.itertuples()} == dict(pairs)
    assert found.groupby("from_event")["share"].sum().tolist() == pytest.approx([1.0] * 5)


@pytest.mark.parametrize("direction", ["after", "before"])
def test_path_steps_walk_from_the_first_anchor_and_each_position_adds_up(direction):
    events = spread()
    found = path_steps(table(events), anchor="A", direction=direction, length=3, most=9).to_pandas()
    wanted = Counter()
    for names in sequences(events, collapse=True).values():
        if "A" in names:
            at = names.index("A")
            for step in (1, 2, 3):
                p = at + step if direction == "after" else at - step
                wanted[step, names[p] if 0 <= p < len(names) else "(end)" if direction == "after" else "(start)"] += 1
    assert {(r.position, r.event_name): r.units for r in found.itertuples()} == dict(wanted)
    few = path_steps(table(events), anchor="A", direction=direction, length=3, most=2).to_pandas()
    assert few.groupby("position")["units"].sum().nunique() == 1
    assert few.groupby("position")["share"].sum().tolist() == pytest.approx([1.0] * 3)
    assert (few.groupby("position").size() <= 4).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda t: transitions(t, most=0), "most=0: must be a whole number from 1"),
        (lambda t: transitions(t, repeats="some"), "'kept' or 'collapsed'"),
        (lambda t: path_steps(t, anchor="A", direction="up"), "'after' or 'before'"),
        (lambda t: path_steps(t, anchor="A", length=0), "must be a whole number from 1"),
        (lambda t: frequency(t, event_name="A", observed_through=START, window_days=0), "window_days=0"),
        (
            lambda t: completion(t, start_event="A", complete_event="B", window="1", observed_through=START),
            "with a unit",
        ),
    ],
)
def test_bad_options_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(table([Event("u", "A", 0)]))
