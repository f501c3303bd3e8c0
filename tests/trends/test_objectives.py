"""Objectives for errors, latency, crashes and availability, counted by hand; and when a budget is used up."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from launchpad_lib.contract.features import Feature
from launchpad_lib.trends import budget_table, burn_rates
from launchpad_lib.trends.exhaustion import used_up

NOW = datetime(2026, 1, 15)
SINCE = NOW - timedelta(days=14)
NAN = float("nan")


def telemetry(*rows: tuple) -> pd.DataFrame:
    """Rows of (hours ago, user, latency, crashed, errors)."""
    ago, user, latency, crashed, errors = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "feature_id": pd.Categorical(["f"] * len(rows)), "user_id": pd.Categorical(user),
            "observed_at": pd.Timestamp(NOW) - pd.to_timedelta(ago, unit="h"), "latency_ms": latency,
            "crashed": pd.Series(crashed, dtype=object), "error_count": pd.Series(errors, dtype=float),
        }
    )  # fmt: skip


SEEN = telemetry(
    (1, "u", 100.0, False, 0), (2, "u", 200.0, True, 0), (3, "u", 201.0, True, 0),  # one user-day that crashed
    (30, "u", 300.0, False, 2), (31, "v", NAN, None, 0), (32, None, 50.0, True, None),
    (33, "v", 10.0, False, None), (34, "v", 10.0, False, 0), (400, "v", 900.0, True, 9),
)  # fmt: skip
WHOLE = Feature(feature_id="f", slo_error_rate=0.1, slo_p95_latency_ms=200, slo_crash_free_users=0.5, slo_availability=0.5)  # fmt: skip


def test_what_each_objective_counts_and_what_is_left_is_counted_by_hand():
    """Errors: 1 of 6 known. Latency: 201 and 300 of 7 with one; 200 is on time. Crashes: u on the 14th crashed, u and
    v on the 13th did not: 1 of 3. Availability: three crashes and an error of 8, one of the two known in each. The row of 400 hours ago is before the period.
    """
    found = budget_table(SEEN, [WHOLE, Feature(feature_id="g")], as_of=NOW, since=SINCE)
    assert found["signal"].tolist() == [s for s in ("errors", "latency", "crashes", "availability") for _ in range(4)]
    one = found.groupby("signal", sort=False).first()
    assert one["events"].tolist() == [6, 7, 3, 8]
    assert one["sli"].tolist() == pytest.approx([5 / 6, 5 / 7, 2 / 3, 4 / 8])
    assert one["budget"].tolist() == [0.1, 0.05, 0.5, 0.5]
    left = [1 - 1 / 6 / 0.1, 1 - 2 / 7 / 0.05, 1 - 1 / 3 / 0.5, 1 - 4 / 8 / 0.5]
    assert one["budget_left"].tolist() == pytest.approx(left)


def test_a_user_counts_once_a_day_at_the_first_crash():
    """Of u's crashes two and three hours ago the earlier one is it: outside of the last 2 hours, inside of the last 6."""
    table = budget_table(SEEN, [Feature(feature_id="f", slo_crash_free_users=1.0)], as_of=NOW, since=SINCE)
    assert table["worst_at"].eq(pd.Timestamp(NOW) - pd.Timedelta(hours=3)).all()
    assert table.set_index("long_hours")["bad_long"].to_dict() == {1: 0, 6: 1, 24: 1, 72: 1}
    assert table["budget_left"].isna().all() and table["used_up_refused"].str.contains("100 % has no budget").all()


def test_objectives_of_one_feature_share_the_guard():
    """30 of 200 where 10 % may be: a chance of .0163 allows no alert, 32 (.0054) only one of its own, 33 (.0030) of three."""
    at = pd.Timestamp(NOW) - pd.to_timedelta(np.arange(200) * 0.01, unit="h")
    for bad in (30, 32, 33):
        rows = pd.DataFrame(
            {"feature_id": "f", "user_id": None, "observed_at": at, "latency_ms": 1.0, "crashed": False}
        )
        rows["error_count"] = (np.arange(200) % 200 < bad) * 1.0
        rows = rows.assign(error_count=np.random.default_rng(bad).permutation(rows["error_count"]))
        for more, shared in (({}, 1), ({"slo_p95_latency_ms": 5}, 2), ({"slo_p95_latency_ms": 5, "slo_availability": 0.5}, 3)):  # fmt: skip
            feature = Feature(feature_id="f", slo_error_rate=0.1, **more)
            row = budget_table(rows, [feature], as_of=NOW).query("signal == 'errors'").iloc[3]
            assert row["is_alert"] == {30: False, 32: shared == 1, 33: True}[bad]


def by_loop(table: pd.DataFrame, budget: float, *, share: float, per_hour: float) -> pd.Timestamp | None:
    """Every quarter of an hour from now on: what of the table is still in the period, and what has come."""
    for quarter in range(14 * 96 + 1):
        ahead = timedelta(minutes=15 * quarter)
        kept = table[table["observed_at"] > SINCE + ahead]
        came = per_hour * quarter / 4
        if kept["is_bad"].sum() + share * came >= budget * (len(kept) + came):
            return pd.Timestamp(NOW + ahead)
    return None


@pytest.mark.parametrize(("lately", "budget"), [(0.06, 0.03), (0.05, 0.04), (0.02, 0.03), (0.2, 0.09)])
def test_the_date_is_that_of_a_loop_over_the_time_to_come(lately, budget):
    """An old spell of failures leaves the period meanwhile; the share and the volume are those of the last 3 days."""
    rng = np.random.default_rng(7)
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(rng.integers(1, 14 * 86_400, 4000)), unit="s")
    is_recent = at > pd.Timestamp(NOW) - pd.Timedelta(days=3)
    is_bad = rng.random(4000) < np.where(is_recent, lately, 0.01)
    table = pd.DataFrame({"feature_id": "f", "observed_at": at, "is_bad": is_bad})
    row = burn_rates(table, pd.Series({"f": budget}), as_of=NOW, since=SINCE).iloc[3]
    recent = table[is_recent]
    expected = by_loop(table, budget, share=recent["is_bad"].mean(), per_hour=len(recent) / 72)
    if expected is None:
        assert pd.isna(row["used_up_at"]) and pd.isna(row["used_up_last_at"]) and pd.isna(row["used_up_refused"])
        return
    assert timedelta(0) <= expected - row["used_up_at"] <= timedelta(minutes=15)
    assert row["used_up_first_at"] < row["used_up_at"]
    assert pd.isna(row["used_up_last_at"]) or row["used_up_at"] < row["used_up_last_at"]


def test_limits_of_the_date_are_those_of_the_share_and_few_failures_give_none():
    """One in five of 240, evenly: less noise between slices than chance has, so the interval is Clopper-Pearson's."""
    at = np.datetime64(SINCE, "us") + np.arange(1, 1121) * np.timedelta64(18, "m")
    bad = np.r_[np.zeros(880, bool), np.arange(240) % 5 == 0]
    asked = {"begin": SINCE, "as_of": NOW, "lately": NOW - timedelta(days=3)}
    found = used_up(at, bad, 0.1, **asked)
    table = pd.DataFrame({"observed_at": at, "is_bad": bad})
    for told, share in ((found.first, beta.ppf(0.975, 49, 192)), (found.last, beta.ppf(0.025, 48, 193))):
        expected = by_loop(table, 0.1, share=share, per_hour=240 / 72)
        assert timedelta(0) <= expected - pd.Timestamp(told) <= timedelta(minutes=15)
    few = bad.copy()
    few[: np.flatnonzero(bad)[-4]] = False  # four are left: 4 of 240 is two standard errors
    assert used_up(at, few, 0.1, **asked).refused == "too few failures lately"
    assert used_up(at, np.ones(1120, bool), 0.1, **asked).refused == "spent already"
    assert used_up(at[:0], bad[:0], 0.1, **asked).refused == "no observation"


def test_failures_in_one_spell_make_the_interval_wider_or_refuse_it():
    """10 failures of 240 in one stretch of 3 hours are one fact; 40 in 12 hours are four: the range is wider."""
    at = np.datetime64(SINCE, "us") + np.arange(1, 1121) * np.timedelta64(18, "m")
    asked = {"begin": SINCE, "as_of": NOW, "lately": NOW - timedelta(days=3)}
    spell, spread = np.zeros((2, 1120), bool)
    spell[-10:] = True
    assert used_up(at, spell, 0.1, **asked).refused == "too few failures lately"
    spell[-40:] = True
    spread[-240::6] = True
    one, all_over = used_up(at, spell, 0.1, **asked), used_up(at, spread, 0.1, **asked)
    assert one.first < all_over.first
