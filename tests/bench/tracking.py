"""What one `track` costs the product: calls a second into the spool, alone and with a collector taking them away meanwhile.

python -m tests.bench.tracking [--events 200000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from launchpad_lib.tracking import CollectorTransport, Tracker
from tests.collecting import running


def timed(tracker: Tracker, events: int) -> dict[str, float]:
    """Calls a second, and the slow end of single calls in microseconds."""
    costs = []
    started = time.perf_counter()
    for n in range(events):
        before = time.perf_counter()
        tracker.slider_adjusted(slider="budget", value=n, quiz_id="laptop", user_id="u1")
        costs.append(time.perf_counter() - before)
    seconds = time.perf_counter() - started
    costs.sort()
    return {
        "calls_per_second": round(events / seconds),
        "p50_us": round(1e6 * costs[events // 2], 1),
        "p99_us": round(1e6 * costs[events * 99 // 100], 1),
    }


def main() -> None:
    """Prints one JSON object of figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=200_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "collected") as collector:
        with Tracker(None, spool=Path(name) / "alone") as tracker:
            alone = timed(tracker, events)
        with Tracker(CollectorTransport(collector.url), spool=Path(name) / "sent") as tracker:
            started = time.perf_counter()
            sent = timed(tracker, events)
            tracker.flush(120)
            delivered = tracker.counts().delivered / (time.perf_counter() - started)
    print(json.dumps({"spool_alone": alone, "while_sending": sent, "delivered_per_second": round(delivered)}))


if __name__ == "__main__":
    main()
