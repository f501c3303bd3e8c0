"""A lake of any size for the other benchmarks: the simulated product straight into Delta tables, in bounded memory.

    python tests/bench/big_lake.py --events 10000000 --dir <a folder with room> [--days 60]

Nothing is planted among the events (no duplicates, no malformed rows): what is measured with such a lake is the reading.
Telemetry has one observation to ten events.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from launchpad_lib.contract.arrow import EVENTS_SCHEMA, REFUSED_SCHEMA, arrow_schema
from launchpad_lib.contract.sql import file_list
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.delta_log import Addition, DeltaLog
from launchpad_lib.simulation import TRUTH, simulate, users_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    if asked.dir.exists():
        raise SystemExit(f"{asked.dir} is there already; remove it or name another folder")
    began = time.perf_counter()
    truth = TRUTH._replace(malformed_rows=0, duplicate_rows=0)
    users = users_for(asked.events, days=asked.days, truth=truth)
    raw = asked.dir / "raw"
    made = simulate(
        raw,
        seed=asked.seed,
        users=users,
        days=asked.days,
        telemetry_per_day=max(60, asked.events // (10 * 60 * len(truth.features))),
        start_on=date(2026, 1, 5),
        file_format="parquet",
        truth=truth,
    )
    simulated = time.perf_counter()
    files: dict[str, list[str]] = {}
    for file in sorted((raw / "events").iterdir()):
        files.setdefault(file.name[:10], []).append(str(file))
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as con:
        con.execute("SET TimeZone = 'UTC'")
        days = {day: f"SELECT * FROM read_parquet({file_list(own)})" for day, own in files.items()}
        write_events(con, asked.dir / "events", days)
    _telemetry(raw / "telemetry" / "telemetry.parquet", asked.dir / "telemetry")
    for name in ("annotations", "features"):
        _small(raw / f"{name}.csv", asked.dir / name, name)
    DeltaTable.create(str(asked.dir / "rejected"), schema=REFUSED_SCHEMA)
    shutil.rmtree(raw)
    print(
        f"{made.rows['events']:,} events of {users:,} users in {asked.days} days and {made.rows['telemetry']:,} "
        f"observations: simulated in {simulated - began:.1f} s ({made.rows['events'] / (simulated - began):,.0f} "
        f"events/s), into Delta tables in {time.perf_counter() - simulated:.1f} s"
    )


def write_events(con: duckdb.DuckDBPyConnection, target: Path, days: Mapping[str, str]) -> None:
    """The rows of each day's query, sorted as an ingestion would, as the files of one commit."""
    log, additions = DeltaLog(target, schema=EVENTS_SCHEMA, partition_by=["event_on"]), []
    columns = [f.name for f in EVENTS_SCHEMA if f.name != "event_on"]
    kept = ", ".join(f"{c}::TIMESTAMP AS {c}" if c.endswith("_at") else c for c in columns)
    for day, query in days.items():
        place = target / f"event_on={day}" / "made.parquet"
        place.parent.mkdir(exist_ok=True)
        con.execute(
            f"COPY (SELECT {kept} FROM ({query}) ORDER BY event_at, event_id) TO '{place}' "
            "(FORMAT parquet, COMPRESSION snappy)"
        )
        rows = pq.read_metadata(place).num_rows
        named = place.relative_to(target).as_posix()
        additions.append(Addition(named, place.stat().st_size, rows, {"event_on": day}, {}, {}))
    log.commit(additions=additions, transactions={}, operation="WRITE")


def _telemetry(file: Path, target: Path) -> None:
    schema = arrow_schema(TABLES["telemetry"]).append(pa.field("observed_on", pa.date32()))
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as con:
        rows = con.sql(
            f"SELECT *, observed_at::DATE AS observed_on FROM '{file}' ORDER BY observed_at"
        ).to_arrow_table()
        write_deltalake(str(target), rows.cast(schema), partition_by=["observed_on"])


def _small(file: Path, target: Path, name: str) -> None:
    with duckdb.connect() as con:
        there = con.sql(f"SELECT * FROM read_csv('{file}')").to_arrow_table()
    columns = [
        there[f.name].cast(f.type) if f.name in there.column_names else pa.nulls(there.num_rows, f.type)
        for f in arrow_schema(TABLES[name])
    ]
    write_deltalake(str(target), pa.table(columns, schema=arrow_schema(TABLES[name])))


if __name__ == "__main__":
    main()
