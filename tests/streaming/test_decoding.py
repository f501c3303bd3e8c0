"""Events judged one by one and as a block; expected values are hand counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.ingestion.stream import decoding
from launchpad_lib.ingestion.stream.decoding import Block, Decoded

GOOD = {"event_id": "e1", "event_name": "quiz_started", "user_id": "u1", "event_at": "2026-01-05T10:00:00.5Z"}


NOW = datetime(2026, 2, 1, tzinfo=UTC)


def decode(block: Block) -> Decoded:
    return decoding.decode(block, moment=NOW)


def line(**changes: object) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | changes).items() if v is not ...}).encode()


def block(*payloads: bytes, is_envelope: bool = False, received_us: int | None = None) -> Block:
    times = None if received_us is None else lambda: [received_us] * len(payloads)
    return Block("0", len(payloads), list(payloads), list(range(len(payloads))), [is_envelope] * len(payloads), times)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (line(event_id=...), "event_id is missing"),
        (line(event_id=""), "event_id is missing"),
        (line(user_id=" \u200b "), "user_id is missing"),
        (line(user_id=True), "user_id: a boolean is not a text"),
        (line(user_id=7.5), "user_id: 7.5 is no id"),
        (line(user_id="NULL"), "user_id: NULL stands for nobody known"),
        (line(event_id="x" * 300), "event_id has 300 characters: at most 256 are taken"),
        (line(event_at="yesterday"), "event_at: yesterday is not a timestamp"),
        (line(event_at="9/12/17"), "event_at: 9/12/17 is not a timestamp"),
        (line(event_at="epoch"), "event_at: epoch is not a timestamp"),
        (line(event_at="2026-01-05T10:00:00"), "states no time zone"),
        (line(event_at="0000-12-31T23:59:59Z"), "is not a timestamp"),
        (line(event_at="2026-01-09T00:00:00Z", received_at="2026-01-07T00:00:00Z"), "more than a day ahead"),
        (line(event_at="2026-02-03T00:00:00Z"), "more than a day ahead"),
        (line(event_at="2026-02-03T00:00:00Z", received_at="2099-01-01T00:00:00Z"), "more than a day ahead"),
        (line(received_at="then"), "received_at: then is not a timestamp"),
        (line(properties=[1]), "properties is not a JSON object"),
        (line(properties=[1], extra=1), "properties is not a JSON object"),
        (line(properties={"quiz_id": 7}), "properties.quiz_id of quiz_started: a number is not a text"),
        (line()[:-1], "not valid: "),
        (line() + b"x", "not valid: Extra data"),
        (line() + b" " + line(), "not valid: Extra data"),
        (b"", "the record is empty"),
        (b"null", "not a JSON object"),
        (b"[" * 100_000, "nests deeper than 64 levels"),
        (b'{"properties":' + b"[" * 100_000, "nests deeper than 64 levels"),
        (line(properties=json.loads('{"a":' * 65 + "1" + "}" * 65)), "nests deeper"),
        (line().replace(b"u1", b"\xff"), "not UTF-8"),
        (line(properties={"a": "b"}).replace(b'"b"', b'"\xff"'), "not UTF-8"),
        (line(properties={"a": "b"}).replace(b'"b"', b"NaN"), "NaN is not JSON"),
        (line(properties={"a": "b"}).replace(b'"b"', b"1e400"), "too large"),
        (line(properties={"a": "b"}).replace(b'"b"', b'"\\ud800"'), "half of a surrogate pair"),
        (line(properties={"a": "x" * 65_529}), "properties has 65,537 bytes: at most 65,536"),
        (line(properties={"a": "x" * 1_100_000}), "properties has 1,100,008 bytes"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_its_neighbours_are_kept(payload, reason):
    found = decode(block(line(event_id="a"), payload, line(event_id="b")))
    assert found.rows["event_id"].to_pylist() == ["a", "b"]
    assert [(r.offset, reason in r.reason) for r in found.refused] == [(1, True)], found.refused
    assert len(found.refused[0].raw) <= 65_536 * 4


def test_keys_that_are_no_column_move_into_properties():
    row = decode(block(line(plan="pro", properties={"a": 1, "plan": "free"}))).rows.to_pylist()[0]
    assert row["properties"] == '{"a":1,"plan":"free","event.plan":"pro"}', (
        "a property stays, the key is kept beside it"
    )
    assert decode(block(line(plan="pro", properties=None))).rows["properties"].to_pylist() == ['{"plan":"pro"}']
    assert decode(block(line(properties=None))).rows["properties"].to_pylist() == ["{}"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user_id": 1234567.0}, {"user_id": "1234567"}),
        ({"user_id": 12345678901234567890123}, {"user_id": "12345678901234567890123"}),
        ({"user_id": "\u00a0ü "}, {"user_id": "ü"}),
        ({"country": " "}, {"country": None}),
        ({"app_version": 2.5}, {"app_version": "2.5"}),
        ({"event_at": "20260105T100000.5Z"}, {}),
        ({"event_at": "2026-01-05T12:00:00.5000009+02"}, {}),
        ({"event_at": "1999-12-31T23:59:59Z"}, {"event_at": datetime(1999, 12, 31, 23, 59, 59)}),
        ({"event_at": "0001-01-01T00:00:00Z"}, {"event_at": datetime(1, 1, 1)}),
        ({"properties": {"a": "x" * 65_528}}, {}),
        ({"properties": json.loads('{"a":' * 64 + "1" + "}" * 64)}, {}),
    ],
)
def test_what_is_in_doubt_and_good_is_taken(changes, expected):
    kept = decode(block(line(event_id="a"), line(**changes), line(event_id="b"))).rows.to_pylist()
    assert len(kept) == 3
    plain = {"user_id": "u1", "event_at": datetime(2026, 1, 5, 10, 0, 0, 500000)}
    assert {k: kept[1][k] for k in plain | expected} == plain | expected


def test_properties_are_stored_as_one_text_whatever_they_were_written_like():
    text = b'{ "b": 1.50, "a": [ 1, 1e2 ], "b": "\\u0041\\/" }'
    kept = decode(block(line(properties=None).replace(b"null", text))).rows["properties"].to_pylist()
    assert kept == ['{"b":"A/","a":[1,100.0]}']


def test_each_row_and_each_refused_event_knows_its_place():
    """GOOD as `line()` has 126 bytes with its line feed when its id has two characters."""
    size = len(line(event_id="aa")) + 1
    spool = b"".join(x + b"\n" for x in (line(event_id="aa"), line(event_id="bb", user_id=None), line(event_id="cc")))
    for payload, bad in ((spool, [1]), (spool.replace(b"null", b'"u1"'), [])):
        found = decode(Block("w", 0, [payload], [1000], [True], None, is_bytewise=True))
        places = [1000, 1000 + size, 1000 + size + len(line(event_id="bb", user_id=None if bad else "u1")) + 1]
        assert found.offsets().tolist() == [p for i, p in enumerate(places) if i not in bad]
        assert [r.offset for r in found.refused] == [places[i] for i in bad]
    envelopes = block(line() + b"\n" + line(), line(), is_envelope=True)
    assert decode(envelopes).offsets().tolist() == [0, 0, 1]


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
