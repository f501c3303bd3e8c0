"""SIGKILLs at random instants of SDK processes, collector and forwarder; afterwards every tracked event is looked for.

    python -m tests.bench.chaos_collection [--kills 60] [--events-per-second 4000] [--seed 1]

Products (two at a time) track as fast as told and count in a shared page what `track` has returned for; a killed product is replaced
by a new one, the collector and the forwarder start again at once. At the end the spools are drained and, where Kafka is to be had
(scripts/kafka.sh), the topic is read from its beginning. Lost: tracked, but not in the collector's spool (or not in Kafka). Doubled:
more than one line of an event_id. Kafka is at least once: its doubles are counted, the lake keeps one.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from launchpad_lib.tracking import CollectorTransport, Tracker
from tests.collecting import ROOT, Collector, read_spool, start, stop
from tests.kafka_broker import Broker, free_port, ids_in

PRODUCT = """
import mmap, struct, sys, time
from launchpad_lib.tracking import CollectorTransport, Tracker
url, spool, page, life, rate = sys.argv[1:]
with open(page, "r+b") as file:
    count = mmap.mmap(file.fileno(), 8)
tracker = Tracker(CollectorTransport(url, timeout_seconds=5), spool=spool, user_id=f"life{life}", interval_seconds=0.02, batch_events=100)
n, started = 0, time.monotonic()
while True:
    n += 1
    tracker.track("chaos", properties={"life": int(life), "n": n})
    count[:8] = struct.pack("<q", n)
    ahead = n / float(rate) - (time.monotonic() - started)
    if ahead > 0.01:
        time.sleep(ahead)
"""


class Products:
    """The tracking processes, living and dead."""

    def __init__(self, folder: Path, url: str, rate: float) -> None:
        self.folder, self.url, self.rate = folder, url, rate
        self.pages: list[Path] = []
        self.living: dict[int, subprocess.Popen] = {}

    def born(self) -> None:
        life = len(self.pages)
        page = self.folder / f"page{life}"
        page.write_bytes(bytes(8))
        self.pages.append(page)
        command = [
            sys.executable,
            "-c",
            PRODUCT,
            self.url,
            str(self.folder / "sdk"),
            str(page),
            str(life),
            str(self.rate),
        ]
        self.living[life] = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def kill(self, life: int) -> None:
        process = self.living.pop(life)
        process.kill()
        process.wait()

    def tracked(self) -> dict[int, int]:
        """Events that `track` returned for, by life; the one under way at the kill may be there as well."""
        counts = {}
        for life, page in enumerate(self.pages):
            with page.open("r+b") as file, mmap.mmap(file.fileno(), 8) as held:
                counts[life] = int.from_bytes(held[:8], "little")
        return counts


def forward(broker: Broker, spool: Path, *options: str) -> subprocess.Popen:
    """A forwarder process."""
    command = [
        sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "forward",
        "--spool",
        str(spool),
        "--to",
        f"kafka://{broker.address}/events",
        *options,
    ]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def main() -> int:
    """Prints one JSON object; exit status 1 when an event is lost or the spool holds one twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--events-per-second", type=float, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker.started(folder / "kafka", topics=["events"]) if not Broker.missing() else None
        port = free_port()
        collector: Collector = start(folder / "collected", port=port)
        products = Products(folder, collector.url, arguments.events_per_second / 2)
        products.born()
        products.born()
        forwarder = forward(broker, folder / "collected") if broker else None
        kills: Counter[str] = Counter()
        for _ in range(arguments.kills):
            time.sleep(rng.uniform(0.05, 1.2))
            victim = rng.choice(["collector", "product", "forwarder"] if forwarder else ["collector", "product"])
            kills[victim] += 1
            if victim == "collector":
                collector.kill()
                collector.process.stdout.close()
                collector = start(folder / "collected", port=port)
            elif victim == "product":
                products.kill(rng.choice(list(products.living)))
                products.born()
            elif forwarder:
                forwarder.kill()
                forwarder.wait()
                forwarder = forward(broker, folder / "collected")
        for life in list(products.living):
            products.kill(life)
        with Tracker(CollectorTransport(collector.url), spool=folder / "sdk") as last:
            is_drained = last.flush(120)
        counted: Counter[str] = Counter()
        found: dict[int, set[int]] = {}
        for e in read_spool(folder / "collected"):
            counted[e["event_id"]] += 1
            found.setdefault(e["properties"]["life"], set()).add(e["properties"]["n"])
        tracked = products.tracked()
        lost = sum(len(set(range(1, count + 1)) - found.get(life, set())) for life, count in tracked.items())
        doubled = sum(count - 1 for count in counted.values())
        figures = {
            "kills": dict(kills),
            "tracked": sum(tracked.values()),
            "in_the_spool": len(counted),
            "lost": lost,
            "doubled_in_the_spool": doubled,
            "drained": is_drained,
        }
        if forwarder:
            forwarder.kill()
            forwarder.wait()
            forward(broker, folder / "collected", "--until", "empty").wait()
            forwarded = ids_in(broker, "events")
            figures |= {
                "lost_on_the_way_to_kafka": len(set(counted) - set(forwarded)),
                "doubled_in_kafka": sum(c - 1 for c in forwarded.values()),
            }
            broker.stop()
        stop(collector)
        print(json.dumps(figures | {"seconds": round(time.monotonic() - started, 1), "seed": arguments.seed}))
        return int(bool(lost or doubled or not is_drained or figures.get("lost_on_the_way_to_kafka")))


if __name__ == "__main__":
    sys.exit(main())
