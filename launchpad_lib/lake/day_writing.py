"""Writes one day's events as a day file: numbered, sorted, one row per event_id, with the session of every row."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from launchpad_lib.contract.private import keep_private
from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier, literal
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.lake.manifests import described

ROW_GROUP_ROWS = 30_720  # a part of a reading takes a range of users out of every file: what it decodes beside is waste
SESSION_GAP_MINUTES = 30
MOST_NAMES = 65_536
# Tells sessions of a user apart: 63 bits of the hash of a client's session, or the instant at which a stretch began.
SESSION_NUMBER = "coalesce(session_hash, epoch_us(stretch_started_at))"


def number_users(
    con: duckdb.DuckDBPyConnection, folder: Path, dictionary: dict[str, Any], files: Sequence[str]
) -> dict[str, Any]:
    """Gives each new user the next number, by first day and then by id; table `users` has all of them."""
    con.execute("CREATE OR REPLACE TABLE users (user_id VARCHAR, user_number UINTEGER)")
    parts = [str(folder / part["file"]) for part in dictionary["user_parts"]]
    if parts:
        con.execute("INSERT INTO users SELECT user_id, user_number FROM read_parquet($files)", {"files": parts})
    if not files:
        return dictionary
    con.execute(
        """CREATE OR REPLACE TEMP TABLE new_users AS
        SELECT user_id, ($known + row_number() OVER (ORDER BY first_on, user_id) - 1)::UINTEGER AS user_number
        FROM (
            SELECT user_id::VARCHAR AS user_id, min(event_at::DATE) AS first_on
            FROM read_parquet($files, union_by_name = true)
            WHERE user_id IS NOT NULL GROUP BY ALL) AS seen
        ANTI JOIN users USING (user_id)""",
        {"files": list(files), "known": dictionary["users"]},
    )
    added = con.execute("SELECT count(*) FROM new_users").fetchall()[0][0]
    if not added:
        return dictionary
    target = folder / f"{dictionary['users']:010d}-{added}.parquet"
    con.execute(
        f"COPY (SELECT * FROM new_users ORDER BY user_number) TO {literal(f'{target}.new')} "
        "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
    )
    keep_private(Path(f"{target}.new"), like=target.parent)
    os.replace(f"{target}.new", target)
    con.execute("INSERT INTO users SELECT * FROM new_users")
    return {
        **dictionary,
        "users": dictionary["users"] + added,
        "user_parts": [*dictionary["user_parts"], described(target)],
    }


def number_names(con: duckdb.DuckDBPyConnection, dictionary: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Gives each new event name the next code; table `names` has all of them.

    Raises:
        ValueError: more than 65,536 names.
    """
    rows = (
        con.execute(
            "SELECT DISTINCT event_name FROM read_parquet($files, union_by_name = true) WHERE event_name IS NOT NULL "
            "ORDER BY 1",
            {"files": list(files)},
        ).fetchall()
        if files
        else []
    )
    known = set(dictionary["event_names"])
    names = [*dictionary["event_names"], *(name for (name,) in rows if name not in known)]
    if len(names) > MOST_NAMES:
        raise ValueError(
            f"event_name: {len(names)} names; at most {MOST_NAMES:,} can be numbered: move what varies into properties"
        )
    given = pa.table({"event_name": pa.array(names, pa.string()), "code": pa.array(range(len(names)), pa.int32())})
    con.register("given_names", given)
    con.execute("CREATE OR REPLACE TABLE names AS SELECT event_name, code::USMALLINT AS event_code FROM given_names")
    con.unregister("given_names")
    return {**dictionary, "event_names": names}


def carried(con: duckdb.DuckDBPyConnection | None, path: Path | None) -> tuple[str, str]:
    """The users of a day file whose stretch without a client's session is open at midnight, as a query (user_number,
    last_at, begun_at), and a hash of what it answers.
    """
    query = f"""SELECT user_number, max(event_at) AS last_at, max(stretch_started_at) AS begun_at
        FROM read_parquet({file_list([path])})
        WHERE stretch_started_at IS NOT NULL
            AND event_at >= date_trunc('day', event_at) + INTERVAL 1 DAY - INTERVAL {SESSION_GAP_MINUTES} MINUTE
        GROUP BY user_number ORDER BY user_number"""
    rows = [] if con is None or path is None else con.execute(query).fetchall()
    return query, hashlib.sha256(repr(rows).encode()).hexdigest()[:32] if rows else ""


def write_day(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    day: date,
    files: Sequence[str],
    *,
    open_before: Path | None,
    is_mixed: bool = False,
) -> dict[str, Any]:
    """Writes one day, of each event_id the earliest received, and names the file by its content; its entry.

    `open_before` is the file of the day before. Tables `users` and `names` have every user and name. `is_mixed`: the
    files hold other days, too. Rows without id, user, name or instant are left out and counted (`incomplete`).

    Raises:
        ValueError: a file holds events of another day.
    """
    source = f"read_parquet({file_list(files)}, union_by_name = true, hive_partitioning = false)"
    has = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    columns = ", ".join(
        "coalesce(received_at, event_at)::TIMESTAMP AS received_at"
        if c.name == "received_at" and c.name in has
        else "event_at::TIMESTAMP AS received_at"
        if c.name == "received_at"
        else f"{identifier(c.name)}::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        if c.name in has
        else f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        for c in EVENTS.columns
    )
    own = f" WHERE event_at::DATE = DATE '{day}'" if is_mixed else ""
    source = f"(SELECT {columns} FROM {source}{own})"
    total, with_id, ids, first_on, last_on, unnamed = con.execute(
        "SELECT count(*), count(event_id), count(DISTINCT event_id), min(event_at::DATE), max(event_at::DATE), "
        f"count(*) FILTER (session_id IS NULL) FROM {source}"
    ).fetchall()[0]
    if first_on is not None and not first_on == last_on == day:
        raise ValueError(
            f"events: the files of {day} hold events from {first_on} to {last_on}, so days cannot be told apart; "
            "write the lake by launchpad ingest"
        )
    if with_id > ids:  # rare, and the narrow look above costs a tenth of this
        source = (
            f"(SELECT * FROM {source} QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY received_at, "
            "event_at, user_id, event_name) = 1)"
        )
    rows = f"SELECT * FROM {source} JOIN users USING (user_id) JOIN names USING (event_name)"
    rows += " WHERE event_id IS NOT NULL AND event_at IS NOT NULL"
    began = _stretches(rows, carried(None, open_before)[0] if open_before else None) if unnamed else ""
    target = folder / "days" / f"{day}.new"
    con.execute(
        f"""COPY (
            SELECT user_number, event_at, event_code, (md5_number_lower(session_id) >> 1)::BIGINT AS session_hash,
                {"stretch_started_at" if began else "NULL::TIMESTAMP AS stretch_started_at"},
                {", ".join(identifier(c.name) for c in EVENTS.columns if c.name != "event_at")}
            FROM ({began or rows})
            ORDER BY user_number, event_at, received_at, event_id
        ) TO {literal(target)} (
            FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"""
    )
    with target.open("rb") as written:
        content = hashlib.file_digest(written, "sha256").hexdigest()
    path = target.with_name(f"{day}-{content[:16]}.parquet")
    keep_private(target, like=path.parent)
    os.replace(target, path)
    count = con.execute(f"SELECT count(*) FROM read_parquet({file_list([path])})").fetchall()[0][0]
    # Every other row has found its user and its name.
    return described(path, rows=count, incomplete=total - with_id + ids - count, carry_hash=carried(con, path)[1])


def _stretches(rows: str, open_before: str | None) -> str:
    """The rows with the instant at which their stretch without a client's session began."""
    order = "PARTITION BY user_number, session_id IS NULL ORDER BY event_at, received_at, event_id"
    gap = f"INTERVAL {SESSION_GAP_MINUTES} MINUTE"
    carry = (
        open_before or "SELECT NULL::UINTEGER AS user_number, NULL::TIMESTAMP AS last_at, NULL::TIMESTAMP AS begun_at"
    )
    return f"""
        SELECT * EXCLUDE (begun), CASE WHEN session_id IS NULL THEN max(begun) OVER ({order}) END AS stretch_started_at
        FROM (
            SELECT r.*, CASE WHEN event_at - lag(event_at) OVER ({order}) <= {gap} THEN NULL
                WHEN lag(event_at) OVER ({order}) IS NULL AND event_at - last_at <= {gap} THEN begun_at
                ELSE event_at END AS begun
            FROM ({rows}) AS r LEFT JOIN ({carry}) AS c USING (user_number))"""
