"""Funnels of a lake of the simulated product, as multiples of the bare scan of the columns that a funnel needs.

    python tests/bench/lake_funnels.py --lake <lake> [--rounds 5]

The questions take turns within one process, after one warm-up. A lake of any size: tests/bench/big_lake.py. Other engines
on the same questions: tests/bench/engines.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engines import Job, peak_mb, scan

STEPS = ["quiz_started", "option_selected", "quiz_completed", "result_viewed", "result_shared"]


def questions(lake: str) -> dict[str, Callable]:
    """Funnels of a lake; first of all the bare scan of the three columns that a funnel needs."""
    from launchpad_lib.findings.funnel_question import ask_funnel
    from launchpad_lib.findings.funnel_reading import read_funnel
    from launchpad_lib.findings.funnel_results import compared_periods
    from launchpad_lib.lake import open_lake
    from launchpad_lib.metrics import Step, funnel
    from launchpad_lib.metrics.asked import answers
    from launchpad_lib.metrics.chains import ChainFold, Entries
    from launchpad_lib.metrics.dropoff import asked_times
    from launchpad_lib.metrics.funnel import asked_counts
    from launchpad_lib.metrics.funnel_periods import asked_course
    from launchpad_lib.metrics.kernels.unit_rows import unit_rows
    from launchpad_lib.metrics.steps import checked_rules

    data = open_lake(lake)
    events, through = data.events, data.observed_through
    files = events.op().source.log.paths
    asked = {"steps": STEPS, "window": "7d", "observed_through": through}
    filtered = [*STEPS[:-1], Step(STEPS[-1], (("platform", "web"),))]

    def needed_rows() -> None:
        named = events.event_name.isin(STEPS)
        for _ in unit_rows(events, {"at": events.event_at, "event": events.event_name}, where=named):
            pass

    def together() -> None:
        plain = checked_rules(steps=filtered, window="7d")
        split = ChainFold(
            events, checked_rules(steps=filtered, window="7d", breakdown="platform"), observed_through=through
        )
        weeks = Entries("week", "UTC", "monday")
        questions = [
            asked_counts(split, None, split=None),
            asked_counts(split, None, split="segment"),
            asked_times(split, None),
            asked_course(events, plain, None, weeks, observed_through=through),
        ]
        answers(events, questions)

    def page() -> None:
        question = ask_funnel(events, **asked)
        read_funnel(events, question, periods=compared_periods(question, days=14), breakdown="platform")

    return {
        "scan": lambda: scan("sum(user_number), max(event_at), sum(event_code)")(Job(lake, list(files), [])),
        "reading of the steps' rows": needed_rows,
        "funnel, 5 steps, 7 days, any entry": lambda: funnel(events, **asked),
        "funnel, first entry": lambda: funnel(events, entry="first", **asked),
        "funnel by platform": lambda: funnel(events, breakdown="platform", **asked),
        "filter, by platform, by week and times together": together,
        "everything that the funnel page counts": page,
    }


def measure(lake: str, rounds: int) -> None:
    """The questions in turns, after one warm-up; prints medians and multiples of the scan of the same round."""
    asked = questions(lake)
    for ask in asked.values():
        ask()
    Path("/proc/self/clear_refs").write_text("5")
    taken: dict[str, list[tuple[float, float]]] = {question: [] for question in asked}
    for _ in range(rounds):
        for question, ask in asked.items():
            wall, cpu = time.perf_counter(), time.process_time()
            ask()
            taken[question].append((time.perf_counter() - wall, time.process_time() - cpu))
    print("| question | median CPU | x scan (wall) | x scan (CPU) |\n|---|---|---|---|")
    for question, times in taken.items():
        pairs = list(zip(times, taken["scan"], strict=True))
        wall, cpu = (statistics.median(own[k] / bare[k] for own, bare in pairs) for k in (0, 1))
        print(f"| {question} | {statistics.median(c for _, c in times):.2f} s | {wall:.2f} | {cpu:.2f} |")
    print(f"\npeak memory {peak_mb():,.0f} MB, load {' '.join(Path('/proc/loadavg').read_text().split()[:3])}")


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    measure(chosen.lake, chosen.rounds)


if __name__ == "__main__":
    main()
