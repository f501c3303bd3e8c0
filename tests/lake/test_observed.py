"""Through which instant a log was observed: the rule, on logs made by hand and on a published one. Expected windows are by hand."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from launchpad_lib.lake.observed import Window, covered_window, named_instants

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data/sample/wikiticker/wikiticker-2015-09-12-first-2000.json.gz"
WHOLE = next(
    (p for d in ROOT.parents if (p := d / "shared/data/wikiticker/wikiticker-2015-09-12-sampled.json.gz").is_file()),
    None,
)
EPOCH = datetime(1970, 1, 1)
MONDAY = datetime(2026, 1, 5)


def minute(at: datetime) -> int:
    return (at - EPOCH) // timedelta(minutes=1)


def window(times: list[datetime]) -> Window | None:
    counted = Counter(minute(t) for t in times)
    minutes = np.array(sorted(counted), dtype=np.int64)
    return covered_window(minutes, np.array([counted[m] for m in minutes], dtype=np.int64))


def spans(times: list[datetime], first: datetime, last: datetime) -> bool:
    return window(times) == (minute(first), minute(last))


def steady(start: datetime, *, days: float, per_day: int) -> list[datetime]:
    return [start + timedelta(days=i / per_day) for i in range(round(days * per_day))]


def by_day(start: datetime, *, days: int, per_day: int) -> list[datetime]:
    """A product with nights: rows from 08:00 to 20:00 only."""
    return [
        start + timedelta(days=d, hours=8 + 12 * i / per_day) for d in range(days) for i in range(per_day)
    ]  # fmt: skip


@pytest.mark.parametrize("path", [SAMPLE, WHOLE], ids=["sample", "whole"])
def test_of_a_one_day_log_the_45_rows_dated_up_to_50_days_off_are_outside(path):
    """Counted by hand in the file: 45 rows, one a day, lie on other dates than 12 September 2015; the newest on 1 November."""
    if path is None:
        pytest.skip("the whole wikiticker file is not beside the repository")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        times = [datetime.fromisoformat(json.loads(line)["time"].removesuffix("Z")) for line in lines]
    own = [t for t in times if t.date() == datetime(2015, 9, 12).date()]
    assert len(times) - len(own) == 45
    assert spans(times, min(own), max(own))


def test_one_row_eight_months_late_in_35_000_is_outside():
    times = by_day(MONDAY, days=90, per_day=389)
    assert spans([*times, times[-1] + timedelta(days=240)], times[0], times[-1])


def test_one_row_a_few_days_late_makes_nobody_mature():
    times = by_day(MONDAY, days=90, per_day=389)
    assert spans([*times, times[-1] + timedelta(days=3)], times[0], times[-1])


@pytest.mark.parametrize("stray", [datetime(1, 1, 1), EPOCH, datetime(2099, 12, 31)], ids=str)
@pytest.mark.parametrize("rows", [10, 300, 35_000])
def test_a_row_of_year_1_of_1970_or_of_2099_is_outside(stray, rows):
    times = by_day(MONDAY, days=10, per_day=rows // 10)
    assert spans([*times, stray], times[0], times[-1])


def test_two_thousand_rows_of_1970_beside_35_000_are_outside():
    times = by_day(MONDAY, days=90, per_day=389)
    assert spans([*times, *[EPOCH + timedelta(seconds=i) for i in range(2_000)]], times[0], times[-1])


def test_several_strays_on_both_sides_are_all_outside():
    times = steady(MONDAY, days=14, per_day=2_000)
    beside = [
        datetime(1, 1, 1),
        EPOCH,
        EPOCH,
        MONDAY - timedelta(days=60),
        MONDAY + timedelta(days=60),
        datetime(9999, 1, 1),
    ]
    assert spans([*times, *beside], times[0], times[-1])


def weekdays(*, weeks: int, at_weekends: int) -> list[datetime]:
    days = [MONDAY + timedelta(days=d) for d in range(7 * weeks)]
    return [t for d in days for t in by_day(d, days=1, per_day=1_000 if d.weekday() < 5 else at_weekends)]


@pytest.mark.parametrize("weeks", [2, 3, 12])
@pytest.mark.parametrize("at_weekends", [0, 3, 20, 400])
def test_a_product_quiet_at_week_ends_is_observed_to_its_last_row_whatever_day_that_is(weeks, at_weekends):
    times = weekdays(weeks=weeks, at_weekends=at_weekends)
    for days_off in range(7):
        end = MONDAY + timedelta(days=7 * weeks - days_off)
        seen = [t for t in times if t < end]
        assert spans(seen, times[0], seen[-1]), end


def test_the_first_rows_after_a_week_end_are_inside():
    times = [*weekdays(weeks=3, at_weekends=0), MONDAY + timedelta(days=21, minutes=10)]
    assert spans(times, times[0], times[-1])


@pytest.mark.parametrize("days", [1, 2, 10, 20, 60, 400])
def test_three_events_a_day_are_all_inside(days):
    times = steady(MONDAY, days=days, per_day=3)
    assert spans(times, times[0], times[-1])


@pytest.mark.parametrize("days", [10, *range(14, 100, 3), 400])
def test_of_three_events_a_day_one_more_eight_months_late_is_outside(days):
    times = steady(MONDAY, days=days, per_day=3)
    assert spans([*times, times[-1] + timedelta(days=240)], times[0], times[-1])


@pytest.mark.parametrize("at_night", [0, 2, 40])
@pytest.mark.parametrize("start", [MONDAY, MONDAY + timedelta(hours=9, minutes=30)])
def test_a_log_that_grows_by_the_hour_is_observed_to_its_last_row_at_every_hour(at_night, start):
    """120 rows an hour by day; looked at after each of its first 21 days' hours."""
    hours = [start.replace(minute=0) + timedelta(hours=h) for h in range(21 * 24)]
    times: list[datetime] = []
    for hour in hours:
        count = 120 if 7 <= hour.hour < 23 else at_night
        times += [t for i in range(count) if (t := hour + timedelta(hours=(i + 0.5) / count)) >= start]
        assert not times or spans(times, times[0], times[-1]), hour


def test_a_busy_log_is_observed_to_the_first_minutes_of_its_last_day():
    times = steady(MONDAY, days=14.003, per_day=40_000)
    assert times[-1].hour == 0
    assert spans(times, times[0], times[-1])


def test_dates_only_are_inside_to_the_last_date():
    times = [MONDAY + timedelta(days=d) for d in range(30) for _ in range(100)]
    assert spans(times, times[0], times[-1])
    assert spans([*times, MONDAY + timedelta(days=300)], times[0], times[-1])


def test_one_row_is_its_own_window_and_no_row_is_none():
    assert spans([MONDAY], MONDAY, MONDAY)
    assert window([]) is None


def test_two_users_over_five_years_with_long_pauses_are_inside():
    """Bursts of a few rows, then up to ten months of nothing; the last burst is a single row after the longest pause."""
    pauses = [3, 40, 200, 12, 90, 310, 5, 60, 150, 30, 240, 20, 75, 110, 9, 45, 180, 320]
    times, at = [], MONDAY
    for burst, pause in enumerate(pauses):
        times += [at + timedelta(hours=h) for h in range(1 + burst % 5)]
        at += timedelta(days=pause)
    times.append(at)
    assert (times[-1] - times[0]).days > 5 * 365
    assert spans(times, times[0], times[-1])


def test_a_launch_day_fifty_times_as_busy_as_the_month_after_it_does_not_end_the_window():
    times = [*steady(MONDAY, days=1, per_day=100_000), *steady(MONDAY + timedelta(days=1), days=30, per_day=2_000)]
    assert spans(times, times[0], times[-1])


def test_a_beta_with_few_users_before_the_launch_is_inside():
    beta, launch = steady(MONDAY, days=60, per_day=20), steady(MONDAY + timedelta(days=60), days=30, per_day=10_000)
    assert spans([*beta, *launch], beta[0], launch[-1])


def test_a_second_dense_stretch_after_a_long_hole_is_inside():
    spring, autumn = steady(MONDAY, days=30, per_day=500), steady(MONDAY + timedelta(days=240), days=30, per_day=500)
    assert spans([*spring, *autumn], spring[0], autumn[-1])


def test_a_trickle_after_the_tracker_broke_is_outside():
    """Ten rows a day for a month, after 2,000 a day: the day that follows the last dense one still counts."""
    times = steady(MONDAY, days=30, per_day=2_000)
    trickle = [times[-1] + timedelta(days=d + 0.1 * i) for d in range(30) for i in range(1, 11)]
    found = window([*times, *trickle])
    assert found.first_minute == minute(times[0])
    assert minute(times[-1]) <= found.last_minute <= minute(times[-1] + timedelta(days=1))


def test_an_outage_of_two_weeks_does_not_make_such_holes_usual():
    times = [*steady(MONDAY, days=20, per_day=500), *steady(MONDAY + timedelta(days=34), days=20, per_day=500)]
    assert spans([*times, times[-1] + timedelta(days=12)], times[0], times[-1])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, {}),
        ({}, {}),
        ("2026-01-14", dict.fromkeys(("events", "telemetry"), datetime(2026, 1, 14, 23, 59, 59, 999999))),
        ({"events": "2026-01-14T18:00:00Z"}, {"events": datetime(2026, 1, 14, 18)}),
        ({"events": "2026-01-14 18:00"}, {"events": datetime(2026, 1, 14, 18)}),
    ],
)
def test_a_named_end_is_a_date_or_an_instant(value, found):
    assert named_instants(value) == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("yesterday", "observed_through='yesterday': must be a date or an instant"),
        ({"event": "2026-01-14"}, "observed_through.event: no such table with instants; there are events, telemetry"),
        ({"events": "2026-02-30"}, "2026-02-30"),
    ],
)
def test_a_named_end_that_cannot_be_read_is_refused_in_one_sentence(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        named_instants(value)
