"""The questions of the pages by our engine, chdb, polars, DuckDB's SQL and its extension `behavioral`, on the same files.

    python tests/bench/engines.py --events 10000000 --dir <a folder with room>     (about 100 bytes an event)

A made-up lake (`made_lake.py`) is opened as the pages open it; the others read the day files of its index, which hold
numbers for users and event names and are sorted by user: the best layout for them, too. Every form runs in a process of
its own, warm (imports, compilation, page cache), and the forms take turns in each round, so that a busy machine slows all
of them. Shown are medians of the rounds, and multiples of the bare scan of the columns in the same round. Answers are
held against each other; a form that answers differently ends the run. The other engines live in a virtual environment of
their own, made on the first run. `--behavioral FILE` names the extension as built for the DuckDB of that environment
(1.5.2); without it its forms are left out.
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
from typing import Any, NamedTuple

FAR = datetime(2027, 1, 1)
WINDOW_US, DAY_US = 7 * 86_400_000_000, 86_400_000_000
RETURNS = [0, 1, 7, 14, 28]
ENGINES = ["chdb==4.4.0", "polars==2.1.0", "pyarrow", "duckdb==1.5.2"]
COUNTRIES = ("DE", "FR")


class Job(NamedTuple):
    """What a form may use: the lake, the day files of its index, the codes of the six steps."""

    lake: str
    files: list[str]
    codes: list[int]
    behavioral: str | None = None


# ---- ours: what the pages call, on the lazy lake


_events: dict[str, Any] = {}


def opened(job: Job) -> Any:
    """The events as a page has them, opened once."""
    if job.lake not in _events:
        from launchpad_lib.lake import open_lake

        _events[job.lake] = open_lake(job.lake).events
    return _events[job.lake]


def ours_funnel(entry: str = "any", same_instant: str = "counts") -> Callable:
    def run(job: Job) -> list[int]:
        from made_lake import STEPS

        from launchpad_lib.metrics import funnel

        rules = {"window": "7d", "entry": entry, "same_instant": same_instant}
        found = funnel(opened(job), steps=STEPS, observed_through=FAR, **rules)
        return found.order_by("step").to_pandas()["users"].astype(int).tolist()

    return run


def ours_split(job: Job) -> list[list]:
    from made_lake import STEPS

    from launchpad_lib.metrics import Step, funnel

    steps = [*STEPS[:2], Step(STEPS[2], (("country", COUNTRIES),)), *STEPS[3:]]
    found = funnel(opened(job), steps=steps, window="7d", breakdown="platform", observed_through=FAR).to_pandas()
    found = found.sort_values(["segment", "step"])
    return [[name, *(int(n) for n in rows["users"])] for name, rows in found.groupby("segment")]


def ours_retention(counting: str) -> Callable:
    def run(job: Job) -> list[list[int]]:
        from launchpad_lib.metrics import retention

        found = retention(opened(job), returns=RETURNS, counting=counting, observed_through=FAR).to_pandas()
        return found.sort_values("period_from")[["users", "retained"]].astype(int).to_numpy().tolist()

    return run


def ours_sessions(job: Job) -> list[float]:
    from launchpad_lib.metrics import session_duration

    row = session_duration(opened(job)).to_pandas().iloc[0]
    return [int(row["sessions"]), float(row["median_seconds"]), float(row["p90_seconds"])]


# ---- DuckDB's SQL, and its extension


def duck(job: Job, query: str) -> list[tuple]:
    import duckdb

    con = duckdb.connect(config={"threads": 2, **({"allow_unsigned_extensions": True} if job.behavioral else {})})
    con.execute("SET TimeZone = 'UTC'")
    if job.behavioral:
        con.execute(f"LOAD '{job.behavioral}'")
    return con.execute(query).fetchall()


def listed(job: Job) -> str:
    return "read_parquet([" + ", ".join(f"'{f}'" for f in job.files) + "])"


def scan(columns: str) -> Callable:
    return lambda job: duck(job._replace(behavioral=None), f"SELECT {columns} FROM {listed(job)}") and None


def at_least(rows: list[tuple]) -> list[int]:
    return [sum(int(n) for level, n in rows if int(level) >= k) for k in range(1, 7)]


def by_segment(rows: list) -> list[list]:
    names = sorted({r[0] for r in rows})
    return [[name, *at_least([r[1:] for r in rows if r[0] == name])] for name in names]


def conditions(job: Job, *, filtered: bool = False) -> str:
    of = [f"event_code = {code}" for code in job.codes]
    if filtered:
        of[2] += f" AND country IN {COUNTRIES}"
    return ", ".join(of)


def behavioral_funnel(mode: str = "") -> Callable:
    return lambda job: at_least(duck(job, f"""SELECT level, count(*) FROM (
        SELECT user_number, window_funnel(INTERVAL '7 days', {mode} event_at, {conditions(job)}) AS level
        FROM {listed(job)} GROUP BY user_number) GROUP BY level"""))  # fmt: skip


def behavioral_split(job: Job) -> list[list]:
    return by_segment(duck(job, f"""SELECT segment, level, count(*) FROM (SELECT user_number, min(platform) AS segment,
        window_funnel(INTERVAL '7 days', event_at, {conditions(job, filtered=True)}) AS level
        FROM {listed(job)} GROUP BY user_number) GROUP BY segment, level"""))  # fmt: skip


def behavioral_retention(job: Job) -> list[list[int]]:
    days = ", ".join(f"event_at >= t0 + INTERVAL {d} DAY AND event_at < t0 + INTERVAL {d + 1} DAY" for d in RETURNS)
    sums = ", ".join(f"sum(r[{k}]::INT)" for k in range(2, 2 + len(RETURNS)))
    row = duck(job, f"""WITH e AS (SELECT user_number, event_at FROM {listed(job)}),
        f AS (SELECT user_number, min(event_at) AS t0 FROM e GROUP BY 1)
        SELECT count(*), {sums} FROM (SELECT user_number, retention(true, {days}) AS r
            FROM e JOIN f USING (user_number) GROUP BY user_number)""")[0]  # fmt: skip
    return [[int(row[0]), int(n)] for n in row[1:]]


def behavioral_sessions(job: Job) -> list[float]:
    return list(duck(job, f"""SELECT count(*), quantile_cont(s, 0.5), quantile_cont(s, 0.9) FROM (
        SELECT (epoch_us(max(event_at)) - epoch_us(min(event_at))) / 1e6 AS s FROM (
            SELECT user_number, event_at, sessionize(event_at, INTERVAL '30 minutes')
                OVER (PARTITION BY user_number ORDER BY event_at) AS visit FROM {listed(job)})
        GROUP BY user_number, visit)""")[0])  # fmt: skip


def duck_sessions(job: Job) -> list[float]:
    return list(duck(job, f"""SELECT count(*), quantile_cont(s, 0.5), quantile_cont(s, 0.9) FROM (
        SELECT (epoch_us(max(event_at)) - epoch_us(min(event_at))) / 1e6 AS s FROM (
            SELECT user_number, event_at, sum(coalesce(fresh, 0)) OVER (PARTITION BY user_number ORDER BY event_at) AS visit FROM (
                SELECT user_number, event_at, (event_at - lag(event_at) OVER (PARTITION BY user_number ORDER BY event_at)
                    > INTERVAL 30 MINUTE)::INTEGER AS fresh FROM {listed(job)}))
        GROUP BY user_number, visit)""")[0])  # fmt: skip


def duck_retention(job: Job) -> list[list[int]]:
    """Calendar retention by a bit mask of dates."""
    bits = ", ".join(f"sum((since >> {d}) & 1)" for d in RETURNS)
    row = duck(job, f"""SELECT count(*), {bits} FROM (SELECT mask // (mask & -mask)::UBIGINT AS since FROM (
        SELECT user_number, bit_or(1::HUGEINT << ((event_at::DATE - DATE '2026-01-01')::INTEGER)) AS mask
        FROM {listed(job)} GROUP BY user_number))""")[0]  # fmt: skip
    return [[int(row[0]), int(n)] for n in row[1:]]


# ---- chdb


def chdb(job: Job, query: str) -> list[list]:
    import chdb

    settings = " SETTINGS schema_inference_make_columns_nullable=0, max_threads=2"
    text = str(chdb.query(query.replace("FILES", chdb_files(job.files)) + settings, "JSONCompactEachRow"))
    return [json.loads(line) for line in text.splitlines()]


def chdb_files(files: list[str]) -> str:
    names = ",".join(Path(f).stem for f in files)
    named = f"{Path(files[0]).parent}/{{{names}}}.parquet" if len(files) > 1 else files[0]
    return f"file('{named}', Parquet)"


CHDB_LEVEL = f"windowFunnel({WINDOW_US}%s)(toUInt64(toUnixTimestamp64Micro(event_at)), %s) AS level"


def chdb_funnel(mode: str = "") -> Callable:
    def run(job: Job) -> list[int]:
        level = CHDB_LEVEL % (mode, conditions(job))
        return at_least(chdb(job, f"""SELECT level, count() FROM (SELECT user_number, {level} FROM FILES
            GROUP BY user_number) GROUP BY level"""))  # fmt: skip

    return run


def chdb_split(job: Job) -> list[list]:
    level = CHDB_LEVEL % ("", conditions(job, filtered=True))
    return by_segment(chdb(job, f"""SELECT segment, level, count() FROM (SELECT user_number, any(platform) AS segment,
        {level} FROM FILES GROUP BY user_number) GROUP BY segment, level"""))  # fmt: skip


def chdb_retention(job: Job) -> list[list[int]]:
    """Calendar retention by a bit mask of dates."""
    since = "bitShiftRight(mask, toUInt8(log2(bitAnd(mask, bitNot(mask) + 1))))"
    bits = ", ".join(f"sum(bitAnd(bitShiftRight(since, {d}), 1))" for d in RETURNS)
    day = "toUInt8(toDate(event_at, 'UTC') - toDate('2026-01-01'))"
    row = chdb(
        job,
        f"""SELECT count(), {bits} FROM (SELECT {since} AS since FROM (
        SELECT user_number, groupBitOr(bitShiftLeft(toUInt64(1), {day})) AS mask FROM FILES GROUP BY user_number))""",
    )[0]
    return [[int(row[0]), int(n)] for n in row[1:]]


def chdb_rolling(job: Job) -> list[list[int]]:
    """Days of 24 hours since a user's first event, by lists."""
    bits = ", ".join(f"sum(bitAnd(bitShiftRight(mask, {d}), 1))" for d in RETURNS)
    row = chdb(job, f"""SELECT count(), {bits} FROM (
        SELECT groupArray(toUnixTimestamp64Micro(event_at)) AS a, arrayMin(a) AS t0, arrayReduce('groupBitOr',
            arrayMap(x -> bitShiftLeft(toUInt64(1), toUInt8(intDiv(x - t0, {DAY_US}))), a)) AS mask
        FROM FILES GROUP BY user_number)""")[0]  # fmt: skip
    return [[int(row[0]), int(n)] for n in row[1:]]


def chdb_sessions(job: Job) -> list[float]:
    row = chdb(
        job,
        """WITH arrayJoin(arraySplit((x, y) -> y, a, arrayMap(d -> d > 1800000000, arrayDifference(a)))) AS s
        SELECT count(), quantilesExactInclusive(0.5, 0.9)((s[-1] - s[1]) / 1e6) FROM (
            SELECT arraySort(groupArray(toUnixTimestamp64Micro(event_at))) AS a FROM FILES GROUP BY user_number)""",
    )[0]
    return [int(row[0]), *row[1]]


# ---- polars


def polars_log(job: Job, *more: str) -> Any:
    import polars as pl

    names = ("user_number", pl.col("event_at").dt.epoch("us").alias("t"), "event_code", *more)
    return pl.scan_parquet(job.files).select(*names)


def polars_chain(job: Job, *, filtered: bool) -> Any:
    """The automaton as cumulative maxima: sort once, then one window a step. One row per user: the steps reached."""
    import polars as pl

    step = {code: k for k, code in enumerate(job.codes, start=1)}
    log = polars_log(job, *(("platform", "country") if filtered else ()))
    log = log.with_columns(k=pl.col("event_code").replace_strict(step, default=0, return_dtype=pl.UInt8))
    if filtered:
        log = log.with_columns(
            k=pl.when((pl.col("k") == 3) & ~pl.col("country").is_in(COUNTRIES)).then(0).otherwise("k")
        )
    log = log.filter(pl.col("k") > 0).sort("user_number", "t", "k")
    log = log.with_columns(pl.when(pl.col("k") == 1).then("t").alias("f1"))
    for k in range(2, 7):
        begun = pl.col(f"f{k - 1}").cum_max().forward_fill().over("user_number")
        is_in = (pl.col("k") == k) & (pl.col("t") - begun <= WINDOW_US)
        log = log.with_columns(pl.when(is_in).then(begun).alias(f"f{k}"))
    segment = (pl.col("platform").first(),) if filtered else ()
    return log.group_by("user_number").agg(*segment, *(pl.col(f"f{k}").is_not_null().any() for k in range(1, 7)))


def polars_funnel(job: Job) -> list[int]:
    import polars as pl

    return list(
        polars_chain(job, filtered=False).select(*(pl.col(f"f{k}").sum() for k in range(1, 7))).collect().row(0)
    )


def polars_split(job: Job) -> list[list]:
    import polars as pl

    reached = polars_chain(job, filtered=True).group_by("platform").agg(*(pl.col(f"f{k}").sum() for k in range(1, 7)))
    return [list(row) for row in reached.sort("platform").collect().rows()]


def polars_retention(calendar: bool) -> Callable:
    def run(job: Job) -> list[list[int]]:
        import polars as pl

        since = pl.col("t") - pl.col("t").min().over("user_number")
        days = pl.col("t") // DAY_US
        day = days - days.min().over("user_number") if calendar else since // DAY_US
        log = polars_log(job).select("user_number", day=day).unique()
        users = log.select(pl.col("user_number").n_unique()).collect().item()
        found = dict(log.filter(pl.col("day").is_in(RETURNS)).group_by("day").len().collect().rows())
        return [[users, found.get(d, 0)] for d in RETURNS]

    return run


def polars_sessions(job: Job) -> list[float]:
    import polars as pl

    log = polars_log(job).sort("user_number", "t")
    fresh = (pl.col("t").diff().over("user_number") > 1_800_000_000).fill_null(True)
    log = log.select("user_number", "t", visit=fresh.cum_sum())
    lasted = log.group_by("visit").agg(s=(pl.col("t").max() - pl.col("t").min()) / 1e6)
    row = lasted.select(
        pl.len(), pl.col("s").quantile(0.5, "linear").alias("m"), pl.col("s").quantile(0.9, "linear")
    ).collect()
    return list(row.row(0))


SCAN_3 = scan("sum(user_number), max(event_at), sum(event_code)")
SCAN_5 = scan("sum(user_number), max(event_at), sum(event_code), max(platform), max(country)")
SCAN_2 = scan("sum(user_number), max(event_at)")
# The extension takes events of one instant in the order they come, so that steps of one instant may count or not: its
# answer differs where there are such, and is not held against ours. In its mode 'strict_increase' it is.
TIES = "DuckDB behavioral (ties as they come)"
# question: form: what answers it. What ours answers all others must answer.
QUESTIONS: dict[str, dict[str, Callable]] = {
    "funnel, 6 steps, 7 days, any entry": {
        "scan": SCAN_3,
        "ours": ours_funnel(),
        "chdb windowFunnel": chdb_funnel(),
        TIES: behavioral_funnel(),
        "polars": polars_funnel,
    },
    "the same, each step later than the one before": {
        "scan": SCAN_3,
        "ours": ours_funnel(same_instant="does_not_count"),
        "DuckDB behavioral": behavioral_funnel("'strict_increase',"),
    },
    "the same, first entry": {"scan": SCAN_3, "ours": ours_funnel("first")},
    "filtered step, by platform": {
        "scan": SCAN_5,
        "ours": ours_split,
        "chdb windowFunnel": chdb_split,
        TIES: behavioral_split,
        "polars": polars_split,
    },
    "retention, rolling days": {
        "scan": SCAN_2,
        "ours": ours_retention("rolling"),
        "chdb lists": chdb_rolling,
        "DuckDB behavioral": behavioral_retention,
        "polars": polars_retention(calendar=False),
    },
    "retention, calendar days": {
        "scan": SCAN_2,
        "ours": ours_retention("calendar"),
        "chdb mask": chdb_retention,
        "DuckDB mask": duck_retention,
        "polars": polars_retention(calendar=True),
    },
    "sessions, 30 minutes": {
        "scan": SCAN_2,
        "ours": ours_sessions,
        "chdb lists": chdb_sessions,
        "DuckDB behavioral": behavioral_sessions,
        "DuckDB windows": duck_sessions,
        "polars": polars_sessions,
    },
}
# What needs more memory than the machine has on a hundred million events.
SMALL_ONLY = {"polars", "DuckDB windows"}


def peak_mb() -> float:
    """Peak resident memory of this process since it was last asked to count anew."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(question: str, form: str, job: Job) -> None:
    """In a process of its own: warm up (ours on all, for it compiles by what it sees; others on one file), then once."""
    run = QUESTIONS[question][form]
    run(job if form == "ours" else job._replace(files=job.files[:1]))
    if form == "ours":
        _events.clear()
        opened(job)  # a run opens the lake once for all pages; nothing that was read before is kept
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run(job)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak_mb(), "answer": answer}))


def same(a: Any, b: Any) -> bool:
    """Counts to the digit; seconds to a microsecond."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return abs(a - b) <= 1e-6 if isinstance(a, float) else a == b


def run_once(python: str | None, question: str, form: str, job_file: Path) -> dict:
    command = [python, __file__, "--measure", question, form, str(job_file)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if "rror" in line]
        return {"error": (last or [f"ended by signal {-done.returncode}"])[-1][:160]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(
    question: str, forms: list[str], job_file: Path, *, rounds: int, python_of: Callable[[str], str | None]
) -> None:
    """Runs the forms in turns and prints the rows of the table."""
    taken: dict[str, list[dict]] = {form: [] for form in forms}
    for _ in range(rounds):
        for form in forms:
            if not any("error" in run for run in taken[form]):
                taken[form].append(run_once(python_of(form), question, form, job_file))
    for form, runs in taken.items():
        if "error" in runs[-1]:
            print(f"| {question} | {form} | failed: {runs[-1]['error']} | | | | |", flush=True)
            continue
        wanted = taken["ours"][0]["answer"]
        if form not in ("scan", TIES) and not same(wanted, runs[0]["answer"]):
            raise SystemExit(f"{question}: {form} answers {str(runs[0]['answer'])[:300]}, ours {str(wanted)[:300]}")
        wall, cpu, peak = (statistics.median(r[k] for r in runs) for k in ("wall", "cpu", "peak_mb"))
        against = {}
        for base in ("scan", "ours"):
            pairs = zip(runs, taken[base], strict=True)
            against[base] = statistics.median(r["cpu"] / b["cpu"] for r, b in pairs)
        print(
            f"| {question} | {form} | {wall:.2f} s | {cpu:.2f} s | {against['scan']:.2f} | {against['ours']:.2f} "
            f"| {peak:,.0f} MB |",
            flush=True,
        )


def engines_python(folder: Path) -> str:
    python = folder / "engines" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "engines", with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *ENGINES], check=True)
    return str(python)


def main() -> None:
    here = Path(__file__).resolve()
    sys.path.insert(0, str(here.parents[2]))
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], Job(**json.loads(Path(sys.argv[4]).read_text())))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--dir", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only questions that contain this text")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--behavioral", type=Path, help="the extension, built for DuckDB 1.5.2")
    chosen = parser.parse_args()
    from made_lake import STEPS, Shape, made_lake

    from launchpad_lib.lake import open_lake

    place = chosen.dir.resolve()
    lake = made_lake(place, Shape(chosen.events))
    log = open_lake(lake).events.op().source.log
    extension = str(chosen.behavioral.resolve()) if chosen.behavioral else None
    job = Job(str(lake), list(log.paths), [log.event_codes[name] for name in STEPS], extension)
    job_file = place / "job.json"
    job_file.write_text(json.dumps(job._asdict()))
    other = None if chosen.ours_only else engines_python(place)

    def python_of(form: str) -> str | None:
        return sys.executable if form in ("scan", "ours") else other

    print(f"{chosen.events:,} events, {len(job.files)} days, {chosen.rounds} rounds\n")
    print("| question | form | wall | CPU | x scan (CPU) | x ours (CPU) | peak memory |\n|---|---|---|---|---|---|---|")
    for question, forms in QUESTIONS.items():
        if chosen.only not in question:
            continue
        names = [f for f in forms if f in ("scan", "ours") or not chosen.ours_only]
        names = [f for f in names if extension or "behavioral" not in f]
        names = [f for f in names if chosen.events <= 20_000_000 or f not in SMALL_ONLY]
        table(question, names, job_file, rounds=chosen.rounds, python_of=python_of)


if __name__ == "__main__":
    main()
