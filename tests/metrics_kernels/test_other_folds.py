"""Retention by fold, against hand counts and brute force written from the definitions."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_logs import minutes, write_days

from launchpad_lib.metrics import retention_curve
from launchpad_lib.metrics.kernels import fast_retention

CODES = {"A": 1, "B": 2, "other": 0}
FAR = datetime(2027, 1, 1)


def rows_of(*events):
    return [(user, CODES[name], minutes(at)) for user, name, at in events]


def test_shortly_after_midnight_is_calendar_day_one_but_not_rolling_day_one(tmp_path):
    """Hand count: 23:45 and 00:01 are 16 minutes and one date apart."""
    log = write_days(tmp_path, rows_of((0, "A", 1425), (0, "A", 1441)), event_codes=CODES)
    rolling = fast_retention(log, days=[1], observed_through=FAR).to_pandas()
    calendar = fast_retention(log, days=[1], observed_through=FAR, period="calendar").to_pandas()
    assert (rolling["users"][0], rolling["retained"][0]) == (1, 0)
    assert (calendar["users"][0], calendar["retained"][0]) == (1, 1)


def test_a_date_of_23_hours_is_one_date(tmp_path):
    """Hand count: Berlin's clocks go forward on 29 March 2026, so 28 March 23:30 and 30 March 00:30 local are 24 hours and two dates apart."""
    rows = [(0, 1, datetime(2026, 3, 28, 22, 30)), (0, 1, datetime(2026, 3, 29, 22, 30))]
    log = write_days(tmp_path, rows, event_codes=CODES)
    found = fast_retention(
        log, days=[0, 1, 2], observed_through=FAR, period="calendar", report_timezone="Europe/Berlin"
    ).to_pandas()
    assert found["retained"].tolist() == [1, 0, 1]


def test_a_user_whose_day_is_not_yet_observed_is_in_neither_count(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0), (0, "A", 1500), (1, "A", 2000)), event_codes=CODES)
    found = fast_retention(log, days=[1], observed_through=minutes(2880)).to_pandas()
    assert (found["users"][0], found["retained"][0], found["users_immature"][0]) == (1, 1, 1)


@pytest.mark.parametrize("period", ["rolling", "calendar"])
def test_a_return_at_the_instant_of_the_start_counts_also_where_a_row_group_ends_between_them(tmp_path, period):
    """Hand count: B and A at the same instant, B first in the file, each in a row group of its own; day 0 begins at A."""
    log = write_days(tmp_path, rows_of((0, "B", 0), (0, "A", 0)), event_codes=CODES, row_group_size=1)
    found = fast_retention(
        log, days=[0], observed_through=FAR, start_event="A", return_event="B", period=period
    ).to_pandas()
    assert (found["users"][0], found["retained"][0]) == (1, 1)


def test_day_64_is_refused(tmp_path):
    log = write_days(tmp_path, rows_of((0, "A", 0)), event_codes=CODES)
    with pytest.raises(ValueError, match="0 to 63"):
        fast_retention(log, days=[64], observed_through=FAR)


TIMES = st.sampled_from([0, 1, 29, 30, 31, 61, 1425, 1439, 1440, 1441, 2879, 2880, 4320, 90_000, 91_000, 92_161])
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["A", "B", "other"]), TIMES), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.sampled_from([None, "A"]), st.sampled_from([None, "A", "B"]), st.integers(0, 95_000))
def test_folded_retention_equals_the_expression_form(rows, start, back, observed_minutes):
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp(6)"}
    events = ibis.memtable(
        [{"user_id": str(u), "event_name": n, "event_at": minutes(t)} for u, n, t in rows]
        + [{"user_id": None, "event_name": n, "event_at": minutes(0)} for n in CODES],  # so that every name is known
        schema=schema,
    )
    asked = {
        "days": [0, 1, 2, 3, 62, 63],
        "observed_through": minutes(observed_minutes),
        "start_event": start,
        "return_event": back,
    }
    with tempfile.TemporaryDirectory() as folder:
        log = write_days(Path(folder), rows_of(*rows), event_codes=CODES)
        ours = fast_retention(log, **asked).order_by("day").to_pandas()
    reference = retention_curve(events, **asked).order_by("day").to_pandas()
    assert ours["refused_because"].fillna("").tolist() == reference["refused_because"].fillna("").tolist()
    for column in ("users", "retained", "users_immature"):
        assert ours[column].tolist() == reference[column].tolist()
    for column in ("retention_rate", "ci_low", "ci_high"):
        np.testing.assert_allclose(ours[column].astype(float), reference[column].astype(float), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    EVENTS,
    st.sampled_from([None, "A"]),
    st.sampled_from([None, "B"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]),
    st.integers(0, 95_000),
)
def test_folded_calendar_retention_is_what_its_definition_says(rows, start, back, zone, observed_minutes):
    def local(at: datetime) -> date:
        return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()

    observed_on = local(minutes(observed_minutes))
    expected = {day: [0, 0] for day in (0, 1, 2, 62, 63)}
    for user in {r[0] for r in rows}:
        t0 = min((t for u, n, t in rows if u == user and start in (None, n)), default=None)
        if t0 is None:
            continue
        returns = {
            (local(minutes(t)) - local(minutes(t0))).days
            for u, n, t in rows
            if u == user and t >= t0 and back in (None, n)
        }
        for day, counts in expected.items():
            if day < (observed_on - local(minutes(t0))).days:
                counts[0] += 1
                counts[1] += day in returns
    with tempfile.TemporaryDirectory() as folder:
        log = write_days(Path(folder), rows_of(*rows), event_codes=CODES)
        asked = {
            "start_event": start,
            "return_event": back,
            "period": "calendar",
            "report_timezone": zone,
            "observed_through": minutes(observed_minutes),
        }
        found = fast_retention(log, days=list(expected), **asked).order_by("day").to_pandas()
    assert found[["users", "retained"]].to_numpy().tolist() == list(expected.values())
