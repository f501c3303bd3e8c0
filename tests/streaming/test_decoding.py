"""Events judged one by one and as a block; expected values are hand counts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.ingestion.stream.decoding import Block, decode

GOOD = {"event_id": "e1", "event_name": "quiz_started", "user_id": "u1", "event_at": "2026-01-05T10:00:00.5Z"}


def line(**changes: object) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | changes).items() if v is not ...}).encode()


def block(*payloads: bytes, is_envelope: bool = False, received_us: int | None = None) -> Block:
    times = None if received_us is None else [received_us] * len(payloads)
    return Block("0", len(payloads), list(payloads), list(range(len(payloads))), [is_envelope] * len(payloads), times)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (line(event_id=...), "missing required field `event_id`"),
        (line(event_id=""), "length >= 1"),
        (line(user_id=7), "Expected `str`, got `int`"),
        (line(event_at="yesterday"), "event_at: yesterday is not an ISO-8601 instant"),
        (line(event_at="2026-01-05T10:00:00"), "with a time zone"),
        (line(event_at="1999-12-31T23:59:59Z"), "before 2000-01-01"),
        (
            line(event_at="2026-01-09T00:00:00Z", received_at="2026-01-07T00:00:00Z"),
            "more than a day after received_at",
        ),
        (line(properties=[1]), "properties is not a JSON object"),
        (line(properties=[1], extra=1), "properties is not a JSON object"),
        (line()[:-1], "truncated"),
        (line() + b"x", "trailing characters"),
        (line() + b" " + line(), "trailing characters"),
        (b"", "the record is empty"),
        (b"null", "Expected `object`, got `null`"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"properties":' + b"[" * 100_000, "nested too deeply"),
        (line().replace(b"u1", b"\xff"), "not UTF-8"),
        (line(properties={"a": "b"}).replace(b'"b"', b'"\xff"'), "not UTF-8"),
        (line(properties={"a": "b"}).replace(b'"b"', b"NaN"), "invalid"),
        (line(properties={"a": "x" * 1_100_000}), "more than 1,048,576"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_its_neighbours_are_kept(payload, reason):
    found = decode(block(line(event_id="a"), payload, line(event_id="b")))
    assert found.rows["event_id"].to_pylist() == ["a", "b"]
    assert [(r.offset, reason in r.reason) for r in found.refused] == [(1, True)], found.refused
    assert len(found.refused[0].raw) <= 65_536 * 4


def test_keys_that_are_no_column_move_into_properties():
    row = decode(block(line(plan="pro", properties={"a": 1, "plan": "free"}))).rows.to_pylist()[0]
    assert json.loads(row["properties"]) == {"a": 1, "plan": "pro"}
    assert decode(block(line(plan="pro", properties=None))).rows["properties"].to_pylist() == ['{"plan":"pro"}']
    assert decode(block(line(properties=None))).rows["properties"].to_pylist() == ["{}"]


def test_a_missing_received_at_is_when_the_record_reached_the_source_and_event_at_where_that_is_unknown():
    at_us = 1_767_607_200_000_000  # 2026-01-05T10:00:00Z
    assert str(decode(block(line(), received_us=at_us)).rows["received_at"][0]) == "2026-01-05 10:00:00"
    assert str(decode(block(line())).rows["received_at"][0]) == "2026-01-05 10:00:00.500000"
    assert str(decode(block(line(event_at="2026-01-05T12:00:00+02:00"))).rows["event_at"][0]) == "2026-01-05 10:00:00"


def test_one_bad_event_of_an_envelope_names_its_place_and_the_others_are_kept():
    envelope = b"\n".join([line(event_id="a"), b"{}", line(event_id="b")])
    found = decode(block(line(event_id="z"), envelope, is_envelope=True))
    assert found.rows["event_id"].to_pylist() == ["z", "a", "b"]
    assert [(r.offset, r.reason.split(":")[0]) for r in found.refused] == [(1, "event 2 of the record")]


PIECES = [
    line(event_id="a"), line(event_id="b", x=1), line(event_at="no"), line(properties=3), b"", b"  ", b"{}", line() + line(), line(event_id="c") + b"\n",
    b"\n", line() + b"\n" + line(),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.booleans())
def test_an_event_is_judged_the_same_whatever_stands_beside_it(payloads, is_envelope):
    together = decode(block(*payloads, is_envelope=is_envelope))
    alone = [decode(block(p, is_envelope=is_envelope)) for p in payloads]
    assert sorted(together.rows["event_id"].to_pylist()) == sorted(
        i for d in alone for i in d.rows["event_id"].to_pylist()
    )
    assert sorted((r.reason, r.raw) for r in together.refused) == sorted(
        (r.reason, r.raw) for d in alone for r in d.refused
    )
