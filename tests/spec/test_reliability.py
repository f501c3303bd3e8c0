"""Crash-free users and sessions and Apdex against hand counts."""

from __future__ import annotations

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import apdex, crash_free_sessions, crash_free_users

T = pd.Timestamp("2026-01-05 10:00")


def telemetry(rows: list[tuple]) -> ibis.Table:
    names = ["user_id", "minutes", "latency_ms", "crashed", "error_count"]
    frame = pd.DataFrame(rows, columns=names)
    frame = frame.assign(
        feature_id="f",
        observed_at=(T + pd.to_timedelta(frame["minutes"], unit="m")).astype("datetime64[us]"),
        observation_id=[str(i) for i in range(len(frame))],
        crashed=frame["crashed"].astype("boolean"),
    )
    return ibis.memtable(frame.drop(columns="minutes"))


def test_a_user_is_crashed_once_and_an_unknown_flag_is_in_no_count():
    """Hand count: a crashes in one of two sessions, b never, c is unknown: users 1 of 2 crash-free, sessions 2 of 3."""
    table = telemetry(
        [
            ("a", 0, 1.0, True, 0),
            ("a", 10, 1.0, False, 0),
            ("a", 100, 1.0, False, 0),
            ("b", 0, 1.0, False, 0),
            ("c", 0, 1.0, None, 0),
        ]
    )
    users, sessions = crash_free_users(table).to_pandas().iloc[0], crash_free_sessions(table).to_pandas().iloc[0]
    assert (users["users"], users["crashed_users"], users["crash_free_users_rate"]) == (2, 1, 0.5)
    assert (sessions["sessions"], sessions["crashed_sessions"]) == (3, 1)
    assert sessions["crash_free_sessions_rate"] == pytest.approx(2 / 3)


def test_a_gap_of_exactly_thirty_minutes_is_still_one_session():
    table = telemetry([("a", 0, 1.0, False, 0), ("a", 30, 1.0, True, 0), ("a", 61, 1.0, False, 0)])
    found = crash_free_sessions(table).to_pandas().iloc[0]
    assert (found["sessions"], found["crashed_sessions"]) == (2, 1)


def test_apdex_counts_half_up_to_four_times_the_threshold_and_errors_as_frustrated():
    """Hand count, T = 100: 100 satisfied, 400 tolerating, 401 and an error frustrated: (1 + 1/2) / 4; variance (1 + 1/4) / 4 - 0.375^2."""
    table = telemetry(
        [
            ("a", 0, 100.0, False, 0),
            ("a", 1, 400.0, False, 0),
            ("a", 2, 401.0, False, 0),
            ("a", 3, 50.0, False, 1),
            ("a", 4, None, False, 0),
        ]
    )
    found = apdex(table, threshold_ms=100.0).to_pandas().iloc[0]
    assert (found["observations"], found["apdex"]) == (4, 0.375)
    half = 1.959964 * ((1.25 / 4 - 0.375**2) / 4) ** 0.5
    assert found["ci_high"] == pytest.approx(0.375 + half, abs=1e-5)
    assert found["ci_low"] == max(0.0, found["ci_low"]) and found["ci_low"] == pytest.approx(
        max(0.375 - half, 0.0), abs=1e-5
    )


def test_a_failure_without_a_latency_is_frustrated_and_not_left_out():
    """Hand count, T = 100: one satisfied; an error without a latency frustrated; no latency and no error is unknown: 1 of 2."""
    table = telemetry(
        [("a", 0, 50.0, False, 0), ("a", 1, None, False, 3), ("a", 2, None, False, 0), ("a", 3, None, False, None)]
    )
    found = apdex(table, threshold_ms=100.0).to_pandas().iloc[0]
    assert (found["observations"], found["satisfied"], found["frustrated"], found["apdex"]) == (2, 1, 1, 0.5)


def test_a_feature_of_which_nothing_is_known_has_a_row_with_the_reason():
    table = telemetry([("a", 0, None, None, None), (None, 1, None, True, None)])
    for found, rate in (
        (apdex(table, threshold_ms=100.0), "apdex"),
        (crash_free_users(table), "crash_free_users_rate"),
        (crash_free_sessions(table), "crash_free_sessions_rate"),
    ):
        row = found.to_pandas().iloc[0]
        assert (
            row["feature_id"] == "f"
            and pd.isna(row[rate])
            and row["refused_because"].startswith("no observation of the")
            and row[["ci_low", "ci_high"]].isna().all()
        )
