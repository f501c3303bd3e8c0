"""File ingestion: rows a second for CSV, JSON lines and Parquet, beside DuckDB's own lenient reading of the same file.

    python tests/bench/file_ingestion.py [--rows 1000000]

Ours: read, checked with a reason per refused row, exactly once into a new lake. DuckDB: the same columns read and cast with `try_cast`, written
as one Parquet file; no reasons, line numbers, duplicates, ids or properties. Both in the same run, one after the other; the ratio is what to trust.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.ingestion.files.judging import check
from launchpad_lib.ingestion.files.readers import read_text_rows

ROWS = """
    SELECT 'e' || i AS event_id, ['quiz_started', 'slider_adjusted', 'option_selected', 'quiz_completed'][1 + i % 4] AS event_name, 'u' || hash(i) % 50000 AS user_id,
        's' || i // 10 AS session_id, strftime(TIMESTAMP '2026-01-01' + INTERVAL (i % 1209600) SECOND, '%Y-%m-%dT%H:%M:%SZ') AS event_at, 'configurator' AS feature_id,
        ['web', 'ios', 'android'][1 + i % 3] AS platform, '2.1.0' AS app_version, ['DE', 'FR', 'US'][1 + i % 3] AS country, i % 100 AS position, 'option ' || i % 7 AS label
    FROM range($rows) t(i)
"""
READERS = {
    "csv": "read_csv('{}', all_varchar = true)",
    "jsonl": "read_json('{}', format = 'newline_delimited', ignore_errors = true)",
    "parquet": "read_parquet('{}')",
}
FORMATS = {"csv": "(FORMAT csv)", "jsonl": "(FORMAT json)", "parquet": "(FORMAT parquet)"}
REPEATS = 3
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    place = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        print(f"{rows:,} events of 11 fields; median of {REPEATS}; two threads\n")
        print(
            "| file | MB | ours, rows/s | of it read s | check s | commit s | DuckDB try_cast, rows/s | ours / DuckDB time |\n|---|---|---|---|---|---|---|---|"
        )
        for kind in FORMATS:
            _one(kind, rows, place)
        _quoted(rows, place)
    finally:
        shutil.rmtree(place)


def _one(kind: str, rows: int, place: Path) -> None:
    file = place / f"x.{kind}"
    duckdb.connect().execute(f"COPY ({ROWS}) TO '{file}' {FORMATS[kind]}", {"rows": rows})
    _measure(kind, file, rows, place, READERS[kind])


def _quoted(rows: int, place: Path) -> None:
    """CSV whose properties are JSON, so that quotes send it to the row-by-row reader."""
    file = place / "quoted.csv"
    query = f"SELECT * EXCLUDE (position, label), json_object('position', position, 'label', label) AS properties FROM ({ROWS})"
    duckdb.connect().execute(f"COPY ({query}) TO '{file}' (FORMAT csv)", {"rows": rows})
    _measure("csv, quoted JSON", file, rows, place, READERS["csv"])


def _measure(name: str, file: Path, rows: int, place: Path, reader: str) -> None:
    source = SourceSpec(table="events", path=file.name)
    samples = []
    for _ in range(REPEATS):
        shutil.rmtree(place / "lake", ignore_errors=True)
        started = time.perf_counter()
        result = ingest(source, lake=place / "lake", ingested_at=NOW, root=place)
        whole = time.perf_counter() - started
        if result.accepted != rows:
            raise SystemExit(f"{name}: {result} where {rows} were expected")
        started = time.perf_counter()
        text = read_text_rows(file, wanted=source.wanted())
        read = time.perf_counter() - started
        started = time.perf_counter()
        check(text.table, source=source, file=file.name, moment=NOW, names=text.names, kind=text.kind)
        checked = time.perf_counter() - started
        started = time.perf_counter()
        con = duckdb.connect(config={"threads": 2})
        con.execute(
            "COPY (SELECT event_id, event_name, user_id, session_id, try_cast(event_at AS TIMESTAMP) AS event_at, feature_id, platform, app_version, country, "
            f"* EXCLUDE (event_id, event_name, user_id, session_id, event_at, feature_id, platform, app_version, country) FROM {reader.format(file)}) "
            f"TO '{place / 'bare.parquet'}' (FORMAT parquet)"
        )
        con.close()
        samples.append((whole, read, checked, time.perf_counter() - started))
    whole, read, checked, bare = (sorted(s)[REPEATS // 2] for s in zip(*samples, strict=True))
    megabytes = file.stat().st_size / 1e6
    print(
        f"| {name} | {megabytes:.0f} | {rows / whole:,.0f} | {read:.2f} | {checked:.2f} | {max(whole - read - checked, 0):.2f} | {rows / bare:,.0f} | {whole / bare:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
