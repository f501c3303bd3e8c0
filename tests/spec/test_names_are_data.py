"""Names in the data are data: any property, event or column name is looked up literally, and JSON values of any type compare.

The reference is Python's own `json.loads` and `dict`: a key is there or it is not.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launchpad_lib.metrics import Exclusion, Step, activity_spans, behavioural_cohorts, funnel, path_steps, retention
from launchpad_lib.metrics.windows import is_one_of, property_value

HOSTILE = (
    "$browser", "utm.source", "org:group", "/p", "~1p", "cart[0]", "[0]", "0", "-", "a*b", "*", "**", "$", "$.a", "#", "?", '"', "it's", "back\\slash", "a b", " ",
    "", "😀", "🇨🇭🇦🇹", "שלום", "\u202eright", "é", "e\u0301", "\x00", "a\x00b", "\n", "null", "x" * 5_000, "unit", "at", "segment", "rank", "is_1", "held", "position",
    "epoch", "chain_1", "depth", "step_1_at", "cohort", "which", "name", "properties", "user", "label", "select", "a\"; drop table events; --", "{name}", "%s",
)  # fmt: skip
COLUMNS = {"user_id", "event_name", "event_at", "properties"}
SCALARS = (
    st.text(max_size=8)
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.none() | SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
KEYS = st.sampled_from(HOSTILE) | st.text(max_size=12)
START = datetime(2026, 1, 1)
LATER = START + timedelta(days=30)


@pytest.fixture(scope="module")
def lake():
    """A connection as `open_lake` makes it."""
    con = ibis.duckdb.connect(threads=1)
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def rows(events: list[tuple[str, str, dict]]) -> pd.DataFrame:
    """A log: user, event name, properties; one minute apart in the order given."""
    return pd.DataFrame(
        {
            "user_id": pd.Series([u for u, _, _ in events], dtype="string"),
            "event_name": pd.Series([n for _, n, _ in events], dtype="string"),
            "event_at": pd.Series([START + timedelta(minutes=i) for i in range(len(events))], dtype="datetime64[us]"),
            "properties": pd.Series([json.dumps(p) for _, _, p in events], dtype="string"),
        }
    )


def stored(frame: pd.DataFrame, lake) -> ibis.Table:
    """The frame as a table of the database."""
    lake.con.register("given", pa.Table.from_pandas(frame))
    lake.raw_sql("CREATE OR REPLACE TABLE stored AS SELECT * FROM given")
    return lake.table("stored")


def both(events: list[tuple[str, str, dict]], lake) -> dict[str, ibis.Table]:
    """The same log as an in-memory frame and as a table of a database."""
    frame = rows(events)
    return {"frame": ibis.memtable(frame), "table": stored(frame, lake)}


def is_text_of(text: str | None, value: object) -> bool:
    """Whether a text stands for a JSON value."""
    if value is None or text is None:
        return text is None and value is None
    if isinstance(value, str):
        return text == value
    found = json.loads(text)
    return found == value and isinstance(found, type(value))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4), other=KEYS)
@example(
    documents=[{"browser": "wrong", "utm": {"source": "wrong"}, "cart": ["wrong"], "a": 1, "p": "wrong"}],
    other="$browser",
)
@example(documents=[{"a": 1, "b": 2}], other="*")
def test_a_property_is_what_json_loads_finds_under_that_very_name(lake, documents, other):
    log = [("u", "x", d) for d in documents]
    names = {other, *(k for d in documents for k in d)} - COLUMNS
    for events in both(log, lake).values():
        found = events.select(
            at=events.event_at, **{f"p{i}": property_value(events, n) for i, n in enumerate(sorted(names))}
        )
        got = found.order_by("at").to_pandas().astype(object).where(lambda t: t.notna(), None)
        for i, name in enumerate(sorted(names)):
            for text, document in zip(got[f"p{i}"], documents, strict=True):
                assert is_text_of(text, document.get(name)), (name, document, text)


@pytest.mark.parametrize("text", ["[1, 2]", "12", '"a"', "{broken", "", "null"])
def test_properties_that_are_no_json_object_have_no_keys(lake, text):
    frame = rows([("u", "x", {})]).assign(properties=text)
    for events in (ibis.memtable(frame), stored(frame, lake)):
        for name in ("0", "1", "-", "", "a"):
            assert property_value(events, name).execute().isna().all(), name


def test_properties_may_be_python_dictionaries():
    frame = pd.DataFrame({"user_id": ["a", "b"], "properties": [{"$plan": "pro", "n": 1}, {"$plan": "free", "n": 2}]})
    events = ibis.memtable(frame)
    assert property_value(events, "$plan").execute().tolist() == ["pro", "free"]
    assert property_value(events, "n").execute().tolist() == ["1", "2"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=KEYS.filter(lambda k: k not in COLUMNS), value=SCALARS, others=st.lists(SCALARS, max_size=3))
@example(name="n", value=1e22, others=[1e21])
@example(name="n", value=True, others=["True", 1])
def test_a_filter_keeps_exactly_the_events_with_that_value(lake, name, value, others):
    """Compared by canonical text, so 1 and "1" are one value and 1 and 1.0 are two; the reference compares the same way."""

    def text(v):
        return v if isinstance(v, str) else json.dumps(v)

    log = [(f"u{i}", "start", {name: v}) for i, v in enumerate([value, *others])]
    log += [(u, "end", {}) for u, _, _ in log] + [("nobody", "start", {}), ("nobody", "end", {})]
    wanted = sum(text(v) == text(value) for v in [value, *others])
    for kind, events in both(log, lake).items():
        found = funnel(events, steps=[Step("start", ((name, value),)), "end"], window="1d", observed_through=LATER)
        assert found.order_by("step").to_pandas()["users"].tolist() == [wanted, wanted], kind


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in ("", *COLUMNS)][::4])
def test_every_option_of_a_funnel_takes_a_hostile_property_name_and_value(lake, name):
    """By hand: a and c carry the property on every event with two values, b changes it, d lacks it."""
    one, two = f"1{name}", f"2{name}"
    log = [(u, n, {name: v} if v else {}) for n in ("start", "end") for u, v in (("a", one), ("c", two), ("d", None))]
    log = [("b", "start", {name: one}), *log, ("b", "end", {name: two})]
    for kind, events in both(log, lake).items():
        asked = {"steps": ["start", "end"], "window": "1d", "observed_through": LATER}
        held = funnel(events, hold_constant=name, **asked).order_by("step").to_pandas()
        assert held["users"].tolist() == [3, 2], kind
        split = funnel(events, breakdown=name, **asked).filter(ibis._.step == 2).to_pandas()
        assert {(s if isinstance(s, str) else None, int(u)) for s, u in zip(split["segment"], split["users"], strict=True)} == {
            (one, 2), (two, 1), (None, 1),
        }, kind  # fmt: skip
        barred = funnel(
            events, exclusions=[Exclusion("end", ((name, two),))], **{**asked, "steps": ["start", "end", "end"]}
        )
        assert barred.filter(ibis._.step == 1).to_pandas()["users"].tolist() == [4], kind
        cohorts = retention(
            events, returns=[0], observed_through=LATER, start_event="start", cohort_property=name
        ).to_pandas()
        assert {(c if isinstance(c, str) else None, int(u)) for c, u in zip(cohorts["cohort"], cohorts["users"], strict=True)} == {
            (one, 2), (two, 1), (None, 1),
        }, kind  # fmt: skip
        spans = activity_spans(events, gap="1d", observed_through=LATER, group_property=name).to_pandas()
        assert sorted(str(g) for g in spans["group_name"].dropna()) == [one, one, two], kind
        doers = behavioural_cohorts(
            events, event=Step("end", ((name, two),)), at_least=1, within="1d", observed_through=LATER
        ).to_pandas()
        assert (doers["cohort"] != "fewer").sum() == 2, kind


@pytest.mark.parametrize("name", [*HOSTILE[1::4], "(end)", "(other)"])
def test_an_event_may_have_any_name(lake, name):
    log = [("a", name, {}), ("a", f"{name}2", {}), ("b", name, {})]
    for kind, events in both(log, lake).items():
        found = (
            funnel(events, steps=[name, f"{name}2"], window="1d", observed_through=LATER).order_by("step").to_pandas()
        )
        assert found["users"].tolist() == [2, 1], kind
        assert found["step_name"].tolist() == [name, f"{name}2"], kind
        back = retention(
            events, returns=[0], observed_through=LATER, start_event=name, return_event=f"{name}2"
        ).to_pandas()
        assert back[["users", "retained"]].values.tolist() == [[2, 1]], kind
        after = path_steps(events, anchor=name, length=1, by="user_id").to_pandas()
        assert dict(zip(after["event_name"], after["units"], strict=True)) == {f"{name}2": 1, "(end)": 1}, kind


@pytest.mark.parametrize(
    "name",
    [
        "unit",
        "at",
        "segment",
        "rank",
        "is_1",
        "held",
        "position",
        "AT",
        "Week",
        "first",
        "day",
        "count",
        "schema",
        "*",
        "a b",
        'q"',
    ],
)
def test_a_column_may_have_a_name_that_the_metrics_use_themselves(lake, name):
    frame = rows([("a", "start", {}), ("b", "start", {}), ("a", "end", {}), ("b", "end", {})])
    frame[name] = pd.Series(["x", "y", "x", "z"], dtype="string")
    for kind, events in {"frame": ibis.memtable(frame), "table": stored(frame, lake)}.items():
        asked = {"steps": ["start", "end"], "window": "1d", "observed_through": LATER}
        assert funnel(events, hold_constant=name, **asked).order_by("step").to_pandas()["users"].tolist() == [2, 1], (
            kind
        )
        split = funnel(events, breakdown=name, **asked).filter(ibis._.step == 1).to_pandas()
        assert sorted(split["segment"]) == ["x", "y"], kind
        cohorts = retention(events, returns=[0], observed_through=LATER, cohort_property=name).to_pandas()
        assert sorted(cohorts["cohort"]) == ["x", "y"], kind


def test_half_a_surrogate_pair_is_in_no_data_and_no_error():
    events = ibis.memtable(rows([("a", "x", {"p": "v"})]))
    assert events.select(p=property_value(events, "\ud83d")).to_pandas()["p"].isna().all()
    assert events.select(hit=is_one_of(events.event_name, ["\ud83d"])).to_pandas()["hit"].tolist() == [False]


def test_nothing_equals_none():
    with pytest.raises(ValueError, match="the value None is absent in the data"):
        is_one_of(ibis.literal("x"), [None])
