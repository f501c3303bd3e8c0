"""Retention, lifecycle and active users against the brute force of `reference.py`, hand counts and accounting identities."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.inference import kaplan_meier
from launchpad_lib.metrics import (
    active_days,
    active_users,
    activity_spans,
    behavioural_cohorts,
    lifecycle,
    on_or_after,
    pooled_retention,
    retention,
    retention_curve,
)
from tests.spec import reference as ref
from tests.spec.reference import START, Event

DAY = 1440
# The period holds the days on which clocks change in Berlin (29 March 2026) and New York (8 March 2026).
THROUGH = 92 * DAY + 700


def spread(users: int, seed: int, most: int = 12) -> list[Event]:
    """Users with bursts of activity over three months; ties and arrival out of order."""
    rng = random.Random(seed)
    rows = []
    for u in range(users):
        begin = rng.randint(0, 60 * DAY)
        for _ in range(rng.randint(1, most)):
            at = min(begin + rng.choice([0, rng.randint(0, 3 * DAY), rng.randint(0, 40 * DAY)]), THROUGH)
            rows.append(Event(f"u{u}", rng.choice("AB"), at, 0, f"e{rng.random():.12f}", rng.choice(["p", "q", None])))
    rng.shuffle(rows)
    return rows


def logs(most_users: int = 5):
    one = st.tuples(
        st.sampled_from("uvwxy"[:most_users]),
        st.sampled_from("AB"),
        st.one_of(st.integers(0, 20).map(lambda d: d * DAY), st.integers(0, 30 * DAY)),
    )
    return st.lists(one, min_size=1, max_size=12).map(
        lambda rows: [Event(u, n, at, 0, f"e{i}") for i, (u, n, at) in enumerate(rows)]
    )


def seen(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


BRACKETS = [0, 1, 7, (1, 3), on_or_after(3, horizon=14)]


def rolling_by_definition(events, through):
    rows = []
    for asked in BRACKETS:
        low, high = (asked, asked) if isinstance(asked, int) else asked
        users = [ref.rolling_retained(log, low, high, through) for log in ref.by_user(events).values()]
        rows.append([low, high, sum(m for m, _ in users), sum(m and r for m, r in users), sum(not m for m, _ in users)])
    return rows


def counts(found: ibis.Table) -> list[list[int]]:
    columns = ["period_from", "period_to", "users", "retained", "users_immature"]
    return found.to_pandas().sort_values(["period_from", "period_to"], key=lambda c: c)[columns].values.tolist()


def test_rolling_retention_is_what_its_definition_says():
    events = spread(300, seed=1)
    found = retention(ref.table(events), returns=BRACKETS, observed_through=seen(75 * DAY))
    assert counts(found) == sorted(rolling_by_definition(events, 75 * DAY))


@settings(max_examples=6, deadline=None)
@given(events=logs(), through=st.integers(0, 40 * DAY))
def test_rolling_retention_on_small_logs(events, through):
    assert counts(retention(ref.table(events), returns=BRACKETS, observed_through=seen(through))) == sorted(
        rolling_by_definition(events, through)
    )


@pytest.mark.parametrize("period", ["day", "week", "month"])
@pytest.mark.parametrize("start", ["first", "recurring"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_calendar_retention_is_what_its_definition_says(period, start, zone):
    events, through = spread(250, seed=2), 80 * DAY + 333
    asked = [0, 1, 2, (1, 3)]
    found = retention(
        ref.table(events),
        returns=asked,
        observed_through=seen(through),
        counting="calendar",
        period=period,
        start=start,
        report_timezone=zone,
    )
    expected = []
    for r in asked:
        low, high = (r, r) if isinstance(r, int) else r
        each = [ref.calendar_retained(log, low, high, through, period, zone) for log in ref.by_user(events).values()]
        rows = [row for own in each for row in (own[:1] if start == "first" else own)]
        expected.append(
            [low, high, sum(m for _, m, _ in rows), sum(m and r for _, m, r in rows), sum(not m for _, m, _ in rows)]
        )
    assert counts(found) == sorted(expected)


def test_shortly_after_midnight_is_day_one_of_the_calendar_and_not_of_the_rolling_day():
    """Hand count: 23:45 and 00:01 UTC are 16 minutes apart; in New York they are on the same day."""
    events = ref.table([Event("u", "A", 23 * 60 + 45), Event("u", "A", 24 * 60 + 1)])
    options = {"returns": [1], "observed_through": datetime(2026, 1, 10)}
    assert retention(events, **options).to_pandas()["retained"].tolist() == [0]
    assert retention(events, **options, counting="calendar").to_pandas()["retained"].tolist() == [1]
    assert retention(events, **options, counting="calendar", report_timezone="America/New_York").to_pandas()[
        "retained"
    ].tolist() == [0]


def test_over_the_change_of_clocks_rolling_days_have_24_hours_and_calendar_days_do_not():
    """Hand count: Saturday 28 March 12:00 in Berlin is 11:00 UTC; Sunday 12:00 local is 10:00 UTC, 23 hours later."""
    saturday = int((datetime(2026, 3, 28, 11) - START).total_seconds() // 60)
    events = ref.table([Event("u", "A", saturday), Event("u", "A", saturday + 23 * 60)])
    options = {"returns": [0, 1], "observed_through": datetime(2026, 4, 10)}
    berlin = (
        retention(events, **options, counting="calendar", report_timezone="Europe/Berlin")
        .order_by("period_from")
        .to_pandas()
    )
    assert berlin["retained"].tolist() == [1, 1]
    assert retention(events, **options).order_by("period_from").to_pandas()["retained"].tolist() == [1, 0]


def test_a_calendar_day_is_mature_when_it_is_over_in_the_report_time_zone():
    """Hand count: the local day after 1 January ends at 2026-01-02T23:00Z in Berlin and 2026-01-03T05:00Z in New York."""
    events = ref.table([Event("u", "A", 12 * 60)])
    for zone, over in (("Europe/Berlin", datetime(2026, 1, 2, 23)), ("America/New_York", datetime(2026, 1, 3, 5))):
        for at, mature in ((over - timedelta(microseconds=2), 0), (over - timedelta(microseconds=1), 1), (over, 1)):
            found = retention(
                events, returns=[1], observed_through=at, counting="calendar", report_timezone=zone
            ).to_pandas()
            assert (found["users"][0], found["users_immature"][0]) == (mature, 1 - mature)


def test_cohorts_add_up_to_the_pooled_row_which_is_no_mean_of_rates():
    events = ref.table(spread(200, seed=3))
    matrix = retention(
        events, returns=[1, 7], observed_through=seen(70 * DAY), cohort_by="week", report_timezone="Europe/Berlin"
    )
    pooled = pooled_retention(matrix).order_by("period_from").to_pandas()
    whole = retention(events, returns=[1, 7], observed_through=seen(70 * DAY)).order_by("period_from").to_pandas()
    columns = ["users", "retained", "retention_rate", "ci_low", "ci_high", "users_immature"]
    pd.testing.assert_frame_equal(pooled[columns], whole[columns], check_dtype=False)
    assert all(pd.Timestamp(c).weekday() == 0 for c in matrix.to_pandas()["cohort"])
    shown = matrix.to_pandas()
    assert shown.loc[shown["users"] == 0, "retention_rate"].isna().all()


def test_property_cohorts_take_the_value_at_the_start_and_keep_null_as_one():
    """Hand count: u starts with p (q later), v without a value."""
    events = ref.table([Event("u", "A", 0, prop="p"), Event("u", "A", DAY, prop="q"), Event("v", "A", 0)])
    found = retention(events, returns=[1], observed_through=seen(5 * DAY), cohort_property="plan").to_pandas()
    assert {None if pd.isna(r.cohort) else r.cohort: (r.users, r.retained) for r in found.itertuples()} == {
        "p": (1, 1),
        None: (1, 0),
    }


def test_behavioural_cohorts_count_within_their_window_and_leave_out_who_may_still_qualify():
    """Hand count: u does B in time, v too late, w is too new."""
    events = ref.table(
        [
            Event("u", "A", 0),
            Event("u", "B", 60),
            Event("v", "A", 0),
            Event("v", "B", 3 * DAY),
            Event("w", "A", 9 * DAY),
        ]
    )
    cohorts = behavioural_cohorts(events, event="B", at_least=1, within="1d", observed_through=seen(int(9.5 * DAY)))
    found = cohorts.order_by("user_id").to_pandas()
    assert found[["user_id", "cohort"]].values.tolist() == [["u", "B within 1 day"], ["v", "fewer"]]
    kept = (
        retention(events, returns=[3], observed_through=seen(int(9.5 * DAY)), cohorts=cohorts)
        .order_by("cohort")
        .to_pandas()
    )
    assert kept[["users", "retained"]].values.tolist() == [[1, 0], [1, 1]]


def test_start_and_return_events_are_told_apart():
    """Hand count: u starts with B on day 1; the A of day 2 is a return, the A of day 0 is before the start."""
    events = ref.table([Event("u", "A", 0), Event("u", "B", DAY), Event("u", "A", 2 * DAY)])
    found = (
        retention(events, returns=[0, 1], observed_through=seen(9 * DAY), start_event="B", return_event="A")
        .order_by("period_from")
        .to_pandas()
    )
    assert found["retained"].tolist() == [0, 1]


@pytest.mark.parametrize(("deed", "limits"), [(0, (0.0, 0.277533)), (1, (0.722467, 1.0))])
def test_where_nobody_or_everybody_comes_back_each_person_counts_once_in_the_interval(deed, limits):
    """Ten people, three starts each. Wilson's limits by hand: of 0 of 10 the upper is z^2 / (10 + z^2) = 0.277533."""
    rows = [Event(f"u{u}", "A", day * 2 * DAY + 60) for u in range(10) for day in range(3)]
    rows += [Event("somebody else", "B", 60), *(Event(r.user, "B", r.at + DAY) for r in rows if deed)]
    asked = {"returns": [1], "counting": "calendar", "start": "recurring", "observed_through": seen(7 * DAY)}
    row = retention(ref.table(rows), start_event="A", return_event="B", **asked).to_pandas().iloc[0]
    assert (row["retention_rate"], row["users"]) == (deed, 30)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(limits, abs=1e-6)


def test_the_interval_of_recurring_starts_knows_that_a_user_counts_several_times():
    """By hand: users (retained, starts) = (3, 3), (0, 1), (1, 2): ratio 4/6; variance 3/2 * sum (y - r x)^2 / 36."""
    rows = (
        [Event("a", "A", d * DAY) for d in range(4)] + [Event("b", "A", 0)] + [Event("c", "A", 0), Event("c", "A", DAY)]
    )
    found = (
        retention(ref.table(rows), returns=[1], observed_through=seen(4 * DAY), counting="calendar", start="recurring")
        .to_pandas()
        .iloc[0]
    )
    assert (found["users"], found["retained"], found["users_immature"]) == (6, 4, 1)
    spread_of = sum((y - 4 / 6 * x) ** 2 for y, x in ((3, 3), (0, 1), (1, 2)))
    assert found["ci_low"] == pytest.approx(4 / 6 - 1.959964 * (1.5 * spread_of) ** 0.5 / 6, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"returns": []}, "names no period"),
        ({"returns": [(3, 1)]}, "not before its start"),
        ({"returns": [-1]}, "returns=.* whole number from 0"),
        ({"start": "recurring"}, "needs counting='calendar'"),
        ({"period": "month"}, "has no fixed length"),
        ({"cohort_by": "week", "cohort_property": "plan"}, "more than one is given"),
        ({"counting": "calendar", "report_timezone": "Berlin"}, "no IANA time zone"),
    ],
)
def test_what_contradicts_itself_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        retention(
            ref.table([Event("u", "A", 0)]), **{"returns": [1], "observed_through": seen(DAY), **options}
        ).to_pandas()


def test_a_cohort_without_a_mature_user_has_no_rate():
    found = retention(ref.table([Event("u", "A", 0)]), returns=[7], observed_through=seen(DAY)).to_pandas().iloc[0]
    assert (found["users"], found["users_immature"], bool(found["is_complete"])) == (0, 1, False)
    assert pd.isna(found["retention_rate"]) and pd.isna(found["ci_low"]) and pd.isna(found["ci_high"])


def test_the_curve_is_the_rolling_retention_of_single_days():
    events = ref.table(spread(50, seed=5))
    curve = retention_curve(events, days=[1, 7], observed_through=seen(60 * DAY)).order_by("day").to_pandas()
    found = retention(events, returns=[1, 7], observed_through=seen(60 * DAY)).order_by("period_from").to_pandas()
    assert curve["retained"].tolist() == found["retained"].tolist()


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_lifecycle_is_what_its_definition_says_and_its_accounts_balance(period):
    events = spread(120, seed=7)
    found = (
        lifecycle(ref.table(events), observed_through=seen(80 * DAY), period=period, report_timezone="Europe/Berlin")
        .order_by("period_on")
        .to_pandas()
    )
    expected = ref.lifecycle(events, period, "Europe/Berlin")
    states = ["new", "returning", "resurrected", "dormant"]
    assert found[states].values.tolist() == [[row[s] for s in states] for _, row in sorted(expected.items())]
    before = found["active"].shift(1, fill_value=0)
    assert (found["active"] == found["new"] + found["returning"] + found["resurrected"]).all()
    assert (before == found["returning"] + found["dormant"]).all()
    assert (found["active"] == before + found["new"] + found["resurrected"] - found["dormant"]).all()
    assert found["new"].sum() == 120


@settings(max_examples=5, deadline=None)
@given(events=logs())
def test_lifecycle_balances_on_small_logs(events):
    found = (
        lifecycle(ref.table(events), observed_through=seen(90 * DAY), period="day").order_by("period_on").to_pandas()
    )
    expected = ref.lifecycle(events, "day", "UTC")
    assert found[["new", "returning", "resurrected", "dormant"]].values.tolist() == [
        list(row.values()) for _, row in sorted(expected.items())
    ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_active_users_are_the_distinct_users_of_trailing_days(zone):
    events = spread(60, seed=9)
    through = seen(max(e.at for e in events) + 40 * DAY)  # a product that fell silent is seen to the end
    found = active_users(ref.table(events), observed_through=through, report_timezone=zone).order_by("active_on")
    found, last = found.to_pandas(), through.replace(tzinfo=UTC).astimezone(ref.ZoneInfo(zone)).date()
    for name, days in (("dau", 1), ("wau", 7), ("mau", 28)):
        assert found[name].tolist() == list(ref.active_users(events, days, zone, last).values())
    assert [pd.Timestamp(d).date() for d in found["active_on"]] == list(ref.active_users(events, 1, zone, last))
    assert found["mau"].iloc[-1] == 0 and found["stickiness"].isna().iloc[-1], "nobody is undefined, never 0"
    assert (found["dau"] <= found["wau"]).all() and (found["wau"] <= found["mau"]).all()


def test_the_power_user_curve_counts_complete_days_only():
    events = spread(80, seed=10)
    found = (
        active_days(ref.table(events), observed_through=seen(60 * DAY + 5), window_days=28, report_timezone="UTC")
        .order_by("days")
        .to_pandas()
    )
    last = date(2026, 1, 1) + timedelta(days=59)
    days = [
        len({ref.local(e.at, "UTC") for e in log if 0 <= (last - ref.local(e.at, "UTC")).days < 28})
        for log in ref.by_user(events).values()
    ]
    assert found["users"].tolist() == [days.count(k) for k in range(1, 29)]
    assert found["share"].sum() == pytest.approx(1)


def test_survival_is_censored_at_one_instant_for_all_and_ends_in_the_kaplan_meier_of_the_spans():
    """Hand count: gap 7 d, seen to day 20, so the cut is day 13. u churns at 2 d, v is alive at the cut (13 d), w is too new."""
    events = [
        Event("u", "A", 0, prop="p"),
        Event("u", "A", 2 * DAY),
        Event("v", "A", 0),
        Event("v", "A", 19 * DAY),
        Event("w", "A", 14 * DAY),
    ]
    spans = (
        activity_spans(ref.table(events), gap="7d", observed_through=seen(20 * DAY), group_property="plan")
        .order_by("user_id")
        .to_pandas()
    )
    assert spans[["user_id", "duration_days", "is_churned"]].values.tolist() == [["u", 2.0, True], ["v", 13.0, False]]
    assert spans["group_name"].iloc[0] == "p" and pd.isna(spans["group_name"].iloc[1])
    assert [(p.time, p.survival) for p in kaplan_meier(spans["duration_days"], spans["is_churned"])] == [(2.0, 0.5)]
