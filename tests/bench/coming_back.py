"""The questions of coming back: what their reading and their kernels cost beside a bare scan of the columns they need.

    python tests/bench/coming_back.py --events 2000000 --dir <a folder with room>

`reading` hands over the log as whole units, in order; `kernels` is what is counted of them. Both are multiples of a scan of the same columns
in the same round, medians of the rounds, in seconds of CPU. `tables` makes the results, whatever the log.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import ibis

THROUGH = datetime(2026, 3, 2)
SEEN = {"observed_through": THROUGH}
HORIZON = [*range(1, 31), (1, 30)]
USER, NAMED, SESSION = "user_number, event_at", "user_number, event_at, event_code", "session_key, event_at, event_name"


def questions() -> dict[str, tuple[str, str, Callable]]:
    """question: (unit, columns of the scan, what makes it of the log)."""
    from launchpad_lib.metrics.cohorts import asked_lifetimes
    from launchpad_lib.metrics.lifecycle import asked_lifecycle
    from launchpad_lib.metrics.paths import asked_path_steps, asked_transitions
    from launchpad_lib.metrics.returning import asked_retention, asked_retention_by_deed, asked_retention_by_start

    berlin = {"counting": "calendar", "report_timezone": "Europe/Berlin"}
    starts = ["quiz_started", "quiz_completed", "result_viewed", "slider_adjusted", "option_selected"]

    def page(e: ibis.Table) -> list:
        return [
            asked_retention(e, returns=HORIZON, **SEEN, **berlin),
            asked_retention(e, returns=HORIZON, start="recurring", **SEEN, **berlin),
            *(asked_retention(e, returns=HORIZON, cohort_by=p, **SEEN, **berlin) for p in ("day", "week", "month")),
            asked_retention(e, returns=HORIZON, cohort_property="platform", **SEEN, **berlin),
            asked_retention_by_deed(e, event="quiz_completed", at_least=1, within="1d", returns=[7, 14], **SEEN, **berlin),
            asked_retention_by_start(e, start_events=starts, returns=[1, 7, 14], **SEEN, **berlin),
            asked_lifecycle(e, period="day", **SEEN),
            asked_lifetimes(e, gap="7d", group_property="platform", **SEEN),
        ]  # fmt: skip

    return {
        "retention, rolling, 31 brackets": ("user_id", USER, lambda e: [asked_retention(e, returns=HORIZON, **SEEN)]),
        "retention, rolling, start and return events": ("user_id", NAMED, lambda e: [asked_retention(e, returns=HORIZON, start_event="quiz_started", return_event="quiz_completed", **SEEN)]),
        "retention, calendar, Berlin": ("user_id", USER, lambda e: [asked_retention(e, returns=HORIZON, **SEEN, **berlin)]),
        "retention, recurring": ("user_id", USER, lambda e: [asked_retention(e, returns=HORIZON, start="recurring", **SEEN, **berlin)]),
        "cohorts by day": ("user_id", USER, lambda e: [asked_retention(e, returns=HORIZON, cohort_by="day", **SEEN, **berlin)]),
        "cohorts by property": ("user_id", f"{USER}, platform", lambda e: [asked_retention(e, returns=HORIZON, cohort_property="platform", **SEEN)]),
        "retention after five features": ("user_id", f"{USER}, event_name", lambda e: [asked_retention_by_start(e, start_events=starts, returns=[1, 7, 14], **SEEN, **berlin)]),
        "cohorts by early deed": ("user_id", NAMED, lambda e: [asked_retention_by_deed(e, event="quiz_completed", at_least=1, within="1d", returns=[7, 14], **SEEN)]),
        "lifecycle, days": ("user_id", USER, lambda e: [asked_lifecycle(e, period="day", **SEEN)]),
        "lifetimes": ("user_id", USER, lambda e: [asked_lifetimes(e, gap="7d", **SEEN)]),
        "the whole cohort page by user": ("user_id", f"{USER}, event_name, platform", page),
        "path steps": ("session_key", SESSION, lambda e: [asked_path_steps(e, anchor="quiz_started")]),
        "transitions": ("session_key", SESSION, lambda e: [asked_transitions(e)]),
    }  # fmt: skip


def opened(place: Path, events: int) -> ibis.Table:
    """A view over day files with a platform and sessions: a session is a user's day."""
    from event_data import LAYOUT, write_day_files

    folder = place / str(events)
    files = write_day_files(folder / "events", users=events // 40, days=60)
    con = ibis.duckdb.connect(threads=2)
    con.raw_sql("SET TimeZone = 'UTC'")
    wider = folder / "wider"
    wider.mkdir(exist_ok=True)
    for file in files:
        path = wider / Path(file).name
        if not path.exists():
            con.raw_sql(
                f"""COPY (SELECT *, ['web', 'ios', 'android'][1 + user_number % 3] AS platform,
                user_id || '/' || event_at::DATE AS session_key FROM read_parquet('{file}')) TO '{path}' ({LAYOUT})"""
            )
    con.raw_sql(f"CREATE VIEW events AS SELECT * FROM read_parquet('{wider}/*.parquet')")
    return con.table("events")


def timed(work: Callable) -> float:
    """CPU seconds of all threads: on a busy machine they say more than the clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def scanned(events: ibis.Table, columns: str) -> float:
    sums = ", ".join(f"max({c})" for c in columns.split(", "))
    return timed(lambda: events.get_backend().raw_sql(f"SELECT {sums} FROM events").fetchall())


def main() -> None:
    """Prints the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--dir", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only questions that contain this text")
    chosen = parser.parse_args()
    from launchpad_lib.metrics.asked import answers
    from launchpad_lib.metrics.kernels import one_reading

    events = opened(chosen.dir.resolve(), chosen.events)
    real, held = one_reading.unit_rows, []

    def kept(*args, **named) -> Iterator:
        if not held:
            held.append(list(real(*args, **named)))
        return iter(held[0])

    one_reading.unit_rows = kept
    print(f"{events.count().execute():,} events, {chosen.rounds} rounds\n")
    print("| question | scan | reading | kernels | of an event | tables |\n|---|---|---|---|---|---|", flush=True)
    for name, (unit, columns, make) in questions().items():
        if chosen.only not in name:
            continue
        held.clear()
        answers(events, make(events), unit=unit)  # compiles, and warms the caches
        found = answers(events, make(events), unit=unit)
        tables = timed(lambda found=found: [t.to_pyarrow() for t in found])
        rounds = []
        for _ in range(chosen.rounds):
            scan = scanned(events, columns)
            asked = make(events)
            kernels = timed(lambda asked=asked, unit=unit: answers(events, asked, unit=unit))
            rounds.append((scan, kernels))
        held.clear()
        asked = make(events)
        whole = timed(lambda asked=asked, unit=unit: answers(events, asked, unit=unit))
        scan, kernels = (statistics.median(r[k] for r in rounds) for k in (0, 1))
        times = statistics.median(k / s for s, k in rounds)
        nanoseconds = 1e9 * kernels / chosen.events
        print(
            f"| {name} | {scan:.3f} s | {(whole - kernels) / scan:.1f} | {times:.2f} | {nanoseconds:.1f} ns | {tables:.2f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
