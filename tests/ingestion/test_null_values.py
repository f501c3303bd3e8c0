"""Values that a mapping calls missing. Expected values are counted by hand in the rows of each test."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from launchpad_lib.ingestion import IngestError, SourceSpec, ingest
from launchpad_lib.ingestion.files.null_values import null_values
from launchpad_lib.lake import open_lake
from launchpad_lib.runner.parameters import ParameterError, load_run

ROOT = Path(__file__).resolve().parents[2]
# Two people without a session: -1 in every form. Ann comes twice on one day and once a day later, Bob on two days.
VISITS = [
    ("1", "ann", "2026-03-02T09:00:00Z", -1),
    ("2", "ann", "2026-03-02T09:10:00Z", -1.0),
    ("3", "ann", "2026-03-03T09:00:00Z", "-1"),
    ("4", "bob", "2026-03-02T09:00:00Z", "-1.0"),
    ("5", "bob", "2026-03-04T09:00:00Z", " -1 "),
    ("6", "bob", "2026-03-04T09:05:00Z", -10),
]
KEYS = ("event_id", "user_id", "event_at", "session_id")


def put_visits(place, kind: str) -> str:
    rows = [dict(zip(KEYS, visit, strict=True)) | {"event_name": "visit"} for visit in VISITS]
    name = f"visits.{kind}"
    if kind == "jsonl":
        place.put(name, "".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        place.put(name, pd.DataFrame(rows).to_csv(index=False))
    else:
        as_numbers = [row | {"session_id": float(row["session_id"])} for row in rows]
        pq.write_table(pa.Table.from_pylist(as_numbers), place.root / name)
    return name


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("listed", [[-1], ["-1"], [-1.0], ["none", -1]])
def test_minus_one_is_no_session_in_whatever_form_it_comes(place, kind, listed):
    """Without a client's session 30 minutes of silence end one: ann has 2, bob 2, and his session -10 is his third."""
    name = put_visits(place, kind)
    place.ingest(name, null_values={"session_id": listed})
    assert place.events()["session_id"].fillna("").tolist() == ["", "", "", "", "", "-10"]
    sessions = open_lake(place.lake).sessions.to_pandas()
    assert sessions.groupby("user_id").size().to_dict() == {"ann": 2, "bob": 3}
    assert json.loads(place.events()["properties"][0]) == {}


def test_a_value_that_nobody_called_missing_stays_one(place):
    """The mapping says -1 of the session only: a user -1 is a user."""
    place.put("x.csv", "event_id,user_id,event_at,event_name,session_id\n1,-1,2026-03-02,a,-1\n")
    place.ingest("x.csv", null_values={"session_id": [-1]})
    assert place.events()[["user_id", "session_id"]].fillna("").to_numpy().tolist() == [["-1", ""]]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_needed_field_that_means_missing_is_refused_as_missing(place, line, kind):
    """Times, names, ids and paths alike; the row is kept as it was written."""
    rows = [
        {"user_id": "anonymous-user", "event_at": "2026-01-01"},
        {"user_id": "u", "event_at": "0000-00-00"},
        {"user_id": "u", "event_at": "2026-01-01", "event_name": "(other)"},
        {"user_id": "u", "event_at": "2026-01-01", "country": "ZZ", "received_at": "0000-00-00"},
    ]
    rows = [
        {"event_id": str(n), "event_name": "a", "country": "DE", "received_at": "2026-01-02"} | r
        for n, r in enumerate(rows)
    ]
    if kind == "jsonl":
        place.put("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        place.put("x.csv", pd.DataFrame(rows).to_csv(index=False))
    place.ingest(
        f"x.{kind}",
        null_values={
            "user_id": ["anonymous-user"], "event_at": ["0000-00-00"], "received_at": ["0000-00-00"],
            "event_name": ["(other)"], "country": ["ZZ"],
        },
        event_names={"(other)": "other"},
    )  # fmt: skip
    rejected = place.rejected()
    assert rejected["reason"].tolist() == ["user_id is missing", "event_at is missing", "event_name is missing"]
    assert "anonymous-user" in rejected["raw"][0]
    (kept,) = place.events().to_dict("records")
    assert pd.isna(kept["country"]) and str(kept["received_at"]) == "2026-01-01 00:00:00", "filled, not read"


def test_paths_and_properties_can_be_missing_too(place):
    """A property under a name of ours, read from a field, from a path, and from the event's own properties."""
    own = {"price": -999, "plan": "n/a", "seats": 3}
    event = {"event_name": "a", "user_id": "u", "event_at": "2026-01-01T00:00:00Z", "os": {"name": "(none)"}}
    rows = [event | {"event_id": "1", "properties": own, "score": 0}, event | {"event_id": "2", "score": 7}]
    place.put("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    asked = {
        "columns": {"platform": "os.name"},
        "properties": {"price": "properties.price", "plan": "properties.plan", "score": "score"},
        "null_values": {"platform": ["(none)"], "price": [-999], "plan": ["n/a"], "score": [0]},
    }
    place.ingest("x.jsonl", **asked)
    told = place.events()
    assert told["platform"].isna().all()
    assert [json.loads(p) for p in told["properties"]] == [
        {"seats": 3, "os": {"name": "(none)"}},
        {"os": {"name": "(none)"}, "score": "7"},
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_the_mapping_states_goes_before_the_events_own_property_of_that_name(place, kind):
    row = {
        "event_id": "1", "event_name": "a", "user_id": "u", "event_at": "2026-01-01T00:00:00Z",
        "properties": '{"plan":"own","kept":1}', "tariff": "pro", "level": "x", "stage": "field",
    }  # fmt: skip
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), place.root / "x.parquet")
    else:
        place.put(f"x.{kind}", json.dumps(row) + "\n" if kind == "jsonl" else pd.DataFrame([row]).to_csv(index=False))
    place.ingest(f"x.{kind}", properties={"plan": "tariff"}, constants={"stage": "stated"})
    assert json.loads(place.events()["properties"][0]) == {
        "plan": "pro", "kept": 1, "level": "x", "stage": "stated", "event.stage": "field",
    }  # fmt: skip


def test_a_measure_of_minus_one_is_no_measure(place):
    """pandas and sensors write -1, 9999 or NaN for what was not measured; 0.25 and 10 were measured."""
    frame = pd.DataFrame({
        "observation_id": ["1", "2", "3", "4"], "feature_id": ["f"] * 4,
        "observed_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]),
        "latency_ms": [-1.0, 0.25, float("nan"), 9999.0], "error_count": [-1, 2, 0, 3],
    })  # fmt: skip
    pq.write_table(pa.table({n: pa.array(frame[n].tolist()) for n in frame}), place.root / "x.parquet")
    place.ingest("x.parquet", table="telemetry", null_values={"latency_ms": [-1, "NaN", 9999], "error_count": [-1]})
    told = place.telemetry()
    assert told["latency_ms"].astype(object).fillna("").tolist() == ["", 0.25, "", ""]
    assert told["error_count"].astype(object).fillna("").tolist() == ["", 2, 0, 3]


def test_a_natural_key_reads_missing_values_as_missing(place):
    """One file says -1, the other nothing: it is the same event."""
    place.put("a.csv", "user_id,event_at,event_name,session_id\nu,2026-01-01,a,-1\n")
    place.put("b.csv", "user_id,event_at,event_name,session_id\nu,2026-01-01,a,\n")
    asked = {"natural_key": ["user_id", "event_at", "session_id"], "null_values": {"session_id": [-1]}}
    assert place.ingest("a.csv", **asked).accepted == 1
    again = place.ingest("b.csv", **asked)
    assert (again.accepted, again.duplicates) == (0, 1)


def test_amplitudes_minus_one_is_no_session_in_its_example(tmp_path):
    """Bo's two events lie a minute apart, cy's three at most half an hour: with ana's own one and dee's there are four
    sessions, of which three are called by their first instant and none is called -1.
    """
    (source,) = yaml.safe_load((ROOT / "params/exports/amplitude.yaml").read_text())["sources"]
    ingest(SourceSpec(**source), lake=tmp_path, ingested_at=datetime(2026, 4, 1, tzinfo=UTC), root=ROOT)
    sessions = open_lake(tmp_path).sessions.order_by("session_key").to_pandas()
    assert sessions["user_id"].tolist() == ["ana", "bo", "cy", "dee"]
    assert sessions["events"].tolist() == [3, 2, 3, 1]
    assert sessions["session_key"].tolist()[0] == "ana/1772442000000"
    assert all("#" in key for key in sessions["session_key"][1:])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{sesion_id: [-1]}", "'sesion_id' is no column of events and no name under `properties`; did you mean 'session_id'"),
        ("{properties: [-1]}", "'properties' is a whole object; map its field under `properties`, and name that"),
        ("{session_id: -1}", r"sources.0.null_values.session_id=-1: must be a list; write \[-1\] for one"),
        ("{session_id: none}", r"sources.0.null_values.session_id='none': must be a list; write \['none'\] for one"),
        ("{event_at: [1970-01-01]}", "null_values.event_at.0=1970-01-01 is read by YAML as a date and must be text; put it in q"),
        ("{session_id: [null]}", "null_values.session_id.0 has no value; give one or leave it out"),
        ("{feature_id: [x]}", "'feature_id' stands under both `null_values` and `constants`; keep one"),
    ],
)  # fmt: skip
def test_a_wrong_list_of_missing_values_is_refused_with_the_remedy(tmp_path, given, message):
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "p.yaml"
    path.write_text(
        "name: p\nsequence: [[funnels]]\nsources:\n"
        f"  - {{table: events, path: x.csv, constants: {{feature_id: f}}, null_values: {given}}}\n"
    )
    with pytest.raises(ParameterError, match=message):
        load_run(path)


SOME = st.one_of(
    st.integers(-12, 12), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=1),
    st.sampled_from(["-1", "-1.0", "-1.00", " -1\t", "-1e0", "-1.0e0", "1e3", "1e+3", "007", "NaN", "nan", "N/A", "n/a", "", "-0", "true"]),
    st.text(max_size=4),
)  # fmt: skip


@given(
    st.lists(st.one_of(st.integers(-12, 12), st.floats(), st.booleans(), st.text(min_size=1, max_size=4)), max_size=3),
    SOME,
)
@example([-1], "-1.0")
@example(["1e3", 1000], "1e3")
@example([0], -0.0)
@example([7], "007")
@example([10**400, 1e308], "1e308")
def test_a_value_is_missing_in_python_where_it_is_in_sql(listed, value):
    nulls = null_values(listed)
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    if text is None or "\0" in text or any("\0" in str(v) or "\ud800" <= str(v)[:1] <= "\udfff" for v in listed):
        return
    (found,) = duckdb.execute(f"SELECT {nulls.sql('t')} FROM (SELECT $1::VARCHAR AS t)", [text]).fetchone()
    assert (found is None) == (text in nulls)
    if isinstance(value, int | float) and value == value:
        assert (value in nulls) == (text in nulls), "typed and as text alike"


def test_what_counts_as_the_same_value():
    """Numbers in every spelling; but an id with leading zeros is no number, nor is 1e3, and text has its case."""
    assert [v in null_values([-1, 7, 1000]) for v in ("-1", "-1.000", -1, -1.0, "+1", "-01", "007", "7", "1e3", "1000.0", "1e+3", True)] == [
        True, True, True, True, False, False, False, True, False, True, True, False,
    ]  # fmt: skip
    assert [v in null_values(["N/A", False]) for v in ("N/A", " N/A ", "n/a", False, "false", 0, None)] == [
        True, True, False, True, True, False, False,
    ]  # fmt: skip


def test_an_unlisted_name_is_no_error_but_a_field_that_is_not_there_is(place):
    place.put("x.csv", "event_id,user_id,event_at,event_name\n1,u,2026-01-01,a\n")
    assert place.ingest("x.csv", null_values={"session_id": [-1], "country": []}).accepted == 1
    with pytest.raises(IngestError, match="columns.session_id='sid' is no column of this file"):
        place.ingest("x.csv", columns={"session_id": "sid"}, null_values={"session_id": [-1]})
