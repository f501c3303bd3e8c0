"""The collector as a process: who may write, how much, and that a 202 means kept. Expected values are counted by hand."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launchpad_lib.collector.admission import PlainEvent
from launchpad_lib.collector.limits import RateLimit, RecentIds
from launchpad_lib.contract.event import Event
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.spool.layout import segment_of
from tests.collecting import CLIENT, event, running, spooled, start, stop

KEY = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory):
    with running(tmp_path_factory.mktemp("spool")) as started:
        yield started


def value(url: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(CLIENT.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise KeyError(name)


def test_the_spool_holds_what_the_contract_says(collector):
    sent = event(
        1, received_at="1999-01-01T00:00:00Z", colour="red", event_at="2026-01-31T10:30:00+01:00", session_id=None
    )
    assert collector.post({"events": [sent]}).json() == {"accepted": 1, "refused": []}
    kept = spooled(collector.spool)[-1]
    assert kept["event_at"] == "2026-01-31T09:30:00Z"
    assert kept["received_at"].endswith("Z") and kept["received_at"] > "2026"
    assert kept["properties"] == {"page": "home", "colour": "red"}
    assert set(kept) <= {c.name for c in EVENTS.columns}
    for segment in collector.spool.glob("*.ndjson"):
        assert segment_of(segment.name) is not None


def test_the_fields_of_an_event_are_the_columns_of_the_table():
    assert set(Event.__struct_fields__) == {c.name for c in EVENTS.columns}
    assert Event.__struct_fields__ == PlainEvent.__struct_fields__
    assert set(Event.__struct_fields__[:4]) == {c.name for c in EVENTS.columns if c.required}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"user_id": None}, "user_id is missing"),
        ({"user_id": 7.5}, "user_id"),
        ({"user_id": "undefined"}, "stands for nobody known"),
        ({"event_at": "2099-01-01T00:00:00Z"}, "more than a day ahead"),
        ({"event_id": "x" * 257}, "257 characters"),
        ({"event_id": ""}, "event_id"),
        ({"event_at": "yesterday"}, "not a timestamp such as"),
        ({"event_at": "2026-01-31T09:30:00"}, "time zone"),
        ({"event_at": "0001-01-01T00:00:00+14:00"}, "not a timestamp"),
        ({"properties": [1]}, "properties"),
        (
            {"event_name": "slider_adjusted", "properties": {"value": "high"}},
            "properties.value of slider_adjusted: a text is not a number",
        ),
        ({"event_name": "quiz_completed", "properties": {"interactions": True}}, "boolean is not a whole number"),
    ],
)
def test_a_refusal_names_field_and_rule(collector, changes, word):
    answer = collector.post([event(2, **changes)]).json()
    assert answer["accepted"] == 0 and word in answer["refused"][0]["reason"]


def test_a_beacon_of_text_plain_is_taken(collector):
    assert collector.post([event(event_id="beacon")], content_type="text/plain;charset=UTF-8").status_code == 202


def test_a_retry_whose_first_answer_was_lost_is_not_kept_twice(collector):
    batch = [event(event_id=f"again{n}") for n in range(3)]
    assert collector.post(batch).json() == {"accepted": 3, "refused": []}
    assert collector.post([*batch, event(event_id="again3")]).json() == {"accepted": 4, "duplicates": 3, "refused": []}
    assert sum(e["event_id"].startswith("again") for e in spooled(collector.spool)) == 4


def test_the_same_event_twice_in_one_request_or_in_two_at_once_is_kept_once(collector):
    twice = [event(event_id="twice", properties={"n": 1}), event(event_id="twice", properties={"n": 2})]
    assert collector.post(twice).json() == {"accepted": 2, "duplicates": 1, "refused": []}
    assert [e["properties"] for e in spooled(collector.spool) if e["event_id"] == "twice"] == [{"n": 1}]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: collector.post([event(event_id=f"race{n // 8}")]), range(160)))
    assert {r.status_code for r in replies} == {202}
    assert sorted(e["event_id"] for e in spooled(collector.spool) if e["event_id"].startswith("race")) == sorted(
        f"race{n}" for n in range(20)
    )


def test_a_retry_after_the_collectors_death_is_not_kept_twice(tmp_path):
    first = start(tmp_path)
    batch = [event(n) for n in range(50)]
    assert first.post(batch).status_code == 202
    first.kill()
    first.process.stdout.close()
    (tmp_path / "collector-0-000000000000.ndjson").write_bytes(
        b'not an event\n{"event_id":"e000050","x":1}\n{"event_id":"torn'
    )
    with running(tmp_path) as second:
        assert second.post([*batch, event(50), event(51)]).json() == {"accepted": 52, "duplicates": 51, "refused": []}


def test_recent_ids_forget_the_oldest_and_stay_bounded():
    recent = RecentIds(100)
    for n in range(1000):
        recent.add([str(n)])
    assert "999" in recent and "0" not in recent
    assert len(recent._young) + len(recent._old) <= 200


def test_metrics_count_what_happened(tmp_path):
    with running(tmp_path) as collector:
        collector.post([event(n) for n in range(5)] + [event(9, user_id=None)])
        collector.post([event(0)])
        assert value(collector.url, "launchpad_collector_events_total", outcome="accepted") == 5
        assert value(collector.url, "launchpad_collector_events_total", outcome="duplicate") == 1
        assert value(collector.url, "launchpad_collector_refusals_total", rule="invalid") == 1
        assert value(collector.url, "launchpad_collector_spool_sync_seconds_count") == 1
        assert value(collector.url, "launchpad_collector_spooled_bytes_total") == sum(
            p.stat().st_size for p in tmp_path.glob("*.ndjson")
        )


def test_write_keys_are_asked_for_and_never_shown(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"# shop\n{KEY}\n\nanother-key-of-the-app\n")
    with running(tmp_path / "spool", "--write-keys", str(keys)) as collector:
        assert collector.post([event(1)]).status_code == 401
        assert collector.post([event(1)], authorization="Bearer wrong-wrong-wrong-wrong").status_code == 401
        assert collector.post([event(1)], authorization=f"Bearer {KEY}").status_code == 202
        assert collector.post([event(2)], x_write_key="another-key-of-the-app").status_code == 202
        assert CLIENT.post(f"{collector.url}/v1/events?write_key={KEY}", json=[event(3)]).status_code == 202
        assert (
            KEY
            not in CLIENT.get(f"{collector.url}/metrics").text
            + CLIENT.get(f"{collector.url}/docs").text
            + CLIENT.get(f"{collector.url}/openapi.json").text
        )
        assert CLIENT.get(f"{collector.url}/healthz").status_code == 200
    with running(tmp_path / "spool", environment={"LAUNCHPAD_WRITE_KEYS": f"{KEY},second-key-second-key"}) as collector:
        assert collector.post([event(4)]).status_code == 401
        assert collector.post([event(4)], authorization=f"Bearer {KEY}").status_code == 202


def test_the_rate_is_limited_per_key_and_says_when_to_come_again(tmp_path):
    keys = f"{KEY},second-key-second-key"
    with running(tmp_path, "--rate", "5", "--burst", "10", environment={"LAUNCHPAD_WRITE_KEYS": keys}) as collector:
        assert collector.post([event(n) for n in range(10)], x_write_key=KEY).status_code == 202
        refused = collector.post([event(n) for n in range(10, 20)], x_write_key=KEY)
        assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 2
        assert collector.post([event(20)], x_write_key="second-key-second-key").status_code == 202
        assert len(spooled(tmp_path)) == 11


def test_the_bucket_fills_at_its_rate_and_a_large_batch_is_not_refused_for_ever():
    limit = RateLimit(10, 20)
    assert limit.wait_seconds("a", 20, now=0.0) == 0
    assert limit.wait_seconds("a", 10, now=0.0) == 1
    assert limit.wait_seconds("a", 10, now=1.0) == 0
    assert limit.wait_seconds("b", 100, now=0.0) == 0
    assert limit.wait_seconds("b", 1, now=0.0) == 9  # 80 in debt, 1 needed, 10 a second: 8.1 s


def test_only_named_origins_may_send(tmp_path):
    with running(tmp_path, "--allow-origin", "https://shop.example") as collector:
        host = collector.url.removeprefix("http://")
        assert collector.post([event(1)], origin="https://evil.example").status_code == 403
        assert collector.post([event(1)], origin="null").status_code == 403
        allowed = collector.post([event(1)], origin="https://shop.example")
        assert allowed.status_code == 202 and allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert collector.post([event(2)], origin=f"http://{host}").status_code == 202
        asked = {
            "origin": "https://shop.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        }
        assert CLIENT.options(f"{collector.url}/v1/events", headers=asked).status_code == 200
        assert (
            CLIENT.options(f"{collector.url}/v1/events", headers=asked | {"origin": "https://evil.example"}).status_code
            == 400
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--allow-origin", "*"], "name each one"),
        (["--rate", "-1"], "negative"),
        (["--port", "70000"], "65535"),
        (["--spool", "/proc/nowhere"], "cannot be written"),
        (["--max-body-bytes", "0"], "at least 1"),
    ],
)
def test_a_senseless_setting_is_one_sentence_and_status_2(tmp_path, options, words):
    from tests.collecting import ROOT

    command = [
        os.sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "collect",
        "--spool",
        str(tmp_path / "s"),
        "--port",
        "0",
        *options,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_a_body_that_trickles_in_does_not_hold_its_place_for_ever(tmp_path):
    import asyncio

    from launchpad_lib.collector import Settings, body, create_app

    body.BODY_SECONDS, usual = 0.2, body.BODY_SECONDS
    try:
        statuses: list[int] = []

        async def ask() -> None:
            async def receive() -> dict:
                await asyncio.sleep(0.05)
                return {"type": "http.request", "body": b"[", "more_body": True}

            async def send(message: dict) -> None:
                statuses.append(message.get("status", 0))

            scope = {
                "type": "http",
                "path": "/v1/events",
                "method": "POST",
                "headers": [],
                "query_string": b"",
                "client": ("127.0.0.1", 1),
            }
            await create_app(Settings(tmp_path))(scope, receive, send)

        asyncio.run(asyncio.wait_for(ask(), 5))
        assert statuses[0] == 408
    finally:
        body.BODY_SECONDS = usual


def test_docs_load_nothing_from_elsewhere(collector):
    page = CLIENT.get(f"{collector.url}/docs").text
    assert "http" not in re.sub(r"http://127\.0\.0\.1:8080/v1/events", "", page.replace("http-equiv", ""))
    assert all(c.name in page for c in EVENTS.columns)
    assert "/v1/events" in CLIENT.get(f"{collector.url}/openapi.json").json()["paths"]


def test_whatever_was_acknowledged_survives_a_sigkill(tmp_path):
    collector = start(tmp_path)
    acknowledged: list[str] = []
    asked: list[str] = []
    stopping = threading.Event()

    def send(worker: int) -> None:
        number = 0
        while not stopping.is_set():
            batch = [event(event_id=f"w{worker}-{number + k}") for k in range(20)]
            number += 20
            asked.extend(e["event_id"] for e in batch)
            try:
                if collector.post(batch).status_code == 202:
                    acknowledged.extend(e["event_id"] for e in batch)
            except Exception:
                return

    with ThreadPoolExecutor(3) as pool:
        running_workers = [pool.submit(send, worker) for worker in range(3)]
        time.sleep(1.0)
        collector.kill()
        stopping.set()
        [worker.result() for worker in running_workers]
    kept = [e["event_id"] for e in spooled(tmp_path)]
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(kept) <= set(asked)
    assert len(kept) == len(set(kept))
    with running(tmp_path) as again:
        assert again.post([event(event_id="after")]).status_code == 202
    assert set(acknowledged) <= {e["event_id"] for e in spooled(tmp_path)}


def test_a_torn_write_is_not_acknowledged_and_the_retry_is_kept_once(tmp_path):
    # The kernel stops every file at 40,000 bytes: a write in the middle of a batch is cut, as on a full disk.
    with running(tmp_path, max_file_bytes=40_000) as collector:
        statuses = []
        for n in range(40):
            batch = [event(event_id=f"t{n}-{k}") for k in range(20)]
            reply = collector.post(batch)
            statuses.append(reply.status_code)
            if reply.status_code == 503:
                assert reply.headers["retry-after"]
                assert collector.post(batch).status_code == 202
        assert set(statuses) == {202, 503}
    kept = [e["event_id"] for e in spooled(tmp_path)]
    assert set(kept) == {f"t{n}-{k}" for n in range(40) for k in range(20)}
    assert any(not p.read_bytes().endswith(b"\n") for p in tmp_path.glob("*.ndjson")), (
        "no write was torn: the test tests nothing"
    )


@pytest.fixture
def small_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (needs the right to mount)")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_and_a_read_only_disk_answer_503_and_heal(small_disk):
    with running(small_disk / "spool") as collector:
        assert collector.post([event(1)]).status_code == 202
        (small_disk / "filler").write_bytes(b"x" * 240_000)
        big = [event(n, properties={"t": "x" * 1000}) for n in range(100, 160)]
        full = collector.post(big)
        assert full.status_code == 503 and "No space" in full.json()["error"]
        (small_disk / "filler2").write_bytes(b"x" * os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize)
        assert CLIENT.get(f"{collector.url}/healthz").status_code == 503
        assert value(collector.url, "launchpad_collector_spool_writable") == 0
        (small_disk / "filler").unlink()
        assert CLIENT.get(f"{collector.url}/healthz").status_code == 200
        assert collector.post(big).status_code == 202
    # A finished segment that was torn is never changed; by event_id each is there, once read without duplicates.
    assert {e["event_id"] for e in spooled(small_disk / "spool")} == {
        "e000001",
        *(f"e{n:06d}" for n in range(100, 160)),
    }


def test_segments_roll_and_are_never_changed_afterwards(tmp_path):
    import asyncio

    from launchpad_lib.collector.spool import SpoolWriter

    async def write() -> list[bytes]:
        spool = SpoolWriter(tmp_path, segment_bytes=1000)
        spool.start(asyncio.get_running_loop())
        seen: dict[str, bytes] = {}
        for n in range(30):
            await spool.append(b'{"n":%d,"pad":"%s"}\n' % (n, b"x" * 100))
            segments = sorted(tmp_path.glob("*.ndjson"))
            for finished in segments[:-1]:
                assert seen.setdefault(finished.name, finished.read_bytes()) == finished.read_bytes()
        lock = tmp_path / f"{spool.writer}.lock"
        with lock.open() as held, pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.close()
        assert not lock.exists()
        return [p.read_bytes() for p in sorted(tmp_path.glob("*.ndjson"))]

    segments = asyncio.run(write())
    assert len(segments) == 5 and all(len(s) <= 1000 and s.endswith(b"\n") for s in segments)
    assert [e["n"] for e in spooled(tmp_path)] == list(range(30))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_collector_has_kept_what_it_acknowledged_and_lets_go_of_its_lock(tmp_path, number):
    collector = start(tmp_path)
    assert collector.post([event(1)]).status_code == 202
    collector.process.send_signal(number)
    assert collector.process.wait(120) == 0
    stop(collector)
    assert not list(tmp_path.glob("*.lock")) and len(spooled(tmp_path)) == 1
