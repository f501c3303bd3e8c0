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

from launchpad_lib.lake.delta_log import Addition

TIMES = ("event_at", "received_at")
UNLIKE = ("event_id", *TIMES)  # columns whose values hardly ever stand twice: a dictionary costs and saves nothing


def write_file(place: Path, rows: pa.Table, *, partition_values: dict[str, str | None]) -> Addition:
    """One Parquet file of the table, on disk when this returns; a failed write leaves no file."""
    folder = "/".join(f"{k}={v}" for k, v in partition_values.items())
    path = f"{folder}/{int(time.time() * 1000):013d}-{uuid.uuid4().hex}.parquet".lstrip("/")
    target = place / path
    target.parent.mkdir(exist_ok=True)
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
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    bounds: dict[str, list[str]] = {"min": [], "max": []}
    for name in names:
        limits = pc.min_max(rows[name].cast(pa.int64()))
        for side in ("min", "max"):
            bounds[side].append(np.datetime64(limits[side].as_py(), "us").astype(str))
    size = target.stat().st_size
    return Addition(
        path,
        size,
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
