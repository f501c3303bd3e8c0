"""Files into a table by compare and swap: each commit is made on the version it was computed from."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.private import inner_folder, keep_private
from launchpad_lib.contract.tables import Table
from launchpad_lib.ingestion.files.source import IngestError
from launchpad_lib.lake.delta_log import Addition, DeltaLog, Fenced, Removal, open_table
from launchpad_lib.lake.sealed import file_checksum, sealed_name

ATTEMPTS = 30
T = TypeVar("T")


@contextmanager
def written_to(lake: Path) -> Iterator[None]:
    """What hinders the writing, such as a full disk or a lake that may only be read, as one sentence."""
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        reason = " ".join(str(error).split("Detail:")[-1].split())[:200]
        raise IngestError(
            f"lake={str(lake)!r}: cannot be written ({reason}); nothing half-written counts: give it room or the "
            "right to write, and run it again"
        ) from error


def on_newest(place: Path, write: Callable[[], T]) -> T:
    """Runs `write` on the newest version; again when another process committed in between (compare and swap)."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return write()
        except (Fenced, DeltaError) as error:
            is_beaten = isinstance(error, Fenced) or "already exists" in str(error)
            if not is_beaten or attempt == ATTEMPTS:
                raise IngestError(
                    f"{place}: the rows could not be committed ({str(error).splitlines()[0][:160]}); run it again"
                ) from error
    raise AssertionError


def opened(place: Path, schema: pa.Schema, partition: str | None, snapshot: DeltaTable | None) -> DeltaLog:
    """The table's log at just this version, with all declared columns; made where there is none."""
    log = DeltaLog(place, schema=schema, partition_by=[partition] if partition else [])
    expected = 0 if snapshot is None else snapshot.version()
    there = {f.name for f in log.snapshot.schema().fields}
    missing = [f for f in Schema.from_arrow(schema).fields if f.name not in there]
    if missing and log.version == expected:
        log.snapshot.alter.add_columns(missing)
        log.reopen()
        expected += 1
    if log.version != expected:
        raise Fenced("another process has committed since these rows were computed")
    return log


def committed(log: DeltaLog, additions: list[Addition], removals: list[Removal], marks: dict[str, int]) -> None:
    """One commit on the version at hand; where it does not come about its files go again."""
    try:
        log.commit(
            additions=additions,
            removals=removals,
            transactions={app_id: (log.transaction(app_id), version) for app_id, version in marks.items()},
            operation="MERGE" if removals else "WRITE",
            at_version=log.version,
        )
    except (Fenced, OSError):
        for addition in additions:
            (log.place / addition.path).unlink(missing_ok=True)
        raise


def linked(file: Path, place: Path, partition: str | None, day: str | None) -> Addition:
    """Puts a written file into the table's folder; it counts once it is committed."""
    path = sealed_name(f"part-{uuid.uuid4().hex}", file_checksum(file))
    path = f"{partition}={day}/{path}" if partition else path
    inner_folder((place / path).parent)
    keep_private(file, like=place.parent)
    os.link(file, place / path)
    metadata = pq.read_metadata(file)
    names = [metadata.schema.column(i).name for i in range(metadata.num_columns)]
    minimum: dict[str, str] = {}
    maximum: dict[str, str] = {}
    for name in ("event_at", "received_at"):
        groups = range(metadata.num_row_groups) if name in names else ()
        found = [metadata.row_group(g).column(names.index(name)).statistics for g in groups]
        if found and all(f is not None and f.has_min_max for f in found):
            minimum[name] = min(f.min for f in found).isoformat(timespec="microseconds")
            maximum[name] = max(f.max for f in found).isoformat(timespec="microseconds")
    values: dict[str, str | None] = {partition: day} if partition else {}
    return Addition(path, file.stat().st_size, metadata.num_rows, values, minimum, maximum)


def newest(place: Path) -> DeltaTable | None:
    return open_table(place) if DeltaTable.is_deltatable(str(place)) else None


def partition_of(table: Table) -> str | None:
    if table.name not in ("events", "telemetry"):
        return None
    return str(table.time_column).removesuffix("_at") + "_on"
