"""The observed window of each version of a table, found once and noted in the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from launchpad_lib.contract.private import inner_folder
from launchpad_lib.contract.sql import file_list, identifier
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.daily_tables import MINUTES, over, part_paths
from launchpad_lib.lake.manifests import Manifests, read_body, write_body
from launchpad_lib.lake.observed import Outside
from launchpad_lib.lake.snapshot import Minutes, Observed, observed_window

ALL_DAYS = "all"  # a table whose files cannot be told apart by day has one part


def window_of_version(
    folder: Path,
    table: str,
    version: int,
    body: Mapping[str, Any],
    rows_of: Callable[[Sequence[str]], str],
    through: datetime | None,
) -> Observed | None:
    """The window of a version, as it was found before or from the rows of its minutes.

    `folder` has the parts of the table, `rows_of` is the SQL of the rows of some days.
    """
    asked = "derived" if through is None else through.isoformat(timespec="microseconds")
    note = folder / "windows" / f"{version:020d}-{asked.replace(':', '')}.json"
    told = read_body(note)
    if told is not None:
        return _window_of(told)
    found = _derived(folder, table, body, through, rows_of)
    with suppress(OSError):
        inner_folder(note.parent)
        write_body(note, _told(found))
        if through is None and found is not None:  # a run names the end that it derived
            named = found.observed_through.isoformat(timespec="microseconds").replace(":", "")
            write_body(note.with_name(f"{version:020d}-{named}.json"), _told(found))
    return found


def _derived(
    folder: Path, table: str, body: Mapping[str, Any], through: datetime | None, rows_of: Callable[[Sequence[str]], str]
) -> Observed | None:
    at = TABLES[table].time_column or ""
    paths = part_paths(folder, body, "minutes", days=sorted(body["days"]))
    con = duckdb.connect(config={"threads": 1})
    try:
        con.execute("SET TimeZone = 'UTC'")
        summed = "SELECT minute, sum(rows)::BIGINT AS rows, min(first_at) AS first_at, max(last_at) AS last_at FROM "
        summed += f"read_parquet({file_list(paths)}) GROUP BY minute ORDER BY minute"
        minutes = _minutes(con, summed) if paths else Minutes(*(np.zeros(0, np.int64) for _ in Minutes._fields))

        def exact(first: int, last: int) -> Minutes:
            day = str(datetime.fromisoformat("1970-01-01").date().fromordinal(719163 + first // 86_400_000_000))
            within = f"{identifier(at)} BETWEEN make_timestamp({first}) AND make_timestamp({last})"
            days = [d for d in body["days"] if d in (day, ALL_DAYS)]
            return _minutes(con, over(MINUTES.format(at=at), f"(SELECT * FROM {rows_of(days)} WHERE {within})"))

        return observed_window(minutes, table, through=through, exact=exact)
    finally:
        con.close()


def _minutes(con: duckdb.DuckDBPyConnection, query: str) -> Minutes:
    found = con.execute(
        f"SELECT minute, rows, epoch_us(first_at) AS first, epoch_us(last_at) AS last FROM ({query}) ORDER BY minute"
    ).fetchnumpy()
    return Minutes(*(found[name] for name in Minutes._fields))


def _told(window: Observed | None) -> dict[str, Any]:
    if window is None:
        return {"window": None}
    sides = [[o.where, o.rows, o.first_at.isoformat(), o.last_at.isoformat()] for o in window.outside]
    return {
        "window": [window.observed_from.isoformat(), window.observed_through.isoformat(), sides],
        "table": window.outside[0].table if window.outside else None,
    }


def _window_of(told: Mapping[str, Any]) -> Observed | None:
    if told["window"] is None:
        return None
    first, through, sides = told["window"]
    instant = datetime.fromisoformat
    outside = tuple(Outside(told["table"], where, rows, instant(a), instant(b)) for where, rows, a, b in sides)
    return Observed(instant(first), instant(through), outside)


def forget_windows(folder: Path) -> None:
    """Drops the windows of versions that the index has no longer."""
    kept = {f"{version:020d}" for version in Manifests(folder).newest_written()}
    for note in (folder / "windows").glob("*.json"):
        if note.name[:20] not in kept:
            note.unlink(missing_ok=True)
