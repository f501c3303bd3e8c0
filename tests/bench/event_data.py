"""Made-up event logs for the benchmarks: day files in the layout of `staging.day_files`, and telemetry by day.

Each user is active on a day with probability 1/6 and then has one session of 1 to 7 events up to four minutes apart (mean
4, so 40 events a user in 60 days); sessions cross midnight; one event in fifty has the same instant as the one before it.
30, 20, 15, 10, 8 and 5 % of events are steps 1 to 6, the rest are page views. Seeded by hashes: the same files every time.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

NAMES = [
    "page_viewed",
    "quiz_started",
    "slider_adjusted",
    "option_selected",
    "quiz_completed",
    "result_viewed",
    "result_shared",
]
STEPS = NAMES[1:]
CODES = {name: code for code, name in enumerate(NAMES)}
FIRST_DAY_US = 1_767_225_600_000_000  # 2026-01-01
DAY_US = 86_400_000_000
LAYOUT = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880"


def day_query(day: int, users: int, *, bot_events: int = 0) -> str:
    """The rows of one day, unsorted: user_number, event_at, event_code, place (breaks ties)."""
    midnight = FIRST_DAY_US + day * DAY_US
    bot = f"""UNION ALL SELECT 4242::BIGINT, make_timestamp({midnight} + i * {DAY_US // max(bot_events, 1)}), (1 + i % 6)::UTINYINT, i::UBIGINT
              FROM range({bot_events}) AS b(i)"""
    return f"""
        WITH begun AS (
            SELECT u, d, hash(u * 100003 + d) AS h FROM range({users}) AS r(u), (VALUES ({day - 1}), ({day})) AS t(d)),
        session AS (SELECT u, d, h, 1 + (h >> 8) % 7 AS n, ((h >> 16) % {DAY_US})::BIGINT AS t0 FROM begun WHERE h % 6 = 0
            AND (d = {day} OR (h >> 16) % {DAY_US} > {DAY_US - 1_500_000_000})),
        event AS (SELECT u, d, t0, unnest(range(n::BIGINT)) AS j FROM session),
        drawn AS (SELECT u, d, t0, j, hash(u * 7919 + d * 104729 + j * 15485863) AS g FROM event),
        timed AS (SELECT u, g, {FIRST_DAY_US} + d * {DAY_US}::BIGINT + t0 + sum(CASE WHEN j = 0 OR g % 50 = 0 THEN 0 ELSE ((g >> 10) % 240000000)::BIGINT END)
            OVER (PARTITION BY u, d ORDER BY j)::BIGINT AS at_us, (g >> 40) % 100 AS c FROM drawn)
        SELECT u AS user_number, make_timestamp(at_us) AS event_at, (CASE WHEN c < 30 THEN 1 WHEN c < 50 THEN 2 WHEN c < 65 THEN 3 WHEN c < 75 THEN 4
            WHEN c < 83 THEN 5 WHEN c < 88 THEN 6 ELSE 0 END)::UTINYINT AS event_code, g AS place
        FROM timed WHERE at_us >= {midnight} AND at_us < {midnight + DAY_US}
        {bot if bot_events else ""}"""


def _write(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    if not path.exists():
        con.execute(f"COPY ({query}) TO '{path}.new' ({LAYOUT})")
        os.replace(f"{path}.new", path)


def write_day_files(folder: Path, *, users: int, days: int, bot_events: int = 0) -> list[str]:
    """Day files of `days` days; with a bot on the middle day if asked for. Files that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(config={"threads": 2})
    paths = [folder / f"{day:03d}.parquet" for day in range(days)]
    for day, path in enumerate(paths):
        rows = day_query(day, users, bot_events=bot_events if day == days // 2 else 0)
        names = "[" + ", ".join(f"'{n}'" for n in NAMES) + "]"
        ordered = f"""SELECT user_number::UINTEGER AS user_number, event_at, event_code, 'user-' || lpad(user_number::VARCHAR, 9, '0') AS user_id,
            {names}[event_code + 1] AS event_name FROM ({rows}) ORDER BY user_number, event_at, place"""
        _write(con, ordered, path)
    return [str(p) for p in paths]
