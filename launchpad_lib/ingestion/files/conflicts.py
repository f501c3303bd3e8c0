"""Copies of one event in files: those that say the same, and those that say something else."""

from __future__ import annotations

from typing import NamedTuple

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS
from launchpad_lib.contract.sql import identifier
from launchpad_lib.contract.tables import EVENTS

# The columns in which copies agree: all but the id and the time of receipt.
_CONTENT = [c.name for c in EVENTS.columns if c.name not in ("event_id", "received_at")]

_CONTENT_SQL = f"md5(concat_ws(chr(30), {', '.join(f'coalesce({identifier(c)}::VARCHAR, chr(31))' for c in _CONTENT)}))"


class Conflict(NamedTuple):
    """A copy that says something else than another event of that id; `raw` is the copy as JSON."""

    mark: str
    line: int
    event_id: str
    raw: str


class Found(NamedTuple):
    """Conflicting copies, and how many copies within these files say the `same`."""

    conflicts: list[Conflict]
    same: int


def copies_in(rows: pa.Table, *, files: list[str], snapshot: DeltaTable | None) -> Found:
    """Looks among the rows themselves and in the lake.

    A copy of what the lake holds that says the same is none: files that grow, and exports that overlap, are full of
    them.

    Args:
        rows: judged events with `__file` (a place in `files`) and `__line`.
    """
    con = duckdb.connect(config={"threads": 2})
    try:
        con.register("incoming", rows)
        has_copies = con.execute("SELECT count(*) <> count(DISTINCT event_id) FROM incoming").fetchall()[0][0]
        uris = snapshot.file_uris() if snapshot else []
        known = "SELECT event_id FROM incoming WHERE false"
        overlap = "SELECT count(*) FROM incoming WHERE event_id IN (SELECT event_id FROM read_parquet($files))"
        if uris and con.execute(overlap, {"files": uris}).fetchall()[0][0]:
            held = (
                f"SELECT event_id, {_CONTENT_SQL} AS content FROM read_parquet($files) SEMI JOIN incoming USING "
                "(event_id)"
            )
            con.execute(f"CREATE TABLE held AS {held}", {"files": uris})
            known, has_copies = "SELECT event_id FROM held", True
        if not has_copies:
            return Found([], 0)
        first = f"""SELECT *, {_CONTENT_SQL} AS content, row_number() OVER first AS nth,
                first_value({_CONTENT_SQL}) OVER first AS kept
            FROM incoming
            WINDOW first AS (PARTITION BY event_id ORDER BY coalesce(received_at, event_at), __file, __line)"""
        con.execute(f"CREATE TABLE ranked AS {first}")
        same = con.execute(
            f"SELECT count(*) FROM ranked WHERE nth > 1 AND content = kept AND event_id NOT IN ({known})"
        )
        members = ", ".join(f"{identifier(c.name)} := {identifier(c.name)}" for c in EVENTS.columns)
        shown = f"to_json(struct_pack({members}))"
        other = "(nth > 1 AND content <> kept)"
        if known.endswith("held"):
            other = (
                f"({other} OR EXISTS (FROM held WHERE held.event_id = ranked.event_id AND held.content <> "
                "ranked.content))"
            )
        count = same.fetchall()[0][0]
        rows_of = (
            f"SELECT __file, __line, event_id, left({shown}::VARCHAR, {MAX_RAW_CHARACTERS}) FROM ranked WHERE "
            f"{other} ORDER BY 1, 2"
        )
        found = con.execute(rows_of).fetchall()
        return Found([Conflict(files[f], line, event_id, raw) for f, line, event_id, raw in found], count)
    finally:
        con.close()
