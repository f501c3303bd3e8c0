"""Load on one real collector process: batches over kept-alive connections, durable before each 202.

    python -m tests.bench.collector [--seconds 10] [--connections 16] [--batch 50] [--rate EVENTS_PER_SECOND] [--folder DIR]

The generator is a process of its own (a selector loop over plain sockets, every event with an id of its own). With --rate it sends on a fixed
schedule and counts a request's time from its scheduled instant, so that a stalled collector cannot hide behind a waiting
generator; without, it sends as fast as answers come. Afterwards the spool is counted against the acknowledged events.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import selectors
import socket
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.collecting import CLIENT, start, stop

EVENT = (
    '{"event_id":"%s-%%010d","event_name":"slider_adjusted","user_id":"u%%05d","session_id":"s-00012345","event_at":"2026-01-31T09:30:00.123Z",'
    '"feature_id":"configurator","properties":{"quiz_id":"laptop","slider":"budget","value":1200},"platform":"web","app_version":"2.1.0","country":"DE"}'
)
LENGTH = re.compile(rb"content-length: (\d+)")


class Load(NamedTuple):
    """What one generator saw. Times in seconds from sending (or from the scheduled instant) to the whole answer."""

    acknowledged: int
    failed: int
    seconds: float
    latencies: list[float]


def generate(address: tuple[str, int], *, name: str, seconds: float, connections: int, batch: int, rate: float) -> Load:
    """Drives the collector for some seconds."""
    template = "[" + ",".join([EVENT % name] * batch) + "]"
    head = "POST /v1/events HTTP/1.1\r\nhost: %s:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    selector = selectors.DefaultSelector()
    sent_at: dict[socket.socket, float] = {}
    idle: list[socket.socket] = []
    partial: dict[socket.socket, bytes] = {}
    for _ in range(connections):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        idle.append(connection)
    number = acknowledged = failed = 0
    latencies: list[float] = []
    interval = batch / rate if rate else 0.0
    started = time.perf_counter()
    end = started + seconds
    next_due = started
    while True:
        now = time.perf_counter()
        while idle and (next_due < end and next_due <= now if rate else now < end):
            connection = idle.pop()
            values = tuple(v for n in range(number, number + batch) for v in (n, n % 10_000))
            body = (template % values).encode()
            number += batch
            sent_at[connection] = next_due if rate else time.perf_counter()
            next_due += interval
            connection.sendall((head % (*address, len(body))).encode() + body)
        if now >= end and not sent_at and (not rate or next_due >= end):
            break
        for key, _ in selector.select(0.0005 if rate else 0.1):
            connection = key.fileobj
            answer = partial.get(connection, b"") + connection.recv(65536)
            if not answer:
                raise ConnectionError("the collector closed a connection")
            head_end = answer.find(b"\r\n\r\n")
            length = LENGTH.search(answer)
            if head_end < 0 or length is None or len(answer) < head_end + 4 + int(length[1]):
                partial[connection] = answer
                continue
            partial.pop(connection, None)
            latencies.append(time.perf_counter() - sent_at.pop(connection))
            if answer.startswith(b"HTTP/1.1 202") and b'"refused":[]' in answer:
                acknowledged += batch
            else:
                failed += batch
            idle.append(connection)
    return Load(acknowledged, failed, time.perf_counter() - started, latencies)


def _child(pipe, address: tuple[str, int], how: dict) -> None:
    pipe.send(generate(address, **how))


def main() -> None:
    """Prints one JSON object of figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--folder", help="where the spool is made (default: the temporary folder)")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        collector = start(Path(folder) / "spool")
        host, port = collector.url.removeprefix("http://").split(":")
        how = {"connections": arguments.connections, "batch": arguments.batch}
        generate((host, int(port)), name="warm", seconds=1.0, rate=0, **how)
        process = psutil.Process(collector.process.pid)
        cpu_before = sum(process.cpu_times()[:2])
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("spawn").Process(
            target=_child,
            args=(
                theirs,
                (host, int(port)),
                how | {"name": "load", "seconds": arguments.seconds, "rate": arguments.rate},
            ),
        )
        child.start()
        memory = []
        while not ours.poll(max(0.1, arguments.seconds / 10)):
            memory.append(round(process.memory_info().rss / 1e6))
        load: Load = ours.recv()
        child.join()
        metrics = {
            s.name: s.value
            for f in text_string_to_metric_families(CLIENT.get(f"{collector.url}/metrics").text)
            for s in f.samples
            if not s.labels
        }
        cpu = sum(process.cpu_times()[:2]) - cpu_before
        stop(collector)
        kept = sum(
            line.startswith(b'{"event_id":"load-')
            for p in (Path(folder) / "spool").glob("*.ndjson")
            for line in p.open("rb")
        )
        ordered = sorted(load.latencies)
        syncs = metrics["launchpad_collector_spool_sync_seconds_count"]
        figures = {
            "events_per_second": round(load.acknowledged / load.seconds),
            "p50_ms": round(1e3 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1e3 * ordered[int(len(ordered) * 0.99)], 2),
            "max_ms": round(1e3 * ordered[-1], 1),
            "acknowledged": load.acknowledged,
            "failed": load.failed,
            "in_the_spool": kept,
            "mean_sync_ms": round(1e3 * metrics["launchpad_collector_spool_sync_seconds_sum"] / syncs, 2),
            "collector_cpu_share": round(cpu / load.seconds, 2),
            "collector_memory_mb_each_tenth": memory,
            "connections": arguments.connections,
            "batch": arguments.batch,
            "offered_per_second": arguments.rate or "as fast as answered",
            "cores": os.cpu_count(),
            "load_average": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
