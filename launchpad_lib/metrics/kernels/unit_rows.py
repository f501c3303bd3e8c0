"""The log as whole units: every unit's rows together and in order, as arrays of numbers that a compiled kernel reads.

The engine computes columns (which steps an event is, the code of its segment, whether it may enter); kernels see
integers. Rows of a unit are in the order (event_at, received_at, event_id).

A lake's `fact_events`, and filters and projections of it, are read a range of users at a time: from its blocks where
the question asks what their kinds tell (`block_rows`), else from its day files (`day_file_rows`). The next range is
read while the kernel works. Any other table is sorted by its engine (`sorted_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np

from launchpad_lib.metrics.kernels.block_rows import Asked, Blocks, asked_of_kinds, open_blocks
from launchpad_lib.metrics.kernels.columns import AskedValue, Coded, Texts, asked_value, column_of
from launchpad_lib.metrics.kernels.day_file_rows import Rows, keeps_order, read_range, user_ranges
from launchpad_lib.metrics.kernels.instant_limits import limited
from launchpad_lib.metrics.kernels.lake_log import LakeRows, lake_rows
from launchpad_lib.metrics.kernels.session_order import by_session, moved
from launchpad_lib.metrics.kernels.sorted_rows import sorted_parts
from launchpad_lib.metrics.kernels.user_values import values_of_users

ORDER = ("event_at", "received_at", "event_id")
MOST_ROWS, MOST_BYTES = 8_000_000, 160_000_000  # of a part
BLOCK_ROWS = 1_000_000  # of a part read from blocks: to read a range costs little, and small arrays stay in the caches
TEXT_BYTES = 24


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
    asked = {f"column_{k}": asked_value(name, value) for k, (name, value) in enumerate(columns.items())}
    values = {key: one.value for key, one in asked.items()}
    of_lake = lake_rows(events, values, unit=unit, order=order, where=where)
    parts = (
        _lake_parts(of_lake, asked)
        if of_lake is not None
        else sorted_parts(events, asked, unit=unit, order=order, where=where, most=MOST_ROWS)
    )
    texts = Texts()
    for starts, arrays in parts:
        found = {asked[key].name: texts.numbers(asked[key].name, array) for key, array in arrays.items()}
        yield UnitRows(starts, found, texts.values)


def _lake_parts(found: LakeRows, asked: Mapping[str, AskedValue]) -> Iterator[Rows]:
    """Ranges of users one after the other; the next is read while the caller works on one."""
    widths = [TEXT_BYTES if v.value.type().is_string() and key not in found.coded else 8 for key, v in asked.items()]
    most = min(MOST_ROWS, MOST_BYTES // (12 + sum(widths)))
    bare, limits = limited(found)
    of_blocks = asked_of_kinds(bare)
    if of_blocks is not None:
        found = bare
        blocks = open_blocks(found, limits)
        names = {key: found.log.event_names for key in found.coded}
        of_user = values_of_users(found, of_blocks.of_user)
        told = {key: one for key, one in asked.items() if key not in of_user}
        of_kind = {key: column_of(blocks.answers[key], one, names=names.get(key)) for key, one in told.items()}
        ranges = blocks.ranges(min(most, BLOCK_ROWS)) or [(0, -1)]
        read: Callable[[tuple[int, int]], Rows] = partial(
            _block_range, blocks, of_kind, of_user, of_blocks, "session" in blocks.answers.column_names
        )
    else:
        query = found.backend.compile(found.rows)
        if keeps_order(found, query):
            query = found.backend.compile(found.rows.drop("row"))
        ranges = user_ranges(found, query, most)
        read = partial(read_range, found, query, asked)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, ranges[0])
        for following in [*ranges[1:], None]:
            part = coming.result()
            if following is not None:
                coming = pool.submit(read, following)
            yield part


def _block_range(
    blocks: Blocks,
    of_kind: Mapping[str, np.ndarray | Coded],
    of_user: Mapping[str, np.ndarray],
    asked: Asked,
    is_by_session: bool,
    users: tuple[int, int],
) -> Rows:
    """The rows of a range of users out of blocks; `of_kind` are the values of each kind's row, `of_user` those of each
    user.
    """
    own = asked.instants | asked.users | asked.sessions
    rows = blocks.rows(
        users,
        places=not own.issuperset(of_kind),
        instants=bool(asked.instants),
        sessions=is_by_session or bool(asked.sessions),
    )
    starts, place, at, session = rows.starts, rows.place, rows.at, rows.session
    each = np.diff(starts)  # sorting by session stays within a user
    user = np.repeat(rows.users, each) if asked.users else at
    found: dict[str, np.ndarray | Coded] = {k: np.repeat(values[rows.users], each) for k, values in of_user.items()}
    if is_by_session:
        starts, order = by_session(starts, session)
        if order is not None:
            place, at = moved(place, order), moved(at, order)
            session = moved(session, order) if asked.sessions else session
    itself = dict.fromkeys(asked.instants, at) | dict.fromkeys(asked.users, user)
    itself |= dict.fromkeys(asked.sessions, session)
    for key, values in of_kind.items():
        if key in itself:
            found[key] = itself[key]
        elif isinstance(values, Coded):
            found[key] = Coded(values.codes[place], values.names)
        else:
            found[key] = values[place]
    return starts, found
