"""Product metrics as data grow: linearity, a bot, a memory limit, and what an index costs.

    python tests/bench/product_metrics_scale.py --events 10000000 --dir <a folder with room>

Each figure is the median of the rounds, each run in a process of its own after a warm-up on one file; forms that are
compared take turns. CPU seconds are given beside wall seconds, since they hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def fold_all(job: dict) -> list[int]:
    from product_metrics import ours_funnel

    return ours_funnel("any")(job["files"])


def fold_limited(job: dict) -> list[int]:
    """With the process's private memory held under 1 GiB by the operating system (Arrow's own allocator reserves more, so the system's)."""
    resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))
    return fold_all(job)


def build(job: dict) -> list[int]:
    from launchpad_lib.lake.day_files import build_day_files

    files = build_day_files(Path(job["lake"]), Path(job["days"]), memory_limit="1GB")
    return [len(files.rewritten), files.users, sum(d.rows for d in files.days)]


def group_by(job: dict) -> list[int]:
    import duckdb

    con = duckdb.connect(config={"threads": 2})
    return [
        int(
            con.execute(
                f"SELECT count(*) FROM (SELECT {job['key']}, max(event_at) FROM read_parquet($f) GROUP BY 1)",
                {"f": job["files"]},
            ).fetchall()[0][0]
        )
    ]


WORK: dict[str, Callable[[dict], list[int]]] = {f.__name__: f for f in (fold_all, fold_limited, build, group_by)}


def measure(name: str, job: dict) -> None:
    from product_metrics import peak_mb

    import launchpad_lib.lake.day_files  # noqa: F401  (imports are not what is measured)

    if name.startswith("fold"):
        fold_all({**job, "files": job["files"][:1]})
    Path("/proc/self/clear_refs").write_text("5")
    wall, cpu = time.perf_counter(), time.process_time()
    answer = WORK[name](job)
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
                "peak_mb": peak_mb(),
                "answer": answer,
            }
        )
    )


def run(name: str, job: dict) -> dict:
    variables = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"} if name == "fold_limited" else {}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, json.dumps(job)],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-800:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(runs: list[dict], key: str) -> float:
    return statistics.median(r[key] for r in runs)


def row(*cells: object) -> None:
    print("| " + " | ".join(f"{c:,.2f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def head(title: str, *names: str) -> None:
    print(f"\n{title}\n\n| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)


def linearity(place: Path, sizes: list[int], rounds: int) -> None:
    from event_data import write_day_files

    head(
        "Funnel of 6 steps, any entry, by size",
        "events",
        "users",
        "wall s",
        "CPU s",
        "CPU ns an event",
        "peak MB",
        "peak MB under a 1 GiB limit",
    )
    for size in sizes:
        job = {"files": write_day_files(place / str(size) / "events", users=size // 40, days=60), "users": size // 40}
        runs = [run("fold_all", job) for _ in range(rounds)]
        limited = run("fold_limited", job)
        if limited["answer"] != runs[0]["answer"]:
            raise SystemExit("a limited fold answers differently")
        cpu = median(runs, "cpu")
        row(
            f"{size:,}",
            f"{size // 40:,}",
            median(runs, "wall"),
            cpu,
            1e9 * cpu / size,
            median(runs, "peak_mb"),
            limited["peak_mb"],
        )


def bot(place: Path, events: int, rounds: int) -> None:
    from event_data import write_day_files

    users = events // 40
    plain = write_day_files(place / str(events) / "events", users=users, days=60)
    folder = place / str(events) / "bot"
    folder.mkdir(exist_ok=True)
    for file in plain:
        if Path(file).stem != "030" and not (folder / Path(file).name).exists():
            (folder / Path(file).name).symlink_to(file)
    crowded = write_day_files(folder, users=users, days=60, bot_events=200_000)
    taken: dict[str, list[dict]] = {"without": [], "with": []}
    for _ in range(rounds):
        taken["without"].append(run("fold_all", {"files": plain, "users": users}))
        taken["with"].append(run("fold_all", {"files": crowded, "users": users}))
    head("One bot with 200,000 events on one day", "log", "wall s", "CPU s", "x without")
    for name, runs in taken.items():
        row(
            f"{events:,} events {name} the bot",
            median(runs, "wall"),
            median(runs, "cpu"),
            median(runs, "cpu") / median(taken["without"], "cpu"),
        )


def numbering(place: Path, events: int) -> None:
    import duckdb
    from deltalake import write_deltalake
    from event_data import write_day_files

    users = events // 40
    files = write_day_files(place / str(events) / "events", users=users, days=60)
    lake, days = place / str(events) / "lake", place / str(events) / "built"
    if not lake.exists():
        con = duckdb.connect()
        for n, file in enumerate(files):
            rows = con.sql(f"""SELECT md5(concat({n}, '-', file_row_number)) AS event_id, event_name, user_id, event_at, event_at + INTERVAL 2 SECOND AS received_at,
                event_at::DATE AS event_on FROM read_parquet('{file}', file_row_number = true) ORDER BY received_at, event_id""")
            write_deltalake(str(lake), rows.to_arrow_table(), mode="append", partition_by=["event_on"])
    shutil.rmtree(days, ignore_errors=True)
    job = {"lake": str(lake), "days": str(days)}
    head(
        f"Day files of {events:,} events from the Delta lake (DuckDB memory_limit 1 GB)",
        "step",
        "wall s",
        "CPU s",
        "CPU us an event",
        "peak MB",
    )
    for name, work in (("full build: numbers, sorts, writes 60 days", "build"), ("nothing changed", "build")):
        one = run(work, job)
        row(name, one["wall"], one["cpu"], 1e6 * one["cpu"] / events, one["peak_mb"])
    write_deltalake(
        str(lake),
        duckdb.sql("""SELECT md5(concat('late', i)) AS event_id, 'quiz_started' AS event_name, 'late-' || i AS user_id, TIMESTAMP '2026-02-10 12:00:00' AS event_at,
            TIMESTAMP '2026-03-10 12:00:00' AS received_at, DATE '2026-02-10' AS event_on FROM range(10) AS r(i)""").to_arrow_table(),
        mode="append",
        partition_by=["event_on"],
    )
    one = run("build", job)
    row("ten late events on one day: one day is written again", one["wall"], one["cpu"], "", one["peak_mb"])
    for key in ("user_number", "user_id"):
        runs = [run("group_by", {"files": files, "key": key}) for _ in range(3)]
        row(
            f"for comparison, one GROUP BY {key} in DuckDB",
            median(runs, "wall"),
            median(runs, "cpu"),
            1e6 * median(runs, "cpu") / events,
            median(runs, "peak_mb"),
        )
    shutil.rmtree(lake)


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        measure(sys.argv[2], json.loads(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--dir", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", default=["linearity", "bot", "numbering"])
    chosen = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    place = chosen.dir.resolve()
    if "linearity" in chosen.parts:
        linearity(place, chosen.sizes, chosen.rounds)
    if "bot" in chosen.parts:
        bot(place, chosen.events, chosen.rounds)
    if "numbering" in chosen.parts:
        numbering(place, chosen.events)


if __name__ == "__main__":
    main()
