"""Tables of the star schema that are made day by day: a day is made again only when its files changed.

Each day's part is a Parquet file that the manifest of a version names, with what it was made from; any set of parts is
what a full rebuild would write. A day that the observed window cuts is made on the fly, from its rows within.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from launchpad_lib.contract.private import inner_folder, keep_private
from launchpad_lib.contract.sql import file_list, identifier, literal, session_key
from launchpad_lib.contract.tables import EVENTS, EXPOSURE_EVENT
from launchpad_lib.lake.day_writing import SESSION_NUMBER
from launchpad_lib.lake.manifests import Manifests, described, is_intact

# Grain: one row per minute that has rows. What the observed window is derived from.
MINUTES = """
    SELECT epoch_us(date_trunc('minute', {at})) // 60000000 AS minute, count(*) AS rows, min({at}) AS first_at,
        max({at}) AS last_at
    FROM source WHERE {at} IS NOT NULL GROUP BY minute ORDER BY minute"""
# Of rows at one instant the first in the order of a day file counts. One thread that reads the file meets it first;
# where rows come in any order, what they are ordered by is compared.
IN_ORDER, IN_ANY_ORDER = "event_at", "(event_at, received_at, event_id)"
_USER_DAYS = """
    SELECT user_number, any_value(user_id) AS user_id, min(event_at) AS first_seen_at, max(event_at) AS last_seen_at,
        count(*) AS events, arg_min(platform, {first}) AS platform, arg_min(country, {first}) AS country
    FROM source GROUP BY user_number ORDER BY user_number"""
# Grain: one row per user and UTC date. Its sums, firsts and lasts over days are dim_users.
USER_DAYS = _USER_DAYS.format(first=IN_ORDER)
USER_DAYS_OF_CUT_DAYS = _USER_DAYS.format(first=IN_ANY_ORDER)
DIM_USERS = """
    SELECT any_value(user_id) AS user_id, min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at,
        sum(events)::BIGINT AS events, count(*) AS active_days, arg_min(platform, first_seen_at) AS platform,
        arg_min(country, first_seen_at) AS country
    FROM source GROUP BY user_number"""
_SESSION_PARTS = f"""
    SELECT user_number, {SESSION_NUMBER} AS session_number, any_value(user_id) AS user_id,
        any_value(session_id) AS session_id, any_value(stretch_started_at) AS stretch_started_at,
        min(event_at) AS started_at, max(event_at) AS ended_at, count(*) AS events,
        arg_min(platform, {{first}}) AS platform, min(event_at) FILTER (platform IS NOT NULL) AS platform_at
    FROM source GROUP BY user_number, session_number ORDER BY user_number, session_number"""
# Grain: one row per user, session and UTC date: a day's share of a session.
SESSION_PARTS = _SESSION_PARTS.format(first=IN_ORDER)
SESSION_PARTS_OF_CUT_DAYS = _SESSION_PARTS.format(first=IN_ANY_ORDER)
SESSIONS = f"""
    SELECT user_id, {session_key("stretch_started_at")} AS session_key, started_at, ended_at,
        epoch_us(ended_at - started_at) / 1e6 AS duration_seconds, events, platform
    FROM (
        SELECT any_value(user_id) AS user_id, any_value(session_id) AS session_id,
            any_value(stretch_started_at) AS stretch_started_at, min(started_at) AS started_at,
            max(ended_at) AS ended_at, sum(events)::BIGINT AS events, arg_min(platform, platform_at) AS platform
        FROM source GROUP BY user_number, session_number)"""
# Grain: one row per kind of name and name that occurs on a UTC date: events, features, keys of properties, and the
# variants of experiments as JSON [experiment, variant]. To read JSON costs more than all else, so a text is read once;
# one that is no JSON names nothing.
DOCUMENT = "TRY_CAST(properties AS JSON)"
NAMES = f"""
    SELECT 'event' AS kind, event_name AS name, count(*) AS rows, min(event_at) AS first_at, max(event_at) AS last_at
    FROM source GROUP BY event_name
    UNION ALL
    SELECT 'feature', feature_id, count(*), min(event_at), max(event_at)
    FROM source WHERE feature_id IS NOT NULL GROUP BY feature_id
    UNION ALL
    SELECT DISTINCT 'property', unnest(keys), NULL, NULL, NULL
    FROM (SELECT DISTINCT TRY(json_keys(properties)) AS keys FROM (SELECT DISTINCT properties FROM source))
    UNION ALL
    SELECT DISTINCT 'variant', to_json([{DOCUMENT}->>'$.experiment_id', {DOCUMENT}->>'$.variant'])::VARCHAR,
        NULL, NULL, NULL
    FROM source WHERE event_name = {literal(EXPOSURE_EVENT)}
    ORDER BY kind, name"""
ALL_NAMES = """
    SELECT kind, name, sum(rows)::BIGINT AS rows, min(first_at) AS first_at, max(last_at) AS last_at
    FROM source GROUP BY kind, name ORDER BY kind, name"""
# Grain: one row per feature and UTC date. A NULL crash flag is unknown: it is in neither crash count.
FEATURE_METRICS = """
    SELECT feature_id, observed_at::DATE AS observed_on, count(*) AS observations, count(DISTINCT user_id) AS users,
        count(latency_ms) AS latency_observations, quantile_cont(latency_ms, 0.5) AS p50_latency_ms,
        quantile_cont(latency_ms, 0.95) AS p95_latency_ms, quantile_cont(latency_ms, 0.99) AS p99_latency_ms,
        count(DISTINCT user_id) FILTER (crashed IS NOT NULL) AS crash_known_users,
        count(DISTINCT user_id) FILTER (crashed) AS crashed_users,
        1 - count(DISTINCT user_id) FILTER (crashed)
            / nullif(count(DISTINCT user_id) FILTER (crashed IS NOT NULL), 0) AS crash_free_users_rate,
        count(*) FILTER (error_count > 0) AS error_observations,
        count(*) FILTER (error_count > 0) / nullif(count(error_count), 0) AS error_rate,
        count(feedback_score) AS feedback_count,
        avg(feedback_score ORDER BY feedback_score) AS mean_feedback_score  -- a float sum hangs on its order
    FROM source GROUP BY ALL"""
# Grain: one row per feature, platform, version of the client and UTC hour; each number of several rows is the sum of
# theirs. The histogram is a map from bucket to rows: 128 buckets an octave of the latency from 2^-20 ms on, bucket 0 is
# a latency of 0 (`metrics.kernels.quantiles`). Sums are of whole microseconds and millionths; a latency over 10^9 ms
# counts as that in the sum.
LATENCY = "least(latency_ms, 1.8e19)"  # just under the last octave; infinite and no number are more than any
OCTAVE = f"floor(log2({LATENCY}))"
BUCKET = f"""CASE WHEN latency_ms > 0 THEN greatest(({OCTAVE} + 20) * 128
    + floor(({LATENCY} / pow(2, {OCTAVE}) - 1) * 128), 0)::INTEGER + 1 ELSE 0 END"""
FEATURE_HOURS = f"""
    SELECT feature_id, platform, app_version, date_trunc('hour', observed_at) AS hour, count(*) AS observations,
        count(latency_ms) AS latency_observations,
        (sum(round(least(latency_ms, 1e9) * 1000)::BIGINT) FILTER (latency_ms IS NOT NULL))::BIGINT AS latency_us,
        histogram({BUCKET}) FILTER (latency_ms IS NOT NULL) AS latency_histogram,
        count(crashed) AS crash_known, count(*) FILTER (crashed) AS crashes, count(error_count) AS errors_known,
        count(*) FILTER (error_count > 0) AS failures, count(feedback_score) AS feedback_count,
        (sum(round(least(feedback_score, 1e6) * 1e6)::BIGINT) FILTER (feedback_score IS NOT NULL))::BIGINT
            AS feedback_millionths  -- `least` of NULL and a number is the number
    FROM source GROUP BY ALL"""
# Grain: one row per UTC date: rows, those whose delay was observed (received_at is not event_at), of them those that
# came on a later date, or over a minute ahead; and of every column the rows that have a value.
_DELAY = "epoch_us(received_at) - epoch_us(event_at)"
_OBSERVED = "received_at <> event_at"
EVENT_DAYS = f"""
    SELECT event_at::DATE AS day, count(*) AS rows, count(*) FILTER ({_OBSERVED}) AS observed,
        count(*) FILTER ({_OBSERVED} AND received_at::DATE > event_at::DATE) AS late_rows,
        count(*) FILTER ({_OBSERVED} AND {_DELAY} < -60000000) AS ahead, max(received_at) AS last_received_at,
        {", ".join(f"count({identifier(c.name)}) AS {identifier(f'has_{c.name}')}" for c in EVENTS.columns)},
        count(*) AS has_session_key  -- every event is of a session
    FROM source GROUP BY ALL"""
# Grain: one row per delay (microseconds) of a day whose delay was observed; of a day with more different ones than
# MOST_DELAYS one row without a delay, whose values have to be read.
MOST_DELAYS = 50_000
_DELAYS = f"(SELECT {_DELAY} AS delay, count(*) AS rows FROM source WHERE {_OBSERVED} GROUP BY delay)"
EVENT_DELAYS = f"""
    SELECT CASE WHEN kinds <= {MOST_DELAYS} THEN delay END AS delay, sum(rows)::BIGINT AS rows
    FROM (SELECT delay, rows, count(*) OVER () AS kinds FROM {_DELAYS}) GROUP BY 1 ORDER BY 1"""
EVENT_PARTS = {
    "days": EVENT_DAYS,
    "delays": EVENT_DELAYS,
    "minutes": MINUTES.format(at="event_at"),
    "user_days": USER_DAYS,
    "session_parts": SESSION_PARTS,
    "names": NAMES,
}
TELEMETRY_PARTS = {
    "minutes": MINUTES.format(at="observed_at"),
    "feature_metrics": f"{FEATURE_METRICS} ORDER BY feature_id, observed_on",
    "feature_hours": f"{FEATURE_HOURS} ORDER BY feature_id, hour, platform, app_version",
}


class Source(NamedTuple):
    """What a day's parts are made from: the rows (a table function or query in SQL) and a hash that names them."""

    day: str
    rows: str
    source_hash: str


def build_parts(
    folder: Path,
    *,
    version: int,
    sources: Sequence[Source],
    queries: Mapping[str, str],
    more: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> dict[str, Any]:
    """Makes the parts of a version that no other version has, and writes its manifest; to be called by one builder.

    The manifest has `days`: day to table to the part's file. `more` adds to it before it is written.
    """
    manifests = Manifests(folder)
    known = {
        (day, name, entry["source_hash"]): entry
        for body in manifests.bodies()
        for day, parts in body["days"].items()
        for name, entry in parts.items()
    }
    days: dict[str, dict[str, Any]] = {}
    # One thread: which of two equal instants comes first is the order of the rows, not of threads.
    con = duckdb.connect(config={"threads": 1, "memory_limit": "1GB", "temp_directory": str(folder / "spill")})
    try:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")  # a day of millions of rows would draw one into the run's lines
        for source in sources:
            parts = days[source.day] = {}
            for name, query in queries.items():
                made_from = hashlib.sha256(f"{source.source_hash} {query}".encode()).hexdigest()
                entry = known.get((source.day, name, made_from))
                if entry is None or not is_intact(folder / name, entry):
                    entry = _write_part(con, folder / name, source, query, made_from)
                parts[name] = entry
    finally:
        con.close()
    body = more({"version": version, "days": days, "queries": _hash_of(queries)})
    manifests.write(version, body)
    wanted = {
        e["file"] for b in manifests.forget(keep=[version]) for parts in b["days"].values() for e in parts.values()
    }
    for name in queries:
        for path in (folder / name).glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
    return body


def _write_part(
    con: duckdb.DuckDBPyConnection, folder: Path, source: Source, query: str, made_from: str
) -> dict[str, Any]:
    inner_folder(folder)
    path = folder / f"{source.day}-{made_from[:24]}.parquet"
    con.execute(f"COPY ({over(query, source.rows)}) TO {literal(f'{path}.new')} (FORMAT parquet, COMPRESSION zstd)")
    keep_private(Path(f"{path}.new"), like=folder)
    os.replace(f"{path}.new", path)
    return described(path, source_hash=made_from)


def over(query: str, rows: str) -> str:
    """A query over `source` with the rows (a table function or query in SQL) in its place."""
    return query.replace("FROM source", f"FROM {rows}")


def part_paths(folder: Path, body: Mapping[str, Any], name: str, *, days: Sequence[str]) -> list[str]:
    """The files of a table's parts of these days."""
    place = folder / name
    return [os.path.join(place, body["days"][day][name]["file"]) for day in days]


def opened_parts(folder: Path, version: int, *, queries: Mapping[str, str]) -> dict[str, Any] | None:
    """The manifest of a version; None where it is not there, its parts were made by other queries, or one is missing or
    not as it was written.
    """
    body = Manifests(folder).read(version)
    if body is None or body.get("queries") != _hash_of(queries):
        return None
    if any(not queries.keys() <= parts.keys() for parts in body["days"].values()):
        return None
    places = {name: folder / name for name in {name for parts in body["days"].values() for name in parts}}
    entries = (item for parts in body["days"].values() for item in parts.items())
    return body if all(is_intact(places[name], entry) for name, entry in entries) else None


def _hash_of(queries: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(queries.items())).encode()).hexdigest()


def merged(query: str, part_query: str, *, paths: Sequence[str], cut_rows: Sequence[str]) -> str:
    """The SQL of a table merged from parts of whole days, and from the rows of days that the window cuts."""
    whole = [f"SELECT * FROM read_parquet({file_list(paths)})"] if paths else []
    parts = [*whole, *(f"(SELECT * FROM ({over(part_query, rows)}))" for rows in cut_rows)]
    return over(query, f"({' UNION ALL BY NAME '.join(parts)})")
