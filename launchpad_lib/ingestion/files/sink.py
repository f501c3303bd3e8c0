"""Checked rows into Delta tables: each file once, each key once, rows and refused rows with the file's mark in the
commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from launchpad_lib.contract.arrow import REFUSED_SCHEMA
from launchpad_lib.contract.event.rules import MAX_AHEAD
from launchpad_lib.contract.sql import identifier
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.ingestion.files.conflicts import Found, copies_in
from launchpad_lib.ingestion.files.judging import check
from launchpad_lib.ingestion.files.prepared import (
    CheckedFile,
    Prepared,
    printable,
    raise_if_all_are_refused,
    refused_table,
    stamped_row,
    told_conflicts,
)
from launchpad_lib.ingestion.files.readers import Form, read_text_rows
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.lake.copies import copy_counters

ATTEMPTS = 30


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

    Every file is read and checked before anything is written, and all files of the source are one commit.

    Raises:
        IngestError: a file cannot be read at all; the lake is as before.
    """
    return commit(prepare(source, lake=lake, ingested_at=ingested_at, root=root), lake=lake)


def prepare(source: SourceSpec, *, lake: Path, ingested_at: datetime, root: Path = Path(".")) -> Prepared:
    """Reads and checks the files whose content is new; writes nothing.

    Raises:
        IngestError: a file cannot be read at all, or every row of the source is refused.
    """
    table = TABLES[source.table]
    known = _snapshot(lake / table.name)
    spec_hash = hashlib.sha256(source.model_dump_json(exclude={"path"}, exclude_defaults=True).encode()).hexdigest()[
        :12
    ]
    checked: dict[str, CheckedFile] = {}
    files = source.files(root)
    moment = ingested_at if ingested_at.tzinfo else ingested_at.replace(tzinfo=UTC)
    bounded = _not_ahead(source, moment)
    form = Form(source.format, source.delimiter, source.encoding)
    for path in files:
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        mark = f"{table.name}:{spec_hash}:{_content_hash(path)}"
        if mark in checked or _has_mark(known, mark):
            continue
        text = read_text_rows(path, wanted=source.wanted(), form=form)
        found = check(text.table, source=bounded, file=name, moment=moment, names=text.names, kind=text.kind)
        lines = found.refused["line"].to_pylist()
        bad = (
            sorted([*text.broken, *zip(lines, found.refused["reason"].to_pylist(), text.raw(lines), strict=True)])
            if lines
            else text.broken
        )
        stamped = [stamped_row(table.name, name, moment, *row) for row in bad]
        read = text.table.num_rows + len(text.broken)
        has_ids = source.tells_copies(text.names or text.table.column_names)
        checked[mark] = CheckedFile(mark, printable(name), found.rows, refused_table(stamped), read, has_ids)
    prepared = Prepared(table.name, len(files), len(files) - len(checked), list(checked.values()))
    raise_if_all_are_refused(prepared, source)
    return prepared


def _not_ahead(source: SourceSpec, moment: datetime) -> SourceSpec:
    """A row from more than a day ahead is a wrong clock: one of them would make every window look over.

    Of events the judge knows.
    """
    if source.table != "telemetry" or source.valid_until is not None:
        return source
    return source.model_copy(update={"valid_until": (moment + MAX_AHEAD).replace(microsecond=0)})


def commit(prepared: Prepared, *, lake: Path) -> IngestResult:
    """Writes prepared files, each exactly once whatever else writes to the lake or died before.

    Refused rows go first. A death between the two commits is mended by the next ingestion: the rows' table has no mark
    yet, the refused rows' table has, so the former is completed and the latter not doubled. Each commit is made on the
    version it was computed from; when another process was faster it is computed again.
    """
    table, target, rejects = prepared.table, lake / prepared.table, lake / "rejected"
    outcome: dict[str, int] = {"read": 0, "accepted": 0, "rejected": 0, "skipped": prepared.skipped_files}
    if not prepared.checked:
        return IngestResult(table, prepared.files, prepared.skipped_files, 0, 0, 0, 0)

    def write_refused(snapshot: DeltaTable | None, properties: Callable) -> None:
        unseen = [f for f in prepared.checked if not _has_mark(snapshot, f.mark)]
        told = pa.concat_tables([*(f.refused for f in unseen), *told_conflicts(unseen, conflicts)]) if unseen else None
        fresh = unseen if told is not None and told.num_rows else []
        rows = _new_refused(told, snapshot) if fresh and told is not None else None
        if rows is not None:
            write_deltalake(
                snapshot or _created(rejects, rows.schema, None),
                rows,
                mode="append",
                commit_properties=properties(f.mark for f in fresh),
            )

    def write_rows(snapshot: DeltaTable | None, properties: Callable) -> None:
        fresh = [f for f in prepared.checked if not _has_mark(snapshot, f.mark)]
        outcome["skipped"] = prepared.files - len(fresh)
        if not fresh:
            return
        new, earlier = _new_rows(
            pa.concat_tables([f.rows for f in fresh], promote_options="default"), table_name=table, snapshot=snapshot
        )
        partition = [_partition(TABLES[table].time_column)] if table in ("events", "telemetry") else None
        made = min(sum(f.rows.num_rows for f in fresh if not f.has_ids), new.num_rows) if table == "events" else 0
        marks = properties((f.mark for f in fresh), counts=_copy_counts(conflicts, made, snapshot))
        if earlier.num_rows and snapshot is not None:
            _merge(snapshot, new, earlier, marks)
        else:
            write_deltalake(
                snapshot or _created(target, new.schema, partition),
                new,
                mode="append",
                schema_mode="merge",  # a column that was declared after the table was made is added to it
                commit_properties=marks,
            )
        outcome.update(
            read=sum(f.read for f in fresh), accepted=new.num_rows, rejected=sum(f.refused.num_rows for f in fresh)
        )

    conflicts = _conflicts_of(prepared, _snapshot(target))
    _on_newest(rejects, write_refused)
    _on_newest(target, write_rows)
    duplicates = outcome["read"] - outcome["accepted"] - outcome["rejected"]
    return IngestResult(
        table, prepared.files, outcome["skipped"], outcome["read"], outcome["accepted"], duplicates, outcome["rejected"]
    )


def _conflicts_of(prepared: Prepared, snapshot: DeltaTable | None) -> Found:
    """Copies among the events of these files, and copies of what the lake holds that say something else."""
    fresh = [f for f in prepared.checked if not _has_mark(snapshot, f.mark)]
    if prepared.table != "events" or not any(f.rows.num_rows for f in fresh):
        return Found([], 0)
    rows = [f.rows.append_column("__file", pa.array([i] * f.rows.num_rows, pa.int32())) for i, f in enumerate(fresh)]
    return copies_in(pa.concat_tables(rows), files=[f.mark for f in fresh], snapshot=snapshot)


def _copy_counts(found: Found, made: int, snapshot: DeltaTable | None) -> dict[str, int]:
    """The counts so far and those of this commit, as they ride in it."""
    counts = {}
    for name, count in zip(copy_counters("files"), (found.same, len(found.conflicts), made), strict=True):
        before = (snapshot.transaction_version(name) if snapshot else None) or 0
        if count:
            counts[name] = before + count
    return counts


def _on_newest(place: Path, write: Callable[[DeltaTable | None, Callable], None]) -> None:
    """Runs `write` on the newest version; again when another process committed in between (compare and swap)."""

    def properties(marks, counts: dict[str, int] | None = None) -> CommitProperties:
        transactions = [Transaction(app_id=m, version=1) for m in marks]
        transactions += [Transaction(app_id=name, version=count) for name, count in (counts or {}).items()]
        return CommitProperties(app_transactions=transactions, max_commit_retries=0)

    for attempt in range(1, ATTEMPTS + 1):
        snapshot = _snapshot(place)
        try:
            write(snapshot, properties)
            return
        except (CommitFailedError, DeltaError) as error:
            newest = _snapshot(place)
            is_beaten = newest is not None and (snapshot is None or newest.version() > snapshot.version())
            if not is_beaten or attempt == ATTEMPTS:
                raise IngestError(
                    f"{place}: the rows could not be committed ({str(error).splitlines()[0][:160]}); run it again"
                ) from error


def _snapshot(place: Path) -> DeltaTable | None:
    return DeltaTable(str(place)) if DeltaTable.is_deltatable(str(place)) else None


def _created(place: Path, schema: pa.Schema, partition: list[str] | None) -> DeltaTable:
    """The table's empty first version.

    A path alone would be written whatever it holds by then; this raises when another process was faster.
    """
    return DeltaTable.create(str(place), schema=schema, mode="error", partition_by=partition)


def _has_mark(snapshot: DeltaTable | None, mark: str) -> bool:
    return snapshot is not None and snapshot.transaction_version(mark) is not None


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    except OSError as error:
        raise IngestError(
            f"{path}: cannot be read ({error.strerror}); check that the file is there and readable"
        ) from error


def _new_refused(rows: pa.Table, snapshot: DeltaTable | None) -> pa.Table | None:
    """Without the rows that an earlier ingestion of the same, since then longer, file refused already."""
    uris = snapshot.file_uris() if snapshot else []
    if not uris:
        return rows
    con = duckdb.connect(config={"threads": 1})
    con.register("incoming", rows)
    same = " AND ".join(f"k.{c} IS NOT DISTINCT FROM i.{c}" for c in ("table_name", "source", "line", "reason", "raw"))
    query = (
        f"SELECT * FROM incoming i WHERE NOT EXISTS (FROM read_parquet($files) k WHERE {same}) ORDER BY source, line"
    )
    found = con.sql(query, params={"files": uris}).to_arrow_table()
    con.close()
    return found.cast(REFUSED_SCHEMA) if found.num_rows else None


def _partition(time_column: str | None) -> str:
    return str(time_column).removesuffix("_at") + "_on"


def _new_rows(rows: pa.Table, *, table_name: str, snapshot: DeltaTable | None) -> tuple[pa.Table, pa.Table]:
    """One row per key, the earliest received first: those whose key the lake has not, and those that the lake has from
    a later receipt.
    """
    table = TABLES[table_name]
    con = duckdb.connect(config={"threads": 2})
    con.register("incoming", rows)
    key = "concat_ws(chr(30), " + ", ".join(f"coalesce({identifier(k)}::VARCHAR, '')" for k in table.key) + ")"
    key = identifier(table.key[0]) if len(table.key) == 1 else key
    received = "coalesce(received_at, event_at)" if table_name == "events" else "NULL::TIMESTAMP"
    columns = [f"{received} AS received_at" if c.name == "received_at" else identifier(c.name) for c in table.columns]
    if table_name in ("events", "telemetry"):
        columns.append(f"{identifier(str(table.time_column))}::DATE AS {_partition(table.time_column)}")
    con.execute(f"CREATE VIEW keyed AS SELECT *, {key} AS __key, {received} AS __received FROM incoming")
    ranked = "keyed"
    if con.execute("SELECT count(*) <> count(DISTINCT __key) FROM keyed").fetchall()[0][0]:
        ranked = "ranked"
        con.execute(
            "CREATE TABLE ranked AS SELECT * FROM keyed QUALIFY row_number() OVER (PARTITION BY __key ORDER BY "
            "__received, __line) = 1"
        )
    uris = snapshot.file_uris() if snapshot else []
    if uris:
        kept = "min(received_at)" if table_name == "events" else "NULL::TIMESTAMP"
        query = (
            f"SELECT {key} AS __key, {kept} AS kept FROM read_parquet($files) WHERE {key} IN (SELECT __key FROM "
            f"{ranked}) GROUP BY 1"
        )
        con.execute(f"CREATE TABLE known AS {query}", {"files": uris})
    else:
        con.execute("CREATE TABLE known (__key VARCHAR, kept TIMESTAMP)")
    order = (
        f"ORDER BY {identifier(str(table.time_column))}, {identifier(table.key[0])}"
        if table.time_column
        else f"ORDER BY {identifier(table.key[0])}"
    )
    new = con.sql(f"SELECT {', '.join(columns)} FROM {ranked} ANTI JOIN known USING (__key) {order}").to_arrow_table()
    earlier = con.sql(
        f"SELECT {', '.join(columns)} FROM {ranked} JOIN known USING (__key) WHERE __received < kept {order}"
    ).to_arrow_table()
    con.close()
    return new, earlier


def _merge(snapshot: DeltaTable, new: pa.Table, earlier: pa.Table, properties: CommitProperties) -> None:
    """New events, and those received earlier than the copy that the lake holds, which they replace; one commit."""
    rows = pa.concat_tables([new, earlier])
    merge = snapshot.merge(
        rows, predicate="t.event_id = s.event_id", source_alias="s", target_alias="t", commit_properties=properties
    )
    merge.when_matched_update_all(predicate="s.received_at < t.received_at").when_not_matched_insert_all().execute()
