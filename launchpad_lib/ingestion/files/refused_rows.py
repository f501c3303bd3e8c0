"""Refused rows of a lake as files that can be read again: those of one source each, as they were written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import NamedTuple

import duckdb

from launchpad_lib.contract.event.rules import CONFLICT, MAX_RAW_CHARACTERS, missing
from launchpad_lib.contract.sql import literal
from launchpad_lib.contract.tables import REJECTED
from launchpad_lib.ingestion.files.commits import newest
from launchpad_lib.ingestion.files.fields import makes_ids
from launchpad_lib.ingestion.files.json_lines import Asked
from launchpad_lib.ingestion.files.prepared import printable
from launchpad_lib.ingestion.files.readers import Form, kind_of_file, parts_of
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.lake.delta_log import data_files
from launchpad_lib.lake.streams import streams_of

STREAMED = SourceSpec(table="events", path="a stream", format="jsonl")
EDITED = ("features", "experiments")  # of one key the newest row is kept: an old row must not come after it


class Row(NamedTuple):
    """A refused row: its place, which of its kind is known by, its reasons, and when it was first refused.

    `is_streamed`: its source is no file, but a partition of a topic or a writer of a spool.
    """

    table: str
    source: str
    line: int | None
    raw: str | None
    reasons: tuple[str, ...]
    at: str
    is_streamed: bool

    @property
    def key(self) -> tuple[str, str, int | None, str | None]:
        """By what the row is known; refused twice, by two mappings, it is one row."""
        return self.table, self.source, self.line, self.raw


class Batch(NamedTuple):
    """Rows of one source with the mapping that reads them. `has_ids`: see `FileToRead`."""

    source: SourceSpec
    name: str
    rows: list[Row]
    header: list[str] | None
    has_ids: bool | None


def refused_rows(lake: Path, *, reason: str | None, source: str | None) -> list[Row]:
    """The refused rows in order, each once; those whose reason and source contain these texts."""
    snapshot = newest(lake / REJECTED.name)
    files = data_files(snapshot) if snapshot is not None else []
    if not files:
        return []
    kept = [f"contains({n}, {literal(t)})" for n, t in (("reason", reason), ("source", source)) if t is not None]
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")
        found = con.execute(
            "SELECT table_name, source, line, raw, list(DISTINCT reason ORDER BY reason), "
            "strftime(min(rejected_at), '%Y-%m-%dT%H:%M:%S.%fZ') FROM read_parquet($files, union_by_name = true) "
            f"WHERE {' AND '.join(kept) or 'true'} GROUP BY ALL ORDER BY 1, 2, 3, 4",
            {"files": files},
        ).fetchall()
    streams = set(streams_of(lake))  # by the log, not by the name: `spool/...` may be a file in a folder of that name
    return [Row(table, name, line, raw, tuple(why), at, name in streams) for table, name, line, raw, why, at in found]


def batches(rows: list[Row], sources: Collection[SourceSpec], *, root: Path) -> tuple[list[Batch], dict[str, int]]:
    """The rows that can be judged again, by their source; and how many cannot, by the reason why."""
    left: dict[str, int] = {}
    by_source: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        why = _never(row)
        if why is None:
            by_source.setdefault((row.table, row.source), []).append(row)
        else:
            left[why] = left.get(why, 0) + 1
    found = []
    for (table, name), those in by_source.items():
        made, why = _batch(table, name, those, sources, root)
        if made is not None:
            found.append(made)
            those = [row for row in those if row not in made.rows]
        if those:
            left[why] = left.get(why, 0) + len(those)
    return found, left


def _never(row: Row) -> str | None:
    if all(CONFLICT in reason for reason in row.reasons):
        return "came with other content than the copy that is kept, which no mapping mends"
    if row.table in EDITED:
        return f"of {row.table}: bring the file in again, its newest row is kept"
    if row.raw is None or len(row.raw) >= MAX_RAW_CHARACTERS:
        return "were not kept whole"
    return None


def _batch(
    table: str, name: str, rows: list[Row], sources: Collection[SourceSpec], root: Path
) -> tuple[Batch | None, str]:
    if rows[0].is_streamed:
        whole = [row for row in rows if _is_one_object(str(row.raw))]
        return Batch(STREAMED, name, whole, None, True), "are no JSON object in one line"
    source, path = _source_of(table, name, sources, root)
    if source is None:
        return None, "are of a file that no source of the params file names"
    form = Form(source.format, source.delimiter, source.encoding)
    kind = kind_of_file(PurePath(name), form)
    lacks_id = any(missing("event_id") in row.reasons for row in rows)
    if kind == ".parquet":
        return None, "are of a Parquet file: bring it in again with the mended mapping"
    if kind not in (".csv", ".tsv"):
        whole = [row for row in rows if _is_one_object(str(row.raw))]
        has_ids = True
        if path is not None and not lacks_id:
            has_ids = not makes_ids(source, _first_names(path, source, form))
        return Batch(
            _as(source, "jsonl", ","), name, whole, None, True if has_ids else None
        ), "are no JSON object in one line"
    if path is None:
        return None, "are of a CSV that is not there any more, so nobody knows its header: put it back"
    header = _first_names(path, source, form)
    delimiter = "\t" if kind == ".tsv" and source.delimiter == "," else source.delimiter
    whole = [row for row in rows if _is_one_record(str(row.raw), len(header), delimiter)]
    return Batch(_as(source, "csv", delimiter), name, whole, header, None), "are no record of their file's header"


def _as(source: SourceSpec, form: str, delimiter: str) -> SourceSpec:
    return source.model_copy(update={"format": form, "encoding": "utf-8", "delimiter": delimiter})


def _source_of(
    table: str, name: str, sources: Collection[SourceSpec], root: Path
) -> tuple[SourceSpec | None, Path | None]:
    of_table = [source for source in sources if source.table == table]
    for source in of_table:
        try:
            files = source.files(root)
        except IngestError:
            continue
        for path in files:
            if printable(str(path.relative_to(root)) if path.is_relative_to(root) else str(path)) == name:
                return source, path
    for source in of_table:
        if fnmatchcase(name, source.path) or PurePath(name).is_relative_to(source.path):
            return source, None
    return None, None


def _first_names(path: Path, source: SourceSpec, form: Form) -> list[str]:
    for part in parts_of(path, asked=Asked(sorted(source.wanted())), form=form):
        return list(part.first_names())
    return []


def _is_one_object(raw: str) -> bool:
    """Whether the row alone is a whole line of JSON: half a text would pass for one over several lines."""
    try:
        return "\n" not in raw and isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False


def _is_one_record(raw: str, fields: int, delimiter: str) -> bool:
    """A record by itself: one with an open quote would swallow the next."""
    try:
        records = list(csv.reader(io.StringIO(raw, newline=""), strict=True, delimiter=delimiter))
    except csv.Error:
        return False
    return len(records) == 1 and len(records[0]) == fields


def written(batch: Batch, path: Path) -> dict[int, Row]:
    """Writes the rows of a batch as a file with a header where it has one; the line at which each begins."""
    lines: dict[int, Row] = {}
    text = io.StringIO(newline="")
    number = 1
    if batch.header is not None:
        csv.writer(text, delimiter=batch.source.delimiter, lineterminator="\n").writerow(batch.header)
        number += text.getvalue().count("\n")
    for row in batch.rows:
        lines[number] = row
        raw = _received(row) if row.is_streamed else str(row.raw)
        text.write(raw + "\n")
        number += raw.count("\n") + 1
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return lines


def _received(row: Row) -> str:
    """An event of a stream that states no receipt was received when it was refused."""
    raw = str(row.raw).rstrip()
    if '"received_at"' in raw or not raw.startswith("{") or not raw.endswith("}") or raw.strip("{} ") == "":
        return str(row.raw)
    return f'{raw[:-1]},"received_at":"{row.at}"}}'
