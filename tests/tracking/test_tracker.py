"""The SDK against a real collector process. Expected events are counted by hand."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import inspect
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from launchpad_lib.contract.tables import EVENT_PROPERTIES, EVENTS
from launchpad_lib.spool.layout import segment_of
from launchpad_lib.tracking import CollectorTransport, KafkaTransport, Tracker, TrackingError
from launchpad_lib.tracking.sender import full_jitter
from launchpad_lib.tracking.sessions import Sessions, new_id
from tests.collecting import ROOT, running, spooled, start, stop
from tests.kafka_broker import broker_or_skip, free_port

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory):
    with running(tmp_path_factory.mktemp("collected")) as started:
        yield started


def run_python(code: str, *arguments: str, **how: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        **how,
    )


def test_the_typed_events_arrive_as_the_contract_says(collector, tmp_path):
    with Tracker(
        CollectorTransport(collector.url),
        spool=tmp_path,
        user_id="typed",
        platform="web",
        app_version="2.1.0",
        country="DE",
    ) as tracker:
        ids = [
            tracker.quiz_started(quiz_id="laptop", entry="start"),
            tracker.slider_adjusted(slider="budget", value=1200, previous_value=900.5, quiz_id="laptop"),
            tracker.option_selected(option="light", question="priority"),
            tracker.quiz_completed(quiz_id="laptop", interactions=2, duration_ms=1500),
            tracker.result_viewed(result="air", score=0.9),
            tracker.result_shared(channel="link", result="air"),
            tracker.track("anything_else", feature_id="search", properties={"q": "ü"}),
        ]
        assert tracker.flush()
        assert tracker.counts() == (7, 7, 0, 0, 0, 0)
    kept = {e["event_id"]: e for e in spooled(collector.spool) if e["user_id"] == "typed"}
    assert [kept[i]["event_name"] for i in ids] == [*EVENT_PROPERTIES, "anything_else"]
    assert kept[ids[1]]["properties"] == {
        "quiz_id": "laptop",
        "slider": "budget",
        "value": 1200,
        "previous_value": 900.5,
    }
    assert len({e["session_id"] for e in kept.values()}) == 1
    assert {e["feature_id"] for e in kept.values()} == {"configurator", "search"}
    assert all((e["platform"], e["app_version"], e["country"]) == ("web", "2.1.0", "DE") for e in kept.values())
    assert all(set(e) <= {c.name for c in EVENTS.columns} for e in kept.values())
    assert not list(tmp_path.glob("*.ndjson")) and not list(tmp_path.glob("*.lock"))


def test_the_typed_methods_are_the_contract():
    for name, properties in EVENT_PROPERTIES.items():
        parameters = inspect.signature(getattr(Tracker, name)).parameters
        assert set(parameters) - {"self", "user_id", "feature_id"} == {p.name for p in properties}
        assert {p.name for p in properties if p.required} == {
            n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n != "self"
        }


def test_a_session_ends_after_more_than_30_minutes():
    sessions = Sessions()
    at = datetime(2026, 1, 31, 9, tzinfo=UTC).timestamp()
    first = sessions.session_of("a", at)
    assert sessions.session_of("a", at + 1800) == first
    assert sessions.session_of("b", at) != first
    assert sessions.session_of("a", at - 5000) == first, "a clock that jumps back starts nothing"
    second = sessions.session_of("a", at + 3601)
    assert second != first
    assert sessions.session_of("a", at + 3602) == second


def test_ids_are_uuid7_unique_and_sort_by_time():
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert all(i[14] == "7" and i[19] in "89ab" for i in ids)
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)


def test_without_a_transport_the_spool_is_the_source(tmp_path):

    with Tracker(None, spool=tmp_path, user_id="u") as tracker:
        for n in range(10):
            tracker.track("seen", properties={"n": n}, event_at=datetime(2026, 1, 31) + timedelta(minutes=n))
        assert len(list(tmp_path.glob("*.lock"))) == 1
        assert tracker.flush(0.1)
    assert [e["properties"]["n"] for e in spooled(tmp_path)] == list(range(10))
    assert spooled(tmp_path)[0]["event_at"] == "2026-01-31T00:00:00Z"
    assert all(segment_of(p.name) for p in tmp_path.glob("*.ndjson"))
    assert not list(tmp_path.glob("*.lock"))


def test_hashed_users_are_an_hmac_and_anonymous_ones_last_a_session(tmp_path, monkeypatch):
    monkeypatch.setenv("LAUNCHPAD_HASH_KEY", "0123456789abcdef")
    with Tracker(None, spool=tmp_path / "hashed", identity="hashed") as tracker:
        tracker.track("seen", user_id="ann@example.org")
    expected = hmac.new(b"0123456789abcdef", b"ann@example.org", hashlib.sha256).hexdigest()[:32]
    assert [e["user_id"] for e in spooled(tmp_path / "hashed")] == [expected]
    with Tracker(None, spool=tmp_path / "anonymous", identity="anonymous") as tracker:
        for minute in (0, 10, 60):
            tracker.track(
                "seen",
                user_id="ann@example.org",
                event_at=datetime(2026, 1, 31, 9, tzinfo=UTC) + timedelta(minutes=minute),
            )
    users = [e["user_id"] for e in spooled(tmp_path / "anonymous")]
    assert users[0] == users[1] != users[2] and "ann" not in "".join(
        p.read_text() for p in (tmp_path / "anonymous").iterdir()
    )
    with Tracker(None, spool=tmp_path / "nobody") as tracker:
        tracker.track("seen")
    assert spooled(tmp_path / "nobody")[0]["user_id"].startswith("anon-")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"identity": "secret"}, "plain, hashed or anonymous"),
        ({"identity": "hashed"}, "LAUNCHPAD_HASH_KEY"),
        ({"cap_bytes": 5}, "at least 131072"),
        ({"interval_seconds": 0}, "positive"),
        ({"spool": "/proc/nowhere"}, "cannot be written"),
    ],
)
def test_senseless_settings_are_refused_at_once(settings, words, tmp_path, monkeypatch):
    monkeypatch.delenv("LAUNCHPAD_HASH_KEY", raising=False)
    with pytest.raises(TrackingError, match=words):
        Tracker(None, **({"spool": tmp_path} | settings))
    with pytest.raises(ValueError, match="http"):
        CollectorTransport("ftp://host")


def test_what_cannot_be_kept_is_told_and_never_raised(tmp_path):
    told: list[str] = []
    with Tracker(None, spool=tmp_path, user_id="u", on_refused=lambda event, reason: told.append(reason)) as tracker:
        bad = [{"o": object()}, {"s": "\ud800"}, {"big": "x" * 70_000}, ["list"]]
        assert [tracker.track("bad", properties=p) for p in bad] == [None] * 4
        bad_calls = [
            tracker.track(["a list"]),
            tracker.track("", user_id="u"),
            tracker.track("long", user_id="u" * 300),
            tracker.track("nobody", user_id="undefined"),
            tracker.track("later", event_at=datetime.now(UTC) + timedelta(days=2)),
            tracker.track("slider_adjusted", properties={"value": "high"}),
        ]
        assert bad_calls == [None] * 6
        assert tracker.track("nan", properties={"x": float("nan")}) is not None
        assert tracker.counts()[:3] == (1, 0, 10)
    assert tracker.track("late") is None
    assert len(told) == 11 and "65,536" in told[2]
    assert told[7] == "user_id: undefined stands for nobody known; send the user's id, or an own id per unknown user"
    assert spooled(tmp_path)[0]["properties"] == {"x": None}


def test_a_broken_callback_does_not_reach_the_product(tmp_path):
    def broken(*_: object) -> None:
        raise RuntimeError("the product's own")

    with Tracker(None, spool=tmp_path, on_refused=broken) as tracker:
        assert tracker.track("bad", properties={"o": object()}) is None


def test_a_process_killed_while_sending_loses_and_doubles_nothing(tmp_path):
    spool, port = tmp_path / "spool", free_port()
    code = """
        import sys
        from launchpad_lib.tracking import CollectorTransport, Tracker
        tracker = Tracker(CollectorTransport(sys.argv[1]), spool=sys.argv[2], user_id="k", interval_seconds=0.01, batch_events=50)
        n = 0
        while True:
            n += 1
            tracker.track("killed", properties={"n": n, "run": sys.argv[3]})
            if n % 500 == 0:
                print(n, flush=True)
    """
    rng = random.Random(3)
    with running(tmp_path / "collected", port=port) as collector:
        written: dict[str, int] = {}
        for life in range(5):
            process = run_python(code, collector.url, str(spool), str(life), stdout=subprocess.PIPE)
            process.stdout.readline()
            time.sleep(rng.uniform(0.02, 0.4))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
            process.wait()
            written[str(life)] = int(said[-1]) if said else 500
        (spool / "sdk-1-dead.lock").touch()
        (spool / "sdk-1-dead-000000000000.ndjson").write_bytes(
            b'{"event_id":"torn-1","event_name":"x","user_id":"k","event_at":"2026-01-01T00:00:00Z"}\n{"event_id":"torn-2"'
        )
        with Tracker(CollectorTransport(collector.url), spool=spool, user_id="k") as last:
            assert last.flush(30)
        events = spooled(tmp_path / "collected")
    ids = [e["event_id"] for e in events]
    assert len(ids) == len(set(ids)) and "torn-1" in ids
    for life, least in written.items():
        numbers = sorted(
            e["properties"]["n"] for e in events if e["event_name"] == "killed" and e["properties"]["run"] == life
        )
        # Every event that `track` took is there: no hole from the first to the last.
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= least
    assert not list(spool.glob("*"))


def test_events_of_an_offline_time_arrive_when_the_collector_is_back(tmp_path):
    port, errors = free_port(), []
    tracker = Tracker(
        CollectorTransport(f"http://127.0.0.1:{port}", timeout_seconds=2),
        spool=tmp_path / "spool",
        user_id="u",
        interval_seconds=0.05,
        on_error=errors.append,
    )
    ids = [tracker.track("offline") for _ in range(20)]
    assert not tracker.flush(0.5)
    assert errors and tracker.counts().pending_bytes > 0
    collector = start(tmp_path / "collected", port=port)
    assert tracker.flush(10)
    stop(collector)
    ids += [tracker.track("again") for _ in range(20)]
    assert not tracker.flush(0.3)
    collector = start(tmp_path / "collected", port=port)
    assert tracker.close(10)
    stop(collector)
    assert Counter(e["event_id"] for e in spooled(tmp_path / "collected")) == Counter(ids)


def test_a_fork_splits_the_tracker_in_two_that_do_not_meet(collector, tmp_path):
    code = """
        import multiprocessing, os, sys
        from launchpad_lib.tracking import CollectorTransport, Tracker
        tracker = Tracker(CollectorTransport(sys.argv[1]), spool=sys.argv[2], user_id="f", interval_seconds=0.05)
        for n in range(100):
            tracker.track("forked", properties={"by": "before", "n": n})
        ways = []
        for child in range(4):
            pid = os.fork()
            if pid == 0:
                for n in range(50):
                    tracker.track("forked", properties={"by": f"child{child}", "n": n})
                if child == 0:
                    os._exit(0)  # nothing runs at this exit: the parent adopts what the child left
                if child == 1:
                    os._exit(0 if tracker.flush(10) else 1)
                sys.exit(0)
            ways.append(pid)
        for n in range(100):
            tracker.track("forked", properties={"by": "after", "n": n})
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ways]
        assert codes == [0] * 4, codes
        assert tracker.flush(20)
    """
    process = run_python(code, collector.url, str(tmp_path))
    assert process.wait(180) == 0
    events = [e for e in spooled(collector.spool) if e["event_name"] == "forked"]
    counted = Counter(e["properties"]["by"] for e in events)
    assert counted == {"before": 100, "after": 100} | {f"child{c}": 50 for c in range(4)}
    assert len({e["event_id"] for e in events}) == 400


def test_an_exit_flushes_and_a_sigterm_does_when_asked(collector, tmp_path):
    code = """
        import sys, time
        from launchpad_lib.tracking import CollectorTransport, Tracker
        tracker = Tracker(CollectorTransport(sys.argv[1]), spool=sys.argv[2], user_id=sys.argv[3], interval_seconds=60)
        if sys.argv[3] == "term":
            tracker.flush_on_sigterm()
        for n in range(5000):
            tracker.track("left")
        print("ready", flush=True)
        if sys.argv[3] == "term":
            time.sleep(60)
    """
    assert run_python(code, collector.url, str(tmp_path), "exit", stdout=subprocess.DEVNULL).wait(180) == 0
    process = run_python(code, collector.url, str(tmp_path), "term", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(180) == 143
    process.stdout.close()
    assert Counter(e["user_id"] for e in spooled(collector.spool) if e["event_name"] == "left") == {
        "exit": 5000,
        "term": 5000,
    }


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as told, and remembers when it was asked."""

    protocol_version = "HTTP/1.1"
    script: list[tuple[int, dict, bytes]]
    asked: list[float]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        type(self).asked.append(time.monotonic())
        status, headers, body = self.script.pop(0) if self.script else (202, {}, b'{"accepted": 1, "refused": []}')
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted():
    handler = type("Handler", (Scripted,), {"script": [], "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


def test_retry_after_is_honoured_even_by_a_flush(scripted, tmp_path):
    url, handler = scripted
    handler.script += [(429, {"retry-after": "1"}, b"{}"), (503, {}, b"")]
    with Tracker(CollectorTransport(url), spool=tmp_path, user_id="u", interval_seconds=0.01) as tracker:
        tracker.track("seen")
        assert not tracker.flush(0.5)
        assert tracker.flush(10)
        assert tracker.counts().retries == 2
    assert handler.asked[1] - handler.asked[0] >= 1.0


def test_an_answer_that_is_not_the_collectors_is_no_delivery(scripted, tmp_path):
    url, handler = scripted
    handler.script += [
        (200, {}, b"<html>Welcome to the airport</html>"),
        (202, {}, b"[]"),
        (302, {"location": "http://127.0.0.1:9/"}, b""),
    ]
    with Tracker(CollectorTransport(url), spool=tmp_path, user_id="u", interval_seconds=0.01) as tracker:
        tracker.track("seen")
        for _ in range(20):
            if tracker.flush(2):
                break
        assert tracker.counts()[1] == 1 and len(handler.asked) == 4


def test_a_poisonous_event_is_found_by_halves_and_refused_alone(scripted, tmp_path):
    url, handler = scripted
    refused: list[str] = []
    # 4 events, the third is poison: all 413, first half fine, second half 413, third 413 (alone), fourth fine.
    fine = (202, {}, b'{"accepted": 2, "refused": []}')
    handler.script += [
        (413, {}, b'{"error": "too large"}'),
        fine,
        (413, {}, b"{}"),
        (413, {}, b'{"error": "too large"}'),
        fine,
    ]
    with Tracker(
        CollectorTransport(url),
        spool=tmp_path,
        user_id="u",
        interval_seconds=30,
        on_refused=lambda e, reason: refused.append((e["properties"]["n"], reason)),
    ) as tracker:
        for n in range(4):
            tracker.track("seen", properties={"n": n})
        assert tracker.flush(5)
        assert tracker.counts()[:3] == (4, 3, 1)
    assert refused == [(2, "HTTP 413: too large")]


class Ahead(datetime):
    """A product's clock that is wrong by three days."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(days=3)


def test_what_the_collector_refuses_is_told_with_its_reason(collector, tmp_path, monkeypatch):
    """The SDK holds every rule itself; of its own clock it cannot know that it is wrong."""
    refused: list[tuple[str, str]] = []
    with Tracker(
        CollectorTransport(collector.url),
        spool=tmp_path,
        user_id="u",
        on_refused=lambda e, reason: refused.append((e["event_name"], reason)),
    ) as tracker:
        tracker.track("fine")
        with monkeypatch.context() as patched:
            patched.setattr("launchpad_lib.tracking.tracker.datetime", Ahead)
            tracker.slider_adjusted(slider="budget", value=7)
        tracker.track("fine")
        assert tracker.flush(5)
        assert tracker.counts()[:3] == (3, 2, 1)
    assert refused[0][0] == "slider_adjusted" and "more than a day ahead" in refused[0][1]


def test_the_cap_drops_the_oldest_counts_them_and_tells(tmp_path):
    dropped: list[int] = []
    with Tracker(
        CollectorTransport(NOWHERE),
        spool=tmp_path / "spool",
        user_id="u",
        cap_bytes=200_000,
        exit_timeout_seconds=0.1,
        on_dropped=lambda count, reason: dropped.append(count),
    ) as tracker:
        for n in range(3000):
            tracker.track("many", properties={"n": n})
            assert sum(p.stat().st_size for p in (tmp_path / "spool").glob("*.ndjson")) <= 200_000 or n % 100
        counts = tracker.counts()
        assert counts.tracked == 3000 and counts.dropped == sum(dropped) > 0
        in_flight = 500
    left = [e["properties"]["n"] for e in spooled(tmp_path / "spool")]
    assert left == list(range(3000 - len(left), 3000)), "the newest stay, in order"
    # What is neither left nor counted as dropped was in the sender's hands.
    assert 3000 - len(left) - counts.dropped <= in_flight


def test_the_spools_of_ended_processes_are_under_the_cap_too(tmp_path):
    for life in range(4):
        (tmp_path / f"sdk-{life}-dead.lock").touch()
        line = (
            json.dumps(
                {
                    "event_id": f"e{life}",
                    "event_name": "x",
                    "user_id": "u",
                    "event_at": "2026-01-01T00:00:00Z",
                    "properties": {"pad": "x" * 1000},
                }
            )
            + "\n"
        )
        (tmp_path / f"sdk-{life}-dead-000000000000.ndjson").write_text(line * 80)
        os.utime(tmp_path / f"sdk-{life}-dead-000000000000.ndjson", (life, life))
    dropped: list[int] = []
    with Tracker(
        CollectorTransport(NOWHERE),
        spool=tmp_path,
        cap_bytes=200_000,
        exit_timeout_seconds=0.1,
        on_dropped=lambda count, reason: dropped.append(count),
    ) as tracker:
        tracker.flush(0.5)
        assert tracker.counts().dropped == sum(dropped) == 2 * 80  # 4 of 89 kB under a cap of 200 kB: two go
    assert {e["event_id"] for e in spooled(tmp_path)} <= {"e2", "e3"}


def test_a_full_disk_is_told_and_tracking_goes_on(tmp_path):
    code = """
        import json, resource, sys
        from launchpad_lib.tracking import Tracker
        told = []
        tracker = Tracker(None, spool=sys.argv[1], user_id="u", on_refused=lambda event, reason: told.append(reason))
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        kept = [tracker.track("seen", properties={"n": n}) for n in range(500)]
        tracker.close()
        print(json.dumps([sum(k is not None for k in kept), len(told), told[0]]))
    """
    process = run_python(code, str(tmp_path), stdout=subprocess.PIPE)
    kept, refused, reason = json.loads(process.communicate(timeout=180)[0])
    assert kept + refused == 500 and refused > 0 and "File too large" in reason
    assert len(spooled(tmp_path)) == kept


def test_the_backoff_is_full_jitter_up_to_a_minute():
    rng = random.Random(1)
    for failures, ceiling in ((1, 1.0), (3, 4.0), (7, 60.0), (50, 60.0)):
        waits = [full_jitter(failures, rng=rng) for _ in range(2000)]
        assert 0 <= min(waits) and max(waits) <= ceiling
        # A uniform variable's mean is half its ceiling; five standard errors of 2,000 draws are 3.2 % of it.
        assert abs(sum(waits) / 2000 - ceiling / 2) < 0.0323 * ceiling


def test_many_threads_track_at_once(collector, tmp_path):
    with Tracker(CollectorTransport(collector.url), spool=tmp_path, interval_seconds=0.01) as tracker:
        threads = [
            threading.Thread(
                target=lambda w=w: [tracker.track("threads", user_id=f"w{w}", properties={"n": n}) for n in range(500)]
            )
            for w in range(8)
        ]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert tracker.flush(20)
    found = Counter(
        (e["user_id"], e["properties"]["n"]) for e in spooled(collector.spool) if e["event_name"] == "threads"
    )
    assert found == Counter({(f"w{w}", n): 1 for w in range(8) for n in range(500)})


def test_kafka_gets_each_event_under_its_user(tmp_path):
    broker = broker_or_skip(tmp_path / "kafka", topics=["tracked"])
    try:
        with Tracker(KafkaTransport(broker.address, "tracked"), spool=tmp_path / "spool") as tracker:
            ids = [tracker.track("seen", user_id=f"u{n % 5}", properties={"n": n}) for n in range(200)]
            assert tracker.flush(20)
            assert tracker.counts()[:3] == (200, 200, 0)
        records = broker.read("tracked")
        assert Counter(json.loads(line)["event_id"] for r in records for line in r.lines) == Counter(ids)
        for record in records:
            assert {json.loads(line)["user_id"] for line in record.lines} == {record.key.decode()}
            assert (record.headers.get("content-type") == b"application/x-ndjson") == (len(record.lines) > 1)
    finally:
        broker.stop()
    with Tracker(
        KafkaTransport("127.0.0.1:9", "tracked", timeout_seconds=1), spool=tmp_path / "spool", exit_timeout_seconds=0.1
    ) as tracker:
        assert tracker.track("kept") and not tracker.flush(0.5)
    assert [e["event_name"] for e in spooled(tmp_path / "spool")] == ["kept"]


def test_keys_do_not_show(monkeypatch):
    monkeypatch.setenv("LAUNCHPAD_WRITE_KEY", "correct-horse-battery")
    assert "horse" not in repr(CollectorTransport("https://collect.example"))
