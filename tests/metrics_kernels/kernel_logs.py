"""Small event logs as day files, written by hand rather than by the builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 1, 1)
TELEMETRY = pa.schema(
    [
        ("observation_id", pa.string()),
        ("feature_id", pa.string()),
        ("user_id", pa.string()),
        ("observed_at", pa.timestamp("us")),
        ("latency_ms", pa.float64()),
        ("crashed", pa.bool_()),
        ("error_count", pa.int64()),
        ("feedback_score", pa.float64()),
        ("session_seconds", pa.float64()),
        ("app_version", pa.string()),
        ("platform", pa.string()),
        ("observed_on", pa.date32()),
    ]
)


class PlainLog(NamedTuple):
    """An event log named by hand: files in day order, the event codes and the number of users."""

    paths: Sequence[str]
    event_codes: Mapping[str, int]
    users: int


def write_days(
    folder: Path, rows: list[tuple[int, int, datetime]], *, event_codes: dict[str, int], row_group_size: int = 7
) -> PlainLog:
    """Rows (user number, event code, event_at) as one sorted file per UTC day; rows of equal time stay in the order given."""
    days: dict[object, list[tuple[int, int, datetime]]] = {}
    for row in rows:
        days.setdefault(row[2].date(), []).append(row)
    paths = []
    for day in sorted(days):
        mine = sorted(days[day], key=lambda r: (r[0], r[2]))
        table = pa.table(
            {
                "user_number": pa.array([r[0] for r in mine], pa.uint32()),
                "event_at": pa.array([r[2] for r in mine], pa.timestamp("us")),
                "event_code": pa.array([r[1] for r in mine], pa.uint8()),
            }
        )
        paths.append(str(folder / f"{day}.parquet"))
        pq.write_table(table, paths[-1], row_group_size=row_group_size)
    return PlainLog(paths, event_codes, max((r[0] for r in rows), default=-1) + 1)


def minutes(number: float) -> datetime:
    """An instant so many minutes after the start of the log."""
    return START + timedelta(minutes=number)
