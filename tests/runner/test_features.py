"""Declared features: the params first, then the table; expected values by hand."""

from __future__ import annotations

import json
import math
from datetime import date, datetime

import ibis
import pandas as pd
import pytest

from launchpad_lib.contract.features import OF_THE_PARAMS, Feature, declared_features, not_declared
from launchpad_lib.contract.tables import FEATURES
from launchpad_lib.runner.parameters import ParameterError, load_run

SAID = [{"feature_id": "quiz", "start_event": "go", "interaction_events": ["a"]}]
STORED = [
    {
        "feature_id": "search", "feature_name": "Search", "owner_team": "core", "released_on": datetime(2026, 1, 2, 10),
        "slo_p95_latency_ms": 250.0, "start_event": "look", "interaction_events": '["x", "y"]', "is_unknown": 1,
    },
    {"feature_id": "quiz", "owner_team": "growth", "start_event": "stored", "complete_event": "done", "slo_error_rate": math.nan},
]  # fmt: skip


def test_a_feature_has_the_columns_of_the_table_features():
    assert list(Feature.model_fields) == [*(c.name for c in FEATURES.columns), *OF_THE_PARAMS]


@pytest.mark.parametrize("form", ["rows", "frame", "ibis"])
def test_params_come_first_and_the_table_fills_what_they_leave_open(form):
    table = {"rows": STORED, "frame": pd.DataFrame(STORED), "ibis": ibis.memtable(pd.DataFrame(STORED))}[form]
    quiz, search = declared_features(SAID, table)
    assert quiz == Feature(
        feature_id="quiz", start_event="go", complete_event="done", owner_team="growth", interaction_events=("a",)
    )
    assert search == Feature(
        feature_id="search", feature_name="Search", owner_team="core", released_on=date(2026, 1, 2), slo_p95_latency_ms=250,
        start_event="look", interaction_events=("x", "y"),
    )  # fmt: skip
    assert (quiz.name, search.name) == ("quiz", "Search")
    assert quiz.event_names == ("go", "done", "a")


def test_one_feature_can_be_asked_about_also_one_that_nobody_declares():
    assert [f.feature_id for f in declared_features(SAID, STORED, feature_id="search")] == ["search"]
    assert declared_features(SAID, STORED, feature_id="other") == (Feature(feature_id="other"),)
    assert declared_features() == ()


def test_features_of_one_name_are_told_apart_by_their_ids_also_where_one_is_asked_about():
    """By hand: two are called Search, and a third has that word as its id; only the fourth is alone."""
    table = [
        {"feature_id": "s1", "feature_name": "Search"},
        {"feature_id": "s2", "feature_name": "Search"},
        {"feature_id": "Search"},
        {"feature_id": "quiz", "feature_name": "Quiz"},
    ]
    assert [f.name for f in declared_features(table=table)] == ["Search (s1)", "Search (s2)", "Search", "Quiz"]
    assert [f.name for f in declared_features(table=table, feature_id="s2")] == ["Search (s2)"]


@pytest.mark.parametrize(("text", "names"), [('["a, b", "c"]', ("a, b", "c")), ("a, b", ("a, b",)), ("[1]", ("[1]",))])
def test_the_table_holds_interaction_events_as_a_json_list_or_as_one_name(text, names):
    [feature] = declared_features(table=[{"feature_id": "a", "interaction_events": text}])
    assert feature.interaction_events == names


def test_one_name_in_the_params_is_a_list_of_one_and_an_empty_text_none():
    assert Feature(feature_id="a", interaction_events="x y").interaction_events == ("x y",)
    assert Feature(feature_id="a", interaction_events="", start_event="").event_names == ()


def test_what_no_feature_declares_is_not_asked_in_one_sentence():
    both = declared_features(SAID, STORED)
    assert not_declared(both, "start_event", "complete_event") is None
    assert not_declared(both, "share_event").startswith("not asked: no feature declares share_event; declare it under")
    # search declares a start and quiz an end in the params alone: no feature declares both.
    apart = declared_features([{"feature_id": "a", "start_event": "x"}, {"feature_id": "b", "complete_event": "y"}])
    assert "start_event and complete_event" in not_declared(apart, "start_event", "complete_event")
    assert not_declared(apart, "interaction_events") is not None
    assert not_declared((), "start_event") is not None


def test_a_declaration_that_cannot_be_read_says_feature_field_and_value():
    with pytest.raises(ValueError, match="features, feature 'a': slo_error_rate='2': Input should be less than"):
        declared_features([{"feature_id": "a", "slo_error_rate": 2}])
    with pytest.raises(ValueError, match="table features, feature 'a': slo_feedback_score='9.0'"):
        declared_features(table=[{"feature_id": "a", "slo_feedback_score": 9.0}])


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ("[{feature_id: a, start_evnt: x}]", "unknown parameter 'features.0.start_evnt'; did you mean 'start_event'"),
        ("[{feature_id: a}, {feature_id: a}]", "feature_id 'a' stands twice"),
        ("[{feature_id: 5}]", "features.0.feature_id=5 is read by YAML as a number and must be text"),
        ("[{start_event: x}]", "'features.0.feature_id' is missing; add it"),
        ("[{feature_id: a, interaction_events: {x: y}}]", "features.0.interaction_events="),
    ],
)
def test_a_fault_in_declared_features_is_one_sentence(tmp_path, features, sentence):
    (tmp_path / "p.yaml").write_text(f"name: x\nsequence: [[funnels]]\nfeatures: {features}\n")
    with pytest.raises(ParameterError) as caught:
        load_run(tmp_path / "p.yaml")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_released_on_of_yaml_reaches_the_notebook_as_text_and_is_read_there_again(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: x\nsequence: [[funnels]]\nfeatures: [{feature_id: a, released_on: 2026-01-02, interaction_events: [x]}]\n"
    )
    given = load_run(tmp_path / "p.yaml").for_notebook("funnels", notebooks=tmp_path)["features"]
    assert given == [{"feature_id": "a", "released_on": "2026-01-02", "interaction_events": ["x"]}]
    assert declared_features(json.loads(json.dumps(given)))[0].released_on == date(2026, 1, 2)


def test_a_negative_control_that_is_an_event_of_the_feature_is_told():
    with pytest.raises(ValueError, match="is an event of 'quiz' itself, which may matter; name one that cannot"):
        declared_features([{"feature_id": "quiz", "start_event": "go", "negative_control": "go"}])


def test_objectives_that_contradict_are_named_in_one_sentence_also_between_params_and_table():
    """1 - .995 = .005 failures in all; .02 of errors alone are more. .005 is not, although 1 - .995 is no exact .005."""
    said = {"feature_id": "a", "slo_availability": 0.995}
    sentence = (
        "feature 'a': slo_error_rate=0.02 contradicts slo_availability=0.995: an error is a failure of both, and "
        "availability allows only 0.005; lower slo_error_rate to that or leave it out"
    )
    for declared, table in (([said | {"slo_error_rate": 0.02}], []), ([said], [{"feature_id": "a", "slo_error_rate": 0.02}])):  # fmt: skip
        with pytest.raises(ValueError) as raised:
            declared_features(declared, table)
        assert str(raised.value).endswith(sentence) and "\n" not in str(raised.value)
    [kept] = declared_features([said | {"slo_error_rate": 0.005}])
    assert (kept.slo_error_rate, kept.slo_availability) == (0.005, 0.995)
    with pytest.raises(ValueError, match="slo_p95_latency_ms=0: nothing takes no time"):
        declared_features([{"feature_id": "a", "slo_p95_latency_ms": 0}])
