"""Request bodies are hostile. Expected outcomes: the JSON standard (RFC 8259) as JSONTestSuite reads it, and hand counts."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
import zlib
from pathlib import Path

import pytest

from launchpad_lib.spool.records import opened
from tests.collecting import CLIENT, ROOT, Collector, event, running, spooled

SUITE = ROOT / "data/sample/json_test_suite/test_parsing.tar.gz"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory):
    with running(tmp_path_factory.mktemp("spool")) as started:
        yield started


def suite(kind: str) -> dict[str, bytes]:
    with tarfile.open(SUITE) as archive:
        names = [m for m in archive.getmembers() if Path(m.name).name.startswith(f"{kind}_")]
        return {Path(m.name).stem: archive.extractfile(m).read() for m in names}


def wrapped(name: str, text: bytes) -> bytes:
    """The text, byte for byte, as a property of an event that is good otherwise."""
    head = json.dumps(event(event_id=name) | {"properties": None}).removesuffix("null}")
    return head.encode() + b'{"text":' + text + b"}}"


def ids(collector: Collector) -> set[str]:
    return {e["event_id"] for e in spooled(collector.spool)}


def test_every_valid_text_of_the_suite_is_accepted_and_read_back_equal(collector: Collector):
    texts = suite("y")
    assert len(texts) == 95
    for name, text in texts.items():
        reply = collector.post(b"[" + wrapped(name, text) + b"]")
        assert (reply.status_code, reply.json()["accepted"]) == (202, 1), (name, reply.text)
    kept = {e["event_id"]: e["properties"]["text"] for e in spooled(collector.spool) if e["event_id"] in texts}
    assert kept == {name: json.loads(text) for name, text in texts.items()}


@pytest.mark.parametrize("framing", ["alone", "between", "lines"])
def test_every_invalid_text_of_the_suite_is_refused_with_a_reason(collector: Collector, framing: str):
    texts = suite("n")
    assert len(texts) == 188
    for number, (name, text) in enumerate(texts.items()):
        bad = wrapped(f"{framing}-{name}", text)
        before, after = (
            json.dumps(event(event_id=f"{framing}-{place}-{number}")).encode() for place in ("before", "after")
        )
        if framing == "alone":
            reply = collector.post(b"[" + bad + b"]")
        elif framing == "between":
            reply = collector.post(b"[" + before + b"," + bad + b"," + after + b"]")
        else:
            reply = collector.post(b"\n".join([before, bad, after]), content_type="application/x-ndjson")
        answer = reply.json()
        assert answer["refused"] and all(r["reason"] for r in answer["refused"]), name
        # The event before the bad one is never lost; the one after it neither, when each line stands for itself.
        assert answer["accepted"] >= {"alone": 0, "between": 1, "lines": 2}[framing], (name, answer)
    assert not {i for i in ids(collector) if i.startswith(f"{framing}-n_")}


def test_the_texts_that_may_go_either_way_neither_crash_it_nor_spoil_the_spool(collector: Collector):
    texts = suite("i")
    assert len(texts) == 35
    for name, text in texts.items():
        answer = collector.post(b"[" + wrapped(name, text) + b"]").json()
        assert answer["accepted"] == 1 or answer["refused"][0]["reason"], name
    assert collector.process.poll() is None
    for segment in collector.spool.glob("*.ndjson"):
        for line in segment.read_bytes().rstrip(b"\n").split(b"\n"):
            json.loads((opened(line) or b"damaged").decode("utf-8", "strict"))


def test_one_bad_event_never_refuses_its_batch(collector: Collector):
    good = [event(n, event_id=f"good{n}") for n in range(4)]
    bad = [
        b'{"event_id":"nan","value":NaN}',
        b'{"event_id": "open", "x": [1,}',
        b"\xff\xfe",
        json.dumps(event(event_id="no-user", user_id=None)).encode(),
    ]
    pieces = [piece for pair in zip([json.dumps(g).encode() for g in good], bad, strict=True) for piece in pair]
    answer = collector.post(b"[" + b",".join(pieces[:2] + pieces[4:]) + b"]").json()
    assert answer["accepted"] == 3
    assert [r["index"] for r in answer["refused"]] == [1, 3, 5]
    assert {"good0", "good2", "good3"} <= ids(collector)
    lines = collector.post(b"\n".join(pieces), content_type="application/x-ndjson; charset=utf-8").json()
    assert lines["accepted"] == 4
    assert [(r["index"], r.get("event_id")) for r in lines["refused"]] == [
        (1, None),
        (3, None),
        (5, None),
        (7, "no-user"),
    ]


def test_bad_utf8_inside_properties_is_refused_though_its_neighbours_are_kept(collector: Collector):
    bad = json.dumps(event(event_id="utf8", properties={"a": "X"})).encode().replace(b"X", b"\xc3\x28")
    answer = collector.post(b"[" + json.dumps(event(event_id="by-utf8")).encode() + b"," + bad + b"]").json()
    assert answer["accepted"] == 1
    assert "UTF-8" in answer["refused"][0]["reason"]


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "01", "1.", "+1", "9" * 5000]
)
def test_numbers_that_json_or_a_double_cannot_hold_are_refused(collector: Collector, number: str):
    answer = collector.post(b"[" + wrapped("number", number.encode()) + b"]").json()
    assert answer["accepted"] == 0 and answer["refused"][0]["reason"]


def test_a_whole_number_beyond_64_bits_is_kept_digit_by_digit(collector: Collector):
    number = 10**40 + 7
    assert collector.post([event(event_id="big", properties={"n": number})]).json()["accepted"] == 1
    assert [e["properties"]["n"] for e in spooled(collector.spool) if e["event_id"] == "big"] == [number]


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00\\ud800"', '{"\\ud834": 1}'])
def test_lone_surrogates_are_refused(collector: Collector, text: str):
    answer = collector.post(b"[" + wrapped("surrogate", text.encode()) + b"]").json()
    assert answer["accepted"] == 0 and answer["refused"][0]["reason"]


@pytest.mark.parametrize(("depth", "accepted"), [(62, 1), (63, 0), (900, 0), (20_000, 0)])
def test_deep_nesting_is_refused_beyond_64_levels(collector: Collector, depth: int, accepted: int):
    # properties is level 1, its value is level 2: 62 more arrays inside make 64.
    text = b"[" * (depth + 1) + b"]" * (depth + 1)
    answer = collector.post(b"[" + wrapped(f"depth{depth}", text) + b"]").json()
    assert answer["accepted"] == accepted
    assert accepted or "64 levels" in answer["refused"][0]["reason"]


def test_of_a_doubled_key_the_last_one_counts(collector: Collector):
    assert collector.post(b"[" + wrapped("doubled", b'{"a":1,"a":2}') + b"]").json()["accepted"] == 1
    assert [e["properties"]["text"] for e in spooled(collector.spool) if e["event_id"] == "doubled"] == [{"a": 2}]


def test_a_compression_bomb_is_stopped_at_the_limit(collector: Collector):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"[" + b" " * 10_000_000) for _ in range(12)) + packer.flush()
    assert len(bomb) < 1024 * 1024
    started = time.monotonic()
    reply = collector.post(bomb, content_encoding="gzip")
    assert reply.status_code == 413 and "unpacks" in reply.json()["error"]
    assert time.monotonic() - started < 30  # a slow form takes minutes; a busy machine does not take this long
    nested = gzip.compress(gzip.compress(b" " * 1000))
    assert collector.post(nested, content_encoding="gzip").status_code == 400


def test_gzip_is_accepted_and_broken_gzip_is_named(collector: Collector):
    good = gzip.compress(json.dumps([event(event_id="packed")]).encode())
    assert collector.post(good, content_encoding="gzip").json()["accepted"] == 1
    assert collector.post(good[:-9], content_encoding="gzip").status_code == 415
    assert collector.post(b"nothing", content_encoding="gzip").status_code == 415
    assert collector.post(b"nothing", content_encoding="br").status_code == 415


def test_every_member_of_a_gzip_body_is_read_and_all_count_towards_the_limit(collector: Collector):
    two = gzip.compress(b"[" + json.dumps(event(event_id="member1")).encode() + b",") + gzip.compress(
        json.dumps(event(event_id="member2")).encode() + b"]"
    )
    assert collector.post(two, content_encoding="gzip").json()["accepted"] == 2
    assert collector.post(gzip.compress(b"[" + b" " * 600_000) * 2, content_encoding="gzip").status_code == 413
    assert collector.post(two + b"tail", content_encoding="gzip").status_code == 415


def test_sizes_have_limits(collector: Collector):
    assert collector.post(b" " * (1024 * 1024 + 1)).status_code == 413
    large = collector.post(
        [event(event_id="large", properties={"t": "x" * 70_000}), event(event_id="beside-large")]
    ).json()
    assert large["accepted"] == 1 and "65,536" in large["refused"][0]["reason"]
    assert collector.post(b"[" + b",".join([b"{}"] * 6000) + b"]").status_code == 413


def test_a_chunked_body_without_length_is_limited_too(collector: Collector):
    chunks = (b" " * 100_000 for _ in range(20))
    assert CLIENT.post(f"{collector.url}/v1/events", content=chunks).status_code == 413


@pytest.mark.parametrize("body", [b"", b"  ", b"null", b"1", b'"text"', b"<xml/>", b"a=1&b=2"])
def test_a_body_without_events_is_a_400_with_a_reason(collector: Collector, body: bytes):
    reply = collector.post(body)
    assert reply.status_code == 400 and reply.json()["refused"][0]["reason"]


def test_slow_to_cut_bodies_are_cut_in_linear_time(collector: Collector):
    for body in (
        b'["' + b'\\"' * 500_000,
        b"[" + b'{"a":"' * 150_000,
        b"[" * 1_000_000,
        b"[" + b"]" * 1_000_000,
        b"{" * 1_000_000,
    ):
        started = time.monotonic()
        assert collector.post(body).status_code in (202, 400, 413)
        assert time.monotonic() - started < 30  # a slow form takes minutes; a busy machine does not take this long
