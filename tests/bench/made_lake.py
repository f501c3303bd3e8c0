"""A made-up lake whose shape can be chosen: events, users, event names, features, and one bot with a part of all events.

Each user is active on a day with the same probability and then has one session of 1 to 7 events up to four minutes apart
(mean 4); sessions cross midnight; one event in fifty has the same instant as the one before it. 30, 20, 15, 10, 8 and 5 %
of events are steps 1 to 6, the rest are page views. No event has a session of its client. Seeded by hashes: the same
lake every time.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
from big_lake import write_events

STEPS = ("quiz_started", "slider_adjusted", "option_selected", "quiz_completed", "result_viewed", "result_shared")
FIRST_DAY, DAYS = datetime(2026, 1, 1), 60
FIRST_DAY_US = 1_767_225_600_000_000
DAY_US = 86_400_000_000
EVENTS_A_SESSION = 4


class Shape(NamedTuple):
    """How large a lake is; `users` 0 are one for 40 events, `names` are page views beside the six steps."""

    events: int
    users: int = 0
    names: int = 1
    features: int = 8
    bot_share: float = 0.0

    @property
    def folder(self) -> str:
        return "-".join(str(part) for part in self)


def day_query(day: int, shape: Shape) -> str:
    """The rows of one day in the columns of the table `events`."""
    users = shape.users or max(shape.events // 40, 1)
    one_in = max(round(DAYS * EVENTS_A_SESSION * users / ((1 - shape.bot_share) * shape.events)), 1)
    midnight = FIRST_DAY_US + day * DAY_US
    bot_events = round(shape.bot_share * shape.events / DAYS)
    bot = f"""UNION ALL SELECT 4242::BIGINT, hash(i + {day} * 1000003), {midnight} + i * {DAY_US // max(bot_events, 1)},
        (i % 100)::UBIGINT FROM range({bot_events}) AS b(i)"""
    steps = "[" + ", ".join(f"'{name}'" for name in STEPS) + "]"
    return f"""
        WITH begun AS (
            SELECT u, d, hash(u * 100003 + d) AS h FROM range({users}) AS r(u), (VALUES ({day - 1}), ({day})) AS t(d)),
        session AS (SELECT u, d, 1 + (h >> 8) % 7 AS n, ((h >> 16) % {DAY_US})::BIGINT AS t0 FROM begun
            WHERE h % {one_in} = 0 AND (d = {day} OR (h >> 16) % {DAY_US} > {DAY_US - 1_500_000_000})),
        event AS (SELECT u, d, t0, unnest(range(n::BIGINT)) AS j FROM session),
        drawn AS (SELECT u, d, t0, j, hash(u * 7919 + d * 104729 + j * 15485863) AS g FROM event),
        timed AS (SELECT u, g, {FIRST_DAY_US} + d * {DAY_US}::BIGINT + t0
            + sum(CASE WHEN j = 0 OR g % 50 = 0 THEN 0 ELSE ((g >> 10) % 240000000)::BIGINT END)
            OVER (PARTITION BY u, d ORDER BY j)::BIGINT AS at_us, (g >> 40) % 100 AS c FROM drawn),
        known AS (SELECT * FROM timed WHERE at_us >= {midnight} AND at_us < {midnight + DAY_US}
            {bot if bot_events else ""})
        SELECT lower(to_hex(g)) || '-' || u AS event_id,
            coalesce({steps}[CASE WHEN c < 30 THEN 1 WHEN c < 50 THEN 2 WHEN c < 65 THEN 3 WHEN c < 75 THEN 4
                WHEN c < 83 THEN 5 WHEN c < 88 THEN 6 END], 'page ' || (g >> 20) % {shape.names}) AS event_name,
            'user-' || lpad(u::VARCHAR, 9, '0') AS user_id, NULL::VARCHAR AS session_id,
            make_timestamp(at_us) AS event_at, make_timestamp(at_us + 2000000) AS received_at,
            'feature-' || (g >> 30) % {shape.features} AS feature_id, NULL::VARCHAR AS properties,
            ['web', 'ios', 'android'][(1 + u % 3)::BIGINT] AS platform, '1.0' AS app_version,
            ['DE', 'FR', 'US', 'IN'][(1 + (g >> 34) % 4)::BIGINT] AS country
        FROM known"""


def made_lake(place: Path, shape: Shape) -> Path:
    """The lake of this shape under `place`; one that is there already is kept."""
    lake = place / f"lake-{shape.folder}"
    if not (lake / "made").exists():
        shutil.rmtree(lake, ignore_errors=True)
        days = {str((FIRST_DAY + timedelta(days=day)).date()): day_query(day, shape) for day in range(DAYS)}
        with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as con:
            con.execute("SET TimeZone = 'UTC'")
            write_events(con, lake / "events", days)
        (lake / "made").write_text(datetime.now(UTC).isoformat())
    return lake
