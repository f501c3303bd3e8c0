"""The collector under strangers, over real sockets: endless heads, silent and half requests, too many connections, foreign
hosts, a full spool, and bodies as people write them. Expected values are counted by hand."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from launchpad_lib.collector import connections
from launchpad_lib.collector.framing import frame
from tests.collecting import CLIENT, Collector, event, running, spooled
from tests.collector.test_service import value


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory):
    with running(tmp_path_factory.mktemp("spool")) as started:
        yield started


def connected(collector: Collector) -> socket.socket:
    host, port = collector.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    pieces = []
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


def turned_away(collector: Collector, reason: str) -> float:
    return value(collector.url, "launchpad_collector_turned_away_total", reason=reason)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x: y\r\n" * 4_000 + b"\r\n",
    ],
)
def test_a_head_that_is_too_large_is_turned_away(collector, head):
    before = turned_away(collector, "head")
    with connected(collector) as connection:
        connection.sendall(head)
        assert answer(connection).startswith(b"HTTP/1.1 431 ")
    assert turned_away(collector, "head") == before + 1


def test_a_header_without_an_end_is_not_gathered(collector):
    with connected(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 20_000_000:
                connection.sendall(b"a" * 4_096)
                sent += 4_096
                time.sleep(0.0005)
        assert sent < 5_000_000
    assert collector.post([event(1)]).status_code == 202


def test_a_large_body_behind_a_small_head_and_a_second_request_on_the_connection_are_taken(collector):
    body = json.dumps([event(10 + n, properties={"page": "x" * 900}) for n in range(100)]).encode()
    head = (
        b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    last = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    with connected(collector) as connection:
        connection.sendall(head % len(body) + body + head % len(body) + body + last)
        got = answer(connection)
    assert got.count(b"HTTP/1.1 202 ") == 2
    assert b'"accepted":100,"refused"' in got
    assert b'"accepted":100,"duplicates":100' in got
    assert got.count(b"HTTP/1.1 200 ") == 1


def test_who_says_nothing_or_half_a_request_is_turned_away_in_time(collector):
    before = turned_away(collector, "slow")
    with connected(collector) as silent, connected(collector) as half:
        half.sendall(b"POST /v1/events HTTP/1.1\r\nhost: 127")
        started = time.monotonic()
        assert answer(silent).startswith(b"HTTP/1.1 408 ")
        assert answer(half).startswith(b"HTTP/1.1 408 ")
        assert connections.HEAD_SECONDS - 1 < time.monotonic() - started < connections.HEAD_SECONDS + 10
    assert turned_away(collector, "slow") == before + 2


def test_one_client_cannot_take_all_connections_and_is_told_when_to_come_again(collector):
    with ExitStack() as held:
        idle = [held.enter_context(connected(collector)) for _ in range(connections.MAX_CONNECTIONS_OF_A_CLIENT + 20)]
        late = idle[-1]
        said = answer(late)
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in said
        for connection in idle:
            connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # the places are free again
        with suppress(Exception):
            if CLIENT.get(f"{collector.url}/healthz").status_code == 200:
                break
        time.sleep(0.1)
    assert collector.post([event(2)]).status_code == 202


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 202),
        ("localhost:80", 202),
        ("LOCALHOST", 202),
        ("[::1]:8080", 202),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_on_loopback_only_this_machines_names_are_served(collector, host, status):
    assert collector.post([event(3)], host=host).status_code == status


def test_a_named_host_is_served_and_forwarded_addresses_are_believed_of_named_proxies_only(tmp_path):
    with running(tmp_path, "--allow-host", "events.shop.example", "--rate", "1", "--burst", "1") as started:
        assert started.post([event(1)], host="events.shop.example").status_code == 202
        assert started.post([event(2)], host="shop.example").status_code == 421
        # The second event of this client within the second, whoever it says that it is.
        assert started.post([event(3)], x_forwarded_for="203.0.113.9").status_code == 429
    with running(tmp_path / "b", "--rate", "1", "--burst", "1", "--trusted-proxy", "127.0.0.1") as started:
        assert started.post([event(1)], x_forwarded_for="203.0.113.8").status_code == 202
        assert started.post([event(2)], x_forwarded_for="203.0.113.9").status_code == 202


def test_a_full_spool_answers_503_with_its_reason_until_there_is_room(tmp_path):
    with running(tmp_path, "--max-spool-bytes", "20000") as started:
        full = [event(n, properties={"page": "x" * 5_000}) for n in range(3)]
        assert started.post(full).status_code == 202
        refused = started.post([event(9, properties={"page": "x" * 5_000})])
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "the spool is full (20,000 bytes)" in refused.json()["error"]
        assert value(started.url, "launchpad_collector_spool_limit_bytes") == 20_000
        assert 15_000 < value(started.url, "launchpad_collector_spool_bytes") < 20_000
        for segment in tmp_path.glob("*.ndjson"):
            segment.unlink()  # as a forwarder does
        time.sleep(1.1)
        assert started.post([event(9, properties={"page": "x" * 5_000})]).status_code == 202


@pytest.mark.parametrize("form", ["object", "array", "wrapped"])
def test_a_body_over_several_lines_is_read_as_what_it_is(collector, form):
    number = {"object": 921, "array": 922, "wrapped": 923}[form]
    body = {"object": event(number), "array": [event(number)], "wrapped": {"events": [event(number)]}}[form]
    said = collector.post(json.dumps(body, indent=2))
    assert said.json() == {"accepted": 1, "refused": []}
    assert spooled(collector.spool)[-1]["event_id"] == f"e{number:06d}"


def test_lines_are_still_lines():
    assert frame(b'{"a":1}\n{"b":2}', is_lines=False).pieces == [b'{"a":1}', b'{"b":2}']
    assert frame(b'{"a":1}\n{"b":', is_lines=False).pieces == [b'{"a":1}', b'{"b":']
