"""Usage, engagement and quality metrics over a lake, as multiples of the bare scan in the same round.

    python tests/bench/usage_metrics.py --lake <lake> [--rounds 3]

The scan reads user number, instant and event code of every row. The first round compiles the kernels and is not shown.
A lake of any size: tests/bench/big_lake.py.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import duckdb

from launchpad_lib.contract.sql import file_list
from launchpad_lib.findings.log_results import events_by_name
from launchpad_lib.lake import Lake, open_lake
from launchpad_lib.metrics import (
    completions,
    delivery,
    depth,
    feature_overlap,
    frequency,
    intake,
    missing_share,
    restated_days,
    session_duration,
    shares_per_viewer,
    unknown_names,
)
from launchpad_lib.metrics.kernels.user_days import _read, user_days

PAIRS = [
    ("quiz_started", "quiz_completed"),
    ("search_started", "search_result_opened"),
    ("checkout_started", "checkout_completed"),
    ("notifications_offered", "notifications_enabled"),
    ("price_alert_started", "price_alert_set"),
]
SEARCHED = ["slider_adjusted", "option_selected"]


def questions(data: Lake) -> dict[str, Callable[[], object]]:
    """What is timed."""
    events, through = data.events, {"observed_through": data.observed_through}
    asked = {"window": "1d", **through}
    days = user_days(events)
    return {
        "user days, the reading behind adoption, stickiness, DAU, overlap": lambda: _read(events, "Europe/Berlin"),
        "overlap of all features, read already": lambda: feature_overlap(events).to_pandas() if days else None,
        "completion of 5 features by user": lambda: completions(events, pairs=PAIRS, **asked).to_pandas(),
        "completion of 5 features by session": lambda: completions(events, pairs=PAIRS, by="session_key", **asked),
        "shares per viewer": lambda: shares_per_viewer(
            events, view_event="result_viewed", share_event="result_shared", **asked
        ),
        "depth": lambda: depth(events, start_event="quiz_started", interaction_events=SEARCHED),
        "session duration": lambda: session_duration(events),
        "frequency": lambda: frequency(events, event_name="quiz_started", **through),
        "events by name": lambda: events_by_name(events),
        "delivery": lambda: delivery(events).to_pandas(),
        "restated days": lambda: restated_days(events).to_pandas(),
        "missing values": lambda: missing_share(events).to_pandas(),
        "placeholder users": lambda: intake.placeholder_users(events=events),
        "rows per day, Berlin": lambda: intake.busiest_days(events, events, report_timezone="Europe/Berlin"),
        "unknown names": lambda: unknown_names(events, event_names=["nothing"], properties=["nothing"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    data = open_lake(asked.lake)
    paths = data.events.op().source.log.paths  # type: ignore[attr-defined]
    con = duckdb.connect(config={"threads": 2})
    scan = f"SELECT sum(user_number), max(event_at), sum(event_code) FROM read_parquet({file_list(paths)})"
    forms = {"scan": lambda: con.execute(scan).fetchall(), **questions(data)}
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for round_number in range(asked.rounds + 1):
        for name, form in forms.items():
            begun = time.perf_counter()
            form()
            if round_number:
                taken[name].append(time.perf_counter() - begun)
    print(f"{data.versions['events'].rows:,} events\n\n| what | time | of the scan |\n|---|---:|---:|")
    for name, times in taken.items():
        ratios = [t / s for t, s in zip(times, taken["scan"], strict=True)]
        print(f"| {name} | {statistics.median(times):.2f} s | {statistics.median(ratios):.1f} |")


if __name__ == "__main__":
    main()
