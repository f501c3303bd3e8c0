"""The index of a lake: day files, the tables made day by day and the observed windows, per version of a table.

It lies in the lake's folder `_index`, or in a temporary folder where the lake cannot be written. It is brought up to
date by whoever comes first; it may be deleted at any time, which costs time, never a number.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import unquote

import duckdb
import pyarrow as pa

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.contract.sql import SQL_TYPES, file_list, identifier
from launchpad_lib.contract.tables import TABLES, TELEMETRY
from launchpad_lib.lake.blocks import Block, block_of, build_blocks
from launchpad_lib.lake.daily_tables import (
    ALL_NAMES,
    EVENT_PARTS,
    NAMES,
    TELEMETRY_PARTS,
    Source,
    build_parts,
    merged,
    opened_parts,
    part_paths,
)
from launchpad_lib.lake.day_files import DayFiles, build_day_files, opened_version
from launchpad_lib.lake.manifests import Manifests, is_intact, only_builder
from launchpad_lib.lake.occupied import shared
from launchpad_lib.lake.snapshot import Observed, opened_table
from launchpad_lib.lake.version_windows import ALL_DAYS, forget_windows, window_of_version

INDEX, BLOCKS = "_index", "blocks"
FULL = ("No space left", "Disk quota exceeded", "File too large")  # as the engine words it
_Made = TypeVar("_Made")


class Indexed(NamedTuple):
    """Events or telemetry of one version as the index has them. As long as `held` are open nobody forgets its files.

    `rows` are those within the window; `days` those that have rows within, `cut` those of them that have others too.
    """

    table: str
    version: int
    place: Path
    body: Mapping[str, Any]
    window: Observed | None
    rows: int
    days: tuple[str, ...]
    cut: tuple[str, ...]
    held: tuple[IO[str], ...]
    files: DayFiles | None = None
    blocks: tuple[Block, ...] = ()

    def paths(self, name: str) -> list[str]:
        """The parts of a table made day by day of the days that the window does not cut."""
        return part_paths(self._parts, self.body, name, days=[d for d in self.days if d not in self.cut])

    def all_files(self) -> list[str]:
        """Every file that its tables read."""
        names = ("user_days", "session_parts") if self.table == "events" else ("feature_metrics", "feature_hours")
        parts = [path for name in names for path in self.paths(name)]
        if self.files is not None:
            return [*self.files.paths, *parts]
        root = Path(self.body["lake"]) / self.table
        return [*(str(root / file) for files in self.body["files"].values() for file in files), *parts]

    def manifests(self) -> list[Manifests]:
        """The manifests of what stands behind its tables: `held` is this version of each."""
        return [Manifests(folder) for folder in _folders(self.place, self.table)]

    def names(self) -> str:
        """The SQL of the names that occur within the window (`daily_tables.ALL_NAMES`)."""
        return merged(ALL_NAMES, NAMES, paths=self.paths("names"), cut_rows=[self.rows_within([d]) for d in self.cut])

    def names_of_all_days(self) -> str:
        """The SQL of the names that occur at all, within the window or not."""
        paths = part_paths(self._parts, self.body, "names", days=sorted(self.body["days"]))
        return merged(ALL_NAMES, NAMES, paths=paths, cut_rows=[])

    def rows_of(self, days: Sequence[str]) -> str:
        """The rows of these days, within the window or not, as what stands behind FROM."""
        return _rows_of(self.place, self.table, self.body, self.files, days)

    def rows_within(self, days: Sequence[str]) -> str:
        """The rows of these days within the window, as what stands behind FROM."""
        if not set(days) & set(self.cut):
            return self.rows_of(days)
        return f"(SELECT * FROM {self.rows_of(days)} WHERE {self.inside})"

    @property
    def inside(self) -> str:
        """The condition that a row is within the window."""
        at = identifier(TABLES[self.table].time_column or "")
        if self.window is None:
            return "false"
        return f"{at} BETWEEN TIMESTAMP '{self.window.observed_from}' AND TIMESTAMP '{self.window.observed_through}'"

    @property
    def _parts(self) -> Path:
        return self.place / f"{self.table}_parts"


def index_folder(lake: Path) -> Path:
    """Where the index of a lake lies: beside it, or where that cannot be written, in a temporary folder."""
    beside = lake / INDEX
    with suppress(OSError):
        if lake.is_dir():
            with tempfile.TemporaryFile(dir=inner_folder(beside)):
                return beside
    own = Path(tempfile.gettempdir()) / f"launchpad-index-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.is_symlink() or own.stat().st_uid != os.getuid() or own.stat().st_mode & 0o077:
        raise ValueError(
            f"index: the lake {str(lake)!r} cannot be written and {str(own)!r} belongs to somebody else; remove it, or "
            "set TMPDIR to a folder of your own"
        )
    return own / hashlib.sha256(str(lake.resolve()).encode()).hexdigest()[:24]


def indexed(lake: Path, table: str, *, version: int, through: datetime | None) -> Indexed:
    """A version of `events` or `telemetry` from the index, which is brought up to date where it is not.

    Raises:
        ValueError: there is no such version, its days cannot be told apart, the disk is full, or an erasure is at work.
    """
    build = _build_events if table == "events" else _build_telemetry
    beside, place = lake / INDEX, None
    with shared(lake):
        for _ in range(3):
            for folder in dict.fromkeys([beside, place or beside]):
                found = _opened(lake, folder, table, version, through)
                if found is not None:
                    return found
            place = index_folder(lake)
            _on_a_full_disk(place, lambda folder=place: build(lake, folder, version))  # type: ignore[misc]
    raise ValueError(
        f"index={str(place)!r}: version {version} of {table} was made three times and is gone or damaged each time; "
        "is something cleaning that folder, or is the disk broken?"
    )


def _on_a_full_disk(place: Path, make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except (OSError, duckdb.Error) as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if is_full or any(told in str(error) for told in FULL):
            raise ValueError(
                f"index={str(place)!r}: the disk is full; make room and run again (what was there before still stands)"
            ) from error
        raise


def _opened(lake: Path, place: Path, table: str, version: int, through: datetime | None) -> Indexed | None:
    folders = _folders(place, table)
    held = [file for file in (Manifests(folder).hold(version) for folder in folders) if file is not None]
    tables = EVENT_PARTS if table == "events" else TELEMETRY_PARTS
    body = opened_parts(folders[0], version, queries=tables) if len(held) == len(folders) else None
    files = opened_version(folders[1], version) if table == "events" and body is not None else None
    blocks = body.get("blocks") if body is not None and table == "events" else ()
    is_whole = blocks is not None and all(is_intact(folders[0] / BLOCKS, entry) for entry in blocks)
    if body is None or not is_whole or (table == "events" and files is None):
        for file in held:
            file.close()
        return None
    body = {**body, "lake": str(lake)}
    within = body
    window = window_of_version(
        folders[0], table, version, body, lambda some: _rows_of(place, table, within, files, some), through
    )
    days, cut = _days_within(body, window)
    rows = body["rows"] - sum(o.rows for o in window.outside) if window else 0
    made = tuple(block_of(folders[0] / BLOCKS, entry) for entry in blocks or ())
    return Indexed(table, version, place, body, window, rows, days, cut, tuple(held), files, made)


def _folders(place: Path, table: str) -> list[Path]:
    return [place / f"{table}_parts", *([place / "events"] if table == "events" else [])]


def _days_within(body: Mapping[str, Any], window: Observed | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if window is None:
        return (), ()
    first, last = window.observed_from.date().isoformat(), window.observed_through.date().isoformat()
    days = tuple(d for d in sorted(body["days"]) if d == ALL_DAYS or first <= d <= last)
    edges = {o.last_at.date() if o.where == "before" else o.first_at.date() for o in window.outside}
    cut = tuple(d for d in days if window.outside and (d == ALL_DAYS or date.fromisoformat(d) in edges))
    return days, cut


def _rows_of(place: Path, table: str, body: Mapping[str, Any], files: DayFiles | None, days: Sequence[str]) -> str:
    if files is not None:
        return f"read_parquet({file_list([d.path for d in files.days if d.day.isoformat() in set(days)])})"
    root = Path(body["lake"]) / table
    return _telemetry_rows([str(root / f) for day in days for f in body["files"][day]], body["columns"])


def _telemetry_rows(paths: Sequence[str], there: Sequence[str]) -> str:
    """The declared columns; one that the table had not yet is NULL."""
    columns = ", ".join(
        identifier(c.name) if c.name in there else f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        for c in TELEMETRY.columns
    )
    if not paths:
        empty = ", ".join(f"NULL::{SQL_TYPES[c.type]} AS {identifier(c.name)}" for c in TELEMETRY.columns)
        return f"(SELECT {empty} WHERE false)"
    return f"(SELECT {columns} FROM read_parquet({file_list(paths)}, union_by_name = true, hive_partitioning = false))"


def _build_events(lake: Path, place: Path, version: int) -> None:
    opened_table(lake / "events", version)  # says so where there is no such version
    files = build_day_files(lake / "events", place / "events", version=version)
    sources = [Source(d.day.isoformat(), f"read_parquet({file_list([d.path])})", d.content_hash) for d in files.days]
    folder = place / "events_parts"
    with only_builder(folder):
        known = [entry for body in Manifests(folder).bodies() for entry in body.get("blocks", ())]
        build_parts(
            folder,
            version=version,
            sources=sources,
            queries=EVENT_PARTS,
            more=lambda body: {
                **body,
                "rows": sum(d.rows for d in files.days),
                "blocks": build_blocks(folder / BLOCKS, files.days, known=known),
            },
        )
        wanted = {entry["file"] for body in Manifests(folder).bodies() for entry in body.get("blocks", ())}
        for path in (folder / BLOCKS).glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        forget_windows(folder)


def _build_telemetry(lake: Path, place: Path, version: int) -> None:
    table = opened_table(lake / "telemetry", version)
    actions = pa.table(table.get_add_actions(flatten=True))
    paths = [unquote(p) for p in actions["path"].to_pylist()]
    key = "partition.observed_on"
    days = [str(d) for d in actions[key].to_pylist()] if key in actions.column_names else [ALL_DAYS] * len(paths)
    files: dict[str, list[str]] = {}
    for day, path in sorted(zip(days, paths, strict=True)):
        files.setdefault(day, []).append(path)
    there = [f.name for f in table.schema().fields]
    sources = [
        Source(
            day,
            _telemetry_rows([str(lake / "telemetry" / f) for f in own], there),
            hashlib.sha256("\n".join(own).encode()).hexdigest(),
        )
        for day, own in files.items()
    ]
    folder = place / "telemetry_parts"
    with only_builder(folder):
        build_parts(
            folder,
            version=version,
            sources=sources,
            queries=TELEMETRY_PARTS,
            more=lambda body: {**body, "rows": _rows_in(folder, body), "files": files, "columns": there},
        )
        forget_windows(folder)


def _rows_in(folder: Path, body: Mapping[str, Any]) -> int:
    paths = part_paths(folder, body, "minutes", days=sorted(body["days"]))
    query = f"SELECT coalesce(sum(rows), 0)::BIGINT FROM read_parquet({file_list(paths)})"
    return int(duckdb.connect().execute(query).fetchall()[0][0]) if paths else 0
