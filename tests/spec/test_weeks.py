"""Weeks that begin on any day, against plain Python dates; and one base for a headline, its trend and its change."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta

import ibis
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import START, Event

from launchpad_lib.metrics import (
    adoption_weekly,
    feature_adoption,
    funnel,
    funnel_changes,
    funnel_trend,
    lifecycle,
    retention,
)
from launchpad_lib.metrics.windows import WEEKDAYS, last_complete_period, period_start, python_period_number

DAY = 1_440
FAR = START + timedelta(days=90)


def first_date(on: date, week_starts_on: str) -> date:
    """The newest date up to `on` that is this weekday, by walking back."""
    while on.strftime("%A").lower() != week_starts_on:
        on -= timedelta(days=1)
    return on


def spread(count: int, *, seed: int, days: int = 30) -> list[Event]:
    rng = random.Random(seed)
    return [
        Event(rng.choice("uvwxyz"), rng.choice("AB"), rng.randrange(days * DAY), event_id=str(i), prop=rng.choice(["quiz", "home"]))
        for i in range(count)
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(on=st.dates(date(1960, 1, 1), date(2040, 1, 1)), week_starts_on=st.sampled_from(WEEKDAYS))
def test_a_week_starts_on_the_newest_such_day(on, week_starts_on):
    one = ibis.memtable({"number": [python_period_number(on, "week", week_starts_on)]})
    found = one.select(start=period_start(one["number"], "week", week_starts_on)).to_pandas()["start"][0]
    assert found.date() == first_date(on, week_starts_on)


def test_a_week_is_complete_when_its_last_day_is_over_whatever_day_it_begins_on():
    """Hand count: Saturday 2026-01-10 is over at midnight; then a week from Sunday is complete, one from Monday is not."""
    over = datetime(2026, 1, 11)
    at_night = over - timedelta(seconds=1)
    before, sunday, monday = (
        last_complete_period(at, "UTC", "week", day)
        for at, day in ((at_night, "sunday"), (over, "sunday"), (over, "monday"))
    )
    starts = [
        ibis.literal(number, "int64").pipe(period_start, "week", day).execute().date()
        for number, day in ((before, "sunday"), (sunday, "sunday"), (monday, "monday"))
    ]
    assert starts == [date(2025, 12, 28), date(2026, 1, 4), date(2025, 12, 29)]


@pytest.mark.parametrize("week_starts_on", ["monday", "saturday", "sunday", "thursday"])
def test_weekly_adoption_and_lifecycle_count_the_users_of_those_weeks(week_starts_on):
    events = spread(120, seed=7)
    table = ref.table(events)
    table = table.mutate(feature_id=table.plan)
    weeks: dict[date, list[Event]] = {}
    for event in events:
        weeks.setdefault(first_date(ref.local(event.at, "Europe/Berlin"), week_starts_on), []).append(event)
    asked = {"observed_through": FAR, "report_timezone": "Europe/Berlin", "week_starts_on": week_starts_on}
    rows = adoption_weekly(table, feature_id="quiz", **asked).order_by("week_on").to_pandas()
    assert {r.week_on.date(): (r.users, r.active_users) for r in rows.itertuples() if r.active_users} == {
        week: (len({e.user for e in own if e.prop == "quiz"}), len({e.user for e in own}))
        for week, own in weeks.items()
    }
    life = lifecycle(table, period="week", **asked).to_pandas()
    assert {r.period_on.date(): r.active for r in life.itertuples() if r.active} == {
        week: len({e.user for e in own}) for week, own in weeks.items()
    }
    newest = feature_adoption(table, feature_ids=["quiz"], **(asked | {"observed_through": START + timedelta(days=21)}))
    row = newest.to_pandas().iloc[0]
    week = row["week_on"].date()
    assert week == first_date(week, week_starts_on) and week in weeks
    assert row["n_after"] == len({e.user for e in weeks[week]})


@pytest.mark.parametrize("week_starts_on", ["monday", "sunday"])
def test_cohorts_and_calendar_weeks_of_retention_begin_on_the_asked_day(week_starts_on):
    events = [e for e in spread(150, seed=11) if e.name == "A"]
    asked = {"counting": "calendar", "period": "week", "observed_through": FAR, "week_starts_on": week_starts_on}
    rows = retention(ref.table(events), returns=[1], cohort_by="week", **asked).to_pandas()
    expected: dict[date, list[bool]] = {}
    for own in ref.by_user(events).values():
        active = {first_date(ref.local(e.at, "UTC"), week_starts_on) for e in own}
        expected.setdefault(min(active), []).append(min(active) + timedelta(days=7) in active)
    assert {r.cohort.date(): (r.users, r.retained) for r in rows.itertuples()} == {
        week: (len(back), sum(back)) for week, back in expected.items()
    }


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), week_starts_on=st.sampled_from(["monday", "sunday"]))
def test_a_headline_its_trend_and_its_change_share_one_base(seed, week_starts_on):
    """Of the same week, three functions count the same entrants and the same converters, and say so in the same words."""
    table = ref.table(spread(80, seed=seed, days=28))
    asked = {"steps": ["A", "B"], "window": "2d", "observed_through": FAR}
    trend = funnel_trend(table, period="week", week_starts_on=week_starts_on, **asked).to_pandas()
    weeks = sorted(trend["period_on"].dt.date.unique())[:3]
    spans = [(datetime(w.year, w.month, w.day), datetime(w.year, w.month, w.day) + timedelta(days=7)) for w in weeks]
    for week, span, before in zip(weeks[1:], spans[1:], spans, strict=False):
        head = funnel(table, entered=span, **asked).order_by("step").to_pandas().iloc[-1]
        row = trend[(trend["period_on"].dt.date == week) & (trend["step"] == 2)].iloc[0]
        change = funnel_changes(table, before=before, after=span, **asked).filter(ibis._.scope == "whole")
        moved = change.to_pandas().iloc[0]
        assert (head["n"], head["users"]) == (row["n"], row["users"]) == (moved["n_after"], moved["converted_after"])
        assert head["base"] == moved["base"] and row["base"] == f"{head['base']} in the period"
