"""Kills the stream worker at random points while events come in, then counts: every acknowledged event once in the lake, every malformed one refused once.

    python -m tests.chaos.chaos --source kafka --events 1000000 --kills 300 --rate 9000 --broker-kills 3
    python -m tests.chaos.chaos --source spool --events 20000 --kills 20
    python -m tests.chaos.chaos --source collector --events 100000 --kills 100 --rate 1000      HTTP, spool, forwarder, Kafka, worker: any of the three is killed
    python -m tests.chaos.chaos --source disk          a tmpfs that fills up, then turns read-only (needs root)

The workers are forked from a process that has the imports already, so that a kill hits the work and not the start; two at a time when --workers 2.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.simulation.traffic import CollectorSender, KafkaSender, SpoolSender, TrafficResult, send_traffic
from tests.streaming.kafka_broker import Broker, free_port


class Verdict(NamedTuple):
    """What the ledger says against what the lake has."""

    source: str
    acknowledged: int
    kills: int
    broker_kills: int
    in_lake: int
    lost: int
    doubled: int
    unknown: int
    malformed: int  # as far as they reach the stream: a collector refuses them itself
    refused: int
    refused_twice: int
    commits: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unknown or self.refused_twice or self.malformed != self.refused)


def fork_worker(arguments: list[str], log: Path) -> int:
    """A worker as a forked child; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        from launchpad_lib.cli.main import main

        code = main(arguments)
    except BaseException as error:  # the child must never run the parent's code
        print(repr(error), flush=True)
        code = 70
    os._exit(code)


def preload() -> None:
    """Imports and compiles what a worker needs; starts no thread, so that forking stays safe."""
    import deltalake  # noqa: F401
    import prometheus_client  # noqa: F401
    import pyarrow as pa
    import pyarrow.parquet  # noqa: F401

    import launchpad_lib.ingestion.stream.kafka_source
    import launchpad_lib.ingestion.stream.monitoring  # noqa: F401
    from launchpad_lib.ingestion.stream.seen_ids import SeenIds

    SeenIds(window=10).first_seen(pa.array(["a"]))


def run(
    source: str,
    folder: Path,
    *,
    events: int,
    kills: int,
    rate: float,
    seed: int,
    workers: int = 1,
    broker_kills: int = 0,
    max_life_seconds: float = 1.6,
) -> Verdict:
    """Sends, kills, waits until everything acknowledged is read, and verifies. Needs a single-threaded caller."""
    preload()
    started, rng = time.monotonic(), random.Random(seed)
    ledger, result, lake = folder / "ledger.txt", folder / "result.json", folder / "lake"
    broker = Broker(folder / "kafka").start() if source in ("kafka", "collector") else None
    port = free_port()
    address = f"spool:{folder / 'spool'}"
    if broker is not None:
        broker.create_topic("events", partitions=2)
        address = f"kafka://{broker.address}/events"
    (folder / "spool").mkdir(exist_ok=True)
    try:
        target = f"http://127.0.0.1:{port}" if source == "collector" else address
        producer = multiprocessing.get_context("fork").Process(
            target=_produce, args=(source, folder, target, events, rate, seed)
        )
        producer.start()
        arguments = [
            "stream",
            "--from",
            address,
            "--lake",
            str(lake),
            "--reports",
            str(folder / "reports"),
            "--commit-every-ms",
            "20",
        ]
        kill_broker_at = {round((n + 1) * kills / (broker_kills + 1)) for n in range(broker_kills)}
        pace = max(events / rate / max(kills, 1) * workers, 0.1)
        done = 0
        jobs = [arguments] * workers
        if source == "collector":
            jobs += [
                ["collect", "--spool", str(folder / "spool"), "--port", str(port)],
                ["forward", "--spool", str(folder / "spool"), "--to", address],
            ]
        living = [fork_worker(job, folder / f"worker-{n}.log") for n, job in enumerate(jobs)]
        while done < kills:
            time.sleep(rng.uniform(0.02, min(2 * pace, max_life_seconds)))
            place = rng.randrange(len(jobs))
            os.kill(living[place], signal.SIGKILL)
            os.waitpid(living[place], 0)
            done += 1
            if broker is not None and done in kill_broker_at:
                broker.stop(signal.SIGKILL)
                broker.start()
            living[place] = fork_worker(jobs[place], folder / f"worker-{place}.log")
        producer.join()
        for pid in living:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        if source == "collector":
            os.waitpid(fork_worker([*jobs[-1], "--until", "empty"], folder / "worker-forward.log"), 0)
        while True:
            final = fork_worker([*arguments, "--idle-exit-seconds", "1.5"], folder / "worker-last.log")
            if os.waitstatus_to_exitcode(os.waitpid(final, 0)[1]) == 0:
                break
        return _verify(
            source,
            folder,
            TrafficResult(**json.loads(result.read_text())),
            ledger,
            kills=done,
            broker_kills=broker_kills,
            seconds=time.monotonic() - started,
        )
    finally:
        if broker is not None:
            broker.stop()


def _produce(source: str, folder: Path, address: str, events: int, rate: float, seed: int) -> None:
    if source == "kafka":
        servers, _, topic = address.removeprefix("kafka://").partition("/")
        sender = KafkaSender(servers, topic)
    elif source == "collector":
        sender = CollectorSender(address)
    else:
        sender = SpoolSender(folder / "spool")
    done = send_traffic(sender, events=events, rate_per_second=rate, batch=200, seed=seed, ledger=folder / "ledger.txt")
    (folder / "result.json").write_text(json.dumps(done._asdict()))


def _verify(
    source: str, folder: Path, sent: TrafficResult, ledger: Path, *, kills: int, broker_kills: int, seconds: float
) -> Verdict:
    """In a process of its own, so that the engine's threads are not in the process that forks."""
    code = f"""
import duckdb, json
from deltalake import DeltaTable
lake = {str(folder / "lake")!r}
events, rejected = DeltaTable(lake + "/events"), DeltaTable(lake + "/rejected")
con = duckdb.connect()
con.execute("CREATE TABLE lake AS SELECT event_id FROM read_parquet($f)", {{"f": events.file_uris()}})
con.execute("CREATE TABLE ledger AS SELECT event_id FROM read_csv($f, columns = {{'event_id': 'VARCHAR'}}, header = false)", {{"f": {str(ledger)!r}}})
con.execute("CREATE TABLE refused (source VARCHAR, line BIGINT)")
if rejected.file_uris():
    con.execute("INSERT INTO refused SELECT source, line FROM read_parquet($f)", {{"f": rejected.file_uris()}})
one = lambda q: con.execute(q).fetchall()[0][0]
print(json.dumps([one("SELECT count(*) FROM ledger"), one("SELECT count(*) FROM lake"), one("SELECT count(*) FROM ledger ANTI JOIN lake USING (event_id)"),
    one("SELECT count(*) - count(DISTINCT event_id) FROM lake"), one("SELECT count(*) FROM lake ANTI JOIN ledger USING (event_id)"),
    one("SELECT count(*) FROM refused"), one("SELECT count(*) - count(DISTINCT (source, line)) FROM refused"), events.version()]))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    acknowledged, in_lake, lost, doubled, unknown, refused, twice, commits = json.loads(output)
    malformed = 0 if source == "collector" else sent.malformed
    return Verdict(
        source,
        acknowledged,
        kills,
        broker_kills,
        in_lake,
        lost,
        doubled,
        unknown,
        malformed,
        refused,
        twice,
        commits,
        round(seconds, 1),
    )


def run_disk(folder: Path, *, events: int, seed: int) -> Verdict:
    """A lake on a tmpfs of 24 MB: it is filled to the last byte while events come in, emptied, turned read-only, and writable again."""
    preload()
    started, lake = time.monotonic(), folder / "lake"
    lake.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(lake)], check=True)
    try:
        (folder / "spool").mkdir()
        pid = fork_worker(
            ["stream", "--from", f"spool:{folder / 'spool'}", "--lake", str(lake), "--commit-every-ms", "50"],
            folder / "worker-0.log",
        )
        producer = threading.Thread(target=_produce, args=("spool", folder, "", events, events / 20, seed))
        producer.start()
        time.sleep(4)
        with open(lake / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 65_536)
            except OSError:
                pass
        time.sleep(4)
        (lake / "filler").unlink()
        time.sleep(4)
        subprocess.run(["mount", "-o", "remount,ro", str(lake)], check=False)
        time.sleep(3)
        subprocess.run(["mount", "-o", "remount,rw", str(lake)], check=True)
        producer.join()
        time.sleep(3)
        os.kill(pid, signal.SIGTERM)
        print(
            "worker ended with",
            os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
            "after",
            (folder / "worker-0.log").read_text().count("cannot be written"),
            "refused writes",
        )
        return _verify("disk", folder, TrafficResult(**json.loads((folder / "result.json").read_text())), folder / "ledger.txt",
                       kills=0, broker_kills=0, seconds=time.monotonic() - started)  # fmt: skip
    finally:
        subprocess.run(["umount", str(lake)], check=False)


def main() -> int:
    """Prints the verdict; exit status 1 when anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("kafka", "spool", "disk", "collector"), default="kafka")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--broker-kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="launchpad-chaos-") as name:
        folder = Path(name)
        if options.source == "disk":
            verdict = run_disk(folder, events=options.events, seed=options.seed)
        else:
            verdict = run(options.source, folder, events=options.events, kills=options.kills, rate=options.rate, seed=options.seed,
                          workers=options.workers, broker_kills=options.broker_kills)  # fmt: skip
        print(json.dumps(verdict._asdict()))
        if not verdict.is_clean:
            for log in folder.glob("worker-*.log"):
                print(log.name, log.read_text()[-1500:])
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
