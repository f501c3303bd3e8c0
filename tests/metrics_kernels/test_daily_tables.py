"""Tables made day by day, against the definitions written out over every row at once."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kernel_logs import START, TELEMETRY

from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import intake, quality
from launchpad_lib.metrics.kernels.lake_log import of_days

GAP = timedelta(minutes=30)


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


def rows_in(lake: Path, table: str) -> str:
    return f"read_parquet({DeltaTable(str(lake / table)).file_uris()})"


def parts(lake: Path, table: str, name: str) -> set[str]:
    return {p.name for p in (lake / "_index" / f"{table}_parts" / name).glob("*.parquet")}


@pytest.mark.parametrize("seed", range(3))
def test_feature_metrics_made_in_steps_are_those_of_the_full_query_to_the_last_digit(tmp_path, seed):
    """Late telemetry and compaction in between; the reference is one query over every row on one thread."""
    rng = random.Random(seed)
    for step in range(4):
        append_telemetry(tmp_path, rng, count=60, days=range(0 if step == 2 else step, 3 + step), first_id=1000 * step)
        if step == 2:
            DeltaTable(str(tmp_path / "telemetry")).optimize.compact()
        ours = open_lake(tmp_path).feature_metrics.order_by(["feature_id", "observed_on"]).to_pandas()
    reference = duckdb.connect(config={"threads": 1}).execute(
        f"""SELECT feature_id, observed_at::DATE AS observed_on, count(*) AS observations,
            count(DISTINCT user_id) AS users,
            count(latency_ms) AS latency_observations, quantile_cont(latency_ms, 0.5) AS p50_latency_ms,
            quantile_cont(latency_ms, 0.95) AS p95_latency_ms, quantile_cont(latency_ms, 0.99) AS p99_latency_ms,
            count(DISTINCT user_id) FILTER (crashed IS NOT NULL) AS crash_known_users,
            count(DISTINCT user_id) FILTER (crashed) AS crashed_users,
            1 - count(DISTINCT user_id) FILTER (crashed)
                / nullif(count(DISTINCT user_id) FILTER (crashed IS NOT NULL), 0) AS crash_free_users_rate,
            count(*) FILTER (error_count > 0) AS error_observations,
            count(*) FILTER (error_count > 0) / nullif(count(error_count), 0) AS error_rate,
            count(feedback_score) AS feedback_count, avg(feedback_score) AS mean_feedback_score
        FROM (FROM {rows_in(tmp_path, "telemetry")} ORDER BY feedback_score) GROUP BY 1, 2 ORDER BY 1, 2"""
    )
    pd.testing.assert_frame_equal(ours, reference.df(), check_dtype=False, check_exact=True)


def test_users_merged_from_days_are_those_of_the_full_query(tmp_path):
    rng = random.Random(9)
    for step in range(3):
        append_events(tmp_path, rng, count=50, days=range(step, 3 + step), first_id=1000 * step)
        ours = open_lake(tmp_path).users.to_pandas().sort_values("user_id", ignore_index=True)
    assert len(parts(tmp_path, "events", "user_days")) > 5  # of the version before, too
    reference = duckdb.execute(
        f"""SELECT user_id, min(event_at) AS first_seen_at, max(event_at) AS last_seen_at, count(*) AS events,
            count(DISTINCT event_at::DATE) AS active_days, arg_min(platform, event_at) AS platform,
            arg_min(country, event_at) AS country
        FROM {rows_in(tmp_path, "events")} GROUP BY user_id ORDER BY user_id"""
    )
    pd.testing.assert_frame_equal(ours, reference.df(), check_dtype=False)


def sessions_by_hand(rows: list[dict]) -> list[tuple]:
    """The definition: a client's session is its user's rows with that id; without one a silence over 30 minutes ends it."""
    found: dict[tuple, list[dict]] = {}
    last: dict[str, tuple[datetime, int]] = {}
    for row in sorted(rows, key=lambda r: (r["event_at"], r["event_id"])):
        user, key = row["user_id"], row["session_id"]
        if key is None:
            before, number = last.get(user, (None, 0))
            number += before is None or row["event_at"] - before > GAP
            last[user], key = (row["event_at"], number), number
        found.setdefault((user, key), []).append(row)
    return sorted(
        (
            user,
            f"{user}/{key}" if isinstance(key, str) else f"{user}#{own[0]['event_at']}",
            own[0]["event_at"],
            own[-1]["event_at"],
            len(own),
        )
        for (user, key), own in found.items()
    )


@pytest.mark.parametrize("seed", range(6))
def test_sessions_over_midnight_made_in_steps_are_those_of_the_definition(tmp_path, seed):
    """Events on a grid of 10 minutes around midnight, so that gaps of exactly 30 minutes, sessions over midnight (over
    two where days are thin) and client sessions over days occur; late days come last, a restated day in between.
    """
    rng = random.Random(seed)
    rows: list[dict] = []
    for step in (0, 2, 1, 1, 4):
        added = []
        for number in range(40):
            at = START + timedelta(days=1 + step, minutes=10 * rng.randrange(-12, 12))
            added.append(
                {
                    "event_id": f"{len(rows)}-{number}",
                    "event_name": "A",
                    "user_id": str(rng.randrange(5)),
                    "session_id": rng.choice([None, None, f"s{rng.randrange(3)}"]),
                    "event_at": at,
                    "platform": "web",
                    "event_on": at.date(),
                }
            )
        rows += added
        append_rows(tmp_path, added)
        data = open_lake(tmp_path, observed_through="2027-01-01")
        order = ["user_id", "session_key", "started_at", "ended_at", "events"]
        ours = data.sessions.select(order).to_pandas().sort_values(order)
        assert [tuple(r) for r in ours.itertuples(index=False)] == sessions_by_hand(rows)
        keys = data.events.group_by("session_key").agg(events=lambda t: t.count()).to_pandas()
        assert dict(keys.itertuples(index=False)) == dict(ours[["session_key", "events"]].itertuples(index=False))


def append_rows(lake: Path, rows: list[dict]) -> None:
    types = {
        "event_on": pa.date32(),
        **{c.name: pa.timestamp("us") if c.type == "timestamp" else pa.string() for c in EVENTS.columns},
    }
    table = pa.Table.from_pylist(rows, pa.schema(list(types.items())))
    write_deltalake(str(lake / "events"), table, mode="append", partition_by=["event_on"])


def test_only_a_day_with_new_telemetry_is_made_again(tmp_path):
    rng = random.Random(1)
    append_telemetry(tmp_path, rng, count=60, days=range(4), first_id=0)
    open_lake(tmp_path)
    before = parts(tmp_path, "telemetry", "feature_metrics")
    append_telemetry(tmp_path, rng, count=5, days=range(1, 2), first_id=100)
    open_lake(tmp_path)
    after = parts(tmp_path, "telemetry", "feature_metrics")
    assert {name[:10] for name in after - before} == {str(date(2026, 1, 2))}
    open_lake(tmp_path)
    assert parts(tmp_path, "telemetry", "feature_metrics") == after


def test_a_day_is_written_again_for_the_day_before_only_where_a_session_was_open_at_midnight(tmp_path):
    def event(name: str, at: datetime, session: str | None = None) -> dict:
        return {
            "event_id": name,
            "event_name": "A",
            "user_id": "u",
            "session_id": session,
            "event_at": at,
            "event_on": at.date(),
        }

    def days() -> dict[str, str]:
        return {p.name[:10]: p.name for p in (tmp_path / "_index" / "events" / "days").glob("*")}

    append_rows(tmp_path, [event("a", START + timedelta(hours=1)), event("b", START + timedelta(days=1, minutes=5))])
    open_lake(tmp_path)
    first = days()["2026-01-02"]
    append_rows(
        tmp_path, [event("c", START + timedelta(hours=20)), event("d", START + timedelta(hours=23.9), "client's")]
    )
    open_lake(tmp_path)
    assert days()["2026-01-02"] == first
    append_rows(tmp_path, [event("e", START + timedelta(hours=23, minutes=40))])
    keys = open_lake(tmp_path).events.order_by("event_at").to_pandas().set_index("event_id")["session_key"]
    assert keys["b"] == keys["e"] == "u#2026-01-01 23:40:00"
    assert keys["c"] == "u#2026-01-01 20:00:00" and keys["d"] == "u/client's"


@pytest.mark.parametrize("different", [1, 400])
@pytest.mark.parametrize("through", [None, "2026-01-02T11:00:00"])
def test_what_is_counted_by_day_is_what_the_rows_say(tmp_path, different, through):
    """Delays that a day can count, and more different ones than it counts (MOST_DELAYS), on a day that is cut too."""
    rows = duckdb.sql(
        f"""SELECT 'e' || i AS event_id, 'seen' AS event_name, 'u' || i % 7 AS user_id,
            TIMESTAMP '2026-01-01' + to_seconds(i) AS event_at,
            event_at + to_microseconds(((hash(i) % 400)::BIGINT - 20) * 1000000 + i % {different} * 1000) AS received_at,
            CASE WHEN i % 3 = 0 THEN 'web' END AS platform, event_at::DATE AS event_on
        FROM range(130000) AS r(i)"""
    )
    write_deltalake(str(tmp_path / "events"), rows.to_arrow_table(), partition_by=["event_on"])
    data = open_lake(tmp_path, observed_through=through)
    events, read = data.events, data.events.filter(data.events.event_id.notnull())
    counted = of_days(events, "event_delays").to_pandas()["delay"].isna().any()
    assert counted == (different == 400)
    assert of_days(read, "event_delays") is None
    for question in (quality.delivery, quality.restated_days):
        found, expected = (question(table).to_pandas() for table in (events, read))
        pd.testing.assert_frame_equal(found, expected)
    names = [c for c in read.columns if c not in ("user_number", "event_code", "session_number")]
    expected = quality.missing_share(read.select(*names)).to_pandas()
    pd.testing.assert_frame_equal(quality.missing_share(events).to_pandas(), expected)
    for zone in ("UTC", "Asia/Kathmandu"):
        found, expected = (intake.busiest_days(table, data.telemetry, report_timezone=zone) for table in (events, read))
        pd.testing.assert_frame_equal(found, expected)
    assert intake.rows_with_a_user(events) == intake.rows_with_a_user(read)
