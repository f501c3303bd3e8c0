"""Tables made day by day, against the star schema as `open_lake` makes it from everything at once."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kernel_logs import START

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake import open_lake
from launchpad_lib.lake.daily_tables import (
    build_feature_metrics,
    build_session_parts,
    build_user_days,
    dim_users,
    sessions,
)
from launchpad_lib.lake.day_files import build_day_files

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


def append_telemetry(lake: Path, rng: random.Random, *, count: int, days: range, first_id: int) -> None:
    rows = []
    for number in range(first_id, first_id + count):
        at = START + timedelta(days=rng.choice(days), seconds=rng.randrange(86_400))
        crashed, score = rng.choice([True, False, None]), rng.choice([None, rng.uniform(1, 5)])
        latency, errors = rng.choice([None, rng.uniform(1, 900)]), rng.choice([None, 0, 2])
        rows.append(
            (
                str(number),
                rng.choice("ab"),
                str(rng.randrange(9)),
                at,
                latency,
                crashed,
                errors,
                score,
                None,
                None,
                None,
                at.date(),
            )
        )
    table = pa.Table.from_pylist([dict(zip(TELEMETRY.names, r, strict=True)) for r in rows], TELEMETRY)
    write_deltalake(str(lake / "telemetry"), table, mode="append", partition_by=["observed_on"])


def append_events(lake: Path, rng: random.Random, *, count: int, days: range, first_id: int) -> None:
    rows = []
    for number in range(first_id, first_id + count):
        at = START + timedelta(days=rng.choice(days), microseconds=rng.randrange(86_400_000_000))
        who, platform = str(rng.randrange(12)), rng.choice(["web", "ios", None])
        rows.append(
            {
                "event_id": str(number),
                "event_name": "A",
                "user_id": who,
                "event_at": at,
                "platform": platform,
                "country": rng.choice(["DE", "FR"]),
                "event_on": at.date(),
            }
        )
    types = {
        "event_on": pa.date32(),
        **{c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns},
    }
    table = pa.Table.from_pylist(rows, pa.schema(list(types.items())))
    write_deltalake(str(lake / "events"), table, mode="append", partition_by=["event_on"])


@pytest.mark.parametrize("seed", range(3))
def test_feature_metrics_made_in_steps_are_those_of_the_full_query_to_the_last_digit(tmp_path, seed):
    """Late telemetry and compaction in between; the reference is the star schema's own query over everything."""
    rng = random.Random(seed)
    for step in range(4):
        append_telemetry(tmp_path, rng, count=60, days=range(0 if step == 2 else step, 3 + step), first_id=1000 * step)
        if step == 2:
            DeltaTable(str(tmp_path / "telemetry")).optimize.compact()
        made = build_feature_metrics(tmp_path / "telemetry", tmp_path / "parts")
    ours = duckdb.execute(
        "SELECT * FROM read_parquet($f) ORDER BY feature_id, observed_on", {"f": list(made.paths)}
    ).df()
    reference = open_lake(tmp_path).feature_metrics.order_by(["feature_id", "observed_on"]).to_pandas()
    pd.testing.assert_frame_equal(ours, reference, check_dtype=False, check_exact=True)


def test_users_merged_from_days_are_those_of_the_full_query(tmp_path):
    rng = random.Random(9)
    for step in range(3):
        append_events(tmp_path, rng, count=50, days=range(step, 3 + step), first_id=1000 * step)
        days = build_day_files(tmp_path / "events", tmp_path / "days")
        made = build_user_days(days, tmp_path / "parts")
    assert len(made.rewritten) < len(made.paths) == 5
    con = duckdb.connect()
    ours = dim_users(made, con=con).df().sort_values("user_id", ignore_index=True)
    reference = open_lake(tmp_path).users.to_pandas().sort_values("user_id", ignore_index=True)[list(ours.columns)]
    pd.testing.assert_frame_equal(ours, reference, check_dtype=False)


@pytest.mark.parametrize("seed", range(4))
def test_sessions_merged_from_days_are_those_of_the_full_query(tmp_path, seed):
    """Events on a grid of 10 minutes around midnight, so that gaps of exactly 30 minutes, sessions over midnight and client sessions over days occur."""
    rng = random.Random(seed)
    for step in range(3):
        rows = []
        for number in range(60):
            at = START + timedelta(days=1 + step, minutes=10 * rng.randrange(-12, 12))
            who = str(rng.randrange(5))
            client = rng.choice([None, None, f"s{rng.randrange(3)}"])
            rows.append(
                {
                    "event_id": f"{step}-{number}",
                    "event_name": "A",
                    "user_id": who,
                    "session_id": client,
                    "event_at": at,
                    "platform": who,
                    "event_on": at.date(),
                }
            )
        types = {
            "event_on": pa.date32(),
            **{c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns},
        }
        write_deltalake(
            str(tmp_path / "events"),
            pa.Table.from_pylist(rows, pa.schema(list(types.items()))),
            mode="append",
            partition_by=["event_on"],
        )
        days = build_day_files(tmp_path / "events", tmp_path / "days")
        made = build_session_parts(days, tmp_path / "parts")
    assert len(made.rewritten) < len(made.paths)
    order = ["user_id", "session_key"]
    ours = sessions(made, con=duckdb.connect()).df().sort_values(order, ignore_index=True)
    reference = open_lake(tmp_path).sessions.to_pandas().sort_values(order, ignore_index=True)[list(ours.columns)]
    pd.testing.assert_frame_equal(ours, reference, check_dtype=False)


def test_only_a_day_with_new_telemetry_is_made_again(tmp_path):
    rng = random.Random(1)
    append_telemetry(tmp_path, rng, count=60, days=range(4), first_id=0)
    assert len(build_feature_metrics(tmp_path / "telemetry", tmp_path / "parts").rewritten) == 4
    append_telemetry(tmp_path, rng, count=5, days=range(1, 2), first_id=100)
    assert build_feature_metrics(tmp_path / "telemetry", tmp_path / "parts").rewritten == (date(2026, 1, 2),)
    assert build_feature_metrics(tmp_path / "telemetry", tmp_path / "parts").rewritten == ()
