"""Product metrics: time and memory of our folds beside a bare scan, chdb, polars and DuckDB SQL on the same files.

    python tests/bench/product_metrics.py --events 10000000 --dir <a folder with room>     (about 20 bytes an event)
    python tests/bench/product_metrics.py --lake <a lake of the simulated product>         (funnels of a real lake)

Every form runs in a process of its own, warm (imports, compilation, page cache), and the forms take turns in each round, so
that a busy machine slows all of them. Medians of the rounds are shown as multiples of the scan of the same columns in the
same round. Answers are held against each other; a form that answers differently ends the run. chdb and polars live in a
virtual environment of their own, made on the first run. The questions to a lake take turns within one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

DAYS, WINDOW_US = 60, 7 * 86_400_000_000
FAR = datetime(2027, 1, 1)
RETENTION_DAYS = [0, 1, 7, 14, 28]
ORACLES = ["chdb==4.4.0", "polars==2.1.0", "pyarrow"]


def duck(threads: int = 2, memory_limit: str | None = None):
    import duckdb

    con = duckdb.connect(config={"threads": threads, **({"memory_limit": memory_limit} if memory_limit else {})})
    con.execute("SET TimeZone = 'UTC'")
    return lambda query: con.execute(query).fetchall()


def listed(files: list[str]) -> str:
    return "[" + ", ".join(f"'{f}'" for f in files) + "]"


def scan(columns: str) -> Callable:
    return lambda files: duck()(f"SELECT {columns} FROM read_parquet({listed(files)})") and None


def lake_of(files: list[str]) -> str:
    """A lake of the events in these files, made beside them once, with its index."""
    from deltalake import write_deltalake

    from launchpad_lib.lake import open_lake

    lake = Path(files[0]).parent / f"lake-{len(files)}"
    if not lake.exists():
        import duckdb

        for number, file in enumerate(files):
            rows = duckdb.sql(
                f"""SELECT printf('%03d-%012d', {number}, file_row_number) AS event_id, event_name, user_id, event_at,
                    event_at AS received_at, event_at::DATE AS event_on
                FROM read_parquet('{file}', file_row_number = true)"""
            )
            write_deltalake(f"{lake}.new/events", rows.to_arrow_table(), mode="append", partition_by=["event_on"])
        Path(f"{lake}.new").rename(lake)
        open_lake(lake)
    return str(lake)


def ours_funnel(entry: str) -> Callable:
    def run(files):
        from event_data import STEPS

        from launchpad_lib.lake import open_lake
        from launchpad_lib.metrics import funnel

        asked = {"steps": STEPS, "window": "7d", "observed_through": FAR, "entry": entry}
        return funnel(open_lake(lake_of(files)).events, **asked).order_by("step").to_pandas()["users"].tolist()

    return run


def ours_retention(period: str) -> Callable:
    def run(files):
        from launchpad_lib.lake import open_lake
        from launchpad_lib.metrics import retention

        asked = {"returns": RETENTION_DAYS, "observed_through": FAR, "counting": period}
        found = retention(open_lake(lake_of(files)).events, **asked).to_pandas().sort_values("period_from")
        return found[["users", "retained"]].to_numpy().tolist()

    return run


def duck_funnel(files):
    """`metrics.funnel` of a table that is no lake's: its engine sorts the rows."""
    import ibis
    from event_data import STEPS

    from launchpad_lib.metrics.funnel import funnel

    con = ibis.duckdb.connect(threads=2)
    events = con.read_parquet(files).rename(text_id="user_id").rename(user_id="user_number")
    return (
        con.execute(funnel(events, steps=STEPS, window="7d", observed_through=FAR))
        .sort_values("step")["users"]
        .tolist()
    )


def duck_retention(files):
    """Calendar retention by a bit mask of dates."""
    bits = ", ".join(f"sum((since >> {d}) & 1)" for d in RETENTION_DAYS)
    row = duck()(f"""SELECT count(*), {bits} FROM (SELECT mask // (mask & -mask)::UBIGINT AS since FROM (
        SELECT user_number, bit_or(1::HUGEINT << ((event_at::DATE - DATE '2026-01-01')::INTEGER)) AS mask FROM read_parquet({listed(files)}) GROUP BY user_number))""")[
        0
    ]
    return [[int(row[0]), int(n)] for n in row[1:]]


def chdb_query(query: str):
    import chdb

    text = str(
        chdb.query(query + " SETTINGS schema_inference_make_columns_nullable=0, max_threads=2", "JSONCompactEachRow")
    )
    return [json.loads(line) for line in text.splitlines()]


def chdb_files(files: list[str]) -> str:
    folder = str(Path(files[0]).parent)
    names = ",".join(Path(f).stem for f in files)
    return f"file('{folder}/{{{names}}}.parquet', Parquet)" if len(files) > 1 else f"file('{files[0]}', Parquet)"


def chdb_funnel(files):
    steps = ", ".join(f"event_code = {n}" for n in range(1, 7))
    rows = chdb_query(f"""SELECT level, count() FROM (SELECT user_number, windowFunnel({WINDOW_US})(toUInt64(toUnixTimestamp64Micro(event_at)), {steps}) AS level
        FROM {chdb_files(files)} GROUP BY user_number) GROUP BY level""")
    return [sum(int(n) for level, n in rows if int(level) >= k) for k in range(1, 7)]


def chdb_retention(files):
    """Calendar retention by a bit mask of dates."""
    since = "bitShiftRight(mask, toUInt8(log2(bitAnd(mask, bitNot(mask) + 1))))"
    bits = ", ".join(f"sum(bitAnd(bitShiftRight(since, {d}), 1))" for d in RETENTION_DAYS)
    row = chdb_query(f"""SELECT count(), {bits} FROM (SELECT {since} AS since FROM (SELECT user_number,
        groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(toDate(event_at, 'UTC') - toDate('2026-01-01')))) AS mask FROM {chdb_files(files)} GROUP BY user_number))""")[
        0
    ]
    return [[int(row[0]), int(n)] for n in row[1:]]


def chdb_retention_rolling(files):
    """Days of 24 hours since a user's first event, by lists."""
    bits = ", ".join(f"sum(bitAnd(bitShiftRight(mask, {d}), 1))" for d in RETENTION_DAYS)
    row = chdb_query(f"""SELECT count(), {bits} FROM (SELECT groupArray(toUnixTimestamp64Micro(event_at)) AS a, arrayMin(a) AS t0,
        arrayReduce('groupBitOr', arrayMap(x -> bitShiftLeft(toUInt64(1), toUInt8(intDiv(x - t0, 86400000000))), a)) AS mask
        FROM {chdb_files(files)} GROUP BY user_number)""")[0]
    return [[int(row[0]), int(n)] for n in row[1:]]


def polars_funnel(files):
    """The same automaton as cumulative maxima: sort once, then one window a step."""
    import polars as pl

    log = (
        pl.scan_parquet(files)
        .select("user_number", pl.col("event_at").dt.epoch("us").alias("t"), "event_code")
        .filter(pl.col("event_code") > 0)
    )
    log = log.sort("user_number", "t", "event_code").with_columns(
        pl.when(pl.col("event_code") == 1).then("t").alias("f1")
    )
    for k in range(2, 7):
        begun = pl.col(f"f{k - 1}").cum_max().forward_fill().over("user_number")
        log = log.with_columns(
            pl.when((pl.col("event_code") == k) & (pl.col("t") - begun <= WINDOW_US)).then(begun).alias(f"f{k}")
        )
    reached = log.group_by("user_number").agg(*(pl.col(f"f{k}").is_not_null().any() for k in range(1, 7)))
    return list(reached.select(*(pl.col(f"f{k}").sum() for k in range(1, 7))).collect().row(0))


SCAN_3 = scan("sum(user_number), max(event_at), sum(event_code)")
SCAN_2 = scan("sum(user_number), max(event_at)")
# Forms that take minutes or more memory than the machine has on a hundred million events.
SMALL_ONLY = {"polars", "ours, sorted by DuckDB"}
# question: (form that is 1, forms). The first form of ours gives the answer that all others must give.
QUESTIONS: dict[str, dict[str, Callable]] = {
    "funnel, 6 steps, 7 days, any entry": {
        "scan": SCAN_3,
        "ours": ours_funnel("any"),
        "chdb windowFunnel": chdb_funnel,
        "polars": polars_funnel,
        "ours, sorted by DuckDB": duck_funnel,
    },
    "funnel, first entry": {"scan": SCAN_3, "ours": ours_funnel("first")},
    "retention, calendar days": {
        "scan": SCAN_2,
        "ours": ours_retention("calendar"),
        "DuckDB mask": duck_retention,
        "chdb mask": chdb_retention,
    },
    "retention, rolling days": {
        "scan": SCAN_2,
        "ours": ours_retention("rolling"),
        "chdb lists": chdb_retention_rolling,
    },
}


def measure(question: str, form: str, files: list[str]) -> None:
    """In a process of its own: warm up on one file, run once on all, print what it took."""
    run = QUESTIONS[question][form]
    if form == "ours":
        lake_of(files)
    run(files[:1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here, not from the parent process
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run(files)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak_mb(), "answer": answer}))


def peak_mb() -> float:
    """Peak resident memory of this process."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


LAKE_STEPS = ["quiz_started", "option_selected", "quiz_completed", "result_viewed", "result_shared"]


def lake_questions(lake: str) -> dict[str, Callable]:
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
    asked = {"steps": LAKE_STEPS, "window": "7d", "observed_through": through}
    filtered = [*LAKE_STEPS[:-1], Step(LAKE_STEPS[-1], (("platform", "web"),))]

    def needed_rows() -> None:
        named = events.event_name.isin(LAKE_STEPS)
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
        "scan": lambda: scan("sum(user_number), max(event_at), sum(event_code)")(files),
        "reading of the steps' rows": needed_rows,
        "funnel, 5 steps, 7 days, any entry": lambda: funnel(events, **asked),
        "funnel, first entry": lambda: funnel(events, entry="first", **asked),
        "funnel by platform": lambda: funnel(events, breakdown="platform", **asked),
        "filter, by platform, by week and times together": together,
        "everything that the funnel page counts": page,
    }


def measure_lake(lake: str, rounds: int) -> None:
    """The questions in turns, after one warm-up; prints medians and multiples of the scan of the same round."""
    questions = lake_questions(lake)
    for ask in questions.values():
        ask()
    Path("/proc/self/clear_refs").write_text("5")
    taken: dict[str, list[tuple[float, float]]] = {question: [] for question in questions}
    for _ in range(rounds):
        for question, ask in questions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            ask()
            taken[question].append((time.perf_counter() - wall, time.process_time() - cpu))
    print("| question | median CPU | x scan (wall) | x scan (CPU) |\n|---|---|---|---|")
    for question, times in taken.items():
        pairs = list(zip(times, taken["scan"], strict=True))
        wall, cpu = (statistics.median(own[k] / bare[k] for own, bare in pairs) for k in (0, 1))
        print(f"| {question} | {statistics.median(c for _, c in times):.2f} s | {wall:.2f} | {cpu:.2f} |")
    print(f"\npeak memory {peak_mb():,.0f} MB, load {' '.join(Path('/proc/loadavg').read_text().split()[:3])}")


def same(a, b) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) or isinstance(b, float):
        return abs(a - b) <= 0.004 * abs(b) + 1e-9
    return a == b


def oracle_python(folder: Path) -> str:
    python = folder / "oracles" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "oracles", with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *ORACLES], check=True)
    return str(python)


def table(
    question: str, forms: list[str], files_file: Path, *, rounds: int, python_of: Callable[[str], str]
) -> list[str]:
    """Runs the forms in turns and returns the rows of the table."""
    taken: dict[str, list[dict]] = {f: [] for f in forms}
    for _ in range(rounds):
        for form in forms:
            if taken[form] and "error" in taken[form][0]:
                continue
            done = subprocess.run(
                [python_of(form), __file__, "--measure", question, form, str(files_file)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                taken[form].append(
                    {
                        "error": next(
                            (x for x in reversed(done.stderr.splitlines()) if "rror" in x),
                            f"ended by signal {-done.returncode}",
                        )[:160]
                    }
                )
            else:
                taken[form].append(json.loads(done.stdout.strip().splitlines()[-1]))
    answer = next((t[0]["answer"] for f, t in taken.items() if f.startswith("ours")), None)
    rows = []
    for form in forms:
        runs = taken[form]
        if "error" in runs[0]:
            rows.append(f"| {question} | {form} | failed: {runs[0]['error']} | | | |")
            continue
        if runs[0]["answer"] is not None and not same(answer, runs[0]["answer"]):
            raise SystemExit(f"{question}: {form} answers {str(runs[0]['answer'])[:300]}, ours {str(answer)[:300]}")
        wall, cpu, peak = (statistics.median(r[k] for r in runs) for k in ("wall", "cpu", "peak_mb"))
        wall_x, cpu_x = (
            statistics.median(r[k] / s[k] for r, s in zip(runs, taken["scan"], strict=True)) for k in ("wall", "cpu")
        )
        rows.append(f"| {question} | {form} | {wall:.2f} s | {wall_x:.2f} | {cpu_x:.2f} | {peak:,.0f} MB |")
    for row in rows:
        print(row, flush=True)
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        measure(sys.argv[2], sys.argv[3], json.loads(Path(sys.argv[4]).read_text()))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--dir", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only questions that contain this text")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--lake", help="a lake of the simulated product: its funnels are measured and nothing else")
    chosen = parser.parse_args()
    if chosen.lake:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        measure_lake(chosen.lake, chosen.rounds)
        return
    from event_data import write_day_files

    users = chosen.events // 40
    place = chosen.dir.resolve() / str(chosen.events)
    events = write_day_files(place / "events", users=users, days=DAYS)
    oracles = None if chosen.ours_only else oracle_python(chosen.dir.resolve())
    print(f"{chosen.events:,} events, {DAYS} days, {users:,} users, {chosen.rounds} rounds\n")
    print(
        "| question | form | median | x scan (wall) | x scan (CPU) | peak memory |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for question, forms in QUESTIONS.items():
        if chosen.only and chosen.only not in question:
            continue
        names = [f for f in forms if f in ("scan", "ours") or f.startswith("ours") or not chosen.ours_only]
        names = [f for f in names if chosen.events <= 20_000_000 or f not in SMALL_ONLY]
        (place / "files.json").write_text(json.dumps(events))
        table(
            question,
            names,
            place / "files.json",
            rounds=chosen.rounds,
            python_of=lambda f: oracles if f.startswith(("chdb", "polars")) else sys.executable,
        )


if __name__ == "__main__":
    main()
