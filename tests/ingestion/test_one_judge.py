"""The same event by every door: file (JSON lines, CSV, Parquet), spool to stream, collector to spool to stream, SDK to collector to stream.

Real parts throughout: the collector is its ASGI app, the spool is on the disk, the stream worker and the file sink write real lakes. Expected
verdicts of the listed events are by hand from the rules in decision 0014; of the generated ones every door is held to the first.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from launchpad_lib.collector import Settings, create_app
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.ingestion.stream.sink import StreamSink
from launchpad_lib.ingestion.stream.spool_source import SpoolSource
from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
from launchpad_lib.tracking import Tracker
from tests.streaming.test_spool_to_lake import Quiet

GOOD = {"event_id": "?", "event_name": "page_viewed", "user_id": "u1", "event_at": "2026-01-05T10:00:00.5Z"}
COLUMNS = (
    "event_name",
    "user_id",
    "session_id",
    "event_at",
    "feature_id",
    "properties",
    "platform",
    "app_version",
    "country",
)
SLIDER = {"event_name": "slider_adjusted"}


def deep(levels: int) -> dict:
    return json.loads('{"a":' * levels + "1" + "}" * levels)


NOT_A_TIMESTAMP = "is not a timestamp such as 2026-01-31T09:30:00Z; a file's mapping may state `units` or `formats`"
CUT = "is a number whose last digits are lost; export the id as text"
NOBODY = "stands for nobody known; send the user's id, or an own id per unknown user"
# What is changed of GOOD, and the reason; None where it is taken.
LISTED: list[tuple[dict, str | None]] = [
    ({}, None),
    ({"event_at": "1999-12-31T23:59:59Z"}, None),
    ({"event_at": "0001-01-01T00:00:00Z"}, None),
    ({"event_at": "0000-01-01T00:00:00Z"}, f"event_at: 0000-01-01T00:00:00Z {NOT_A_TIMESTAMP}"),
    ({"event_at": "9/12/17"}, f"event_at: 9/12/17 {NOT_A_TIMESTAMP}"),
    ({"event_at": "17-09-12"}, f"event_at: 17-09-12 {NOT_A_TIMESTAMP}"),
    ({"event_at": "epoch"}, f"event_at: epoch {NOT_A_TIMESTAMP}"),
    ({"event_at": "infinity"}, f"event_at: infinity {NOT_A_TIMESTAMP}"),
    ({"event_at": "2026-01-05T24:00:00Z"}, f"event_at: 2026-01-05T24:00:00Z {NOT_A_TIMESTAMP}"),
    ({"event_at": "2026-02-30T10:00:00Z"}, f"event_at: 2026-02-30T10:00:00Z {NOT_A_TIMESTAMP}"),
    ({"event_at": "1767225600"}, f"event_at: 1767225600 {NOT_A_TIMESTAMP}"),
    ({"event_at": 1767225600000}, f"event_at: 1767225600000 {NOT_A_TIMESTAMP}"),
    ({"event_at": "20260105T100000,5Z"}, None),
    ({"event_at": "2026-01-05 12:00:00.500000999+02:00"}, None),
    ({"event_at": "2026-01-05T10:00:00 UTC"}, None),
    ({"event_at": "2026-01-05T02:00:00 America/New_York"}, None),
    ({"event_at": "2026-01-05t10:00z"}, None),
    ({"event_at": " 2026-01-05T10:00:00Z "}, None),
    ({"event_at": None}, "event_at is missing"),
    ({"event_at": "2030-01-01T00:00:00Z"}, "event_at: 2030-01-01T00:00:00Z is more than a day ahead of when it was received"),
    ({"user_id": None}, "user_id is missing"),
    ({"user_id": " \u3000\u200b"}, "user_id is missing"),
    ({"user_id": "undefined"}, f"user_id: undefined {NOBODY}"),
    ({"user_id": " (Not Set) "}, f"user_id: (Not Set) {NOBODY}"),
    ({"user_id": "NULL"}, f"user_id: NULL {NOBODY}"),
    ({"user_id": "00000000-0000-0000-0000-000000000000"}, f"user_id: 00000000-0000-0000-0000-000000000000 {NOBODY}"),
    ({"user_id": "0"}, None),
    ({"user_id": 1234567}, None),
    ({"user_id": 1234567.0}, None),
    ({"user_id": 12345678901234567890}, None),
    ({"user_id": "1234567.0x"}, None),
    ({"user_id": "1.23457E+11"}, f"user_id: 1.23457E+11 {CUT}"),
    ({"user_id": " 1E+11 "}, f"user_id: 1E+11 {CUT}"),
    ({"session_id": "-1.5e+9"}, f"session_id: -1.5e+9 {CUT}"),
    ({"session_id": "12e34"}, None),
    ({"user_id": "a+b@example.org"}, None),
    ({"user_id": "2E+5F"}, None),
    ({"platform": "1E+11"}, None),
    ({"user_id": "a\u0000\ufffeb"}, None),
    ({"user_id": "  ünï 😀 "}, None),
    ({"user_id": "x" * 256}, None),
    ({"user_id": "x" * 300}, "user_id has 300 characters: at most 256 are taken"),
    ({"session_id": "ü" * 257}, "session_id has 257 characters: at most 256 are taken"),
    ({"event_name": "n" * 5000}, None),
    ({"platform": "n" * 8193}, "platform has 8,193 characters: at most 8,192 are taken"),
    ({"event_name": "\u202eمرحبا $a.b[0]'\""}, None),
    ({"event_name": " "}, "event_name is missing"),
    ({"country": ""}, None),
    ({"app_version": "2.10"}, None),
    ({"app_version": 2.5}, None),
    ({"feature_id": "true"}, None),
    ({"extra": 1, "other": None, "properties": {"extra": "own", "$b": [1, {"z": None}]}}, None),
    ({"properties": {"a": "x" * 65_529}}, "properties has 65,537 bytes: at most 65,536 are taken; send less in properties"),
    ({"properties": {"a": "x" * 100_000}}, "properties has 100,008 bytes: at most 65,536 are taken; send less in properties"),
    ({"properties": {"a": "x" * 65_528}}, None),
    ({"properties": deep(64)}, None),
    ({"properties": deep(65)}, "nests deeper than 64 levels; flatten properties"),
    ({"properties": [1]}, "properties is not a JSON object"),
    ({"properties": '{"a": 1}'}, None),
    ({"properties": "text"}, "properties is not a JSON object"),
    ({"properties": {"a": 1.50, "b": 1e16, "c": 12345678901234567890123, "d": -0.0, "é\n\u2028": "\u0001"}}, None),
    (SLIDER | {"properties": {"value": "high"}}, "properties.value of slider_adjusted: a text is not a number"),
    (SLIDER | {"properties": {"value": True}}, "properties.value of slider_adjusted: a boolean is not a number"),
    (SLIDER | {"properties": {"value": 7, "previous_value": None, "slider": "budget"}}, None),
    ({"event_name": "quiz_completed", "properties": {"interactions": 3.0}}, None),
    ({"event_name": "quiz_completed", "properties": {"interactions": 3.5}}, "properties.interactions of quiz_completed: a number is not a whole number"),
]  # fmt: skip
# JSON has types for these, a CSV has not.
LISTED_JSON: list[tuple[dict, str | None]] = [
    ({"user_id": True}, "user_id: a boolean is not a text"),
    ({"user_id": {"a": 1}}, "user_id: an object is not a text"),
    ({"user_id": 1.5}, "user_id: 1.5 is no id; an id is a text or a whole number"),
    ({"user_id": ["true"]}, "user_id: a list is not a text"),
    ({"user_id": 1.1e18}, f"user_id: 1.1e+18 {CUT}"),
    ({"session_id": 9007199254740992.0}, f"session_id: 9007199254740992.0 {CUT}"),
    ({"session_id": 9007199254740991.0}, None),
]
# A file's mapping has a time zone, so these are refused by the other doors only.
NO_ZONE = ("2026-01-05T10:00:00", "20260105", "2026-01-05")


def generated(seed: int, count: int) -> list[dict]:
    """Hostile values thrown together, so that several rules are broken at once."""
    rng = random.Random(seed)
    pool = [changes for changes, _ in LISTED + LISTED_JSON]
    return [rng.choice(pool) | rng.choice(pool) | rng.choice([{}, rng.choice(pool)]) for _ in range(count)]


class Doors:
    """Each door: events in, and of each event id its stored row or the reason."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _read(self, lake: Path, ids: list[str]) -> dict[str, object]:
        """Rows by event_id, as they are stored (an opened lake leaves out stray days); a refused row is found by the id in its raw text."""
        stored = DeltaTable(str(lake / "events")).to_pyarrow_table().to_pylist()
        found: dict[str, object] = {r["event_id"]: {k: r[k] for k in COLUMNS} for r in stored}
        has_refused = DeltaTable.is_deltatable(str(lake / "rejected"))
        for refused in DeltaTable(str(lake / "rejected")).to_pyarrow_table().to_pylist() if has_refused else []:
            found[next(i for i in ids if i in refused["raw"])] = refused["reason"]
        return found

    def file(self, events: list[dict], kind: str) -> dict[str, object]:
        place = self.root / kind
        place.mkdir()
        name = f"x.{kind}"
        if kind == "jsonl":
            (place / name).write_text("".join(json.dumps(e) + "\n" for e in events))
        else:
            names = sorted({k for e in events for k in e})
            texts = {n: [None if e.get(n) is None else self._text(e[n]) for e in events] for n in names}
            table = pa.table({n: pa.array(v, pa.string()) for n, v in texts.items()})
            write = pq.write_table if kind == "parquet" else pa_csv.write_csv
            write(table, place / name)
        spec = SourceSpec(table="events", path=name)
        ingest(spec, lake=place / "lake", ingested_at=datetime.now(UTC), root=place)
        return self._read(place / "lake", [e["event_id"] for e in events])

    @staticmethod
    def _text(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def spool(self, events: list[dict], name: str = "spool") -> dict[str, object]:
        place = self.root / name
        (place / "spool").mkdir(parents=True, exist_ok=True)
        segment = place / "spool" / "w-1-000000000000.ndjson"
        segment.write_text("".join(json.dumps(e) + "\n" for e in events))
        return self.stream(place / "spool", place / "lake", [e["event_id"] for e in events])

    def stream(self, spool: Path, lake: Path, ids: list[str]) -> dict[str, object]:
        source = SpoolSource(spool)
        settings = StreamSettings(idle_exit_seconds=0.3)
        sink = StreamSink(lake, source_name=source.name, dedupe_window=10_000)
        StreamWorker(source, sink, observer=Quiet(), settings=settings).run(lambda: False)
        return self._read(lake, ids)

    def collector(self, events: list[dict]) -> dict[str, object]:
        place = self.root / "collector"
        app = create_app(Settings(place / "spool", max_body_bytes=1 << 26))
        refused: dict[str, object] = {}

        async def send() -> None:
            transport = httpx.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://c") as c,
            ):
                for start in range(0, len(events), 20):
                    batch = events[start : start + 20]
                    answer = (await c.post("/v1/events", content=json.dumps(batch).encode())).json()
                    refused.update({batch[r["index"]]["event_id"]: r["reason"] for r in answer["refused"]})
                    assert answer["accepted"] + len(answer["refused"]) == len(batch)

        asyncio.run(send())
        stored = self.stream(place / "spool", place / "lake", [e["event_id"] for e in events])
        assert not [v for v in stored.values() if isinstance(v, str)], "what the collector took, the stream takes"
        return stored | refused

    def sdk(self, events: list[dict]) -> dict[str, object]:
        """Only what its signature can say: own columns, a time as an instant."""
        place, told, names = self.root / "sdk", [], {}
        with Tracker(None, spool=place / "spool", on_refused=lambda event, reason: told.append(reason)) as tracker:
            for event in events:
                given = {k: v for k, v in event.items() if k not in ("event_id", "event_at", "event_name")}
                at = datetime.fromisoformat(event["event_at"])
                made = tracker.track(event["event_name"], event_at=at, **given)
                names[event["event_id"]] = told[-1] if made is None else made
        stored = self.stream(place / "spool", place / "lake", list(names.values()))
        return {i: stored.get(made, made) for i, made in names.items()}


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return Doors(tmp_path)


def numbered(changes: list[dict]) -> list[dict]:
    """An id that stands in every text of the event, with a colon so that e1 is not found in e10."""
    return [GOOD | c | {"event_id": f"e{i}:"} for i, c in enumerate(changes)]


def differences(one: dict, other: dict) -> dict:
    return {i: (one.get(i), other.get(i)) for i in one if one.get(i) != other.get(i)}


@pytest.mark.parametrize("door", ["jsonl", "csv", "parquet", "spool", "collector"])
def test_every_listed_event_gets_the_verdict_of_the_rules_by_every_door(doors, door):
    listed = LISTED + (LISTED_JSON if door not in ("csv", "parquet") else [])
    if door == "csv":  # no NUL in CSV text, and no difference between "" and nothing
        listed = [(c, r) for c, r in listed if "\0" not in str(c.get("user_id"))]
    events = numbered([c for c, _ in listed])
    found = getattr(doors, door)(events) if door in ("spool", "collector") else doors.file(events, door)
    wrong = {}
    for event, (changes, reason) in zip(events, listed, strict=True):
        verdict = found[event["event_id"]]
        told = verdict if isinstance(verdict, str) else None
        if told != reason and not (door in ("csv", "parquet") and changes.get("properties") == [1]):
            wrong[str(changes)[:80]] = verdict
    assert not wrong


@pytest.mark.parametrize("seed", [20260101, 7])
def test_generated_events_get_one_verdict_one_reason_and_one_row_by_every_door(doors, seed):
    events = numbered([c for c, _ in LISTED + LISTED_JSON] + generated(seed, 400))
    by_spool = doors.spool(events)
    assert len(by_spool) == len(events)
    assert not differences(by_spool, doors.file(events, "jsonl"))
    assert not differences(by_spool, doors.collector(events))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_a_table_can_say_is_judged_as_by_the_stream(doors, kind):
    """Without objects as ids, and each property beside its type: those a table of texts cannot express."""
    said = [c for c in [c for c, _ in LISTED] + generated(3, 300) if not isinstance(c.get("properties"), list)]
    said = [
        c for c in said if not isinstance(c.get("user_id"), (bool, dict, list)) and "\0" not in str(c.get("user_id"))
    ]
    has_float = [any(isinstance(c.get(id_), float) for id_ in ("user_id", "session_id")) for c in said]
    events = numbered([c for c, is_odd in zip(said, has_float, strict=True) if "extra" not in c and not is_odd])
    assert not differences(doors.spool(events), doors.file(events, kind))


def test_the_sdk_refuses_what_the_stream_would_refuse_and_its_rows_are_the_same(doors):
    """What `track` can be given: an instant for a time; the id is its own."""
    said = [
        c
        for c, _ in LISTED
        if set(c) <= {"event_name", "user_id", "session_id", "feature_id", "properties"}
        and c.get("user_id", "u") is not None
    ]
    events = numbered([c | {"session_id": c.get("session_id", "s1")} for c in said])
    events.append(GOOD | {"event_id": "late:", "session_id": "s1", "event_at": f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"})  # fmt: skip
    assert not differences(doors.spool(events), doors.sdk(events))


def test_ids_that_floats_of_parquet_cannot_tell_apart_are_refused_and_others_are_their_digits(doors):
    """Above 2^53 a 64-bit float is as good for its neighbour: 2^60 and 2^60 + 1 are one."""
    (doors.root / "floats").mkdir()
    users = {"a:": 1234567.0, "b:": 9007199254740991.0, "c:": float(2**60), "d:": float(2**60 + 1)}
    rows = {
        "event_id": list(users),
        "event_name": ["x"] * 4,
        "user_id": list(users.values()),
        "event_at": ["2026-01-05T10:00:00Z"] * 4,
    }
    pq.write_table(pa.table(rows), doors.root / "floats/x.parquet")
    lake = doors.root / "floats/lake"
    ingest(
        SourceSpec(table="events", path="x.parquet"),
        lake=lake,
        ingested_at=datetime.now(UTC),
        root=doors.root / "floats",
    )
    found = doors._read(lake, list(users))
    assert (found["a:"]["user_id"], found["b:"]["user_id"]) == ("1234567", "9007199254740991")
    assert found["c:"] == found["d:"] == f"user_id: 1.152921504606847e+18 {CUT}"


def test_a_clock_ahead_is_measured_against_the_receipt_where_there_is_one(doors):
    """Two days before `received_at`, one too many after it; a `received_at` of the future helps nobody."""
    events = numbered([
        {"event_at": "2026-01-07T10:00:00Z", "received_at": "2026-01-06T10:00:00Z"},
        {"event_at": "2026-01-07T10:00:01Z", "received_at": "2026-01-06T10:00:00Z"},
        {"event_at": "2090-01-01T00:00:00Z", "received_at": "2090-01-01T00:00:00Z"},
        {"received_at": "then"},
    ])  # fmt: skip
    expected = [
        None,
        "event_at: 2026-01-07T10:00:01Z is more than a day ahead of when it was received",
        "event_at: 2090-01-01T00:00:00Z is more than a day ahead of when it was received",
        f"received_at: then {NOT_A_TIMESTAMP}",
    ]
    for found in (
        doors.spool(events),
        doors.file(events, "jsonl"),
        doors.file(events, "csv"),
        doors.file(events, "parquet"),
    ):
        assert [v if isinstance(v, str) else None for v in map(found.get, (e["event_id"] for e in events))] == expected


def test_a_zone_is_what_only_a_files_mapping_can_supply(doors):
    events = numbered([{"event_at": at} for at in NO_ZONE])
    assert list(doors.spool(events).values()) == [f"event_at: {at} states no time zone; end it in Z" for at in NO_ZONE]
    stored = doors.file(events, "jsonl")
    assert [str(stored[e["event_id"]]["event_at"]) for e in events] == [
        "2026-01-05 10:00:00",
        *["2026-01-05 00:00:00"] * 2,
    ]
