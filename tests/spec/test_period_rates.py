"""Completion by day and of two periods, against loops written from the definitions and against the funnel."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pytest

from launchpad_lib.metrics import funnel_changes
from launchpad_lib.metrics.compared_days import ComparedDays, compared_days, days_words, too_short
from launchpad_lib.metrics.period_rates import period_rates

THROUGH, HOUR = datetime(2026, 1, 20), timedelta(hours=1)
WEEKS = ComparedDays(date(2026, 1, 5), date(2026, 1, 12), 6)


def rows(seed: int) -> list[dict]:
    """Forty users, two sessions each at a time, events on the hour so that instants are equal often."""
    rng = np.random.default_rng(seed)
    users, sessions = rng.integers(0, 40, 900), rng.integers(0, 5, 900)
    at = datetime(2026, 1, 4) + np.sort(rng.integers(0, 15 * 24, 900)) * HOUR
    names = rng.choice(["go", "done", "sent", "other"], 900)
    order = rng.permutation(900)
    return [
        {
            "user_id": f"u{users[i]}", "session_key": f"{users[i]}/{sessions[i]}", "event_name": str(names[i]),
            "event_at": at[i], "received_at": at[i], "event_id": str(int(order[i])),
        }
        for i in range(900)
    ]  # fmt: skip


def by_loops(log: list[dict], begin: str, end: str, *, unit: str, zone: str, hours: int) -> tuple[dict, dict]:
    """Per unit and day, and per user and period: (begun, finished)."""
    days: dict[date, list[int]] = {}
    periods: dict[str, list[int]] = {}
    for key in {r[unit] for r in log}:
        own = [r for r in log if r[unit] == key]
        begins = []
        for r in own:
            if r["event_name"] == begin and r["event_at"] + hours * HOUR <= THROUGH:
                later = (o["event_at"] - r["event_at"] for o in own if o is not r and o["event_name"] == end)
                local = r["event_at"].replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).date()
                begins.append((local, any(timedelta(0) <= gap <= hours * HOUR for gap in later)))
        if unit == "session_key" and begins:
            begins = [(min(d for d, _ in begins), any(done for _, done in begins))]
        for day in {d for d, _ in begins}:
            of_day = days.setdefault(day, [0, 0])
            of_day[0] += 1
            of_day[1] += any(done for d, done in begins if d == day)
        for side, on in enumerate((WEEKS.before_on, WEEKS.after_on)):
            inside = [done for d, done in begins if on <= d < on + timedelta(WEEKS.days)]
            if inside:
                cluster = periods.setdefault(own[0]["user_id"], [0, 0, 0, 0])
                cluster[2 * side] += 1
                cluster[2 * side + 1] += any(inside)
    return days, periods


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("unit", ["user_id", "session_key"])
@pytest.mark.parametrize("seed", [1, 2])
def test_units_by_day_and_users_of_both_periods_are_those_of_loops(seed, unit, zone):
    log = rows(seed)
    pairs = [("go", "done"), ("done", "sent"), ("go", "sent")]
    asked = {"window": "5h", "observed_through": THROUGH, "compared": WEEKS, "report_timezone": zone, "by": unit}
    for pair, found in zip(pairs, period_rates(ibis.memtable(log), pairs=pairs, **asked), strict=True):
        days, periods = by_loops(log, *pair, unit=unit, zone=zone, hours=5)
        told = {date(1969, 12, 29) + timedelta(days=int(r.day)): [r.began, r.finished] for r in found.days.itertuples()}
        assert told == days
        assert sorted(found.clusters.tolist()) == sorted(periods.values())


def test_an_end_of_the_same_name_is_another_event():
    """Two at one instant are each other's end; in the funnel they would not be."""
    at = [datetime(2026, 1, 5), datetime(2026, 1, 6), datetime(2026, 1, 6, 1), datetime(2026, 1, 14)]
    log = [{"user_id": "u", "event_name": "go", "event_at": t} for t in at]
    asked = {"window": "3h", "observed_through": THROUGH, "compared": WEEKS}
    (found,) = period_rates(ibis.memtable(log), pairs=[("go", "go")], **asked)
    assert found.days["finished"].tolist() == [0, 1, 0] and found.clusters.tolist() == [[1, 1, 1, 0]]


def test_users_of_both_periods_are_those_of_a_funnel_of_two_steps():
    log = ibis.memtable(rows(3))
    (found,) = period_rates(log, pairs=[("go", "done")], window="5h", observed_through=THROUGH, compared=WEEKS)
    spans = [(datetime(2026, 1, d), datetime(2026, 1, d + 6)) for d in (5, 12)]
    rules = {"steps": ["go", "done"], "window": "5h", "observed_through": THROUGH}
    table = funnel_changes(log, **rules, before=spans[0], after=spans[1])
    row = table.filter(table.scope == "whole").to_pandas().iloc[0]
    before, done_before, after, done_after = (found.clusters > 0).T
    assert [int(row[c]) for c in ("n_before", "converted_before", "n_after", "converted_after", "n_both")] == [
        before.sum(), done_before.sum(), after.sum(), done_after.sum(), (before & after).sum(),
    ]  # fmt: skip


def test_nothing_begun_is_nothing():
    log = ibis.memtable([{"user_id": "u", "event_name": "other", "event_at": datetime(2026, 1, 5)}])
    asked = {"window": "1d", "observed_through": THROUGH, "compared": WEEKS}
    (found,) = period_rates(log, pairs=[("go", "done")], **asked)
    assert found.days.empty and found.clusters.shape == (0, 4)


def test_days_are_compared_with_the_same_weekdays_of_the_week_before():
    monday = date(2026, 1, 5)
    assert compared_days(monday, date(2026, 1, 25)) == ComparedDays(date(2026, 1, 12), date(2026, 1, 19), 7)
    short = compared_days(monday, date(2026, 1, 14))
    assert short == ComparedDays(monday, date(2026, 1, 12), 3)
    assert compared_days(monday, date(2026, 1, 13)) is None
    assert too_short(monday, date(2026, 1, 5)).startswith(
        "the log begins on 2026-01-05, so it holds 1 complete day up to"
    )
    assert days_words(date(2025, 12, 31), 2) == "31 Dec to 1 Jan"
