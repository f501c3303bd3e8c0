"""A table of local dates of a lake's telemetry, kept by zone: only dates whose rows are new or restated are read.

A local date's rows lie within the UTC dates before, of and after it, so what it was made from is named by the content
of those days. The dates of a zone are one Parquet file and a manifest beside the index; deleting them loses time, never
a number.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.durations import check_timezone
from launchpad_lib.contract.private import inner_folder, keep_private
from launchpad_lib.contract.sql import literal
from launchpad_lib.contract.tables import TELEMETRY
from launchpad_lib.lake.daily_tables import FEATURE_METRICS, over
from launchpad_lib.lake.manifests import described, is_intact, read_body, write_body
from launchpad_lib.lake.small_tables import none_of
from launchpad_lib.lake.telemetry_log import TelemetryLog

DATES, MANIFEST = "local_days", "dates.json"


def local_feature_metrics(log: TelemetryLog, *, report_timezone: str) -> pa.Table:
    """The rows of `fact_feature_metrics` by local date of a zone: one per feature and date with telemetry, in no order.

    Raises:
        ValueError: no such zone.
    """
    check_timezone(report_timezone)
    content = {day.day: day.content_hash for day in log.days}
    if date.min in content:  # a table whose files cannot be told apart by day
        return _made(log, content, report_timezone, None)
    near = [timedelta(days=-1), timedelta(0), timedelta(days=1)]
    wanted = {
        on.isoformat(): _sum(FEATURE_METRICS, duckdb.__version__, *(content.get(on + step, "") for step in near))
        for on in {day + step for day in content for step in near}
    }
    place = log.states.folder / DATES / _sum(report_timezone)
    known, kept = _kept(place)
    stands = {on for on, made_from in wanted.items() if known.get(on) == made_from}
    missing = sorted(date.fromisoformat(on) for on in wanted.keys() - stands)
    needed = {on + step for on in missing for step in near}
    parts = [_made(log, needed, report_timezone, missing)] if missing else []
    if stands and kept is not None:
        is_kept = pa.array([on.isoformat() in stands for on in kept["observed_on"].to_pylist()], pa.bool_())
        parts.append(kept.filter(is_kept))
    found = pa.concat_tables(parts) if parts else _made(log, (), report_timezone, [])
    if missing or known.keys() != wanted.keys():
        _keep(place, found, wanted)
    return found


def _made(log: TelemetryLog, days: Iterable[date], zone: str, dates: list[date] | None) -> pa.Table:
    """The rows of these local dates (None: of all), from the rows of these days."""
    needed = set(days)
    rows = " UNION ALL BY NAME ".join(f"SELECT * FROM {day.path}" for day in log.days if day.day in needed)
    local = f"timezone({literal(zone)}, timezone('UTC', observed_at)) AS observed_at"
    within = "true"
    if dates is not None:
        within = f"observed_at::DATE IN ({', '.join(f'DATE {literal(on.isoformat())}' for on in dates) or 'NULL'})"
    source = f"(SELECT * FROM (SELECT * REPLACE ({local}) FROM ({rows or none_of(TELEMETRY)})) WHERE {within})"
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")
        return con.sql(over(FEATURE_METRICS, source)).to_arrow_table()


def _kept(place: Path) -> tuple[dict[str, str], pa.Table | None]:
    """What each kept date was made from, and the rows; nothing where a file is absent, damaged or of another layout."""
    body = read_body(place / MANIFEST)
    if body is None or not is_intact(place, body["rows"]):
        return {}, None
    try:
        return body["dates"], pq.read_table(place / body["rows"]["file"])
    except (OSError, pa.ArrowException):
        return {}, None


def _keep(place: Path, rows: pa.Table, dates: dict[str, str]) -> None:
    """Writes the rows beside what is there and then says that they count; what cannot be written is made again."""
    try:
        inner_folder(place)
        path = place / f"{uuid.uuid4().hex}.parquet"
        aside = place / f".{path.name}"
        pq.write_table(rows, aside)
        keep_private(aside, like=place)
        os.replace(aside, path)
        write_body(place / MANIFEST, {"dates": dates, "rows": described(path)})
        for other in place.glob("*.parquet"):
            if other != path:
                other.unlink(missing_ok=True)
    except OSError:
        return


def _sum(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:24]
