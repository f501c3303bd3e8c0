"""Kernels behind engagement and quality against plain loops, hand counts and numpy."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.findings.log_results import events_by_name
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import (
    active_users,
    adoption,
    completion,
    completions,
    daily_active_users,
    depth,
    feature_overlap,
    session_duration,
    unknown_names,
)
from launchpad_lib.metrics.kernels import exact
from launchpad_lib.metrics.kernels.user_days import user_days
from launchpad_lib.metrics.stability import watched_rows
from launchpad_lib.trends.drift import one_row_per_unit
from tests.spec import reference as ref
from tests.spec.reference import START, Event

DAY = 1440


def seen(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def crowded(seed: int) -> list[Event]:
    """Few instants, so that many events share one; sessions cross users' days."""
    rng = random.Random(seed)
    return [
        Event(
            f"u{u}",
            rng.choice("ABCX"),
            rng.randint(0, 12),
            rng.randint(0, 1),
            f"e{rng.random():.12f}",
            None,
            str(u % 2),
        )
        for u in range(120)
        for _ in range(rng.randint(1, 6))
    ]


PAIRS = [("A", "B"), ("B", "A"), ("A", "A"), ("C", "B"), ("A", "C")]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("by", ["user_id", "session_key"])
def test_many_pairs_in_one_reading_are_the_funnels_of_two_steps_each(seed, by):
    """Brute force: every begin is tried; at one instant the begin comes first; a unit with an open window is immature."""
    events, window, through = crowded(seed), 5, 14
    units = defaultdict(list)
    for e in events:
        units[e.user if by == "user_id" else f"{e.user}-{e.item}"].append(e)
    asked = {"window": "5m", "observed_through": seen(through), "by": by}
    found = completions(ref.table(events), pairs=PAIRS, **asked).to_pandas()
    for (begin, end), row in zip(PAIRS, found.itertuples(), strict=True):
        chains = [ref.ordered_chain(log, [begin, end], window) for log in units.values()]
        mature = [c for c in chains if c and c.first_entry + window <= through]
        assert row.starts == len(mature)
        assert row.completed == sum(c.times[1] is not None for c in mature)
        assert row.immature == sum(c is not None for c in chains) - len(mature)
        one = completion(ref.table(events), start_event=begin, complete_event=end, **asked).to_pandas().iloc[0]
        assert (one["starts"], one["completed"], one["immature"]) == (row.starts, row.completed, row.immature)


def test_more_pairs_than_fit_into_one_number_are_still_all_counted():
    names = [f"n{k}" for k in range(70)]
    log = [("u", name, k) for k, name in enumerate(names)] + [("v", "n0", 0)]
    events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": seen(m)} for u, n, m in log])
    pairs = list(zip(names, names[1:], strict=False))
    found = completions(events, pairs=pairs, window="1m", observed_through=seen(DAY)).to_pandas()
    assert found["starts"].tolist() == [2] + [1] * 68 and found["completed"].tolist() == [1] * 69


def test_a_misspelt_pair_says_so_and_the_others_stand():
    found = completions(
        ref.table(crowded(1)), pairs=[("A", "B"), ("A", "Bb")], window="1d", observed_through=seen(9 * DAY)
    )
    rows = found.to_pandas()
    assert rows["starts"].notna().tolist() == [True, False]
    assert "does not occur in the log" in rows["refused_because"][1]


@pytest.mark.parametrize("by", ["user_id", "session_key"])
def test_events_by_name_count_users_and_sessions_once(by):
    events = crowded(7)
    found = events_by_name(ref.table(events).filter(ibis._.user_id.notnull())).set_index("event_name")
    column = {"user_id": "users", "session_key": "sessions"}[by]
    for name in "ABCX":
        own = [e for e in events if e.name == name]
        assert found.loc[name, column] == len({(e.user, e.item if by == "session_key" else "") for e in own})
        assert found.loc[name, "events"] == len(own)
    some = events_by_name(ref.table(events), names=["A", "nowhere"])
    assert some["event_name"].tolist() == ["A"] and some["users"][0] == found.loc["A", "users"]


def test_days_that_come_again_when_clocks_go_back_over_midnight_are_one_day():
    """In St. John's of 2006 clocks went back at 00:01 to 23:01 of the day before: 29 October begins twice.

    Hand count: u is active at 00:00:30 and then at 23:30 local, two dates, the later one first.
    """
    log = [datetime(2006, 10, 29, 2, 30, 30), datetime(2006, 10, 29, 3, 0), datetime(2006, 10, 29, 4, 0)]
    events = ibis.memtable([{"user_id": "u", "feature_id": "f", "event_at": at} for at in log])
    found = user_days(events, report_timezone="America/St_Johns")
    local = [at.replace(tzinfo=UTC).astimezone(ref.ZoneInfo("America/St_Johns")).date() for at in log]
    assert local[0] > local[1], "the case is what it says"
    assert len(found.day) == len(set(local)) == 2 and (np.diff(found.day) == 1).all()
    daily = daily_active_users(events, report_timezone="America/St_Johns").order_by("active_on").to_pandas()
    assert daily["dau"].tolist() == [1, 1]
    seen = active_users(events, observed_through=log[-1], report_timezone="America/St_Johns")
    assert seen.to_pandas()["mau"].tolist() == [1, 1]


def test_a_day_with_and_without_a_feature_is_one_active_user():
    """Hand count: u has an event of nothing, then two of the feature, on one day."""
    rows = [("u", None, 0), ("u", "f", 1), ("u", "f", 2), ("v", None, 3)]
    events = ibis.memtable(
        [{"user_id": u, "feature_id": f, "event_at": seen(m)} for u, f, m in rows],
        schema={"user_id": "string", "feature_id": "string", "event_at": "timestamp(6)"},
    )
    assert adoption(events, feature_id="f").to_pandas()[["users", "active_users"]].values.tolist() == [[1, 2]]
    assert "fewer than two features" in feature_overlap(events).to_pandas()["refused_because"][0]


def test_overlap_of_one_feature_is_its_part_of_all_pairs():
    rng = random.Random(4)
    rows = [
        {"user_id": f"u{rng.randint(0, 30)}", "feature_id": rng.choice(["a", "b", "c", "d", None])} for _ in range(100)
    ]
    events = ibis.memtable(rows)
    every = feature_overlap(events).to_pandas()
    of_b = feature_overlap(events, feature_id="b").to_pandas()
    assert "fewer than two" in feature_overlap(events, feature_id="e").to_pandas()["refused_because"][0]
    assert of_b.equals(every[every["feature_a"] == "b"].reset_index(drop=True)) and len(of_b) == 3


def test_two_users_with_one_session_key_have_a_session_each():
    """Hand count: s of u has 2 interactions, s of v none; both were started."""
    log = [("u", "A"), ("u", "B"), ("u", "B"), ("v", "A")]
    events = ibis.memtable(
        [{"user_id": u, "session_key": "s", "event_name": n, "event_at": seen(i)} for i, (u, n) in enumerate(log)]
    )
    found = depth(events, start_event="A", interaction_events=["B"]).to_pandas().iloc[0]
    assert (found["sessions"], found["mean_interactions"]) == (2, 1.0)
    lasting = session_duration(events).to_pandas().iloc[0]
    assert (lasting["sessions"], lasting["median_seconds"], lasting["p90_seconds"]) == (2, 60.0, 108.0)


def test_durations_of_the_log_are_those_of_its_sessions():
    events = ref.table(crowded(3)).filter(ibis._.user_id.notnull())
    made = events.group_by(["user_id", "session_key"]).agg(
        duration_seconds=(events.event_at.max().epoch_seconds() - events.event_at.min().epoch_seconds()).cast("float64")
    )
    pd.testing.assert_frame_equal(session_duration(events).to_pandas(), session_duration(made).to_pandas())
    empty = session_duration(events.filter(ibis.literal(False))).to_pandas().iloc[0]
    assert empty["sessions"] == 0 and empty["refused_because"] == "there is no session"


@pytest.mark.parametrize("few", [0, 10**9])
def test_quantiles_of_many_values_are_exact(few, monkeypatch):
    monkeypatch.setattr(exact, "FEW", few)
    rng = np.random.default_rng(3)
    values = np.concatenate(
        [
            np.round(rng.lognormal(8, 3, 5_000)),
            -np.round(rng.lognormal(3, 2, 700)),
            np.full(3_000, 1_000_000),
            [0, 0, 2**50],
        ]
    )
    table = ibis.memtable(pd.DataFrame({"n": [*values.astype("int64"), None]}).astype("Int64"))
    at = [0, 0.05, 0.1, 0.5, 0.9, 0.99, 1]
    assert exact.exact_quantiles(table, table.n, at=at, per=1e6) == pytest.approx(
        np.quantile(values / 1e6, at), rel=1e-15
    )
    assert exact.exact_quantiles(table.filter(table.n.isnull()), table.n, at=[0.5]) == [None]


def test_of_a_large_table_whole_users_are_watched_and_a_bot_is_cut():
    rows = [(f"u{i % 4_000}", i) for i in range(40_000)] + [("bot", i) for i in range(40_000, 50_000)]
    table = ibis.memtable(pd.DataFrame(rows, columns=["user_id", "minute"]))
    table = table.mutate(at=ibis.literal(START) + table.minute.as_interval("m"))
    whole = watched_rows(table, time_column="at", columns=["minute"], most=50_000)
    assert len(whole) == 50_000
    some = watched_rows(table, time_column="at", columns=["minute"], most=10_000)
    counts = some["user_id"].value_counts()
    assert set(counts.drop("bot", errors="ignore")) == {10} and counts.get("bot", 0) < 150
    assert 600 < len(counts) < 1_000, "a fifth of 4,001 users"
    again = watched_rows(table.order_by(ibis.desc("minute")), time_column="at", columns=["minute"], most=10_000)
    order = ["user_id", "minute"]
    pd.testing.assert_frame_equal(*(one.sort_values(order, ignore_index=True) for one in (some, again)))


def test_of_a_large_lake_the_same_rows_are_watched_as_of_the_same_table_elsewhere(tmp_path):
    """A lake knows its users' hashes and which properties occur; a table in memory looks at every row."""
    rng = random.Random(3)
    rows = []
    for number in range(6_000):
        at = START + timedelta(minutes=number)
        user = "bot" if number % 5 == 0 else f"u{rng.randrange(400)}"
        more = {"platform": rng.choice(["web", "ios"]), "properties": rng.choice([None, '{"n": 2}', '{"n": 3}'])}
        key = {"event_id": f"e{rng.random()}", "event_name": "look", "user_id": user, "event_on": at.date()}
        rows.append(key | more | {"event_at": at, "received_at": at})
    types = {c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns}
    table = pa.Table.from_pylist(rows, pa.schema(list((types | {"event_on": pa.date32()}).items())))
    write_deltalake(str(tmp_path / "events"), table, partition_by=["event_on"])
    lake = open_lake(tmp_path, observed_through="2026-05-01T00:00:00").events
    for events in (lake, lake.filter(lake.platform == "web")):
        asked = {"time_column": "event_at", "columns": ["platform", "n", "nowhere"], "most": 1_000}
        found = watched_rows(events, **asked)
        elsewhere = events.select(*(c.name for c in EVENTS.columns)).to_pyarrow()
        pd.testing.assert_frame_equal(found, watched_rows(ibis.memtable(elsewhere), **asked))
        counts = found["user_id"].value_counts()
        assert list(found) == ["user_id", "event_at", "platform", "n"] and found["n"].dtype == float
        assert 30 < len(counts) < 200 and counts.max() < 60, "a sixth or a third of 401 users, the bot cut"


def test_one_row_of_each_user_and_of_each_hour_of_nobody():
    rows = pd.DataFrame(
        {"user_id": ["a", "a", None, None, None], "at": pd.to_datetime([START] * 4 + [START + timedelta(hours=1)])}
    )
    found = one_row_per_unit(rows, unit="user_id", time_column="at", rng=np.random.default_rng(1))
    assert sorted(found["user_id"].fillna("nobody")) == ["a", "nobody", "nobody"]
    assert found.loc[found["user_id"].isna(), "at"].nunique() == 2


@pytest.mark.parametrize(
    "name", ["plain", 'a"b', "back\\slash", "tab\there", "h\u00e4", "\U0001f642", "per%cent_", "*"]
)
def test_a_property_is_found_however_its_key_is_written_in_the_text(name):
    """JSON may write any character as an escape; a key that stands in a value only is none."""
    import json

    for is_ascii in (True, False):
        text = json.dumps({name: 1}, ensure_ascii=is_ascii)
        escaped = text.replace("a", "\\u0061")
        for held in (text, escaped):
            assert unknown_names(ibis.memtable({"properties": [None, "{}", held]}), properties=[name]) is None
    in_a_value = json.dumps({"key": f"about {name} and \\"})
    assert "neither a column nor a key" in unknown_names(ibis.memtable({"properties": [in_a_value]}), properties=[name])


def test_what_a_table_that_grows_was_asked_is_asked_again():
    con = ibis.duckdb.connect()
    con.raw_sql(
        "CREATE TABLE fact_events AS SELECT 'u' AS user_id, 'f' AS feature_id, TIMESTAMP '2026-01-01' AS event_at"
    )
    table = con.table("fact_events")
    through = datetime(2026, 1, 1, 9)
    assert active_users(table, observed_through=through).to_pandas()["dau"].tolist() == [1]
    con.raw_sql("INSERT INTO fact_events VALUES ('v', 'f', TIMESTAMP '2026-01-01')")
    assert active_users(table, observed_through=through).to_pandas()["dau"].tolist() == [2]
