"""How cost grows with a product: events, users, event names, features, and a bot with a tenth of all events.

    python tests/bench/growth.py --dir <a folder with room> [--parts events names features users bot]

Made-up lakes (`made_lake.py`) are asked what the pages ask. Every lake is measured in a process of its own after a warm-up,
in seconds of CPU: they hardly depend on what else the machine does. How much the cost grew stands beside how much the size
did, from the smallest to the largest; costs under a fifth of a second count as that. `build` is the index from nothing, `open`
the opening of a lake whose index is there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engines import peak_mb
from made_lake import STEPS, Shape, made_lake

FAR = datetime(2027, 1, 1)
# What costs less than this is the fixed part of a process or of a table, and its growth says nothing.
SMALLEST_SECONDS = 0.2


def questions(events: Any, shape: Shape) -> dict[str, Callable[[], object]]:
    """What the pages ask of the log; names and features are asked one by one, as a page of all of them does."""
    from launchpad_lib.findings.log_results import events_by_name
    from launchpad_lib.metrics import (
        completions,
        feature_adoption,
        feature_overlap,
        funnel,
        funnel_next_events,
        lifecycle,
        retention,
        session_duration,
        stickiness,
        transitions,
    )
    from launchpad_lib.metrics.kernels.user_days import _read

    through = (events.event_at.max().execute().to_pydatetime() + timedelta(microseconds=1)).replace(tzinfo=None)
    seen = {"observed_through": through}
    week = {"steps": STEPS, "window": "7d", "observed_through": FAR}
    names = [f"page {k}" for k in range(shape.names)]
    pairs = list(zip(names, [*names[1:], STEPS[0]], strict=True))[:1_000]
    features = [f"feature-{k}" for k in range(shape.features)]
    return {
        "funnel, 6 steps": lambda: funnel(events, **week),
        "next events after each step": lambda: funnel_next_events(events, **week),
        "retention, 30 days, by day of start": lambda: retention(
            events, returns=[*range(1, 31)], counting="calendar", cohort_by="day", **seen
        ),
        "lifecycle, days": lambda: lifecycle(events, period="day", **seen),
        "sessions": lambda: session_duration(events).to_pandas(),
        "transitions within sessions": lambda: transitions(events, by="session_key"),
        "completion of each name": lambda: completions(events, pairs=pairs, window="1d", **seen).to_pandas(),
        "events by name": lambda: events_by_name(events),
        "days of users, the reading behind adoption and stickiness": lambda: _read(events, "UTC"),
        "adoption of each feature": lambda: feature_adoption(events, feature_ids=features, **seen).to_pandas(),
        "features used together with one": lambda: feature_overlap(events, feature_id=features[0]).to_pandas(),
        "stickiness": lambda: stickiness(events, **seen).to_pandas(),
    }


def timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(lake: str, shape: Shape, small: str) -> None:
    """In a process of its own: everything once on the smallest lake (compiled, imported), then on this one."""
    from launchpad_lib.lake import open_lake

    for ask in questions(open_lake(small).events, Shape(1)).values():
        ask()
    shutil.rmtree(Path(lake) / "_index", ignore_errors=True)
    taken = {"build": timed(lambda: open_lake(lake))}
    taken["open"] = timed(lambda: open_lake(lake))
    Path("/proc/self/clear_refs").write_text("5")
    for name, ask in questions(open_lake(lake).events, shape).items():
        taken[name] = timed(ask)
    print(json.dumps({"taken": taken, "peak_mb": peak_mb()}))


def part(place: Path, what: str, shapes: list[Shape], sizes: list[int]) -> None:
    """A table: a row per question, a column per size."""
    small = made_lake(place, Shape(20_000))
    found = []
    for shape in shapes:
        lake = made_lake(place, shape)
        command = [sys.executable, __file__, "--measure", str(lake), json.dumps(shape), str(small)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{shape}: {done.stderr[-1500:]}")
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
        print(f"{what} {sizes[len(found) - 1]:,}: done", file=sys.stderr, flush=True)
    times = sizes[-1] / sizes[0]
    heads = [f"{size:,}" for size in sizes]
    print(f"\n{what} (CPU seconds)\n\n| | {' | '.join(heads)} | cost grew (size: {times:,.0f}x) |")
    print("|---|" + "---:|" * (len(sizes) + 1))
    peaks = [one["peak_mb"] for one in found]
    for name in found[0]["taken"]:
        costs = [one["taken"][name] for one in found]
        grown = max(costs[-1], SMALLEST_SECONDS) / max(costs[0], SMALLEST_SECONDS)
        mark = " (worse than linear)" if grown > max(times, 1.25) else ""
        print(f"| {name} | {' | '.join(f'{c:.2f}' for c in costs)} | {grown:.1f}x{mark} |")
    print(f"| peak memory, MB | {' | '.join(f'{one:,.0f}' for one in peaks)} | |", flush=True)


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Shape(*json.loads(sys.argv[3])), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("build/bench"))
    parser.add_argument("--parts", nargs="*", default=["events", "names", "features", "users", "bot"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000_000, 10_000_000], help="events of that part")
    parser.add_argument("--events", type=int, default=2_000_000, help="events of the lakes of all other parts")
    parser.add_argument("--names", type=int, nargs="*", default=[1, 50, 2_000])
    parser.add_argument("--features", type=int, nargs="*", default=[1, 70, 5_000])
    parser.add_argument("--users", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    chosen = parser.parse_args()
    place, events = chosen.dir.resolve(), chosen.events
    if "events" in chosen.parts:
        part(place, "events", [Shape(n) for n in chosen.sizes], chosen.sizes)
    if "names" in chosen.parts:
        part(place, "event names beside the steps", [Shape(events, names=n) for n in chosen.names], chosen.names)
    if "features" in chosen.parts:
        part(place, "features", [Shape(events, features=n) for n in chosen.features], chosen.features)
    if "users" in chosen.parts:  # two events a user, so that events grow with users
        part(place, "users, two events each", [Shape(2 * n, users=n) for n in chosen.users], chosen.users)
    if "bot" in chosen.parts:
        shapes = [Shape(events), Shape(events, bot_share=0.1)]
        part(place, "without and with a bot that has a tenth of all events", shapes, [1, 1])


if __name__ == "__main__":
    main()
