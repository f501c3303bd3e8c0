"""A file of simulated events: JSON lines, plain or gzipped, or Parquet; the same rows give the same bytes."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from launchpad_lib.simulation.texts import Parts, fixed_texts

ROW_GROUP_ROWS = 122_880


class EventFile:
    """Open for writing; rows first, then the planted ones."""

    def __init__(self, path: Path, file_format: Literal["jsonl.gz", "jsonl", "parquet"]) -> None:
        self._path, self._format = path, file_format

    def __enter__(self) -> EventFile:
        self._raw = self._path.open("wb")
        if self._format == "jsonl.gz":
            self._out: Any = gzip.GzipFile(fileobj=self._raw, mode="wb", mtime=0, filename="")
        else:
            self._out = self._raw
        self._parquet: pq.ParquetWriter | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._parquet is not None:
            self._parquet.close()
        if self._out is not self._raw:
            self._out.close()
        self._raw.close()

    def write(self, rows: pa.Table) -> None:
        """Appends rows as `event_rows` makes them."""
        if self._format == "parquet":
            self._write_parquet(rows)
        else:
            self._out.write(_json_lines(rows))

    def write_planted(self, rows: list[dict[str, Any]]) -> int:
        """Appends rows of texts as `plain_texts` gives them; Parquet has types, so there a time that is none is NULL
        (of an event that has no other)."""
        if rows and self._format == "parquet":
            self._write_parquet(_typed(rows))
        elif rows:
            self._out.write("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode())
        return len(rows)

    def _write_parquet(self, rows: pa.Table) -> None:
        plain = pa.table({n: rows[n].cast(t) if rows[n].type != t else rows[n] for n, t in _types(rows).items()})
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(
                self._raw,
                plain.schema,
                compression="zstd",
                use_dictionary=[n for n in plain.column_names if n != "event_id"],
            )
        self._parquet.write_table(plain, row_group_size=ROW_GROUP_ROWS)


def plain_texts(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as they stand in JSON lines: instants as texts, properties as an object."""
    texts = {name: _text(rows[name]).to_pylist() for name in rows.column_names}
    texts["properties"] = [json.loads(text) for text in texts["properties"]]
    return [dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)]


def _typed(rows: list[dict[str, Any]]) -> pa.Table:
    """Planted rows with types."""
    damaged = [r | {"event_at": None, "received_at": None} if r["received_at"] == "yesterday" else r for r in rows]
    columns = {}
    for name in rows[0]:
        values = [r[name] for r in damaged]
        if name.endswith("_at"):
            columns[name] = pa.array([v and v.removesuffix("Z") for v in values], pa.string()).cast(pa.timestamp("us"))
        elif name == "properties":
            columns[name] = pa.array([json.dumps(v, separators=(",", ":")) for v in values])
        else:
            columns[name] = pa.array(values, pa.string())
    return pa.table(columns)


def _types(rows: pa.Table) -> dict[str, pa.DataType]:
    """Instants with their zone, texts as they are."""
    return {n: pa.timestamp("us", "UTC") if n.endswith("_at") else pa.string() for n in rows.column_names}


def _json_lines(rows: pa.Table) -> bytes:
    """Each row as one line. Every text here is the simulator's own, with nothing that JSON would escape."""
    parts: list[Any] = []
    for place, name in enumerate(rows.column_names):
        parts.append(f'{"," if place else "{"}"{name}":' + ("" if name == "properties" else '"'))
        parts.append(_text(rows[name]))
        if name != "properties":
            parts.append('"')
    joined: list[Any] = []
    for part in [*parts, "}\n"]:  # neighbouring constants are one
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    text = pc.binary_join_element_wise(*joined, "")
    out = BytesIO()
    for chunk in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
        offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        out.write(memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]])
    return out.getvalue()


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        at_ms = column.cast(pa.int64()).to_numpy() // 1000
        days = at_ms.astype("datetime64[ms]").astype("datetime64[D]")
        years = days.astype("datetime64[Y]").astype(np.int64) + 1970
        months = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
        dates = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
        of_day = at_ms - days.astype("datetime64[ms]").astype(np.int64)
        clock: Parts = [(of_day // 3_600_000, 2), ":", (of_day // 60_000 % 60, 2), ":", (of_day // 1000 % 60, 2)]
        parts: Parts = [(years, 4), "-", (months, 2), "-", (dates, 2), "T", *clock, ".", (of_day % 1000, 3), "Z"]
        return pa.chunked_array([fixed_texts(parts, len(at_ms))])
    return column.cast(pa.string())
