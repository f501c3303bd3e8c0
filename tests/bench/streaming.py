"""Streaming figures: throughput paired against a bare poll loop, event to queryable, memory, many small commits.

python -m tests.bench.streaming throughput     single records, then envelopes of 50; bare loops of kafka-python and of the worker's client, and the worker, in turn
python -m tests.bench.streaming latency        10,000 events a second for 30 s through Kafka, read by DuckDB
python -m tests.bench.streaming memory         10 million events through a spool
python -m tests.bench.streaming idle           what worker, collector and forwarder cost while nothing comes
python -m tests.bench.streaming commits        small commits with upkeep: time to commit, to open and to count
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from tests.streaming.kafka_broker import Broker

TAIL = b'","event_name":"slider_adjusted","user_id":"u%04d","session_id":"s%06d","event_at":"%s","received_at":"%s","feature_id":"configurator",' \
       b'"platform":"web","app_version":"2.1.0","country":"DE","properties":{"slider":"budget","value":%d}}'  # fmt: skip


def an_event(number: int, prefix: bytes, at: bytes) -> bytes:
    """About 280 bytes, as the configurator sends them."""
    return b'{"event_id":"' + prefix + b"%09d" % number + TAIL % (number % 5000, number // 12, at, at, number % 100)


def instant() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


def fill(address: str, topic: str, *, events: int, envelope: int) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=address, linger_ms=20, batch_size=256 << 10, compression_type=None)
    prefix, at = uuid.uuid4().hex[:12].encode(), instant()
    for start in range(0, events, envelope):
        lines = [an_event(n, prefix, at) for n in range(start, min(start + envelope, events))]
        headers = [("content-type", b"application/x-ndjson")] if envelope > 1 else None
        producer.send(topic, b"\n".join(lines), key=b"u%d" % (start % 977), headers=headers)
    producer.close()


def bare_loop(address: str, topic: str, records: int) -> tuple[float, float]:
    """kafka-python alone: poll until all records were seen; wall and CPU seconds from the first."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
                             max_poll_records=5000, max_partition_fetch_bytes=4 << 20, fetch_max_wait_ms=100)  # fmt: skip
    consumer.assign([TopicPartition(topic, 0)])
    seen, started, cpu = 0, 0.0, 0.0
    while seen < records:
        for found in consumer.poll(100).values():
            if not started:
                started, cpu = time.perf_counter(), time.process_time()
            seen += len(found)
    taken = time.perf_counter() - started, time.process_time() - cpu
    consumer.close()
    return taken


def bare_client(address: str, topic: str, records: int) -> tuple[float, float]:
    """The worker's own client alone, with the worker's settings: each record's value taken and nothing else."""
    from confluent_kafka import Consumer, TopicPartition

    from launchpad_lib.ingestion.stream.kafka_source import CONSUMER
    from launchpad_lib.kafka.settings import client_settings

    consumer = Consumer(client_settings(address, {}) | CONSUMER)
    consumer.assign([TopicPartition(topic, 0, 0)])
    seen, started, cpu = 0, 0.0, 0.0
    while seen < records:
        values = [m.value() for m in consumer.consume(5000, 0.02) if m.error() is None]
        if values and not started:
            started, cpu = time.perf_counter(), time.process_time()
        seen += len(values)
    taken = time.perf_counter() - started, time.process_time() - cpu
    consumer.close()
    return taken


def worker_run(address: str, topic: str, events: int, lake: str) -> tuple[float, float]:
    """The worker on a fresh lake: wall and CPU seconds from its first poll that brought something to its last commit."""
    from launchpad_lib.ingestion.stream.kafka_source import KafkaSource
    from launchpad_lib.ingestion.stream.sink import StreamSink
    from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
    from tests.streaming.test_spool_to_lake import Quiet

    class Timed(KafkaSource):
        first, cpu = 0.0, 0.0

        def poll(self, *, timeout_seconds):
            found = super().poll(timeout_seconds=timeout_seconds)
            if found.blocks and not self.first:
                self.first, self.cpu = time.perf_counter(), time.process_time()
            return found

    source, quiet = Timed(address, topic), Quiet()
    sink = StreamSink(Path(lake), source_name=source.name)
    StreamWorker(source, sink, observer=quiet, settings=StreamSettings()).run(
        lambda: quiet.rows + quiet.duplicates >= events
    )
    taken = time.perf_counter() - source.first, time.process_time() - source.cpu
    source.close()
    if (quiet.rows, quiet.refused) != (events, 0):
        raise RuntimeError(f"expected {events} rows, got {quiet.rows} and {quiet.refused} refused")
    return taken


def in_process(function, *arguments):
    """Runs it in a fresh process and returns what it returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def throughput(folder: Path, *, single: int, enveloped: int, rounds: int) -> None:
    broker = Broker(folder / "kafka").start()
    try:
        for topic, events, envelope in (("single", single, 1), ("enveloped", enveloped, 50)):
            broker.create_topic(topic)
            in_process_fill = multiprocessing.get_context("spawn").Process(
                target=fill, args=(broker.address, topic), kwargs={"events": events, "envelope": envelope}
            )
            in_process_fill.start()
            in_process_fill.join()
            rows = []
            for number in range(rounds):
                bare = in_process(bare_loop, broker.address, topic, -(-events // envelope))
                client = in_process(bare_client, broker.address, topic, -(-events // envelope))
                ours = in_process(worker_run, broker.address, topic, events, str(folder / f"lake-{topic}-{number}"))
                rows.append((bare, client, ours))
                _say_rates(f"{topic} {number + 1}", events, rows[-1:])
            _say_rates(f"{topic} median of {rounds}", events, rows)
    finally:
        broker.stop()


def _say_rates(what: str, events: int, rows: list[tuple[tuple[float, float], ...]]) -> None:
    """Events a second, and the worker's wall and CPU time as multiples of each bare loop's, of the paired runs."""
    rates = [events / statistics.median(row[i][0] for row in rows) for i in range(3)]
    times = [[statistics.median(row[2][k] / row[i][k] for row in rows) for k in range(2)] for i in range(2)]
    cpu = statistics.median(row[2][1] for row in rows) / events * 1e6
    print(f"{what}: kafka-python {rates[0]:,.0f}, client {rates[1]:,.0f}, worker {rates[2]:,.0f} events/s; worker of kafka-python {times[0][0]:.2f} (CPU {times[0][1]:.2f}),"
          f" of the client {times[1][0]:.2f} (CPU {times[1][1]:.2f}); {cpu:.2f} us CPU an event", flush=True)  # fmt: skip


def _send_steadily(address: str, rate: int, seconds: float, envelope: int) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=address, linger_ms=0)
    prefix, number, started = uuid.uuid4().hex[:12].encode(), 0, time.time()
    while time.time() - started < seconds:
        at = instant()
        producer.send(
            "steady",
            b"\n".join(an_event(number + n, prefix, at) for n in range(envelope)),
            headers=[("content-type", b"application/x-ndjson")],
        )
        number += envelope
        ahead = number / rate - (time.time() - started)
        if ahead > 0:
            time.sleep(ahead)
    producer.close()
    print(f"sent {number:,} events at {number / (time.time() - started):,.0f} events/s", flush=True)


def _cpu_seconds(pid: int) -> float:
    """What a process has used so far, all its threads together."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def latency(folder: Path, *, rate: int, seconds: float, commit_every_ms: int | None = None) -> None:
    """Each event's time from event_at (set before it is produced) to the end of the DuckDB query that first sees it."""
    import duckdb
    import numpy as np

    from launchpad_lib.lake.delta_log import open_table

    broker = Broker(folder / "kafka").start()
    broker.create_topic("steady")
    lake, log = folder / "lake", open(folder / "worker.log", "wb")
    worker = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "launchpad_lib.cli.main", "stream", "--from", f"kafka://{broker.address}/steady", "--lake", str(lake),
                               *(["--commit-every-ms", str(commit_every_ms)] if commit_every_ms else [])],
                              stdout=log, stderr=log)  # fmt: skip
    try:
        while b"streaming" not in (folder / "worker.log").read_bytes():
            time.sleep(0.1)
        time.sleep(2)
        sender = multiprocessing.get_context("spawn").Process(
            target=_send_steadily, args=(broker.address, rate, seconds, 20)
        )
        busy, sent_at = _cpu_seconds(worker.pid), time.time()
        sender.start()
        con, table, rounds = duckdb.connect(config={"threads": 1}), open_table(lake / "events"), 0
        known, delays, until = set(table.file_uris()), [], time.time() + seconds + 12
        ignored_until = time.time() + 5
        while time.time() < until and (sender.is_alive() or time.time() < until - 5):
            table.update_incremental()
            fresh = [u for u in table.file_uris() if u not in known]
            if fresh:
                known.update(fresh)
                at = con.execute("SELECT epoch_us(event_at) FROM read_parquet($f)", {"f": fresh}).fetchnumpy()
                now = time.time()
                if now > ignored_until:
                    delays.append(now - next(iter(at.values())) / 1e6)
            rounds += 1
            if rounds % 200 == 0:  # a long reader opens anew now and then, from the last checkpoint
                table = open_table(lake / "events")
            time.sleep(0.01)
        sender.join()
        print(
            f"worker: {(_cpu_seconds(worker.pid) - busy) / (time.time() - sent_at):.2f} CPU seconds a second, {table.version()} commits"
        )
        found = np.concatenate(delays)
        p50, p99 = np.quantile(found, [0.5, 0.99]) * 1000
        print(
            f"event to queryable over {len(found):,} events: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {found.max() * 1000:.0f} ms"
        )
    finally:
        worker.terminate()
        worker.wait()
        broker.stop()


def _spool_worker(spool: str, lake: str, events: int, pipe) -> None:
    from launchpad_lib.ingestion.stream.sink import StreamSink
    from launchpad_lib.ingestion.stream.spool_source import SpoolSource
    from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
    from tests.streaming.test_spool_to_lake import Quiet

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    class Sampled(Quiet):
        step = 0

        def committed(self, written, prepared, *, seconds):
            super().committed(written, prepared, seconds=seconds)
            if self.rows // 1_000_000 > self.step:
                self.step = self.rows // 1_000_000
                print(f"{self.rows:>12,} events: {resident():.0f} MB resident", flush=True)

    source, quiet, started = SpoolSource(spool), Sampled(), time.perf_counter()
    worker = StreamWorker(
        source, StreamSink(Path(lake), source_name=source.name), observer=quiet, settings=StreamSettings()
    )
    worker.run(lambda: quiet.rows >= events)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(f"{quiet.rows:,} events in {time.perf_counter() - started:.0f} s, peak {peak:.0f} MB")


def memory(folder: Path, *, events: int) -> None:
    (folder / "spool").mkdir()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    (folder / "spool" / "w-000000000000.ndjson").write_bytes(b"")
    worker = context.Process(target=_spool_worker, args=(str(folder / "spool"), str(folder / "lake"), events, theirs))
    worker.start()
    prefix, number, size, file = (
        uuid.uuid4().hex[:12].encode(),
        0,
        0,
        open(folder / "spool" / "w-000000000000.ndjson", "ab"),
    )
    segment = 0
    while number < events:
        at = instant()
        size += file.write(b"".join(an_event(n, prefix, at) + b"\n" for n in range(number, number + 2000)))
        number += 2000
        if size >= 64 << 20:
            file.close()
            segment, size = segment + 1, 0
            file = open(folder / "spool" / f"w-{segment:012d}.ndjson", "ab")
            while segment > 8 and (folder / "lake").exists() and len(list((folder / "spool").iterdir())) > 400:
                time.sleep(0.1)
    file.close()
    print(ours.recv())
    worker.join()


def commits(folder: Path, *, count: int) -> None:
    """One event a commit, with the worker's own upkeep; every tenth part: what a commit, opening the table and a count cost."""
    import duckdb

    from launchpad_lib.ingestion.stream.decoding import Block, decode
    from launchpad_lib.ingestion.stream.sink import StreamSink
    from launchpad_lib.lake.compaction import Upkeep
    from launchpad_lib.lake.delta_log import open_table

    lake = folder / "lake"
    sink = StreamSink(lake, source_name="bench", dedupe_window=100_000)
    upkeep = Upkeep(lake, reports=folder / "reports", say=print, grace_seconds=30)
    con, prefix, took = duckdb.connect(), uuid.uuid4().hex[:12].encode(), []
    for number in range(count):
        block = Block("0", number + 1, [an_event(number, prefix, instant())], [number], [False], None)
        decoded = decode(block, moment=datetime.now(UTC))
        started = time.perf_counter()
        written = sink.commit(sink.prepare([decoded], gaps=[], offsets={"0": (number if number else None, number + 1)}))
        took.append(time.perf_counter() - started)
        upkeep(written.version)
        if (number + 1) % max(count // 25, 1) == 0 or number + 1 in (100, 1000):
            started = time.perf_counter()
            files = open_table(lake / "events").file_uris()
            opened = time.perf_counter()
            rows = con.execute(
                "SELECT count(DISTINCT user_id), count(*) FROM read_parquet($f)", {"f": files}
            ).fetchall()[0][1]
            counted = time.perf_counter()
            size = sum(f.stat().st_size for f in (lake / "events").rglob("*") if f.is_file()) / 2**20
            log = len(list((lake / "events" / "_delta_log").iterdir()))
            p50, p99 = statistics.median(took) * 1e3, sorted(took)[int(len(took) * 0.99)] * 1e3
            print(
                f"{number + 1:>8,} commits: commit p50 {p50:.1f} ms p99 {p99:.1f} ms, open {(opened - started) * 1e3:.0f} ms,",
                end=" ",
            )
            print(
                f"count {(counted - opened) * 1e3:.0f} ms, {len(files)} files, {log} log files, {size:.0f} MB, {rows:,} rows",
                flush=True,
            )
            took.clear()


def idle(folder: Path, *, seconds: float) -> None:
    """What each process of the path costs while nothing comes."""
    broker = Broker(folder / "kafka").start()
    broker.create_topic("quiet")
    (folder / "spool").mkdir()
    (folder / "spool" / "w-000000000000.ndjson").write_bytes(b"")
    kafka, launchpad = (
        f"kafka://{broker.address}/quiet",
        [sys.executable, "-W", "ignore", "-m", "launchpad_lib.cli.main"],
    )
    commands = {
        "stream from Kafka": ["stream", "--from", kafka, "--lake", str(folder / "lake-kafka")],
        "stream from a spool": ["stream", "--from", f"spool:{folder / 'spool'}", "--lake", str(folder / "lake-spool")],
        "collect": ["collect", "--spool", str(folder / "collected"), "--port", "0"],
        "forward": ["forward", "--spool", str(folder / "spool"), "--to", kafka],
    }
    running = {
        name: subprocess.Popen(
            [*launchpad, *command], stdout=open(folder / f"{name}.log", "wb"), stderr=subprocess.DEVNULL
        )
        for name, command in commands.items()
    }
    try:
        while not all(b"streaming" in (folder / f"{n}.log").read_bytes() for n in commands if n.startswith("stream")):
            time.sleep(0.5)
        time.sleep(10)
        before, started = {name: _cpu_seconds(p.pid) for name, p in running.items()}, time.time()
        time.sleep(seconds)
        for name, process in running.items():
            used = (_cpu_seconds(process.pid) - before[name]) / (time.time() - started)
            print(f"{name}: {used:.2%} of a core while idle", flush=True)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
        broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("throughput", "latency", "memory", "commits", "idle"))
    parser.add_argument("--events", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commit-every-ms", type=int, help="of the worker whose latency is measured")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="launchpad-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if options.part == "throughput":
            events = options.events or 400_000
            throughput(folder, single=events, enveloped=4 * events, rounds=options.rounds)
        elif options.part == "latency":
            latency(folder, rate=10_000, seconds=options.seconds, commit_every_ms=options.commit_every_ms)
        elif options.part == "memory":
            memory(folder, events=options.events or 10_000_000)
        elif options.part == "idle":
            idle(folder, seconds=options.seconds)
        else:
            commits(folder, count=options.events or 200_000)


if __name__ == "__main__":
    main()
