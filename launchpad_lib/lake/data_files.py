"""Parquet files of a table, written and on disk before a commit names them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.lake.delta_log import Addition
from launchpad_lib.lake.sealed import seal_file

TIMES = ("event_at", "received_at")
UNLIKE = ("event_id", *TIMES)  # columns whose values hardly ever stand twice: a dictionary costs and saves nothing


def write_file(place: Path, rows: pa.Table, *, partition_values: dict[str, str | None]) -> Addition:
    """One Parquet file of the table, on disk when this returns; a failed write leaves no file."""
    folder = "/".join(f"{k}={v}" for k, v in partition_values.items())
    target = place / folder / f"{int(time.time() * 1000):013d}-{uuid.uuid4().hex}.parquet"
    inner_folder(target.parent)
    names = [n for n in TIMES if n in rows.column_names]
    try:
        with open(target, "wb") as file:
            pq.write_table(
                rows,
                file,
                compression="zstd",
                compression_level=1,
                write_page_index=False,
                use_dictionary=[n for n in rows.column_names if n not in UNLIKE],
                write_statistics=names,
            )
            file.flush()
            os.fsync(file.fileno())
        sealed = seal_file(target, lake=place.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    bounds: dict[str, list[str]] = {"min": [], "max": []}
    for name in names:
        limits = pc.min_max(rows[name].cast(pa.int64()))
        for side in ("min", "max"):
            bounds[side].append(np.datetime64(limits[side].as_py(), "us").astype(str))
    return Addition(
        sealed.relative_to(place).as_posix(),
        sealed.stat().st_size,
        rows.num_rows,
        dict(partition_values),
        dict(zip(names, bounds["min"], strict=True)),
        dict(zip(names, bounds["max"], strict=True)),
    )


def discard(place: Path, files: Sequence[Addition]) -> None:
    """Deletes files that no commit will name."""
    for file in files:
        try:
            (place / file.path).unlink(missing_ok=True)
        except OSError:
            continue  # a read-only disk: compaction's clean-up finds the file later
