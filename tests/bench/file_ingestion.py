"""File ingestion: rows a second for JSON lines, CSV and Parquet, beside DuckDB's own lenient reading of the same files.

    python tests/bench/file_ingestion.py [--rows 1000000] [--files 2]

Ours: read, checked with a reason per refused row, exactly once into a new lake, by two threads. DuckDB: the same columns
read and cast with `try_cast`, written as one Parquet file by two threads; no reasons, line numbers, duplicates, ids or
properties. Each measurement runs in a process of its own after a warm-up on a few rows; both take turns, and the ratio is
what to trust. CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

ROWS = """
    SELECT 'e' || i AS event_id, ['quiz_started', 'slider_adjusted', 'option_selected', 'quiz_completed'][1 + i % 4] AS event_name, 'u' || hash(i) % 50000 AS user_id,
        's' || i // 10 AS session_id, strftime(TIMESTAMP '2026-01-01' + INTERVAL (i % 1209600) SECOND, '%Y-%m-%dT%H:%M:%SZ') AS event_at, 'configurator' AS feature_id,
        ['web', 'ios', 'android'][1 + i % 3] AS platform, '2.1.0' AS app_version, ['DE', 'FR', 'US'][1 + i % 3] AS country, i % 100 AS position, 'option ' || i % 7 AS label
    FROM range($first, $last) t(i)
"""
WITH_PROPERTIES = (
    f"SELECT * EXCLUDE (position, label), json_object('position', position, 'label', label) AS properties FROM ({ROWS})"
)
# Name: rows, how they are written, ending, DuckDB's reader.
KINDS = {
    "JSON lines": (ROWS, "(FORMAT json)", "jsonl", "read_json({}, format = 'newline_delimited', ignore_errors = true)"),
    "JSON lines, gzipped": (
        ROWS,
        "(FORMAT json, COMPRESSION gzip)",
        "jsonl.gz",
        "read_json({}, format = 'newline_delimited', ignore_errors = true)",
    ),
    "CSV": (ROWS, "(FORMAT csv)", "csv", "read_csv({}, all_varchar = true)"),
    "CSV, quoted JSON": (WITH_PROPERTIES, "(FORMAT csv)", "csv", "read_csv({}, all_varchar = true)"),
    "Parquet": (ROWS, "(FORMAT parquet)", "parquet", "read_parquet({})"),
}
COLUMNS = "event_id, event_name, user_id, session_id, feature_id, platform, app_version, country"
REPEATS = 3
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        _measure(*asked.measure)
        return
    print(f"{asked.rows:,} events of 11 fields in {asked.files} files; median of {REPEATS}; two threads\n")
    print("| files | MB | ours, rows/s | DuckDB, rows/s | ours / DuckDB, wall | ours / DuckDB, CPU | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for name in [asked.only] if asked.only else KINDS:
        place = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            _compare(name, asked.rows, asked.files, place)
        finally:
            shutil.rmtree(place)


def _compare(name: str, rows: int, files: int, place: Path) -> None:
    query, form, ending, _ = KINDS[name]
    for folder, count in (("in", rows), ("warm", 1_000)):
        (place / folder).mkdir()
        for n in range(files):
            limits = {"first": n * count // files, "last": (n + 1) * count // files}
            duckdb.connect().execute(f"COPY ({query}) TO '{place / folder / f'{n}.{ending}'}' {form}", limits)
    samples: dict[str, list[dict]] = {"ours": [], "duckdb": []}
    for _ in range(REPEATS):
        for who in samples:
            command = [sys.executable, __file__, "--measure", who, name, str(place)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}, {who}: {done.stderr[-800:]}")
            samples[who].append(json.loads(done.stdout))
            if samples[who][-1]["rows"] != rows:
                raise SystemExit(f"{name}, {who}: {samples[who][-1]} where {rows} rows were expected")
    megabytes = sum(f.stat().st_size for f in (place / "in").iterdir()) / 1e6
    wall = {who: statistics.median(s["wall"] for s in runs) for who, runs in samples.items()}
    ratio = {
        what: statistics.median(a[what] / b[what] for a, b in zip(samples["ours"], samples["duckdb"], strict=True))
        for what in ("wall", "cpu")
    }
    peak = max(s["peak_mb"] for s in samples["ours"])
    print(
        f"| {name} | {megabytes:.0f} | {rows / wall['ours']:,.0f} | {rows / wall['duckdb']:,.0f} | {ratio['wall']:.1f} "
        f"| {ratio['cpu']:.1f} | {peak:.0f} |",
        flush=True,
    )


def _measure(who: str, name: str, where: str) -> None:
    place = Path(where)
    work = {"ours": _ours, "duckdb": _duckdb}[who]
    work(name, place, "warm")
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work(name, place, "in")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"rows": rows, "wall": wall, "cpu": cpu, "peak_mb": peak_mb}))


def _ours(name: str, place: Path, folder: str) -> int:
    from launchpad_lib.ingestion import SourceSpec, ingest

    shutil.rmtree(place / "lake", ignore_errors=True)
    return ingest(SourceSpec(table="events", path=folder), lake=place / "lake", ingested_at=NOW, root=place).accepted


def _duckdb(name: str, place: Path, folder: str) -> int:
    reader = KINDS[name][3].format(f"'{place / folder}/*'")
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute(
            f"COPY (SELECT {COLUMNS}, try_cast(event_at AS TIMESTAMP) AS event_at, * EXCLUDE ({COLUMNS}, event_at) "
            f"FROM {reader}) TO '{place / 'bare.parquet'}' (FORMAT parquet)"
        )
        return con.execute("SELECT count(*) FROM read_parquet($f)", {"f": str(place / "bare.parquet")}).fetchall()[0][0]


if __name__ == "__main__":
    main()
