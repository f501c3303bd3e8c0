"""Units read from a lake's day files, a range of users at a time.

The files are sorted by user and time, so a stable counting sort by user is all the sorting there is. Where the engine's
plan may mix the order of the rows, each comes with its number, and is put back where it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from launchpad_lib.metrics.kernels.columns import AskedValue, Coded, column_of, scattered
from launchpad_lib.metrics.kernels.lake_log import PART, ROW, LakeRows
from launchpad_lib.metrics.kernels.session_order import by_session

IN_ORDER = {"PROJECTION", "FILTER", "READ_PARQUET", "EMPTY_RESULT"}  # the steps of a plan that keep the order of rows
Rows = tuple[np.ndarray, dict[str, np.ndarray | Coded]]  # where units start; columns


def keeps_order(found: LakeRows, query: str) -> bool:
    """Whether the engine hands the rows over in the order of the files: it only reads, filters and computes."""
    plan = _read(found, f"EXPLAIN (FORMAT json) {query}", (0, 0), found.log.paths[:1])
    steps = json.loads(plan["explain_value"][0].as_py())
    while steps:
        step = steps.pop()
        if step["name"].strip() not in IN_ORDER:
            return False
        steps.extend(step["children"])
    return True


def user_ranges(found: LakeRows, query: str, most: int) -> list[tuple[int, int]]:
    """Ranges of user numbers with about as many rows as a part may have."""
    last = max(found.log.users - 1, 0)
    days = found.log.days
    rows = sum(day.rows for day in days)
    if rows <= most or not last:
        return [(0, last)]
    lows = np.sort(np.concatenate([_lowest_users(day.path) for day in days[:: max(len(days) // 12, 1)]]))
    middle = days[len(days) // 2]  # one day tells how many rows the conditions leave
    kept = _read(found, f"SELECT count(*) AS rows FROM ({query})", (0, last), [middle.path])["rows"][0].as_py()
    parts = -(-int(rows * min(1.0, 1.2 * (kept + 1_000) / max(middle.rows, 1))) // most)
    cuts = {int(lows[len(lows) * k // parts]) for k in range(1, parts)}
    edges = sorted({0, last + 1, *(c for c in cuts if 0 < c <= last)})
    return [(low, high - 1) for low, high in pairwise(edges)]


def _lowest_users(path: str) -> np.ndarray:
    """The lowest user number of each row group, which all have as many rows."""
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index("user_number")
    found = [metadata.row_group(k).column(place).statistics for k in range(metadata.num_row_groups)]
    return np.array([int(s.min) for s in found if s is not None and s.has_min_max] or [0], np.int64)


def read_range(found: LakeRows, query: str, asked: Mapping[str, AskedValue], users: tuple[int, int]) -> Rows:
    """The rows of a range of users, each user's together and in order; or each session's."""
    table = _read(found, query, users, found.log.paths)
    numbers = scattered(table["user"], None)
    upto = np.zeros(users[1] - users[0] + 2, np.int64)
    _count(numbers, users[0], upto)
    upto = np.cumsum(upto)
    order = np.empty(0, np.int64)
    if "row" in table.column_names:
        rows = scattered(table["row"], None)
        order = np.argsort(rows, kind="stable") if _is_mixed(rows) else order
    places = np.empty(len(numbers), np.int32)
    _place(numbers, users[0], order, upto[:-1].copy(), places)
    starts = upto[np.concatenate([[True], np.diff(upto) > 0])]  # users without a row are no unit
    if "session" in table.column_names:
        session = scattered(table["session"], places)
        starts, moved = by_session(starts, session)
        places = places if moved is None else moved[places]
    names = {key: found.log.event_names for key in found.coded}
    return starts, {key: column_of(table[key], one, places=places, names=names.get(key)) for key, one in asked.items()}


def _read(found: LakeRows, query: str, users: tuple[int, int], paths: Sequence[str]) -> pa.Table:
    """The rows in any order, on a connection of its own: the caller goes on asking meanwhile."""
    cursor = found.backend.con.cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute("SET enable_progress_bar = false")
        cursor.execute(f"CREATE TEMP VIEW {PART} AS {found.log.fact_events(paths=paths, users=users, numbered=ROW)}")
        return cursor.sql(query).to_arrow_table()
    finally:
        cursor.close()


@njit(cache=True, nogil=True)
def _count(users, low, upto):  # pragma: no cover (compiled)
    for i in range(len(users)):
        upto[np.int64(users[i]) - low + 1] += 1


@njit(cache=True, nogil=True)
def _is_mixed(rows):  # pragma: no cover (compiled)
    for i in range(1, len(rows)):
        if rows[i] < rows[i - 1]:
            return True
    return False


@njit(cache=True, nogil=True)
def _place(users, low, order, free, places):  # pragma: no cover (compiled)
    """places[row] = where it goes; `order` says in which order the rows come, none: as they are."""
    for k in range(len(users)):
        i = order[k] if len(order) else k
        u = np.int64(users[i]) - low
        places[i] = free[u]
        free[u] += 1
