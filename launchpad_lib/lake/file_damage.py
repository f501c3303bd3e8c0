"""Damage to the data files that a version of a table names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from launchpad_lib.contract.damage import Damage
from launchpad_lib.lake.sealed import checksum_in
from launchpad_lib.lake.seen_files import SeenFiles

RESTORE = "restore this file from a copy of the lake, or move the lake away and bring its sources in again"


def files_of(table: DeltaTable) -> dict[str, tuple[int | None, int | None]]:
    """The data files of a version: path beneath the table's folder to size and rows as the log says them."""
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = (actions[name].to_pylist() for name in ("path", "size_bytes", "num_records"))
    return {unquote(path): (size, rows) for path, size, rows in zip(*columns, strict=True)}


def file_damage(
    place: Path, files: dict[str, tuple[int | None, int | None]], seen: SeenFiles, *, decodes: bool = False
) -> Iterator[Damage]:
    """What is wrong with these files. One without a checksum is held against the log's size and rows, and against what
    it was when it was first read; where `decodes`, it is read to its end besides.
    """
    for name, (size, rows) in sorted(files.items()):
        if seen.is_as_noted(name):
            continue
        stated = checksum_in(name)
        wrong = seen.wrong_with(name, stated=stated, size=size)
        if wrong is None and stated is None:
            wrong = _unreadable(place / name, rows, decodes=decodes)
        if wrong is not None:
            seen.forget(name)
            yield Damage("damaged", f"{place.name}/{name}", wrong, RESTORE)


def _unreadable(path: Path, rows: int | None, *, decodes: bool) -> str | None:
    try:
        file = pq.ParquetFile(path)
        found = file.metadata.num_rows
        if rows is not None and found != rows:
            return f"has {found:,} rows, and the log says {rows:,}"
        for _ in file.iter_batches() if decodes else ():
            pass
    except (OSError, pa.ArrowException) as error:
        return f"is no whole Parquet file ({str(error).splitlines()[0][:120]})"
    return None
