"""What a funnel may be asked: the forms in which steps are said, and every sentence on what contradicts what, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import ibis
import pytest

from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.steps import (
    Exclusion,
    Rules,
    Step,
    as_exclusion,
    as_step,
    asked_of,
    checked_log,
    checked_rules,
    is_step,
    matches,
    properties_of,
)

JAN, FEB = datetime(2026, 1, 1), datetime(2026, 2, 1)


def test_a_step_is_a_name_a_step_or_what_a_params_file_says():
    assert as_step("cart") == Step("cart", (), False) and as_step(Step("cart", (), True)) == Step("cart", (), True)
    assert as_step({"event": "cart"}) == Step("cart") and as_step({"event": "cart", "where": None}) == Step("cart")
    said = {"event": "cart", "where": {"plan": ["pro", "team"], "size": 3}, "optional": 1}
    assert as_step(said) == Step("cart", (("plan", ("pro", "team")), ("size", 3)), True)


def test_an_exclusion_takes_the_user_out_unless_it_is_said_to_block():
    assert as_exclusion("refund") == as_exclusion({"event": "refund"}) == Exclusion("refund", (), "remove_user")
    assert as_exclusion(Exclusion("refund", (), "block_progress")).effect == "block_progress"
    said = {"event": "refund", "where": {"plan": ["pro"]}, "effect": "block_progress"}
    assert as_exclusion(said) == Exclusion("refund", (("plan", ("pro",)),), "block_progress")


def test_the_rules_keep_what_was_asked_and_say_what_was_not():
    assert checked_rules(steps=["a", "b"], window=None) == Rules(
        (Step("a"), Step("b")), (), None, "ordered", "any", "user_id", None, None, "first_touch", "counts", None
    )
    steps = ["a", Step("b", (("x", 1),), True), {"event": "c", "where": {"y": 2}}]
    asked = checked_rules(
        steps=steps, window="7d", entry="first", by="device", exclusions=[{"event": "d", "where": {"z": 3}}], hold_constant="h",
        breakdown="s", attribution=3, same_instant="does_not_count", entered=(datetime(2026, 1, 1, tzinfo=UTC), FEB),
    )  # fmt: skip
    assert asked.required == [1, 3] and asked.entered == (JAN, FEB) and asked.exclusions[0].effect == "remove_user"
    assert asked[3:10] == ("ordered", "first", "device", "h", "s", 3, "does_not_count") and asked.window == "7d"
    assert properties_of(asked) == ["x", "y", "z", "h", "s"]
    empty = checked_rules(steps=["a", "b"], window="1d", hold_constant="", breakdown="")
    assert (empty.hold_constant, empty.breakdown) == (None, None)


SENTENCES = [
    ({"steps": "a"}, "steps='a': must be a list of names; write ['a'] for one"),
    ({"steps": 7}, "steps=7: must be a list of names; write [7] for one"),
    ({"exclusions": "x"}, "exclusions='x': must be a list of names; write ['x'] for one"),
    ({"steps": ["a", 2]}, "steps: 2 is no event name; write text, or Step(...) with filters"),
    ({"exclusions": [None]}, "exclusions: None is no event name; write text, or Step(...) with filters"),
    ({"steps": ["a"]}, "steps=['a']: a funnel needs at least two steps that are not optional; name another event"),
    ({"mode": "loose"}, "mode='loose': must be one of 'ordered', 'strict', 'any_order', 'strict_order'; choose one"),
    ({"entry": "last"}, "entry='last': must be one of 'any', 'first'; choose one"),
    ({"same_instant": "x"}, "same_instant='x': must be one of 'counts', 'does_not_count'; choose one"),
    (
        {"steps": ["a", "b", Step("c", is_optional=True)]},
        "steps=['a', 'b', 'c']: the first and the last step cannot be optional; make them required or leave them out",
    ),
    (
        {"steps": [Step("a", is_optional=True), "b", "c"]},
        "steps=['a', 'b', 'c']: the first and the last step cannot be optional; make them required or leave them out",
    ),
    (
        {"mode": "strict", "steps": ["a", Step("b", is_optional=True), "c"]},
        "mode='strict': optional steps need an order with room between steps; use mode='ordered' or drop the optional steps",
    ),
    (
        {"mode": "any_order", "exclusions": ["x"]},
        "mode='any_order': has no last step to exclude events before, so exclusions say nothing; use mode='ordered' or drop the exclusions",
    ),
    (
        {"mode": "strict", "exclusions": ["x"]},
        "mode='strict': already excludes every other event, so exclusions say nothing; use mode='ordered' or drop the exclusions",
    ),
    (
        {"mode": "strict_order", "hold_constant": "h"},
        "mode='strict_order': is ClickHouse's rule, which holds no property constant; use mode='strict' or 'ordered'",
    ),
    (
        {"mode": "any_order", "steps": ["a", "b", "a"]},
        "mode='any_order': a step is named twice, which has no meaning without an order; name it once or use mode='ordered'",
    ),
    (
        {"mode": "any_order", "same_instant": "does_not_count"},
        "same_instant='does_not_count': says nothing where any order counts; use mode='ordered' or same_instant='counts'",
    ),
    (
        {"mode": "any_order", "breakdown": "s", "attribution": "last_touch"},
        "attribution='last_touch': steps without an order have no last or k-th one; use attribution='first_touch'",
    ),
    (
        {"exclusions": [Exclusion("x", (), "stop")]},
        "exclusions='x': effect='stop' must be 'remove_user' or 'block_progress'; choose one",
    ),
    ({"exclusions": ["b"]}, "exclusions='b': is a step too, so nobody could pass it; take it out of one of the two"),
    *(
        (
            {"attribution": wrong},
            f"attribution={wrong!r}: must be 'first_touch', 'last_touch' or a step number from 1 to 2; choose one",
        )
        for wrong in (0, 3, -1, True, "middle", 1.0)
    ),
    ({"entered": (FEB, JAN)}, f"entered={(FEB, JAN)!r}: the start must come before the end; swap them"),
    ({"entered": (JAN, JAN)}, f"entered={(JAN, JAN)!r}: the start must come before the end; swap them"),
]


@pytest.mark.parametrize(("asked", "sentence"), SENTENCES)
def test_what_contradicts_itself_is_refused_with_argument_value_rule_and_remedy(asked, sentence):
    with pytest.raises(ValueError) as refused:
        checked_rules(**{"steps": ["a", "b"], "window": "1d", **asked})
    assert str(refused.value) == sentence


def test_an_instant_of_entry_is_refused_by_its_own_name():
    with pytest.raises(ValueError, match="^entered='2026-01-01': must be a datetime in UTC"):
        checked_rules(steps=["a", "b"], window="1d", entered=("2026-01-01", FEB))


@pytest.mark.parametrize(
    "asked",
    [
        {"attribution": 1}, {"attribution": 2}, {"attribution": "last_touch"}, {"exclusions": [Exclusion("x")]}, {"exclusions": ("x", "y")},
        {"mode": "strict_order"}, {"mode": "strict", "hold_constant": "h"}, {"mode": "any_order", "breakdown": "s"},
        {"mode": "any_order", "attribution": "last_touch"}, {"exclusions": [Exclusion("b", (("p", 1),))]},
        {"mode": "any_order", "steps": ["a", Step("a", (("p", 1),))]}, {"steps": ["a", "a"]}, {"entered": None},
    ],
)  # fmt: skip
def test_what_only_looks_like_a_contradiction_is_taken(asked):
    assert checked_rules(**{"steps": ["a", "b"], "window": "1d", **asked}).steps


def events(*rows: dict) -> ibis.Table:
    usual = {"user_id": "u", "event_name": "a", "event_at": JAN, "properties": '{"p": "1", "n": 2}'}
    return ibis.memtable([usual | row for row in rows])


def test_a_log_without_the_columns_or_names_of_the_rules_is_no_answer():
    rules = checked_rules(steps=["a", "b"], window="1d", exclusions=["c"], hold_constant="p", breakdown="absent")
    with pytest.raises(ValueError, match="^events: has no column 'event_at'"):
        checked_log(events({}).drop("event_at"), rules)
    with pytest.raises(ValueError, match="^by='user_id': is no column of the table"):
        checked_log(events({}).drop("user_id"), rules)
    table, why = checked_log(events({}, {"event_name": "b"}), rules)
    assert why == "event 'c': does not occur in the log; there are a, b" and {"p", "absent"} <= set(table.columns)
    table, why = checked_log(events({}, {"event_name": "b"}, {"event_name": "c"}), rules)
    assert why.startswith("property 'absent': is neither a column nor a key of `properties` in the log; ")
    known = rules._replace(breakdown="n")
    table, why = checked_log(events({}, {"event_name": "b"}, {"event_name": "c"}), known)
    assert why is None and table.columns == events({}).columns


def test_a_filter_takes_one_value_or_several_and_an_absent_property_passes_none():
    log = events({}, {"properties": '{"p": "2"}'}, {"properties": "{}"}, {"event_name": "b"}, {"event_name": None})

    def hits(*filters) -> list[bool]:
        return matches(log, "a", filters).name("hit").execute().tolist()

    assert hits() == [True, True, True, False, False]
    assert hits(("p", "1")) == [True, False, False, False, False]
    assert hits(("p", ("1", "2"))) == hits(("p", {"1", "2"})) == [True, True, False, False, False]
    assert hits(("p", "1"), ("n", 2)) == hits(("n", 2)) == [True, False, False, False, False]
    assert hits(("p", ())) == [False] * 5


@pytest.mark.parametrize("mode", ["ordered", "strict", "any_order", "strict_order"])
def test_a_funnel_asks_the_log_for_names_and_what_only_properties_tell(mode):
    """Hand count: of a, b (with p = 2), x and z the strict modes must see z too, and x is excluded."""
    log = events({}, {"event_name": "b", "properties": '{"p": "2"}'}, {"event_name": "x"}, {"event_name": "z"})
    barred = ["x"] if mode == "ordered" else []
    rules = checked_rules(steps=["a", Step("b", (("p", "2"),))], window=None, mode=mode, exclusions=barred)
    fold = ChainFold(log, rules, observed_through=FEB)
    assert list(fold.columns) == ["event"] and list(fold.flags) == ["2", "is_read"]
    assert fold.flags["2"].name("hit").execute().tolist() == [False, True, False, False]
    if mode.startswith("strict"):
        assert fold.flags["is_read"] is None
    else:
        assert fold.flags["is_read"].name("hit").execute().tolist() == [True, True, mode == "ordered", False]
    fold.needs_next = True
    assert fold.flags["is_read"] is None
    held = ChainFold(log, rules._replace(hold_constant="p", breakdown="n"), observed_through=FEB)
    assert list(held.columns) == ["event", "held", "segment"]
    assert held.columns["held"].name("held").execute().tolist() == ["1", "2", "1", "1"]


def test_a_unit_is_a_column_or_the_pair_of_user_and_clients_session():
    log = events({"session_id": "s/1", "unit": "x"})
    assert units_of(log, "user_id") == (log, "user_id")
    table, name = units_of(log, "session_id")
    assert name == "unit_" and table["unit_"].execute().tolist() == ["u/s/1"]
    dated = ibis.memtable([{"user_id": "u", "event_at": JAN.date()}])
    assert units_of(dated, "user_id")[0].event_at.type().is_timestamp()


def test_a_question_about_steps_needs_event_names_only_where_a_step_is_named():
    log = events({}, {"user_id": None})
    table, why = asked_of(log.drop("event_name"), [None], ["p"])
    assert why is None and is_step(table, None).execute().tolist() == [True, False]
    with pytest.raises(ValueError, match="^events: has no column 'event_name'"):
        asked_of(log.drop("event_name"), [None, "a"], [])
    assert asked_of(log, ["a", Step("a", (("p", "1"),))], ["n"])[1] is None
    table, why = asked_of(log, ["b", Step("a", (("gone", "1"),))], ["other"])
    assert why == "event 'b': does not occur in the log; there are a" and {"gone", "other"} <= set(table.columns)
    assert asked_of(log, [Step("a", (("gone", "1"),))], [])[1].startswith("property 'gone': ")
    assert is_step(log, "a").execute().tolist() == is_step(log, Step("a", (("p", "1"),))).execute().tolist()
    assert is_step(log, "a").execute().tolist() == [True, False]
    for needed in ("user_id", "event_at"):
        with pytest.raises(ValueError, match=f"^events: has no column '{needed}'"):
            asked_of(log.drop(needed), [None], [])
