"""Silences that are over, counted by hand and against a loop over the weeks before."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from launchpad_lib.trends import outage_table

START, SINCE, THROUGH = pd.Timestamp("2026-01-05"), datetime(2026, 2, 2), datetime(2026, 2, 16, 0, 30)
AT = pd.date_range(START, periods=6 * 168, freq="h")


def hours(counts: np.ndarray, name: str = "f") -> pd.DataFrame:
    """An hour without rows has no row here either."""
    return pd.DataFrame({"feature_id": name, "hour": AT, "observations": counts})[counts > 0]


def told(counts: np.ndarray) -> list[tuple]:
    found = outage_table(hours(counts), since=SINCE, through=THROUGH)
    return list(found.drop(columns="feature_id").itertuples(index=False, name=None))


def gap(counts: np.ndarray, start: str, length: int) -> np.ndarray:
    place = int((pd.Timestamp(start) - START) / pd.Timedelta(hours=1))
    return np.where((np.arange(len(counts)) >= place) & (np.arange(len(counts)) < place + length), 0, counts)


STEADY = np.full(len(AT), 10)


def test_a_gap_of_a_steady_feature_is_told_with_what_its_own_weeks_had():
    """10 an hour: three hours on 10 February, after five whole weeks, had 30 in each of them."""
    expected = (pd.Timestamp("2026-02-10 05:00"), pd.Timestamp("2026-02-10 08:00"), 3, 30.0, 5)
    assert told(gap(STEADY, "2026-02-10 05:00", 3)) == [expected]
    whole = pd.concat([hours(gap(STEADY, "2026-02-10 05:00", 3), name) for name in ("b", "a")])
    assert outage_table(whole, since=SINCE, through=THROUGH)["feature_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("start", "length"),
    [("2026-02-10 05:00", 1), ("2026-01-20 05:00", 8), ("2026-02-15 20:00", 8), ("2026-02-03 00:00", 169)],
    ids=["ten may be missed by chance", "before the period", "not over", "over a week"],
)
def test_what_is_not_told(start, length):
    """One hour: 10 less twice the root of 10 over 5 is 7.2; exp(-7.2) in 336 hours is a chance of 26 %."""
    assert told(gap(STEADY, start, length)) == []


def test_who_rests_every_sunday_or_was_silent_in_a_week_before_is_not_told_of():
    sundays = np.where(AT.day_of_week == 6, 0, STEADY)
    assert told(sundays) == []
    assert told(gap(gap(STEADY, "2026-02-10 05:00", 3), "2026-02-03 05:00", 3)) == [
        (pd.Timestamp("2026-02-03 05:00"), pd.Timestamp("2026-02-03 08:00"), 3, 30.0, 4)
    ]


def test_a_young_feature_and_one_that_no_row_has_are_not_judged():
    assert told(np.where(np.arange(len(AT)) < 4 * 168, 0, gap(STEADY, "2026-02-10 05:00", 5))) == []
    assert outage_table(hours(STEADY).iloc[:0], since=SINCE, through=THROUGH).empty


def test_healthy_features_with_nights_and_spells_are_hardly_ever_told_of():
    """120 features, a day's spell of 30 %, a wave over the day; seed 20261127 before the first look. At most two."""
    rng = np.random.default_rng(20261127)
    wave = 1 + 0.9 * np.sin(2 * np.pi * np.arange(len(AT)) / 24)
    parts = [
        hours(rng.poisson(mean * wave * np.repeat(np.exp(rng.normal(0, 0.3, len(AT) // 24)), 24)), f"{mean} {i}")
        for mean in (0.3, 1, 4, 20)
        for i in range(30)
    ]
    assert len(outage_table(pd.concat(parts), since=SINCE, through=THROUGH)) <= 2
