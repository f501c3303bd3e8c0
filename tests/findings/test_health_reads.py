"""What the health and quality pages read of a lake, and the worlds they must stand in; hand counts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.contract.features import Feature, declared_features
from launchpad_lib.contract.worst import worst_of
from launchpad_lib.findings.latency import latency_conclusion
from launchpad_lib.findings.latency_results import largest_change, latency_results, least_apdex, least_crash_free
from launchpad_lib.metrics import stability as observed
from launchpad_lib.metrics.intake import intake, missing_values, placeholder_users, rows_with_a_user
from launchpad_lib.trends import budget_table, outage_table

T = datetime(2026, 1, 5, 23, 30)
WEIRD = ["$.a", "utm.source", "a*b", "cart[0]", "o'\"k", "🎉 שלום", "x" * 5000, "/p"]


def telemetry(**columns: list) -> ibis.Table:
    count = len(next(iter(columns.values())))
    usual = {
        "feature_id": ["f"] * count, "user_id": [f"u{i}" for i in range(count)], "observed_at": [T] * count, "latency_ms": [100.0] * count,
        "crashed": [False] * count, "error_count": [0] * count, "feedback_score": [4.0] * count, "platform": ["web"] * count,
        "app_version": ["1"] * count, "observation_id": [f"o{i}" for i in range(count)],
    }  # fmt: skip
    frame = pd.DataFrame(usual | columns)
    types = {"latency_ms": "float64", "crashed": "boolean", "error_count": "Int64", "feedback_score": "float64"}
    frame["observed_at"] = frame["observed_at"].astype("datetime64[us]")
    return ibis.memtable(frame.astype(types))


def test_a_day_is_that_of_the_report_time_zone():
    """23:30 UTC on the 5th is 00:30 on the 6th in Berlin."""
    table = telemetry(latency_ms=[100.0, 200.0])
    assert observed.feature_days(table, report_timezone="UTC")["observed_on"].astype(str).tolist() == ["2026-01-05"]
    local = observed.feature_days(table, report_timezone="Europe/Berlin")
    assert local["observed_on"].astype(str).tolist() == ["2026-01-06"]


def test_what_is_unknown_is_in_no_count_of_its_kind():
    """Two users of three have a known flag, one crashed: 1/2. Errors are known twice, once above 0: 1/2."""
    table = telemetry(crashed=[True, False, None], error_count=[2, 0, None], latency_ms=[None, 100.0, 300.0])
    found = observed.feature_days(table, report_timezone="UTC").iloc[0]
    assert (found["observations"], found["latency_observations"], found["p50_latency_ms"]) == (3, 2, 200.0)
    assert (found["crash_free_users_rate"], found["error_rate"]) == (0.5, 0.5)
    nothing = telemetry(crashed=[None], error_count=[None], latency_ms=[None], feedback_score=[None])
    empty = observed.feature_days(nothing, report_timezone="UTC").iloc[0]
    assert empty[["crash_free_users_rate", "error_rate", "p95_latency_ms", "mean_feedback_score"]].isna().all()


def test_an_error_without_a_latency_is_frustrated_in_apdex():
    """100 ms satisfied, an error without latency frustrated, neither latency nor error in no count: 1 of 2."""
    table = telemetry(latency_ms=[100.0, None, None], error_count=[0, 1, 0])
    found = observed.stability(table, threshold_ms=100.0).iloc[0]
    assert (found["observations"], found["apdex"]) == (2, 0.5)
    unknown = observed.stability(telemetry(latency_ms=[None], crashed=[None]), threshold_ms=100.0).iloc[0]
    assert unknown[["apdex", "crash_free_users_rate"]].isna().all() and (unknown["users"], unknown["feature_id"]) == (
        0,
        "f",
    )


def test_users_met_are_those_of_the_last_days_and_known():
    at = [T, T - timedelta(days=6), T - timedelta(days=8), T]
    table = telemetry(observed_at=at, user_id=["a", "a", "b", None])
    assert observed.affected_users(table, through=T).to_dict() == {"f": 1}


def test_watched_names_are_literal_and_numbers_in_properties_are_numbers():
    held = {name: f"v{i}" for i, name in enumerate(WEIRD)} | {"size": 3, "mixed": "x"}
    rows = [{**held, "mixed": 7}, held]
    frame = pd.DataFrame(
        {"user_id": ["a", "b"], "at": [T, T], "platform": ["web", None], "properties": [json.dumps(r) for r in rows]}
    )
    found = observed.watched_rows(
        ibis.memtable(frame), time_column="at", columns=[*WEIRD, "size", "mixed", "platform", "absent", "user_id"]
    )
    assert found.columns.tolist() == ["user_id", "at", "platform", *WEIRD, "size", "mixed"]
    assert [found[name].tolist() for name in WEIRD] == [[f"v{i}"] * 2 for i in range(len(WEIRD))]
    assert found["size"].tolist() == [3, 3] and sorted(found["mixed"]) == ["7", "x"]


def test_placeholders_are_found_whatever_their_case_and_a_number_is_a_user():
    table = telemetry(user_id=["Undefined", " null ", "0", "00000000-0000-0000-0000-000000000000", None, "Undefined"])
    found = placeholder_users(telemetry=table)
    assert found[["user_id", "rows"]].values.tolist() == [
        ["Undefined", 2], [" null ", 1], ["00000000-0000-0000-0000-000000000000", 1],
    ]  # fmt: skip
    assert rows_with_a_user(table) == 5


def test_rows_are_counted_and_a_table_without_rows_has_no_missing_values():
    table, none = telemetry(platform=["web", None]), telemetry(platform=["web"]).limit(0)
    assert intake(table, table, rejected=none) == (4, 0)
    found = missing_values(telemetry=table, events=none).set_index("column")
    assert set(found["table_name"]) == {"telemetry"}
    assert found.loc["platform", ["rows", "missing", "missing_share"]].tolist() == [2, 1, 0.5]


def test_of_equal_ones_the_first_by_name_is_the_worst_and_people_read_its_name():
    table = pd.DataFrame({"feature_id": ["b", "a", "c"], "rate": [0.5, 0.5, 0.9], "n": [1, 2, 3]})
    found = worst_of(table, value="rate", n="n", worst="lowest", reason="none", names={"a": "Alpha"})
    assert (found.segment, found.estimate.n) == ("Alpha", 2)
    assert worst_of(table, value="rate", n="n", worst="highest", reason="none").segment == "c"
    empty = worst_of(table.iloc[:0], value="rate", n="n", worst="lowest", reason="nobody came")
    assert empty.segment is None and empty.estimate.refused_because == "nobody came"


def test_two_features_of_one_name_are_called_by_name_and_id():
    features = declared_features(
        [
            Feature(feature_id="a", feature_name="Cart"),
            Feature(feature_id="b", feature_name="Cart"),
            Feature(feature_id="c"),
        ]
    )
    assert observed.called(features) == {"a": "Cart (a)", "b": "Cart (b)", "c": "c"} and observed.ids(features) == [
        "a",
        "b",
        "c",
    ]


def world(days: int, *, per_day: int = 40, latency: float | None = 100.0) -> ibis.Table:
    at = [T - timedelta(days=d, minutes=i) for d in range(days) for i in range(per_day)]
    noise = [None if latency is None else latency + (i * 37) % 50 for i in range(len(at))]
    return telemetry(observed_at=at, latency_ms=noise, user_id=[f"u{i % 35}" for i in range(len(at))])


def hours_of(table):
    return table.group_by("feature_id", hour=table.observed_at.truncate("h")).agg(observations=table.count())


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (world(1), "These data cannot show whether a feature got slower."),
        (world(30, latency=None), "These data cannot show whether a feature got slower."),
        (world(30), "Nothing got slower that these data could show."),
        (telemetry(latency_ms=[0.0] * 9), "These data cannot show whether a feature got slower."),
        (telemetry(latency_ms=[1.0]).limit(0), "These data cannot show whether a feature got slower."),
    ],
    ids=["one day", "no latency", "a steady series", "zero latency", "no row of the feature"],
)
def test_the_latency_page_stands_with_one_feature_and_little_data(table, expected):
    daily, rows = observed.feature_days(table, report_timezone="UTC"), observed.observations(table)
    marks = pd.DataFrame({"at": pd.Series(dtype="datetime64[us]"), "kind": [], "feature_id": [], "label": []})
    found = latency_results(
        rows, daily, marks, declared=["f"], through=T, window_days=7, sustained_days=4, min_units=30, seed=1,
        smallest_rise=0.05,
    )  # fmt: skip
    stable = observed.stability(table, threshold_ms=300.0)
    budgets = budget_table(rows, [Feature(feature_id="f", slo_error_rate=0.0)], as_of=T)
    crashiest = least_crash_free(stable, called={})
    hours = observed.hourly_counts(hours_of(table), since=T - timedelta(days=70))
    said = latency_conclusion(
        found.health,
        found.regressions,
        found.silence,
        budgets,
        crashiest=crashiest,
        called={},
        window_days=7,
        outages=outage_table(hours, since=T - timedelta(days=14), through=T),
        left_out=found.left_out,
        smallest_rise=0.05,
    )
    assert said.verdict == expected
    assert least_apdex(stable, called={}, threshold_ms=300.0) and largest_change(found, called={}, window_days=7)
