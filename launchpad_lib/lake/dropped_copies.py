"""Copies of events that a compaction drops: counted in its commit; those that say something else are refused rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from launchpad_lib.contract.arrow import REFUSED_SCHEMA
from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS, conflicting
from launchpad_lib.contract.sql import identifier
from launchpad_lib.contract.tables import EVENTS, REJECTED
from launchpad_lib.lake.copies import Copies
from launchpad_lib.lake.data_files import discard, write_file
from launchpad_lib.lake.delta_log import DeltaLog, Fenced, data_files

SOURCE = "compaction"
_MEMBERS = ", ".join(f"{identifier(c.name)} := {identifier(c.name)}" for c in EVENTS.columns)
_RAW = f"left(to_json(struct_pack({_MEMBERS}))::VARCHAR, {MAX_RAW_CHARACTERS})"


def told_copies(lake: Path, con: duckdb.DuckDBPyConnection, dropped: str, parameters: dict[str, object]) -> Copies:
    """Counts the dropped rows, and keeps those that say something else in the lake's refused rows, each once, before
    the commit that drops them.

    Args:
        dropped: SQL of the rows, with `is_other` beside the columns of an event.

    Raises:
        OSError: the disk is full or read-only.
    """
    same, other = con.execute(
        f"SELECT count(*) FILTER (NOT is_other), count(*) FILTER (is_other) FROM ({dropped})", parameters
    ).fetchall()[0]
    if other:
        told = con.execute(f"SELECT event_id, {_RAW} FROM ({dropped}) WHERE is_other ORDER BY 1, 2", parameters)
        _keep(lake, con, told.fetchall())
    return Copies(same, other)


def _keep(lake: Path, con: duckdb.DuckDBPyConnection, told: list[tuple[str, str]]) -> None:
    log = DeltaLog(lake / REJECTED.name, schema=REFUSED_SCHEMA, partition_by=[])
    files = data_files(log.snapshot)
    known = set()
    if files:  # of a compaction that was killed, or fenced, before it dropped them
        found = con.execute(
            "SELECT raw FROM read_parquet($files, union_by_name = true) WHERE source = $source",
            {"files": files, "source": SOURCE},
        )
        known = {raw for (raw,) in found.fetchall()}
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [(EVENTS.name, SOURCE, None, conflicting(i), raw, now) for i, raw in told if raw not in known]
    if not rows:
        return
    columns = [pa.array(v, f.type) for v, f in zip(zip(*rows, strict=True), REFUSED_SCHEMA, strict=True)]
    addition = write_file(log.place, pa.Table.from_arrays(columns, schema=REFUSED_SCHEMA), partition_values={})
    try:
        log.commit(additions=[addition], transactions={}, operation="WRITE")
    except (Fenced, OSError):
        discard(log.place, [addition])
        raise
