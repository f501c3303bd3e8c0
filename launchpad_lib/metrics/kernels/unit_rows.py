"""The log as whole units: every unit's rows together and in order, as arrays of numbers that a compiled kernel reads.

The engine computes columns (which steps an event is, the code of its segment, whether it may enter) while it scans;
kernels see integers. Rows of a unit are in the order (event_at, received_at, event_id).

A lake's `fact_events`, and filters and projections of it, are read from the day files a range of users at a time: the
files are sorted by user and time, so a stable counting sort by user is all the sorting there is (where the engine's
plan may mix the order of the rows, each comes with its number, and is put back where it is needed). The next range is
read while the kernel works. Any other table is sorted by its engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit

from launchpad_lib.metrics.kernels.block_rows import Asked as AskedOfKinds
from launchpad_lib.metrics.kernels.block_rows import Blocks, asked_of_kinds, open_blocks
from launchpad_lib.metrics.kernels.lake_log import PART, ROW, LakeRows, lake_rows

ORDER = ("event_at", "received_at", "event_id")
MOST_ROWS, MOST_BYTES = 8_000_000, 160_000_000  # of a part
TEXT_BYTES = 24
SORTED = "launchpad_sorted_rows"
IN_ORDER = {
    "PROJECTION",
    "FILTER",
    "READ_PARQUET",
    "EMPTY_RESULT",
}  # the steps of a plan that keep the order of the rows


class UnitRows(NamedTuple):
    """Rows of whole units. Grain of `columns`: one value per row; of `units`: one value per unit.

    Rows of unit number i are `starts[i] : starts[i + 1]`. Instants are microseconds since 1970 (int64), truths uint8,
    texts codes (int32) into `texts[column]`; the code of NULL is -1. `texts` are shared by all parts of one reading and
    only grow, so a code means the same in every part.
    """

    starts: np.ndarray
    columns: dict[str, np.ndarray]
    texts: dict[str, list[str]]

    @property
    def units(self) -> int:
        """How many units the part has."""
        return len(self.starts) - 1


def unit_rows(
    events: ir.Table,
    columns: Mapping[str, ir.Value],
    *,
    unit: str = "user_id",
    where: ir.BooleanValue | None = None,
) -> Iterator[UnitRows]:
    """Reads the log in parts of whole units; together the parts are every row for which `where` holds.

    In which order the units come is not defined, nor which codes texts have: no result may hang on it.

    Args:
        events: an event log: the unit's column and event_at; received_at and event_id order ties where they are there.
        columns: expressions over `events`: instants, whole numbers, truths or texts; only texts may be NULL.
        unit: the column whose values are the units; rows without one are left out.
        where: which rows are read at all.

    >>> from datetime import datetime
    >>> import ibis
    >>> rows = [("b", 2), ("a", 3), ("b", 1)]
    >>> log = ibis.memtable([{"user_id": u, "event_at": datetime(2026, 1, d), "platform": u + "!"} for u, d in rows])
    >>> part = next(unit_rows(log, {"at": log.event_at, "platform": log.platform}))
    >>> part.starts.tolist(), [part.texts["platform"][code] for code in part.columns["platform"]]
    ([0, 1, 3], ['a!', 'b!', 'b!'])
    """
    order = tuple(name for name in ORDER if name in events.columns)
    asked = {f"column_{k}": _asked_value(name, value) for k, (name, value) in enumerate(columns.items())}
    values = {key: one.value for key, one in asked.items()}
    of_lake = lake_rows(events, values, unit=unit, order=order, where=where)
    parts = (
        _lake_parts(of_lake, asked)
        if of_lake is not None
        else _sorted_parts(events, asked, unit=unit, order=order, where=where)
    )
    texts = _Texts()
    for starts, arrays in parts:
        found = {asked[key].name: texts.numbers(asked[key].name, array) for key, array in arrays.items()}
        yield UnitRows(starts, found, texts.values)


class _Value(NamedTuple):
    """A column asked for, as the engine hands it over without a copy: instants in microseconds, truths as numbers."""

    name: str
    value: ir.Value
    is_truth: bool


def _asked_value(name: str, value: ir.Value) -> _Value:
    kind = value.type()
    if kind.is_boolean():
        return _Value(name, value.cast("int8"), True)
    return _Value(name, value.cast("timestamp(6)") if kind.is_timestamp() else value, False)


class _Coded(NamedTuple):
    """Texts as codes into a list that is given."""

    codes: np.ndarray
    names: Sequence[str]


class _Texts:
    """The texts of each column met so far; those that are met first get the next codes."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, int]] = {}

    def numbers(self, name: str, array: np.ndarray | _Coded) -> np.ndarray:
        """A column as it is handed on."""
        if not isinstance(array, _Coded):
            return array
        known, values = self._known.setdefault(name, {}), self.values.setdefault(name, [])
        there = np.flatnonzero(_is_met(array.codes, np.zeros(len(array.names) + 1, np.bool_))[:-1])
        place = np.full(len(array.names) + 1, -1, np.int32)
        for code in there.tolist():
            text = array.names[code]
            if text not in known:
                known[text] = len(values)
                values.append(text)
            place[code] = known[text]
        return _renamed(array.codes, place, np.empty(len(array.codes), np.int32))


_Range = tuple[np.ndarray, dict[str, np.ndarray | _Coded]]  # where units start; columns


def _lake_parts(found: LakeRows, asked: Mapping[str, _Value]) -> Iterator[_Range]:
    """Ranges of users one after the other; the next is read while the caller works on one."""
    widths = [TEXT_BYTES if v.value.type().is_string() and key not in found.coded else 8 for key, v in asked.items()]
    most = min(MOST_ROWS, MOST_BYTES // (12 + sum(widths)))
    of_blocks = asked_of_kinds(found)
    if of_blocks is not None:
        blocks = open_blocks(found)
        names = {key: found.log.event_names for key in found.coded}
        of_kind = {key: _column(blocks.answers[key], one, names=names.get(key)) for key, one in asked.items()}
        ranges = blocks.ranges(most) or [(0, -1)]
        read: Callable[[tuple[int, int]], _Range] = partial(
            _block_range, blocks, of_kind, of_blocks, "session" in blocks.answers.column_names
        )
    else:
        query = found.backend.compile(found.rows)
        if _keeps_order(found, query):
            query = found.backend.compile(found.rows.drop("row"))
        ranges = _ranges(found, query, most)
        read = partial(_read_range, found, query, asked)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, ranges[0])
        for following in [*ranges[1:], None]:
            part = coming.result()
            if following is not None:
                coming = pool.submit(read, following)
            yield part


def _block_range(
    blocks: Blocks,
    of_kind: Mapping[str, np.ndarray | _Coded],
    asked: AskedOfKinds,
    by_session: bool,
    users: tuple[int, int],
) -> _Range:
    """The rows of a range of users out of blocks; `of_kind` are the values of each kind's row."""
    rows = blocks.rows(users, instants=bool(asked.instants), sessions=by_session)
    starts, place, at = rows.starts, rows.place, rows.at
    user = np.repeat(rows.users, np.diff(starts)) if asked.users else at  # sorting by session stays within a user
    if by_session:
        order = np.arange(len(place), dtype=np.int32)
        starts = _by_session(starts, rows.session, order)
        place = _moved(place, order)
        at = _moved(at, order) if asked.instants else at
    found: dict[str, np.ndarray | _Coded] = {}
    for key, values in of_kind.items():
        if key in asked.instants or key in asked.users:
            found[key] = at if key in asked.instants else user
        elif isinstance(values, _Coded):
            found[key] = _Coded(values.codes[place], values.names)
        else:
            found[key] = values[place]
    return starts, found


def _moved(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    out = np.empty_like(values)
    _scatter(values, places, out)
    return out


def _read_range(found: LakeRows, query: str, asked: Mapping[str, _Value], users: tuple[int, int]) -> _Range:
    """The rows of a range of users, each user's together and in order; or each session's."""
    table = _read(found, query, users, found.log.paths)
    numbers = _scattered(table["user"], None)
    upto = np.zeros(users[1] - users[0] + 2, np.int64)
    _count(numbers, users[0], upto)
    upto = np.cumsum(upto)
    order = np.empty(0, np.int64)
    if "row" in table.column_names:
        rows = _scattered(table["row"], None)
        order = np.argsort(rows, kind="stable") if _is_mixed(rows) else order
    places = np.empty(len(numbers), np.int32)
    _place(numbers, users[0], order, upto[:-1].copy(), places)
    starts = upto[np.concatenate([[True], np.diff(upto) > 0])]  # users without a row are no unit
    if "session" in table.column_names:
        session = _scattered(table["session"], places)
        starts = _by_session(starts, session, places)
    names = {key: found.log.event_names for key in found.coded}
    return starts, {key: _column(table[key], one, places=places, names=names.get(key)) for key, one in asked.items()}


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


def _keeps_order(found: LakeRows, query: str) -> bool:
    """Whether the engine hands the rows over in the order of the files: it only reads, filters and computes."""
    plan = _read(found, f"EXPLAIN (FORMAT json) {query}", (0, 0), found.log.paths[:1])
    steps = json.loads(plan["explain_value"][0].as_py())
    while steps:
        step = steps.pop()
        if step["name"].strip() not in IN_ORDER:
            return False
        steps.extend(step["children"])
    return True


def _ranges(found: LakeRows, query: str, most: int) -> list[tuple[int, int]]:
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


def _column(
    column: pa.ChunkedArray, asked: _Value, *, places: np.ndarray | None = None, names: Sequence[str] | None = None
) -> np.ndarray | _Coded:
    """A column as numbers, each row in its place. `names`: the texts of codes that the engine gave."""
    kind = column.type
    if names is not None:
        return _Coded(_scattered(column, places), names)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        encoded = pc.dictionary_encode(column).unify_dictionaries()
        texts = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        codes = pa.chunked_array([c.indices.fill_null(-1) for c in encoded.chunks], pa.int32())
        return _Coded(_scattered(codes, places), texts)
    if column.null_count:
        raise ValueError(f"columns: {asked.name!r} holds {column.null_count} NULL; fill them before the fold")
    found = _scattered(column, places)
    return found.view(np.uint8) if asked.is_truth else found


def _scattered(column: pa.ChunkedArray, places: np.ndarray | None) -> np.ndarray:
    chunks = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    kind = chunks[0].dtype if chunks else np.dtype(column.type.to_pandas_dtype())
    shown = np.dtype(np.int64) if kind.kind == "M" else kind
    if places is None:
        whole = np.concatenate(chunks) if len(chunks) > 1 else chunks[0] if chunks else np.empty(0, kind)
        return whole.view(shown)
    out, done = np.empty(len(places), shown), 0
    for chunk in chunks:
        _scatter(chunk.view(shown), places[done : done + len(chunk)], out)
        done += len(chunk)
    return out


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


@njit(cache=True, nogil=True)
def _scatter(values, places, out):  # pragma: no cover (compiled)
    for i in range(len(values)):
        out[places[i]] = values[i]


@njit(cache=True, nogil=True)
def _renamed(codes, place, out):  # pragma: no cover (compiled)
    for i in range(len(codes)):
        out[i] = place[codes[i]]
    return out


@njit(cache=True, nogil=True)
def _is_met(codes, met):  # pragma: no cover (compiled)
    for i in range(len(codes)):
        met[codes[i]] = True
    return met


def _by_session(starts: np.ndarray, session: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Puts the rows of each user's sessions together, those that begin first come first; where the sessions start."""
    moved = np.empty(len(session), np.int32)
    most = int(np.diff(starts).max()) if len(starts) > 1 else 0
    unit_starts = np.empty(len(session) + 1, np.int64)
    units, is_moved = _session_places(starts, session, moved, np.empty((3, most + 1), np.int64), unit_starts)
    if is_moved:
        _follow(places, moved)
    return unit_starts[: units + 1].copy()


@njit(cache=True, nogil=True)
def _session_places(starts, session, moved, runs, unit_starts):  # pragma: no cover (compiled)
    """runs[0] = first row of each stretch of one session, runs[1] = its group, runs[2] = free place of each group."""
    units, is_moved = 0, False
    for u in range(len(starts) - 1):
        begin, end = starts[u], starts[u + 1]
        count = 0
        for i in range(begin, end):
            if i == begin or session[i] != session[i - 1]:
                runs[0, count] = i
                count += 1
        runs[0, count] = end
        groups = 0
        if count <= 48:
            for k in range(count):
                mine = session[runs[0, k]]
                group = groups
                for j in range(k):
                    if session[runs[0, j]] == mine:
                        group = runs[1, j]
                        break
                runs[1, k] = group
                if group == groups:
                    groups += 1
        else:
            values = np.empty(count, np.int64)
            for k in range(count):
                values[k] = session[runs[0, k]]
            order = np.argsort(values, kind="mergesort")
            first = 0
            for k in range(count):
                if k == 0 or values[order[k]] != values[order[k - 1]]:
                    first = order[k]
                runs[1, order[k]] = first  # for now the group is the number of its first stretch
            for k in range(count):
                if runs[1, k] == k:
                    runs[2, k] = groups
                    groups += 1
            for k in range(count):
                runs[1, k] = runs[2, runs[1, k]]
        if groups == count:
            for k in range(count):
                unit_starts[units + k] = runs[0, k]
            for i in range(begin, end):
                moved[i] = i
            units += count
            continue
        is_moved = True
        for g in range(groups):
            runs[2, g] = 0
        for k in range(count):
            runs[2, runs[1, k]] += runs[0, k + 1] - runs[0, k]
        place = begin
        for g in range(groups):
            size = runs[2, g]
            unit_starts[units + g] = place
            runs[2, g] = place
            place += size
        for k in range(count):
            g = runs[1, k]
            for i in range(runs[0, k], runs[0, k + 1]):
                moved[i] = runs[2, g]
                runs[2, g] += 1
        units += groups
    unit_starts[units] = len(session)
    return units, is_moved


@njit(cache=True, nogil=True)
def _follow(places, moved):  # pragma: no cover (compiled)
    for i in range(len(places)):
        places[i] = moved[places[i]]


def _sorted_parts(
    events: ir.Table,
    asked: Mapping[str, _Value],
    *,
    unit: str,
    order: tuple[str, ...],
    where: ir.BooleanValue | None,
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray | _Coded]]]:
    """Any table, sorted by its engine; one that has more rows than a part is sorted aside and read piece by piece."""
    kept = events.filter(events[unit].notnull() if where is None else events[unit].notnull() & where)
    values = {key: one.value for key, one in asked.items()}
    rows = kept.select(unit_of_row=events[unit], **values, **{f"order_{n}": events[n] for n in order})
    rows = rows.order_by(["unit_of_row", *(f"order_{n}" for n in order)]).select("unit_of_row", *values)
    for table in _pieces(rows, MOST_ROWS):
        yield _starts(table["unit_of_row"]), {key: _column(table[key], one) for key, one in asked.items()}


def _pieces(rows: ir.Table, most: int) -> Iterator[pa.Table]:
    """The sorted rows in pieces of whole units."""
    backend = rows._find_backend(use_default=True)
    if backend.name != "duckdb" or int(rows.count().execute()) <= most:
        yield rows.to_pyarrow()
        return
    name = ibis.util.gen_name(SORTED)
    aside = backend.create_table(name, rows, temp=True)
    try:
        done, total, tail = 0, int(aside.count().execute()), None
        while done < total:
            query = f'SELECT * FROM "{name}" WHERE rowid BETWEEN {done} AND {done + most - 1}'
            piece = backend.con.sql(query).to_arrow_table()
            done += most
            whole = piece if tail is None else pa.concat_tables([tail, piece])
            cut = whole.num_rows if done >= total else int(_starts(whole["unit_of_row"])[-2])
            tail = whole.slice(cut)
            if cut:
                yield whole.slice(0, cut)
    finally:
        backend.raw_sql(f'DROP TABLE IF EXISTS "{name}"')


def _starts(units: pa.ChunkedArray) -> np.ndarray:
    """Where each run of equal values begins, and the number of rows."""
    if not len(units):
        return np.zeros(1, np.int64)
    codes = pc.dictionary_encode(units.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)
