"""Copies of events that were left out: how many said the same, and how many something else; and of how many events no
copy can be told.

The counts ride in the commits of the events table, as application transactions, so each copy is counted once whatever
dies, and a version of the table has the counts of its time. Those that said something else are rows of `rejected`, with
`rules.CONFLICT` in their reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from launchpad_lib.contract.sql import identifier
from launchpad_lib.contract.tables import EVENTS, Table

SAME, OTHER, MADE = "#copies", "#conflicts", "#made_ids"


class Copies(NamedTuple):
    """Copies of events left out: with the `same` content as the one that is kept, and with `other` content. `made`
    events came without an id: theirs is made from the whole row, so no copy of them can be told.
    """

    same: int
    other: int
    made: int = 0


def copy_counters(source: str) -> tuple[str, str, str]:
    """The application ids under which a source counts its copies, and its events without an id."""
    return source + SAME, source + OTHER, source + MADE


def counted(copies: Copies, *, source: str, before: Callable[[str], int | None]) -> dict[str, tuple[int | None, int]]:
    """The transactions of a commit that carry the source's counts on; `before` knows an application id's last value."""
    moves = {}
    for app, count in zip(copy_counters(source), copies, strict=True):
        if count:
            moves[app] = (before(app), (before(app) or 0) + count)
    return moves


def content_sql(table: Table) -> str:
    """SQL of what copies agree in: all columns, of events without the id and the time of receipt."""
    columns = [c.name for c in table.columns if table is not EVENTS or c.name not in ("event_id", "received_at")]
    return f"md5(concat_ws(chr(30), {', '.join(f'coalesce({identifier(c)}::VARCHAR, chr(31))' for c in columns)}))"


def copies(lake: str | Path, *, version: int | None = None) -> Copies:
    """The counts over all sources, as of the newest or a named version of the events table; a lake without events has
    none.
    """
    log = Path(lake) / "events" / "_delta_log"
    newest: dict[str, int] = {}
    marks = sorted(int(p.name[:20]) for p in log.glob("*.checkpoint.parquet") if p.name[:20].isdigit())
    start = max((m for m in marks if version is None or m <= version), default=-1)
    if start >= 0:
        for row in pq.read_table(log / f"{start:020d}.checkpoint.parquet", columns=["txn"])["txn"].to_pylist():
            if row is not None:
                newest[row["appId"]] = row["version"]
    for path in sorted(log.glob("*.json")):
        if not path.stem.isdigit() or int(path.stem) <= start or (version is not None and int(path.stem) > version):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith('{"txn"'):
                txn = json.loads(line)["txn"]
                newest[txn["appId"]] = txn["version"]
    return Copies(*(sum(n for app, n in newest.items() if app.endswith(end)) for end in (SAME, OTHER, MADE)))
