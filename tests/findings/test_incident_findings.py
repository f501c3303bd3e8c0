"""What the page of incidents says in each world. Frames are written by hand; expected words are read off them."""

from __future__ import annotations

from datetime import datetime

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from launchpad_lib.contract.arrow import arrow_schema
from launchpad_lib.contract.tables import SERIES, TELEMETRY
from launchpad_lib.findings import incidents as say
from launchpad_lib.metrics.signals import judged_through, signal_series, with_users
from launchpad_lib.trends import Watched, watched
from launchpad_lib.trends.incidents import INCIDENT_COLUMNS, SERIES_COLUMNS
from tests.findings.hostile_names import NAMES

THROUGH = datetime(2026, 1, 20)
DAY = {"bucket": "day", "false_alarms": None}


def incident(feature_id: str, *, ended: str | None, started: str = "2026-01-16") -> tuple:
    over = pd.NaT if ended is None else pd.Timestamp(ended)
    at = pd.Timestamp(started)
    return (feature_id, "p95_latency_ms", "day", at, at, over, 4.2, 200.0, 400.0, 200.0, None)


def series(feature_id: str, *, now: bool = False, silent: bool = False, refused: str | None = None) -> tuple:
    first, last = pd.Timestamp("2025-12-01"), pd.Timestamp("2026-01-19")
    judged, found = (0, 0) if refused else (29, 1)
    is_now = None if refused else now
    return (feature_id, "p95_latency_ms", "day", first, last, 50, 0, judged, 0, silent, found, is_now, refused)


def seen(incidents: list[tuple], rows: list[tuple]) -> Watched:
    found = pd.DataFrame(incidents, columns=list(INCIDENT_COLUMNS))
    times = {c: pd.to_datetime(found[c]) for c in ("started_at", "detected_at", "ended_at")}
    looked = pd.DataFrame(rows, columns=list(SERIES_COLUMNS))
    flags = {c: looked[c].astype("boolean") for c in ("is_silent", "is_incident_now")}
    return Watched(found.assign(**times), looked.assign(**flags))


def concluded(found: Watched, **called: str):
    return say.incidents_conclusion(found, through=THROUGH, called=called, **DAY)


def test_what_goes_on_is_to_be_acted_on_with_its_size_and_its_beginning():
    found = concluded(seen([incident("search", ended=None)], [series("search", now=True)]), search="Search")
    assert found.verdict == "Search is out of the ordinary now."
    first = found.findings[0]
    assert (first.severity, first.feature_id, first.since) == ("act", "search", "2026-01-16")
    assert first.sentence == (
        "The p95 latency of Search is unusually high since 16 Jan 2026 00:00: 400 ms where 200 ms was expected."
    )


def test_an_incident_of_last_week_that_is_over_is_said_to_be_over():
    found = concluded(seen([incident("search", ended="2026-01-17")], [series("search")]))
    assert found.verdict == "Nothing is out of the ordinary now; search had an incident in the last week."
    assert found.findings[0].severity == "watch" and found.findings[0].sentence.endswith(
        "was unusually high from 16 Jan 2026 00:00 to 17 Jan 2026 00:00: 400 ms where 200 ms was expected; it is over."
    )


def test_what_was_long_ago_is_counted_only():
    found = concluded(seen([incident("search", ended="2026-01-03", started="2026-01-02")], [series("search")]))
    assert found.verdict == "Nothing is out of the ordinary now, nor was in the last week."
    assert [f.sentence for f in found.findings] == [
        "1 incident in the whole history of 1 series, in buckets of day; a healthy feature may raise up to 1 false"
        " alarm in 30 days."
    ]


def test_silence_and_what_could_not_be_judged_are_said():
    rows = [series("gone", silent=True), series("new", refused="5 known buckets"), series("search")]
    found = concluded(seen([], rows))
    assert found.verdict == "gone fell silent."
    assert [(f.severity, f.sentence) for f in found.findings[:3:2]] == [
        ("act", "gone fell silent: it has no value after the day of 19 Jan 2026 00:00."),
        ("unknown", "1 of 3 series could not be judged: p95_latency_ms of new (5 known buckets)."),
    ]
    quiet = concluded(seen([], rows[1:]))
    assert quiet.verdict == (
        "Nothing is out of the ordinary now, nor was in the last week among the 1 of 2 signals that could be judged."
    )


def test_a_page_without_anything_to_judge_is_refused_with_the_reason():
    for found, why in (
        (seen([], []), "neither telemetry nor the table series has a row"),
        (seen([], [series("new", refused="it is constant")]), "no series could be judged: it is constant"),
    ):
        assert concluded(found).refused_because == why
        assert say.now_count(found, bucket="day").refused_because == why
        assert say.seen_count(found, **DAY).refused_because == why


def test_the_numbers_count_series_incidents_and_judged_buckets():
    found = seen([incident("search", ended=None)], [series("search", now=True), series("new", refused="few")])
    now, all_of_them = say.now_count(found, bucket="day"), say.seen_count(found, **DAY)
    assert (now.value, now.n, now.rules["unjudged"]) == (1.0, 1, 1)
    assert (all_of_them.value, all_of_them.n, all_of_them.rules["budget"]) == (1.0, 29, "1")


def test_of_many_incidents_the_newest_are_named_and_the_rest_are_counted():
    many = [incident(f"f{i}", ended=None) for i in range(11)]
    found = concluded(seen(many, [series(f"f{i}", now=True) for i in range(11)]))
    assert found.verdict == "f0, f1 and 9 more are out of the ordinary now."
    assert "3 more incidents go on." in [f.sentence for f in found.findings]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stand_literally(name):
    found = concluded(seen([incident(name, ended=None)], [series(name, now=True)]))
    assert "\n" not in found.verdict and found.findings[0].feature_id == name


def test_the_budget_of_a_feature_is_shared_by_its_signals():
    rng = np.random.default_rng(5)
    at = pd.date_range("2026-01-01", periods=24 * 20, freq="h")
    parts = [
        pd.DataFrame({"feature_id": f, "signal": s, "at": at, "value": rng.standard_t(3, len(at))})
        for f, s in (("one", "a"), ("two", "a"), ("two", "b"))
    ]
    through = datetime(2026, 1, 21)
    found = say.incident_results(pd.concat(parts), bucket="hour", through=through, false_alarms=8)
    alone = watched(parts[0], bucket="hour", through=through, budget=8).incidents
    halves = watched(pd.concat(parts[1:]), bucket="hour", through=through, budget=4).incidents
    assert found.incidents["detected_at"].tolist() == [*alone["detected_at"], *halves["detected_at"]]


def tables(observations: list[tuple], given: list[tuple]):
    """Ibis tables of telemetry and of series, from (feature, instant, latency, errors, crashed) and rows of series."""
    names = ("feature_id", "observed_at", "latency_ms", "error_count", "crashed")
    frame = pd.DataFrame(observations, columns=list(names)).reindex(columns=[c.name for c in TELEMETRY.columns])
    own = pd.DataFrame(given, columns=["feature_id", "signal", "at", "value", "observations"])
    return (
        ibis.memtable(pa.Table.from_pandas(frame, schema=arrow_schema(TELEMETRY), preserve_index=False)),
        ibis.memtable(pa.Table.from_pandas(own, schema=arrow_schema(SERIES), preserve_index=False)),
    )


def test_a_rate_is_said_in_percent_of_its_observations_with_the_users_who_met_it():
    rows = [incident("search", ended=None), incident("search", ended=None), incident("m", ended="2026-01-17")]
    found = seen(rows, [series("search", now=True), series("m")])
    frame = found.incidents.assign(
        signal=["crash_rate", "observations", "celsius"],
        value=[0.25, 40.0, -8.0],
        expected=[0.011, 1200.0, 20.5],
        size=[0.239, -1160.0, -28.5],
        observations=[480.0, 40.0, None],
        users=pd.array([23, None, None], dtype="Int64"),
    )
    watched_series = found.series.loc[[0, 0, 1]].assign(signal=["crash_rate", "observations", "celsius"])
    said = concluded(Watched(frame, watched_series)).findings
    assert [(f.sentence, f.users) for f in said[:3]] == [
        (
            "The crash rate of search is unusually high since 16 Jan 2026 00:00: 25.0 % of 480 observations where"
            " 1.1 % was expected; 23 users met it.",
            23,
        ),
        (
            "The number of observations of search is unusually low since 16 Jan 2026 00:00: 40 where 1,200 was expected.",
            None,
        ),
        (
            "celsius of m was unusually low from 16 Jan 2026 00:00 to 17 Jan 2026 00:00: -8 where 20.5 was expected; it"
            " is over.",
            None,
        ),
    ]


def test_a_feature_of_which_one_signal_goes_on_did_not_fall_silent_as_a_whole():
    rows = [series("search", silent=True), series("search")]
    looked = pd.DataFrame(rows, columns=list(SERIES_COLUMNS)).assign(signal=["crash_rate", "p95_latency_ms"])
    said = concluded(seen([], [])._replace(series=looked.assign(is_silent=looked["is_silent"].astype("boolean"))))
    assert said.findings[0].sentence == "crash rate of search has no value after the day of 19 Jan 2026 00:00."


def test_signals_of_observations_and_of_series_by_hand():
    """Hour 9: latencies 100, 200, 300, of which one failed, two crash flags known; hour 10 has one row."""
    nine, ten = pd.Timestamp("2026-01-05 09:10"), pd.Timestamp("2026-01-05 10:30")
    telemetry, given = tables(
        [
            ("a", nine, 100.0, 0, False),
            ("a", nine, 200.0, 1, True),
            ("a", nine, 300.0, None, None),
            ("a", ten, 900.0, 2, True),
        ],
        [
            ("m", "celsius", pd.Timestamp("2026-01-05 09:02"), -4.5, None),
            ("m", "crash_rate", pd.Timestamp("2026-01-05 10:02"), 0.5, 8),
        ],
    )
    whole = signal_series(telemetry, given, bucket="hour").set_index(["feature_id", "signal", "at"])
    nine, ten = nine.floor("h"), ten.floor("h")
    expected = {
        ("a", "p95_latency_ms", nine): (290, 3),
        ("a", "error_rate", nine): (0.5, 2),
        ("a", "crash_rate", nine): (0.5, 2),
        ("a", "observations", nine): (3, 3),
        ("a", "p95_latency_ms", ten): (900, 1),
        ("a", "error_rate", ten): (1, 1),
        ("a", "crash_rate", ten): (1, 1),
        ("a", "observations", ten): (1, 1),
        ("m", "crash_rate", ten): (0.5, 8),
    }
    numbers = whole[["value", "observations"]]
    for key, (value, n) in expected.items():
        assert tuple(numbers.loc[key]) == (pytest.approx(value), n)
    assert numbers.loc["m", "celsius", nine].isna().tolist() == [False, True]
    assert len(whole) == len(expected) + 1  # no feedback is known
    kinds = whole.groupby("signal")[["kind", "worse", "fewest"]].first().to_dict("index")
    assert tuple(kinds["p95_latency_ms"].values()) == ("value", "up", 20)
    assert tuple(kinds["crash_rate"].values()) == tuple(kinds["error_rate"].values()) == ("rate", "up", 1)
    assert tuple(kinds["observations"].values()) == ("count", "both", 1)
    assert tuple(kinds["celsius"].values()) == ("value", "both", 1)
    local = signal_series(telemetry, given, bucket="day", report_timezone="Pacific/Auckland")
    assert set(local["at"]) == {pd.Timestamp("2026-01-05")}
    until = signal_series(telemetry, given, bucket="hour", through=nine + pd.Timedelta(minutes=10))
    assert until["at"].max() == nine and until.loc[until["signal"] == "observations", "value"].tolist() == [3]


def test_the_users_who_met_an_incident_by_hand():
    """Of hour 9, to its end: u1 and u2 crash (u1 twice), u3 does not; u4 crashes an hour later, u5 in another feature.

    250 ms is slower than the expected 200, 150 is not. A long ended incident and the number of rows have no users.
    """
    nine = pd.Timestamp("2026-01-05 09:00")
    rows = [
        ("a", "u1", nine, True, 250.0),
        ("a", "u1", nine, True, 150.0),
        ("a", "u2", nine, True, 150.0),
        ("a", "u3", nine, False, None),
        ("a", "u4", nine + pd.Timedelta(hours=1), True, 900.0),
        ("b", "u5", nine, True, 900.0),
    ]
    names = ["feature_id", "user_id", "observed_at", "crashed", "latency_ms"]
    frame = pd.DataFrame(rows, columns=names).reindex(columns=[c.name for c in TELEMETRY.columns])
    telemetry = ibis.memtable(pa.Table.from_pandas(frame, schema=arrow_schema(TELEMETRY), preserve_index=False))
    ten = nine + pd.Timedelta(hours=1)
    asked = pd.DataFrame(
        [
            ("a", "crash_rate", nine, ten, 0.01),
            ("a", "p95_latency_ms", nine, ten, 200.0),
            ("a", "crash_rate", ten, pd.NaT, 0.01),
            ("a", "observations", nine, ten, 5.0),
            ("a", "error_rate", nine, ten, 0.0),
        ],
        columns=["feature_id", "signal", "started_at", "ended_at", "expected"],
    )
    soon = with_users(telemetry, asked, through=datetime(2026, 1, 6))["users"]
    assert soon.tolist()[:3] == [2, 1, 1] and soon.isna().tolist() == [False, False, False, True, True]
    assert with_users(telemetry, asked, through=datetime(2026, 3, 1))["users"].isna().tolist() == [True] * 2 + [
        False,
        True,
        True,
    ]
    assert with_users(telemetry, asked[:0], through=datetime(2026, 1, 6))["users"].empty


def test_the_instant_is_telemetry_s_then_the_named_one_then_the_end_of_the_last_bucket():
    _, given = tables([], [("m", "celsius", pd.Timestamp("2026-01-05 09:00"), 1.0, None)])
    _, none = tables([], [])
    assert judged_through(THROUGH, given, bucket="hour", observed_through="2026-01-03") == THROUGH
    assert judged_through(None, given, bucket="hour", observed_through="2026-01-03").day == 3
    assert judged_through(None, given, bucket="hour") == datetime(2026, 1, 5, 10)
    assert judged_through(None, none, bucket="hour") == datetime(1970, 1, 1)
