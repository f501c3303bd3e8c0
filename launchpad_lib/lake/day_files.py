"""Day files: the events of the lake as one sorted Parquet file per UTC day with user numbers, kept up to date day by
day.

Grain of a day file: one row per event_id. Order: (user_number, event_at, received_at, event_id). Beside the columns of
the events table it has `user_number` (UINTEGER, dense, given once and kept in a dictionary) and `event_code` (UTINYINT,
or USMALLINT where there are more than 256 event names), so that nobody sorts, joins or compares strings again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from launchpad_lib.contract.sql import file_list, literal
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.contract.whole_files import write_whole

ROW_GROUP_ROWS = 122_880
PARTITION = "event_on"
MANIFEST = "manifest.json"
LAYOUT = 1


class DayFile(NamedTuple):
    """One day. `content_hash` is of the file's bytes; `source_hash` names the lake's files that it was made from."""

    day: date
    path: str
    rows: int
    content_hash: str
    source_hash: str


@dataclass(frozen=True)
class DayFiles:
    """The day files of one version of the events table, in day order.

    `rewritten` are the days this build had to write.
    """

    folder: Path
    table_version: int | None
    days: tuple[DayFile, ...]
    event_names: tuple[str, ...]
    users: int
    rewritten: tuple[date, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The files in day order."""
        return [d.path for d in self.days]

    @property
    def event_codes(self) -> dict[str, int]:
        """Event name -> event_code."""
        return {name: code for code, name in enumerate(self.event_names)}

    @property
    def dictionary_paths(self) -> list[str]:
        """Parquet files of the user dictionary (user_id, user_number)."""
        return [str(self.folder / "users" / name) for name in _manifest(self.folder)["user_parts"]]


def build_day_files(
    events: Path,
    folder: Path,
    *,
    version: int | None = None,
    memory_limit: str = "1GB",
    threads: int = 2,
    dictionary: Path | None = None,
) -> DayFiles:
    """Brings the day files up to the newest (or the named) version of the Delta table `events`.

    Only days whose files in the table changed since the last build are written; the result is the same as that of a
    build from nothing with the same dictionary. A build that is cut off leaves the last state. `dictionary` is the
    folder of other day files whose user numbers and event codes a first build takes over.

    Raises:
        ValueError: no Delta table there, not partitioned by event_on, or more than 65,536 event names.
    """
    if not DeltaTable.is_deltatable(str(events)):
        raise ValueError(
            f"events={str(events)!r}: is no Delta table; run `launchpad ingest` with a params file first, or "
            "correct the path"
        )
    table = DeltaTable(str(events), version=version)
    sources = files_by_day(table, partition=PARTITION)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_builder(folder):
        _take_over(folder, dictionary)
        return _build(sources, folder, table_version=table.version(), memory_limit=memory_limit, threads=threads)


def open_day_files(folder: Path) -> DayFiles:
    """The day files as the last build left them.

    Raises:
        ValueError: none were built there.
    """
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"folder={str(folder)!r}: holds no day files; build them with build_day_files")
    return _day_files(folder, _manifest(folder))


def _build(
    sources: Mapping[date, Sequence[str]], folder: Path, *, table_version: int, memory_limit: str, threads: int
) -> DayFiles:
    old = _manifest(folder)
    hashes = {day: hash_of_names(files) for day, files in sources.items()}
    kept = {
        d: e
        for d, e in old["days"].items()
        if date.fromisoformat(d) in hashes and e["source_hash"] == hashes[date.fromisoformat(d)]
    }
    dirty = [day for day in sorted(sources) if day.isoformat() not in kept]
    new = {
        **old,
        "table_version": table_version,
        "days": dict(kept),
        "previous": sorted({e["file"] for e in old["days"].values()}),
    }
    if dirty:
        (folder / "days").mkdir(exist_ok=True)
        (folder / "users").mkdir(exist_ok=True)
        con = duckdb.connect(
            config={"threads": threads, "memory_limit": memory_limit, "temp_directory": str(folder / "spill")}
        )
        try:
            con.execute("SET TimeZone = 'UTC'")
            _number_users(con, folder, new, [f for day in dirty for f in sources[day]])
            _number_names(con, new, [f for day in dirty for f in sources[day]])
            for day in dirty:
                new["days"][day.isoformat()] = {
                    **_write_day(con, folder, day, sources[day]),
                    "source_hash": hashes[day],
                }
        finally:
            con.close()
            shutil.rmtree(folder / "spill", ignore_errors=True)
    if new != {**old, "previous": new["previous"]}:
        text = json.dumps(new, indent=1, sort_keys=True)
        (folder / f"{MANIFEST}.new").write_text(text)
        os.replace(folder / f"{MANIFEST}.new", folder / MANIFEST)
        # Readers of the manifest before this one may still be at work: its files stay for one more build.
        wanted = {e["file"] for e in new["days"].values()} | set(new["previous"])
        for path in (folder / "days").glob("*"):
            if path.name not in wanted:
                path.unlink()
    return _day_files(folder, new, rewritten=tuple(dirty))


def _number_users(con: duckdb.DuckDBPyConnection, folder: Path, manifest: dict, files: Sequence[str]) -> None:
    """Gives each new user the next number, by first day and then by id, and adds them to the dictionary."""
    con.execute("CREATE TABLE users (user_id VARCHAR, user_number UINTEGER)")
    parts = [str(folder / "users" / name) for name in manifest["user_parts"]]
    if parts:
        con.execute("INSERT INTO users SELECT user_id, user_number FROM read_parquet($files)", {"files": parts})
    con.execute(
        """CREATE TABLE new_users AS
        SELECT user_id, ($known + row_number() OVER (ORDER BY first_on, user_id) - 1)::UINTEGER AS user_number
        FROM (
            SELECT user_id, min(event_at::DATE) AS first_on FROM read_parquet($files, union_by_name = true)
            GROUP BY user_id) AS seen
        ANTI JOIN users USING (user_id)""",
        {"files": list(files), "known": manifest["users"]},
    )
    added = con.execute("SELECT count(*) FROM new_users").fetchall()[0][0]
    if added:
        name = f"{manifest['users']:010d}-{added}.parquet"
        con.execute(
            f"COPY (SELECT * FROM new_users ORDER BY user_number) TO {literal(folder / 'users' / name)} "
            "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
        )
        con.execute("INSERT INTO users SELECT * FROM new_users")
        manifest["user_parts"] = [*manifest["user_parts"], name]
        manifest["users"] += added
    con.execute("DROP TABLE new_users")


def _number_names(con: duckdb.DuckDBPyConnection, manifest: dict, files: Sequence[str]) -> None:
    rows = con.execute(
        "SELECT DISTINCT event_name FROM read_parquet($files, union_by_name = true) ORDER BY 1", {"files": list(files)}
    ).fetchall()
    known = set(manifest["event_names"])
    manifest["event_names"] = [*manifest["event_names"], *(name for (name,) in rows if name not in known)]
    if len(manifest["event_names"]) > 65_536:
        raise ValueError(
            f"event_name: {len(manifest['event_names'])} names; at most 65,536 can be numbered: move what "
            "varies into properties"
        )
    code = "UTINYINT" if len(manifest["event_names"]) <= 256 else "USMALLINT"
    names = pa.table(
        {
            "event_name": pa.array(manifest["event_names"], pa.string()),
            "code": pa.array(range(len(manifest["event_names"])), pa.int32()),
        }
    )
    con.register("given_names", names)
    con.execute(f"CREATE TABLE names AS SELECT event_name, code::{code} AS event_code FROM given_names")


def _write_day(con: duckdb.DuckDBPyConnection, folder: Path, day: date, files: Sequence[str]) -> dict:
    """Writes one day sorted, one row per event_id (the earliest received), and names the file by its content."""
    has = {
        row[0]
        for row in con.execute(
            "DESCRIBE SELECT * FROM read_parquet($files, union_by_name = true)", {"files": list(files)}
        ).fetchall()
    }
    wanted = [c.name for c in EVENTS.columns if c.name in has]
    columns = ", ".join(
        f'e."{c}"' if c != "received_at" else "coalesce(e.received_at, e.event_at) AS received_at"
        for c in wanted
        if c != "event_at"
    )
    received = "coalesce(received_at, event_at)" if "received_at" in has else "event_at"
    source = f"(SELECT * FROM read_parquet({file_list(files)}, union_by_name = true))"
    doubled = con.execute(f"SELECT count(*) - count(DISTINCT event_id) FROM {source}").fetchall()[0][0]
    if doubled:  # rare, and the narrow look above costs a tenth of this
        source = (
            f"(SELECT * FROM {source} QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY {received}, "
            "event_at, user_id, event_name) = 1)"
        )
    target = folder / "days" / f"{day}.new"
    of_event = received.replace("received_at", "e.received_at").replace("event_at", "e.event_at")
    con.execute(
        f"""COPY (
            SELECT u.user_number, e.event_at, n.event_code, {columns}
            FROM {source} AS e JOIN users AS u USING (user_id) JOIN names AS n USING (event_name)
            ORDER BY u.user_number, e.event_at, {of_event}, e.event_id
        ) TO {literal(target)} (
            FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"""
    )
    with target.open("rb") as written:
        content = hashlib.file_digest(written, "sha256").hexdigest()
    name = f"{day}-{content[:16]}.parquet"
    os.replace(target, folder / "days" / name)
    rows = con.execute(
        "SELECT sum(row_group_num_rows) FROM (SELECT DISTINCT row_group_id, row_group_num_rows FROM "
        "parquet_metadata($f))",
        {"f": str(folder / "days" / name)},
    )
    return {"file": name, "rows": int(rows.fetchall()[0][0]), "content_hash": content}


def files_by_day(table: DeltaTable, *, partition: str) -> dict[date, list[str]]:
    """The data files of each day of a table that is partitioned by a date.

    Raises:
        ValueError: it is not partitioned by that column.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    key = f"partition.{partition}"
    if key not in actions.column_names:
        if actions.num_rows == 0:
            return {}
        raise ValueError(
            f"table={table.table_uri!r}: is not partitioned by {partition}, so the files of a day cannot be "
            "told apart: write it by launchpad ingest"
        )
    days: dict[date, list[str]] = {}
    uris = {_tail(uri): uri for uri in table.file_uris()}
    for path, day in zip(actions["path"].to_pylist(), actions[key].to_pylist(), strict=True):
        days.setdefault(day if isinstance(day, date) else date.fromisoformat(str(day)), []).append(uris[_tail(path)])
    return {day: sorted(files) for day, files in days.items()}


def _tail(path: str) -> str:
    return "/".join(path.rsplit("/", 2)[-2:])


def hash_of_names(files: Sequence[str]) -> str:
    """A data file of a Delta table is never changed in place, so its name stands for its rows."""
    return hashlib.sha256("\n".join(sorted(_tail(f) for f in files)).encode()).hexdigest()


def _manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.is_file():
        return {
            "layout": LAYOUT,
            "table_version": None,
            "days": {},
            "previous": [],
            "event_names": [],
            "users": 0,
            "user_parts": [],
        }
    found = json.loads(path.read_text())
    if found["layout"] != LAYOUT:
        raise ValueError(
            f"folder={str(folder)!r}: day files of layout {found['layout']}, this program writes {LAYOUT}; "
            "remove the folder and build again"
        )
    return found


def _day_files(folder: Path, manifest: dict, *, rewritten: tuple[date, ...] = ()) -> DayFiles:
    days = (
        DayFile(date.fromisoformat(d), str(folder / "days" / e["file"]), e["rows"], e["content_hash"], e["source_hash"])
        for d, e in sorted(manifest["days"].items())
    )
    return DayFiles(
        folder, manifest["table_version"], tuple(days), tuple(manifest["event_names"]), manifest["users"], rewritten
    )


def _take_over(folder: Path, dictionary: Path | None) -> None:
    """Starts an empty folder with the dictionary of another."""
    if dictionary is None or (folder / MANIFEST).exists():
        return
    given = _manifest(dictionary)
    (folder / "users").mkdir(exist_ok=True)
    for name in given["user_parts"]:
        shutil.copyfile(dictionary / "users" / name, folder / "users" / name)
    write_whole(folder / MANIFEST, json.dumps({**given, "days": {}, "previous": [], "table_version": None}))


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """One builder at a time; a second one waits."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
