"""Day files: the events of the lake as one sorted Parquet file per UTC day with user numbers, kept up to date day by
day.

Grain of a day file: one row per event_id. Order: (user_number, event_at, received_at, event_id). Beside the columns of
the events table it has `user_number` (UINTEGER, dense, given once and kept in a dictionary) and `event_code`
(USMALLINT), so that nobody sorts, joins or compares strings again; and the session: `session_hash` (BIGINT, 63 bits of
the client's session id, NULL without one) and `stretch_started_at` (of events without a client's session: when the
stretch of at most 30 minutes' silence among them began, over midnight too; else NULL).

Each version of the table has a manifest; files are named by their content, so versions share what they have in common.
A file or manifest that is damaged or of an older layout is noticed, and made again.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from deltalake import DeltaTable

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.lake.day_writing import carried, number_names, number_users, write_day
from launchpad_lib.lake.manifests import Manifests, described, is_intact, only_builder, read_body, write_body
from launchpad_lib.lake.table_days import all_files_by_day, files_by_day, hash_of_names

PARTITION = "event_on"
DICTIONARY = "dictionary.json"


class DayFile(NamedTuple):
    """One day. `content_hash` is of the file's bytes; `source_hash` names the lake's files that it was made from, and
    the sessions that were open when it began.
    """

    day: date
    path: str
    rows: int
    content_hash: str
    source_hash: str


@dataclass(frozen=True)
class DayFiles:
    """The day files of one version of the events table, in day order.

    `rewritten` are the days this build had to write. `incomplete` counts rows that no day file has, because they lack
    an id, a user, a name or an instant; what Launchpad writes has none.
    """

    folder: Path
    table_version: int | None
    days: tuple[DayFile, ...]
    event_names: tuple[str, ...]
    users: int
    rewritten: tuple[date, ...] = ()
    incomplete: int = 0

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
        dictionary = read_body(self.folder / DICTIONARY) or _no_dictionary()
        return [str(self.folder / "users" / part["file"]) for part in dictionary["user_parts"]]


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
    folder of other day files whose user numbers and event codes a first build takes over. Of a table that somebody
    else wrote without the partition `event_on` every day is read out of all files, at every new version.

    Raises:
        ValueError: no Delta table there, a day's partition holds other days, or more than 65,536 event names.
    """
    if not DeltaTable.is_deltatable(str(events)):
        raise ValueError(
            f"events={str(events)!r}: is no Delta table; run `launchpad ingest` with a params file first, or "
            "correct the path"
        )
    table = DeltaTable(str(events), version=version)
    there = opened_version(folder, table.version())
    if there is not None:
        return there
    sources = files_by_day(table, partition=PARTITION)
    undated = None
    if sources is None:
        sources, undated = all_files_by_day(table)
    with only_builder(folder):
        there = opened_version(folder, table.version())  # another builder was first
        if there is not None:
            return there
        _take_over(folder, dictionary)
        return _build(
            sources,
            folder,
            table_version=table.version(),
            undated=undated,
            memory_limit=memory_limit,
            threads=threads,
        )


def opened_version(folder: Path, version: int) -> DayFiles | None:
    """The day files of a version; None where they are not there, or not as they were written."""
    manifest = Manifests(folder).read(version)
    if manifest is None or not all(is_intact(folder / "days", e) for e in manifest["days"].values()):
        return None
    return _day_files(folder, manifest)


def _build(
    sources: Mapping[date, Sequence[str]],
    folder: Path,
    *,
    table_version: int,
    undated: int | None,
    memory_limit: str,
    threads: int,
) -> DayFiles:
    """`undated`: None where each day has its own files; else every day is within all files, and so many rows have no
    instant.
    """
    manifests, dictionary = Manifests(folder), _dictionary(folder)
    known = _known_days(manifests, dictionary["id"])
    names = {day: hash_of_names(files) for day, files in sources.items()}
    files_new = sorted({f for d, files in sources.items() if (d.isoformat(), names[d]) not in known for f in files})
    rewritten: list[date] = []
    entries: dict[str, dict[str, Any]] = {}
    for part in ("days", "users"):
        inner_folder(folder / part)
    con = duckdb.connect(
        config={"threads": threads, "memory_limit": memory_limit, "temp_directory": str(folder / "spill")}
    )
    try:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")
        before: tuple[date, dict[str, Any]] | None = None
        for day in sorted(sources):
            open_then = before if before is not None and (day - before[0]).days == 1 else None
            source_hash = _source_hash(names[day], open_then[1]["carry_hash"] if open_then else _NO_CARRY)
            entry = known.get((day.isoformat(), names[day]), {}).get(source_hash)
            if entry is None or not is_intact(folder / "days", entry):
                if not rewritten:
                    dictionary = _numbered(con, folder, dictionary, files_new)
                path = folder / "days" / open_then[1]["file"] if open_then else None
                entry = write_day(con, folder, day, sources[day], open_before=path, is_mixed=undated is not None)
                entry |= {"names_hash": names[day], "source_hash": source_hash}
                rewritten.append(day)
            entries[day.isoformat()] = entry
            before = (day, entry)
    finally:
        con.close()
        shutil.rmtree(folder / "spill", ignore_errors=True)
    body = {
        "table_version": table_version,
        "dictionary": dictionary["id"],
        "event_names": dictionary["event_names"],
        "users": dictionary["users"],
        "days": entries,
        "incomplete": (undated or 0) + sum(entry.get("incomplete", 0) for entry in entries.values()),
    }
    manifests.write(table_version, body)
    _forget(folder, manifests, table_version)
    return _day_files(folder, body, rewritten=tuple(rewritten))


def _known_days(manifests: Manifests, dictionary: str) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """By day and names of the lake's files, and by source hash: what manifests of any version name."""
    known: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for body in manifests.bodies():
        if body["dictionary"] == dictionary:
            for day, entry in body["days"].items():
                known.setdefault((day, entry["names_hash"]), {}).setdefault(entry["source_hash"], entry)
    return known


def _numbered(
    con: duckdb.DuckDBPyConnection, folder: Path, dictionary: dict[str, Any], files: Sequence[str]
) -> dict[str, Any]:
    """The dictionary with the users and event names of these files, as tables of the connection and on disk."""
    grown = number_names(con, number_users(con, folder / "users", dictionary, files), files)
    if grown != dictionary:
        write_body(folder / DICTIONARY, grown)
    return grown


def _forget(folder: Path, manifests: Manifests, version: int) -> None:
    """Deletes the files that no manifest in use names."""
    wanted = {e["file"] for body in manifests.forget(keep=[version]) for e in body["days"].values()}
    for path in (folder / "days").glob("*"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)


_NO_CARRY = carried(None, None)[1]


def _source_hash(names: str, carry: str) -> str:
    return hashlib.sha256(f"{names} {carry}".encode()).hexdigest()


def _no_dictionary() -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "event_names": [], "users": 0, "user_parts": []}


def _dictionary(folder: Path) -> dict[str, Any]:
    """The numbers given so far; none where they are damaged, and then no day file counts any more."""
    found = read_body(folder / DICTIONARY)
    is_whole = found is not None and all(is_intact(folder / "users", part) for part in found["user_parts"])
    return found if found is not None and is_whole else _no_dictionary()


def _day_files(folder: Path, manifest: dict[str, Any], *, rewritten: tuple[date, ...] = ()) -> DayFiles:
    days = (
        DayFile(date.fromisoformat(d), str(folder / "days" / e["file"]), e["rows"], e["content_hash"], e["source_hash"])
        for d, e in sorted(manifest["days"].items())
    )
    return DayFiles(
        folder,
        manifest["table_version"],
        tuple(days),
        tuple(manifest["event_names"]),
        manifest["users"],
        rewritten,
        manifest.get("incomplete", 0),
    )


def _take_over(folder: Path, dictionary: Path | None) -> None:
    """Starts an empty folder with the dictionary of another."""
    if dictionary is None or (folder / DICTIONARY).exists():
        return
    given = _dictionary(dictionary)
    inner_folder(folder / "users")
    parts = []
    for part in given["user_parts"]:
        shutil.copyfile(dictionary / "users" / part["file"], folder / "users" / part["file"])
        parts.append(described(folder / "users" / part["file"]))
    write_body(folder / DICTIONARY, {**given, "user_parts": parts})
