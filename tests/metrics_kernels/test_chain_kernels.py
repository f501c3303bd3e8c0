"""What the compiled chains do with whole parts: halves, ties out of the steps' order, local dates that alternate."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pytest

from launchpad_lib.contract.scratch_folders import MARK
from launchpad_lib.metrics import Step, funnel, funnel_changes, funnel_next_events, funnel_trend
from launchpad_lib.metrics.kernels import chains as kernel
from launchpad_lib.metrics.kernels import compiling, step_rows
from launchpad_lib.metrics.step_counts import group_quantiles

START = datetime(2026, 1, 1)


def log(rows) -> ibis.Table:
    """(user, event, minute, plan) as a log."""
    said = [{"user_id": u, "event_name": n, "event_at": START + timedelta(minutes=m), "plan": p} for u, n, m, p in rows]
    return ibis.memtable(said)


def random_rows(users: int, seed: int):
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 12, users)
    return [
        (f"u{u}", str(rng.choice(list("ABCX"))), int(rng.integers(0, 200)), str(rng.choice(["p", "q"])))
        for u in range(users)
        for _ in range(count[u])
    ]


@pytest.mark.parametrize("mode", ["ordered", "strict", "any_order", "strict_order"])
def test_two_halves_of_the_units_are_counted_as_one(monkeypatch, mode):
    """The same chains, whatever the number of threads."""
    events, far = log(random_rows(300, 3)), datetime(2027, 1, 1)
    asked = {"steps": ["A", "B", "C"], "window": "50m", "observed_through": far, "mode": mode}

    def told():
        whole = funnel(events, breakdown="plan", **asked).order_by(["segment", "step"]).to_pandas()
        by_hour = funnel_trend(events, period="day", **asked).order_by(["period_on", "step"]).to_pandas()
        return whole.to_csv(), by_hour.to_csv()

    one = told()
    monkeypatch.setattr(kernel, "ROWS_FOR_TWO", 2)
    assert told() == one


def test_events_of_one_instant_are_put_in_the_order_of_the_steps():
    """By hand: ranks of the rows of unit 0 are 2, 0, 1 at one instant; those of unit 1 are in order."""
    starts, at = np.array([0, 4, 6]), np.array([5, 5, 5, 6, 5, 5])
    codes, table = np.array([1, 2, 0, 0, 0, 1], np.int32), np.array([1, 2, 0, 0])
    match = np.empty(6, np.int64)
    nothing, no_code = np.empty(0, np.int64), np.empty(0, np.int32)
    assert step_rows.match_rows(starts, at, codes, table, nothing, no_code, 3, match) == 3
    places, rows = step_rows.step_order(starts, at, match, 3, 3)
    assert dict(zip(places.tolist(), rows.tolist(), strict=True)) == {0: 1, 1: 2, 2: 0}


def test_a_period_that_two_local_dates_share_is_counted_once():
    """St John's, 2006-10-29: at 00:01 the clocks went back to 23:01, so 28th, 29th, 28th, 29th follow each other."""
    turn = datetime(2006, 10, 29, 2, 30)  # midnight there
    minutes = (-90, 0.5, 30, 70)  # the 28th, the 29th for a minute, the 28th again, the 29th
    rows = [{"user_id": "u", "event_name": "A", "event_at": turn + timedelta(minutes=m)} for m in minutes]
    rows.append({"user_id": "u", "event_name": "B", "event_at": turn + timedelta(minutes=35)})
    found = funnel_trend(
        ibis.memtable(rows), steps=["A", "B"], window="10m", observed_through=datetime(2007, 1, 1), period="day",
        report_timezone="America/St_Johns",
    ).order_by(["period_on", "step"]).to_pandas()  # fmt: skip
    assert found["period_on"].astype(str).tolist() == ["2006-10-28", "2006-10-28", "2006-10-29", "2006-10-29"]
    assert found["users"].tolist() == [1, 1, 1, 0]


def test_a_bot_costs_its_events_and_no_more():
    """200,000 events at one instant and 200,000 carts held apart: what is quadratic would not end."""
    count = 200_000
    at = np.full(count, np.datetime64(START, "us"))
    names = np.where(np.arange(count) % 2 == 0, "B", "A")
    plans = np.arange(count).astype(str)
    one = ibis.memtable({"user_id": ["bot"] * count, "event_name": names, "event_at": at, "plan": plans})
    asked = {"steps": ["A", "B"], "window": "1h", "observed_through": datetime(2027, 1, 1)}
    assert funnel(one, **asked).order_by("step").to_pandas()["users"].tolist() == [1, 1]
    assert funnel(one, **asked, hold_constant="plan").order_by("step").to_pandas()["users"].tolist() == [1, 0]
    assert funnel(one, **asked, mode="any_order").order_by("step").to_pandas()["users"].tolist() == [1, 1]
    days = np.datetime64(START, "us") + np.arange(count) * np.timedelta64(3, "m")  # 416 days
    long = ibis.memtable({"user_id": ["bot"] * count, "event_name": names, "event_at": days, "plan": plans})
    course = funnel_trend(long, **asked | {"observed_through": datetime(2030, 1, 1)}, period="day").to_pandas()
    assert course[course["step"] == 2]["users"].sum() == 417 and set(course["users"]) == {1}


def test_spans_that_overlap_have_their_own_entries():
    """By hand: the entry of minute 20 lies in both periods, that of minute 5 in the first one only."""
    events = log([("u", "A", 5, "p"), ("u", "A", 20, "p"), ("u", "B", 22, "p")])
    found = funnel_changes(
        events, steps=["A", "B"], window="10m", observed_through=datetime(2027, 1, 1), before=(START, START + timedelta(minutes=30)),
        after=(START + timedelta(minutes=10), START + timedelta(hours=1)),
    ).to_pandas()  # fmt: skip
    whole = found[found["scope"] == "whole"].iloc[0]
    assert (
        whole[["n_before", "converted_before", "n_after", "converted_after", "n_both", "converted_both"]].tolist()
        == [1] * 6
    )


def test_more_steps_than_an_integer_has_bits_are_refused():
    events = log([("u", "A", 0, "p")])
    with pytest.raises(ValueError, match="^steps: 61 given; a funnel takes at most 60, leave some out"):
        funnel(events, steps=[Step("A")] * 61, window="1h", observed_through=datetime(2027, 1, 1))


def test_a_next_event_without_a_name_is_told_as_none():
    events = log([("u", "A", 0, "p"), ("u", None, 3, "p"), ("v", "B", 0, "p")])
    found = funnel_next_events(events, steps=["A", "B"], window="1h", observed_through=datetime(2027, 1, 1)).to_pandas()
    assert found["next_event"].isna().all() and found["users"].tolist() == [1]
    assert found["median_seconds"].tolist() == [180.0]


def test_quantiles_of_few_large_and_many_small_groups_are_those_of_numpy():
    rng = np.random.default_rng(1)
    for groups, size in ((3, 5_000), (500, 2_000), (1, 999)):
        group, micros = rng.integers(0, groups, size), rng.integers(0, 10**12, size)
        found = group_quantiles(group, micros, groups)
        for g in range(groups):
            own = micros[group == g] / 1e6
            if len(own):
                assert found[g] == pytest.approx(np.quantile(own, [0.5, 0.9]), rel=1e-12)
            else:
                assert np.isnan(found[g]).all()


def test_where_no_compiled_kernel_can_be_kept_they_are_kept_for_the_process(monkeypatch, tmp_path):
    from numba import config, njit
    from numba.core import caching

    for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator, caching.IPythonCacheLocator):
        monkeypatch.setattr(locator, "from_function", classmethod(lambda cls, function, path: None))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="no locator available"):
        njit(cache=True)(compiling._probe)
    compiling.keep_compiled()
    assert njit(cache=True)(compiling._probe)() == 0 and Path(config.CACHE_DIR).parent == tmp_path
    assert [path for path in Path(config.CACHE_DIR).iterdir() if path.name != MARK]
    compiling._compiled_here.cache_clear()
    assert not any(tmp_path.iterdir())
