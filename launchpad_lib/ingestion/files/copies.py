"""Copies of a key among staged rows and in the lake: which row is kept, which lake row gives way, and of events those
that say something else.

Rows are found by the hashes of their keys; only rows whose key may stand twice are read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS
from launchpad_lib.contract.sql import identifier, literal
from launchpad_lib.contract.tables import EVENTS, Table
from launchpad_lib.ingestion.files.keys import Sieve, is_among, key_hashes, repeated
from launchpad_lib.ingestion.files.staging import Staged, write_rows
from launchpad_lib.lake.copies import content_sql
from launchpad_lib.lake.delta_log import data_files

MEMORY_LIMIT = "400MB"
BATCH_ROWS = 250_000


class Conflict(NamedTuple):
    """A copy that says something else than another event of that id; `raw` is the copy as JSON."""

    file: int
    line: int
    event_id: str
    raw: str


class Copies(NamedTuple):
    """`dropped`: of each staged file the places of rows that are left out. `replaced`: lake file -> its rows' keys'
    hashes that give way. Of events, `conflicts` and how many copies within these files say the `same`.
    """

    dropped: dict[int, np.ndarray]
    replaced: dict[str, np.ndarray]
    conflicts: list[Conflict]
    same: int


def find_copies(
    staged: list[Staged], *, table: Table, left_out: set[int], snapshot: DeltaTable | None, scratch: Path
) -> Copies:
    """Looks among the staged rows themselves and in the lake.

    A copy of what the lake holds that says the same is none: files that grow, and exports that overlap, are full of
    them.

    Args:
        left_out: source files none of whose rows count.
        scratch: a folder for what does not fit into memory.
    """
    sides = [s.side() for s in staged]
    sieve = Sieve(sum(len(side) for side in sides))
    hashes = [s["key"] if not left_out else s["key"][~np.isin(s["file"], list(left_out))] for s in sides]
    suspects = repeated((np.ascontiguousarray(h) for h in hashes), sieve)
    held = _held(snapshot, table, sieve) if snapshot is not None else {}
    suspects = np.union1d(suspects, np.concatenate([*held.values(), np.empty(0, np.uint64)]))
    dropped = {n: np.flatnonzero(np.isin(s["file"], list(left_out))) for n, s in enumerate(sides)} if left_out else {}
    if not len(suspects):
        return Copies({n: d for n, d in dropped.items() if len(d)}, {}, [], 0)
    with duckdb.connect(scratch / "copies.duckdb", config={"threads": 2, "memory_limit": MEMORY_LIMIT}) as con:
        _read_suspects(con, staged, sides, table, suspects, left_out)
        _read_held(con, table, held, suspects)
        found = _resolved(con, table)
        gone = con.execute("SELECT __staged, __row FROM ranked WHERE NOT is_kept ORDER BY 1, 2").fetchnumpy()
        ways = con.execute(
            "SELECT DISTINCT held.file, held.hash FROM held JOIN ranked ON held.__key = ranked.__key "
            "WHERE is_kept AND is_known ORDER BY 1, 2"
        ).fetchall()
    (scratch / "copies.duckdb").unlink()
    for number in np.unique(gone["__staged"]).tolist():
        here = gone["__row"][gone["__staged"] == number]
        dropped[number] = np.union1d(dropped.get(number, np.empty(0, np.int64)), here)
    replaced: dict[str, list[int]] = {}
    for file, one in ways:
        replaced.setdefault(file, []).append(one)
    return Copies(
        {n: d for n, d in dropped.items() if len(d)},
        {file: np.array(sorted(h), np.uint64) for file, h in replaced.items()},
        *found,
    )


def without(staged: Staged, rows: np.ndarray, target: Path) -> int:
    """Writes the staged file anew without some rows; how many are left."""
    table = pq.ParquetFile(staged.path).read()
    is_left = np.ones(table.num_rows, np.bool_)
    is_left[rows.astype(np.int64)] = False
    if is_left.any():
        write_rows(table.filter(pa.array(is_left)), target)
    return int(is_left.sum())


def without_keys(file: str, hashes: np.ndarray, table: Table, target: Path) -> int:
    """Writes a lake file anew without the rows of some keys; how many are left."""
    there = pq.ParquetFile(file).read()
    is_left = ~is_among(key_hashes(there, table), hashes)
    if is_left.any():
        write_rows(there.filter(pa.array(is_left)), target)
    return int(is_left.sum())


def _held(snapshot: DeltaTable, table: Table, sieve: Sieve) -> dict[str, np.ndarray]:
    """Lake file -> hashes of its keys that may be among those in the sieve."""
    found = {}
    for file in data_files(snapshot):
        parquet = pq.ParquetFile(file)
        there = [n for n in table.key if n in parquet.schema_arrow.names]
        here = [
            sieve.maybe(key_hashes(_with_all(pa.Table.from_batches([batch]), table.key), table))
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=there)
        ]
        hashes = np.concatenate([*here, np.empty(0, np.uint64)])
        if len(hashes):
            found[file] = np.unique(hashes)
    return found


def _with_all(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """A table that was written before a column was declared lacks it."""
    for name in names:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    return rows


def _read_suspects(
    con: duckdb.DuckDBPyConnection,
    staged: list[Staged],
    sides: list[np.ndarray],
    table: Table,
    suspects: np.ndarray,
    left_out: set[int],
) -> None:
    """Makes the table `suspects`: every staged row whose key may stand twice."""
    is_made = False
    for number, (one, side) in enumerate(zip(staged, sides, strict=True)):
        wanted = is_among(np.ascontiguousarray(side["key"]), suspects)
        if left_out:
            wanted &= ~np.isin(side["file"], list(left_out))
        if is_made and not wanted.any():
            continue
        start = 0
        for batch in pq.ParquetFile(one.path).iter_batches(batch_size=BATCH_ROWS):
            mask = wanted[start : start + batch.num_rows]
            places = np.flatnonzero(mask) + start
            start += batch.num_rows
            rows = pa.Table.from_batches([batch.filter(pa.array(mask))])
            rows = rows.append_column("__staged", pa.array(np.full(len(places), number, np.int32)))
            rows = rows.append_column("__row", pa.array(places, pa.int64()))
            rows = rows.append_column("__file", pa.array(np.ascontiguousarray(side["file"][places])))
            rows = rows.append_column("__line", pa.array(np.ascontiguousarray(side["line"][places])))
            con.register("given", rows)
            con.execute("INSERT INTO suspects FROM given" if is_made else "CREATE TABLE suspects AS FROM given")
            con.unregister("given")
            is_made = True


def _read_held(con: duckdb.DuckDBPyConnection, table: Table, held: dict[str, np.ndarray], suspects: np.ndarray) -> None:
    """Makes the table `held`: key, content, time of receipt and file of lake rows whose key may be among the staged."""
    con.execute("CREATE TABLE held (__key VARCHAR, content VARCHAR, received_at TIMESTAMP, file VARCHAR, hash UBIGINT)")
    names = {c.name for c in table.columns}
    for file in held:
        parquet = pq.ParquetFile(file)
        there = [n for n in parquet.schema_arrow.names if n in names]
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=there):
            rows = _with_all(pa.Table.from_batches([batch]), tuple(c.name for c in table.columns))
            hashes = key_hashes(rows, table)
            mask = is_among(hashes, suspects)
            if mask.any():
                rows = rows.append_column("__hash", pa.array(hashes)).filter(pa.array(mask))
                con.register("given", rows)
                received = "received_at" if table is EVENTS else "NULL::TIMESTAMP"
                con.execute(
                    f"INSERT INTO held SELECT {key_sql(table)}, {content_sql(table)}, {received}, {literal(file)}, "
                    "__hash FROM given"
                )
                con.unregister("given")


def _resolved(con: duckdb.DuckDBPyConnection, table: Table) -> tuple[list[Conflict], int]:
    """Makes the table `ranked`; of events the conflicts and the number of copies that say the same.

    Of events the copy received first is kept. Of features the newest row is, for they are edited. Of other tables the
    first.
    """
    order = {
        "events": "received_at, __file, __line",
        "features": "__file DESC, __line DESC",
    }.get(table.name, "__file, __line")
    con.execute(
        f"""CREATE TABLE ranked AS
        WITH keyed AS (SELECT *, {key_sql(table)} AS __key, {content_sql(table)} AS __content FROM suspects),
        known AS (SELECT __key, min(received_at) AS kept_at, max(content) AS kept_content FROM held GROUP BY 1),
        placed AS (SELECT *, row_number() OVER w AS nth, first_value(__content) OVER w AS first_content
            FROM keyed WINDOW w AS (PARTITION BY __key ORDER BY {order}))
        SELECT placed.*, known.__key IS NOT NULL AS is_known,
            nth = 1 AND (known.__key IS NULL OR {_gives_way(table)}) AS is_kept
        FROM placed LEFT JOIN known ON placed.__key = known.__key"""
    )
    if table is not EVENTS:
        return [], 0
    same = con.execute(
        "SELECT count(*) FROM ranked WHERE nth > 1 AND __content = first_content AND NOT is_known"
    ).fetchall()[0][0]
    members = ", ".join(f"{identifier(c.name)} := {identifier(c.name)}" for c in EVENTS.columns)
    other = (
        "(nth > 1 AND __content <> first_content) OR EXISTS (FROM held WHERE held.__key = ranked.__key AND "
        "held.content <> ranked.__content)"
    )
    found = con.execute(
        f"SELECT __file, __line, event_id, left(to_json(struct_pack({members}))::VARCHAR, {MAX_RAW_CHARACTERS}) "
        f"FROM ranked WHERE {other} ORDER BY 1, 2"
    ).fetchall()
    return [Conflict(*row) for row in found], same


def _gives_way(table: Table) -> str:
    """SQL: whether the lake's row gives way to the staged one."""
    if table is EVENTS:
        return "received_at < known.kept_at"
    return "__content <> known.kept_content" if table.name == "features" else "false"


def key_sql(table: Table) -> str:
    """SQL of a row's key as one text."""
    if len(table.key) == 1:
        return identifier(table.key[0])
    return "concat_ws(chr(30), " + ", ".join(f"coalesce({identifier(k)}::VARCHAR, '')" for k in table.key) + ")"
