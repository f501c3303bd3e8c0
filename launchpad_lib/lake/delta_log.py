"""Appends to a Delta table's transaction log, one put-if-absent file per commit, at a cost that does not grow with the
table.

The rows' Parquet files are written first; the commit is one JSON file that is linked under the next version's name, so
exactly one writer can have it (the Delta protocol's own rule, `deltalake` does the same). Source offsets ride in the
commit as application transactions. A commit is a compare-and-swap: it states the offset it started from, and where
another writer has moved that offset in between nothing is written and `Fenced` is raised. Docs: decision 0011.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.private import file_mode, inner_folder, private_folder
from launchpad_lib.contract.whole_files import sync_folder, written_and_synced
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.sealed import keep_log_private, sealed_commit

UNDERSTOOD_FEATURES = {"timestampNtz", "appendOnly", "invariants"}
CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.checkpointInterval": "200",
}


class Fenced(Exception):
    """Another writer has moved an offset that this commit started from; read the offsets again."""


class Unsure(Exception):
    """The commit was written but could not be confirmed; open the table again, it tells whether it counts.

    Delete no file.
    """


class Removal(NamedTuple):
    """A file that a commit takes out of the table."""

    path: str
    size: int
    partition_values: dict[str, str | None]


class Addition(NamedTuple):
    """A file that a commit puts into the table; `minimum`, `maximum` are bounds of columns, as text."""

    path: str
    size: int
    rows: int
    partition_values: dict[str, str | None]
    minimum: dict[str, str]
    maximum: dict[str, str]


def open_table(place: Path, *, version: int | None = None) -> DeltaTable:
    """The table at its newest or a named version.

    Listing a folder is not atomic: while commits are added the list can miss one and have the next, which `deltalake`
    refuses as a gap. It is then listed again.
    """
    delay = 0.02
    while True:
        try:
            return DeltaTable(str(place), version=version)
        except DeltaError as error:
            if "contiguous" not in str(error) or delay > 0.5:
                raise
            time.sleep(delay)
            delay *= 2


def data_files(table: DeltaTable) -> list[str]:
    """The data files of a table's version as paths; `file_uris` writes what is special in an address with %, as in
    `my%20lake`.
    """
    return [unquote(uri.removeprefix("file://")) for uri in table.file_uris()]


class DeltaLog:
    """The log of one local table, as far as this writer has read it."""

    def __init__(self, place: Path, *, schema: pa.Schema, partition_by: list[str]) -> None:
        """Opens the table; creates it where it is not there yet.

        Raises:
            ValueError: the table uses a feature of the Delta protocol that this writer does not know.
        """
        self.place, self.log = lake_place(place), place / "_delta_log"
        if not DeltaTable.is_deltatable(str(place)):
            private_folder(place.parent)
            inner_folder(inner_folder(place) / "_delta_log")
            try:
                DeltaTable.create(
                    str(place),
                    Schema.from_arrow(schema),
                    partition_by=partition_by or None,
                    configuration=CONFIGURATION,
                )
            except DeltaError:
                if not DeltaTable.is_deltatable(str(place)):
                    raise
            keep_log_private(place)
        self.reopen()

    def reopen(self) -> None:
        """Reads the newest version anew, from the last checkpoint."""
        self.snapshot = open_table(self.place)
        self.version = self.snapshot.version()
        self._moved: dict[str, int] = {}
        self._gone: set[str] = set()
        protocol = self.snapshot.protocol()
        unknown = set(protocol.writer_features or []) - UNDERSTOOD_FEATURES
        if protocol.min_writer_version > 7 or 2 < protocol.min_writer_version < 7 or unknown:
            needs = sorted(unknown) or protocol.min_writer_version
            raise ValueError(
                f"lake table {self.place}: it needs Delta writer features {needs} that are not known here; "
                "write it with another tool"
            )

    def transaction(self, app_id: str) -> int | None:
        """The last version that a commit carried for this id; None before the first."""
        moved = self._moved.get(app_id)
        return moved if moved is not None else self.snapshot.transaction_version(app_id)

    def refresh(self) -> None:
        """Reads the commits that others have made since."""
        if not self._name(self.version).exists():
            self.reopen()
        while self._absorb(self.version + 1) is not None:
            self.version += 1

    def commit(
        self,
        *,
        additions: Iterable[Addition] = (),
        removals: Iterable[Removal] = (),
        transactions: dict[str, tuple[int | None, int]],
        operation: str,
        is_data_change: bool = True,
        metrics: dict[str, int] | None = None,
        at_version: int | None = None,
    ) -> int:
        """One atomic commit; the new version.

        `transactions`: id -> (the version it must still have, the version it gets).

        Args:
            at_version: the version that the rows were computed from, where any later commit makes them wrong.

        Raises:
            Fenced: one of the ids has another version by now, or a file to remove is gone, or the table is past
                `at_version`; nothing was written.
            OSError: the disk is full or read-only; nothing was written.
        """
        for app_id, (expected, _) in transactions.items():
            if self.transaction(app_id) != expected:
                raise Fenced(f"{app_id} is at {self.transaction(app_id)}, not at {expected}")
        additions, removals, now_ms, mark = list(additions), list(removals), int(time.time() * 1000), uuid.uuid4().hex
        if removals:
            there = set(pa.table(self.snapshot.get_add_actions())["path"].to_pylist()) - self._gone
            if not {r.path for r in removals} <= there:
                raise Fenced("another compaction has removed the same files")
        info = {
            "timestamp": now_ms,
            "operation": operation,
            "operationMetrics": metrics or {},
            "engineInfo": "launchpad",
            "txnId": mark,
        }
        actions: list[dict] = [
            {"txn": {"appId": a, "version": new, "lastUpdated": now_ms}} for a, (_, new) in transactions.items()
        ]
        for r in removals:
            actions.append(
                {
                    "remove": {
                        "path": r.path,
                        "deletionTimestamp": now_ms,
                        "dataChange": is_data_change,
                        "extendedFileMetadata": True,
                        "partitionValues": r.partition_values,
                        "size": r.size,
                    }
                }
            )
        for a in additions:
            stats = {
                "numRecords": a.rows,
                "minValues": a.minimum,
                "maxValues": a.maximum,
                "nullCount": dict.fromkeys(a.minimum, 0),
            }
            actions.append(
                {
                    "add": {
                        "path": a.path,
                        "partitionValues": a.partition_values,
                        "size": a.size,
                        "modificationTime": now_ms,
                        "dataChange": is_data_change,
                        "stats": json.dumps(stats),
                    }
                }
            )
        draft = self.log / f"_commit_{mark}.json.tmp"
        mode = file_mode(self.place.parent)
        rest = "\n".join(json.dumps(x, separators=(",", ":")) for x in actions).encode()
        try:
            return self._link(
                lambda version: written_and_synced(draft, sealed_commit(info, rest, version=version), mode=mode),
                set(transactions),
                [a.path for a in additions],
                {r.path for r in removals},
                {a: new for a, (_, new) in transactions.items()},
                at_version,
            )
        finally:
            try:
                draft.unlink(missing_ok=True)
            except OSError:
                pass  # the clean-up of the log takes it later; the commit itself is decided already

    def _link(
        self,
        drafted: Callable[[int], Path],
        app_ids: set[str],
        added: list[str],
        removed: set[str],
        moved: dict[str, int],
        at: int | None,
    ) -> int:
        while True:
            draft = drafted(self.version + 1)  # a commit says which version it is
            if at is not None and at != self.version:
                raise Fenced("another process has committed since these rows were computed")
            if not self._name(self.version).exists():
                raise Fenced("the log was cleaned up past this writer's version")
            # A clean-up takes files that no commit names after a day; a writer that slept so long must not name them
            # any more.
            if any(not (self.place / path).exists() for path in added):
                raise Fenced("a file of this commit was cleaned up before the commit")
            try:
                os.link(draft, self._name(self.version + 1))
            except FileExistsError:
                winner = self._absorb(self.version + 1)
                if winner is None or any("metaData" in x or "protocol" in x for x in winner):
                    raise Fenced("the table's schema or protocol was changed by another writer") from None
                self.version += 1
                if any(x["txn"]["appId"] in app_ids for x in winner if "txn" in x):
                    raise Fenced("another worker has committed for the same source partition") from None
                if any(x["remove"]["path"] in removed for x in winner if "remove" in x):
                    raise Fenced("another compaction has removed the same files") from None
                continue
            try:
                sync_folder(self.log)
            except OSError as error:
                raise Unsure(f"the commit could not be synced to disk ({error})") from error
            # A writer that slept through a clean-up could have linked a number that readers no longer look at.
            if not self._name(self.version).exists():
                raise Unsure("the log was cleaned up during the commit")
            self.version += 1
            self._moved |= moved
            self._gone |= removed
            return self.version

    def _absorb(self, version: int) -> list[dict] | None:
        """Reads another writer's commit; None when there is none."""
        try:
            text = self._name(version).read_bytes()
        except FileNotFoundError:
            return None
        actions = [json.loads(line) for line in text.splitlines() if line.strip()]
        self._moved |= {x["txn"]["appId"]: x["txn"]["version"] for x in actions if "txn" in x}
        self._gone |= {x["remove"]["path"] for x in actions if "remove" in x}
        return actions

    def _name(self, version: int) -> Path:
        return self.log / f"{version:020d}.json"
