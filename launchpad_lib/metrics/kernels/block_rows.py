"""Units read from a lake's blocks (`lake.blocks`), where a question asks only what their kinds tell, and instants.

The engine answers the question once per kind of row, by the same query that it would scan the day files with, so names
and conditions mean the same; what is left per row is to look its kind up, and to put the rows of each user together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ibis.expr.operations as ops
import numpy as np
import pyarrow as pa
from numba import njit

from launchpad_lib.contract.sql import SQL_TYPES, identifier
from launchpad_lib.contract.tables import EVENTS
from launchpad_lib.metrics.kernels.instant_limits import ALWAYS, is_outside, is_within
from launchpad_lib.metrics.kernels.lake_log import PART, ROW, LakeRows
from launchpad_lib.metrics.kernels.own_columns import columns_of, is_itself

KINDS = "launchpad_kinds"
SLICE_ROWS = 2_000_000  # of a block at a time
INSTANT = "TIMESTAMP '2000-01-01'"


class KindRows(NamedTuple):
    """Rows of whole users, each user's together and in order; `place` is the row of `answers` that each one's kind has.

    `users` are the numbers of those that have rows, `starts` where each one's begin and the number of rows; `place`,
    `at` and `session` (the numbers of the rows' sessions) are empty where nobody asked for them.
    """

    users: np.ndarray
    starts: np.ndarray
    place: np.ndarray
    at: np.ndarray
    session: np.ndarray


class Blocks(NamedTuple):
    """The blocks of a log with the answers of a question by kind, and what is kept of each user's rows.

    `answers`: one row per kind that the question keeps; `place[b][kind]` is its row there, -1 of one that is not kept.
    """

    blocks: Sequence[Any]
    answers: pa.Table
    place: list[np.ndarray]
    users: list[np.ndarray]
    starts: list[np.ndarray]
    windows: list[tuple[int, int] | None]
    kept: np.ndarray

    def ranges(self, most: int) -> list[tuple[int, int]]:
        """Ranges of user numbers, both ends inside, that have at most so many rows, or one user."""
        upto = np.cumsum(self.kept)
        found, low = [], 0
        while low < len(upto):
            before = int(upto[low - 1]) if low else 0
            high = max(int(np.searchsorted(upto, before + most, side="right")) - 1, low)
            found.append((low, high))
            low = high + 1
        return found

    def is_whole(self, b: int) -> bool:
        """Whether every row of a block is kept."""
        return self.windows[b] is None and bool((self.place[b] >= 0).all())

    def rows(self, users: tuple[int, int], *, places: bool, instants: bool, sessions: bool) -> KindRows:
        """The rows of a range of users."""
        low, high = users
        kept = self.kept[low : high + 1]
        free = np.cumsum(kept) - kept
        total, nothing = int(kept.sum()), np.zeros(0, np.int64)
        at, session = np.empty(total if instants else 0, np.int64), np.empty(total if sessions else 0, np.int64)
        place = np.empty(total if places else 0, np.int32)
        for b, begin, end, first, last in self._slices(low, high):
            block, window = self.blocks[b], self.windows[b]
            is_whole = self.is_whole(b)
            ats = block.read("at", begin, end) if instants or window else nothing
            numbers = block.read("session", begin, end) if sessions else nothing
            kind = block.read("kind", begin, end) if places or not is_whole else nothing.astype(np.uint8)
            of_users = self.users[b][first:last], self.starts[b][first : last + 1], begin, low
            if is_whole:
                _copy(*of_users, kind, self.place[b], ats, numbers, free, at, place, session)
            else:
                edges = window or (0, 0)
                _fill(
                    *of_users, kind, self.place[b], ats, numbers, window is not None, *edges, free, at, place, session
                )
        met = np.flatnonzero(kept)
        return KindRows(met + low, np.append(free[met] - kept[met], total), place, at, session)

    def _slices(self, low: int, high: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Block, rows from and to, and the places of their users, some million rows at a time."""
        for b, (users, starts) in enumerate(zip(self.users, self.starts, strict=True)):
            # A number of another type would have all of the array copied to that type first.
            edges = np.array([low, high + 1]).astype(users.dtype)
            first, last = (int(place) for place in np.searchsorted(users, edges))
            while first < last:
                until = int(np.searchsorted(starts, starts[first] + SLICE_ROWS, side="right")) - 1
                until = min(max(until, first + 1), last)
                yield b, int(starts[first]), int(starts[until]), first, until
                first = until


class Asked(NamedTuple):
    """The outputs that are a row's instant, its user's or its session's number themselves, and those that hang on the
    user's id alone; all others are told by kinds.
    """

    instants: frozenset[str]
    users: frozenset[str]
    sessions: frozenset[str]
    of_user: frozenset[str]


def asked_of_kinds(found: LakeRows) -> Asked | None:
    """What a question asks beside what the kinds of its log's blocks tell.

    None where a value or a condition looks at another column, or the log has no blocks.
    """
    blocks = found.log.blocks
    if not blocks:
        return None
    told = set.intersection(*(set(b.columns) for b in blocks))
    told |= {"event_name"} if "event_code" in told else set()
    row = found.rows.op()
    if not isinstance(row, ops.Project):
        return None
    themselves: dict[str, set[str]] = {"event_at": set(), "user_number": set(), "session_number": set()}
    of_user = set()
    for name, value in row.values.items():
        columns = columns_of(value)
        if name in ("user", "row", "session"):
            continue
        own = next(iter(columns), None)
        if own in themselves and len(columns) == 1 and is_itself(value):
            themselves[own].add(name)
        elif columns == {"user_id"} and value.dtype.is_integer():
            of_user.add(name)
        elif not columns <= told:
            return None
    above = row.parent
    while not isinstance(above, ops.DatabaseTable):
        if isinstance(above, ops.Filter) and not all(columns_of(p) <= told for p in above.predicates):
            return None
        above = above.parent
    return Asked(*(frozenset(names) for names in (*themselves.values(), of_user)))


def open_blocks(found: LakeRows, limits: tuple[int, int] = ALWAYS) -> Blocks:
    """The blocks of the question's log with its answers by kind; rows outside of the limits are not kept."""
    log = found.log
    blocks = [b for b in log.blocks if not is_outside(b.days, limits)] or log.blocks[:1]
    answers, places = _answered(found, blocks)
    window = (_micros(log.observed_from), _micros(log.observed_through)) if log.observed_through else (0, -1)
    windows = [_window(b, window if b.path in log.cut_blocks else ALWAYS, limits) for b in blocks]
    users, starts = [b.read("users") for b in blocks], [b.read("starts") for b in blocks]
    nothing = np.zeros(0, np.int64)
    opened = Blocks(blocks, answers, places, users, starts, windows, nothing)
    kept = np.zeros(max((int(u[-1]) + 1 for u in users if len(u)), default=0), np.int64)
    for b, begin, end, first, last in opened._slices(0, len(kept)):
        if opened.is_whole(b):
            kept[users[b][first:last]] += np.diff(starts[b][first : last + 1])
            continue
        edges = windows[b] or (0, 0)
        ats = blocks[b].read("at", begin, end) if windows[b] else nothing
        kind = blocks[b].read("kind", begin, end)
        _count(
            users[b][first:last], starts[b][first : last + 1], begin, kind, places[b], ats,
            windows[b] is not None, edges[0], edges[1], kept,
        )  # fmt: skip
    return opened._replace(kept=kept)


def _window(block: Any, window: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int] | None:
    """The first and the last instant of a block's rows that are kept; None where all are."""
    edges = max(window[0], limits[0]), min(window[1], limits[1])
    return None if window == ALWAYS and is_within(block.days, limits) else edges


def _answered(found: LakeRows, blocks: Sequence[Any]) -> tuple[pa.Table, list[np.ndarray]]:
    """What the question's query says of each kind."""
    tables = [b.kinds() for b in blocks]
    names = np.array(found.log.event_names, object)
    numbered = []
    for b, table in enumerate(tables):
        code = table["event_code"].to_numpy()
        more = {
            "kind_of_block": pa.array((b << 32) + np.arange(len(table), dtype=np.int64)),
            "event_name": pa.array(names[code].tolist(), pa.string()),
        }
        numbered.append(pa.table({**{name: table[name] for name in table.column_names}, **more}))
    kinds = pa.concat_tables(numbered, promote_options="default")
    dummies = {"event_at": INSTANT, "event_id": "''", "user_id": "''"}
    columns = ", ".join(
        identifier(c.name)
        if c.name in kinds.column_names
        else f"{dummies.get(c.name, 'NULL')}::{SQL_TYPES[c.type]} AS {identifier(c.name)}"
        for c in EVENTS.columns
    )
    cursor = found.backend.con.cursor()
    try:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.register(KINDS, kinds)
        cursor.execute(
            f"CREATE TEMP VIEW {PART} AS SELECT {columns}, NULL::VARCHAR AS session_key, 0::UINTEGER AS user_number, "
            f"event_code, 0::BIGINT AS session_number, kind_of_block AS {identifier(ROW)} FROM {KINDS}"
        )
        answers = cursor.sql(found.backend.compile(found.rows)).to_arrow_table()
    finally:
        cursor.close()
    rows = answers["row"].to_numpy()
    places = []
    for b, table in enumerate(tables):
        place = np.full(len(table), -1, np.int32)
        mine = np.flatnonzero(rows >> 32 == b)
        place[rows[mine] & 0xFFFFFFFF] = mine
        places.append(place)
    return answers, places


def _micros(at: Any) -> int:
    return int(np.datetime64(at, "us").astype(np.int64))


@njit(cache=True, nogil=True)
def _count(users, starts, offset, kind, place, at, is_cut, first, last, kept):  # pragma: no cover (compiled)
    for u in range(len(users)):
        count = 0
        for i in range(starts[u] - offset, starts[u + 1] - offset):
            if place[kind[i]] >= 0 and not (is_cut and (at[i] < first or at[i] > last)):
                count += 1
        kept[users[u]] += count


@njit(cache=True, nogil=True)
def _fill(
    users, starts, offset, low, kind, place, at, session, is_cut, first, last, free, out_at, out_place, out_session
):  # fmt: skip  # pragma: no cover (compiled)
    """free[u - low] = where the next row of user u goes."""
    for u in range(len(users)):
        to = free[np.int64(users[u]) - low]
        for i in range(starts[u] - offset, starts[u + 1] - offset):
            p = place[kind[i]]
            if p < 0 or (is_cut and (at[i] < first or at[i] > last)):
                continue
            if len(out_place):
                out_place[to] = p
            if len(out_at):
                out_at[to] = at[i]
            if len(out_session):
                out_session[to] = session[i]
            to += 1
        free[np.int64(users[u]) - low] = to


@njit(cache=True, nogil=True)
def _copy(
    users, starts, offset, low, kind, place, at, session, free, out_at, out_place, out_session
):  # fmt: skip  # pragma: no cover (compiled)
    """`_fill` of a block whose rows are all kept."""
    for u in range(len(users)):
        to = free[np.int64(users[u]) - low]
        begin, count = starts[u] - offset, starts[u + 1] - starts[u]
        if len(out_at):
            for k in range(count):
                out_at[to + k] = at[begin + k]
        if len(out_place):
            for k in range(count):
                out_place[to + k] = place[kind[begin + k]]
        if len(out_session):
            for k in range(count):
                out_session[to + k] = session[begin + k]
        free[np.int64(users[u]) - low] = to + count
