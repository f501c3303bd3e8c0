"""Checked rows into Delta tables: each file once, each key once, rows and refused rows with the file's mark in the commit."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from launchpad_lib.ingestion.contract import check, quoted
from launchpad_lib.ingestion.files import read_text_rows
from launchpad_lib.ingestion.source import SourceSpec
from launchpad_lib.schema import TABLES

REFUSED_SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.string()),
        ("rejected_at", pa.timestamp("us")),
    ]
)


class IngestResult(NamedTuple):
    """Counts of one source: rows read = accepted + duplicates + rejected."""

    table: str
    files: int
    skipped_files: int
    read: int
    accepted: int
    duplicates: int
    rejected: int


def ingest(source: SourceSpec, *, lake: Path, ingested_at: datetime, root: Path = Path(".")) -> IngestResult:
    """Brings a source's new files into the lake; a file whose content is known already changes nothing.

    Every file is read and checked before anything is written.

    Raises:
        IngestError: a file cannot be read at all; the lake is as before.
    """
    table = TABLES[source.table]
    target, rejects = lake / table.name, lake / "rejected"
    spec_hash = hashlib.sha256(source.model_dump_json(exclude={"path"}).encode()).hexdigest()[:12]
    rows, refused, marks, skipped, read = [], [], [], 0, 0
    files = source.files(root)
    for path in files:
        mark = f"{table.name}:{spec_hash}:{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"
        if _is_committed(target, mark) or mark in marks:
            skipped += 1
            continue
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        text_rows, broken = read_text_rows(path)
        checked = check(text_rows, source=source, file=name)
        marks.append(mark)
        rows.append(checked.rows)
        bad = [*broken, *(tuple(r.values()) for r in checked.refused.to_pylist())]
        refused += [(table.name, name, line, reason, raw, ingested_at.replace(tzinfo=None)) for line, reason, raw in sorted(bad)]
        read += text_rows.num_rows + len(broken)
    if not marks:
        return IngestResult(table.name, len(files), skipped, 0, 0, 0, 0)
    new = _new_rows(pa.concat_tables(rows, promote_options="default"), table_name=table.name, target=target)
    properties = CommitProperties(app_transactions=[Transaction(app_id=m, version=1) for m in marks])
    pending = [r for r in refused if not all(_is_committed(rejects, m) for m in marks)]
    if pending:
        by_column = dict(zip(REFUSED_SCHEMA.names, zip(*pending, strict=True), strict=True))
        refused_table = pa.table({f.name: pa.array(by_column[f.name], f.type) for f in REFUSED_SCHEMA}, schema=REFUSED_SCHEMA)
        write_deltalake(str(rejects), refused_table, mode="append", commit_properties=properties)
    partition = [_partition(table.time_column)] if table.name in ("events", "telemetry") else None
    write_deltalake(str(target), new, mode="append", partition_by=partition, commit_properties=properties)
    accepted = new.num_rows
    return IngestResult(table.name, len(files), skipped, read, accepted, read - accepted - len(refused), len(refused))


def _partition(time_column: str | None) -> str:
    return str(time_column).removesuffix("_at") + "_on"


def _is_committed(target: Path, mark: str) -> bool:
    return DeltaTable.is_deltatable(str(target)) and DeltaTable(str(target)).transaction_version(mark) is not None


def _new_rows(rows: pa.Table, *, table_name: str, target: Path) -> pa.Table:
    """One row per key, the earliest received first; keys the lake has already are left out."""
    table = TABLES[table_name]
    con = duckdb.connect(config={"threads": 1})
    con.register("incoming", rows)
    key = ", ".join(f"coalesce({quoted(k)}::VARCHAR, '')" for k in table.key)
    received = "coalesce(received_at, event_at), " if table_name == "events" else ""
    columns = ["coalesce(received_at, event_at) AS received_at" if c.name == "received_at" else quoted(c.name) for c in table.columns]
    if table_name in ("events", "telemetry"):
        columns.append(f"{quoted(str(table.time_column))}::DATE AS {_partition(table.time_column)}")
    known = ""
    if DeltaTable.is_deltatable(str(target)):
        uris = DeltaTable(str(target)).file_uris()
        if uris:
            con.execute("CREATE TABLE known AS SELECT DISTINCT concat_ws(chr(30), " + key + ") AS k FROM read_parquet($files)", {"files": uris})
            known = f"WHERE concat_ws(chr(30), {key}) NOT IN (SELECT k FROM known)"
    ranked = f"SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {received}__line) AS __rank FROM incoming {known}"
    order = f"ORDER BY {quoted(str(table.time_column))}, {quoted(table.key[0])}" if table.time_column else f"ORDER BY {quoted(table.key[0])}"
    result = con.sql(f"SELECT {', '.join(columns)} FROM ({ranked}) WHERE __rank = 1 {order}").to_arrow_table()
    con.close()
    return result
