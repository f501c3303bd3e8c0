"""What sessions hold: how long they last, and how much of some events is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.named_events import is_named, number_by_name
from launchpad_lib.metrics.kernels.session_order import by_session, moved
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import escaped_user

SESSION = "session_of_user"


def sessions_of(events: ir.Table) -> tuple[ir.Table, str]:
    """The log of known users and sessions, and the column that tells a user's sessions from all others.

    A lake's `session_key` has its user in it; in other tables two users may share one.
    """
    if "user_number" in events.columns:
        return events, "session_key"
    return events.mutate(**{SESSION: escaped_user(events) + "/" + events.session_key}), SESSION


def user_numbers(events: ir.Table) -> ir.IntegerValue:
    """A number for each user."""
    if "user_number" in events.columns:
        return events.user_number
    return ibis.dense_rank().over(order_by=events.user_id)


def session_lengths(events: ir.Table) -> np.ndarray:
    """Microseconds from the first to the last event of each session."""
    log, unit = sessions_of(events)
    parts = [np.zeros(0, np.int64)]
    for part in unit_rows(log, {"at": log.event_at}, unit=unit, where=log.event_at.notnull()):
        parts.append(_lengths(part.starts, part.columns["at"], np.empty(part.units, np.int64)))
    return np.concatenate(parts)


@njit(cache=True, nogil=True)
def _lengths(starts, at, found):  # pragma: no cover (compiled)
    for s in range(len(found)):
        found[s] = at[starts[s + 1] - 1] - at[starts[s]]
    return found


class Depth(NamedTuple):
    """Of each session with the start event: how many interactions, of how many kinds; and of each of their users
    `sessions` and `total` interactions.
    """

    interactions: np.ndarray
    kinds: np.ndarray
    sessions: np.ndarray
    total: np.ndarray


def session_depth(events: ir.Table, *, start_event: str, interaction_events: Sequence[str]) -> Depth:
    """Reads the events named, session by session."""
    log, unit = sessions_of(events)
    kinds = list(dict.fromkeys(interaction_events))
    numbers = {name: number for number, name in enumerate(kinds, start=1)}
    columns = {
        "kind": number_by_name(log, numbers),
        "is_start": is_named(log, [start_event]),
        "user": user_numbers(log).cast("int64"),
    }
    where = is_named(log, [start_event, *kinds]) & log.user_id.notnull()
    parts = [tuple(np.zeros(0, np.int64) for _ in range(3))]
    for part in unit_rows(log, columns, unit=unit, where=where):
        found = np.empty((3, part.units), np.int64)
        kind, is_start, user = (part.columns[name] for name in columns)
        kept = _depth(part.starts, kind, is_start, user, np.zeros(len(kinds) + 1, np.int64), found)
        parts.append(tuple(found[:, :kept]))
    interactions, kinds_met, users = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(users, kind="stable")
    begins = np.flatnonzero(np.diff(users[order], prepend=-1))
    sessions = np.diff(np.append(begins, len(users)))
    total = np.add.reduceat(interactions[order], begins) if len(users) else np.zeros(0, np.int64)
    return Depth(interactions, kinds_met, sessions, total)


@njit(cache=True, nogil=True)
def _depth(starts, kinds, is_start, users, seen, found):  # pragma: no cover (compiled)
    kept = 0
    for s in range(len(starts) - 1):
        interactions, different, started = 0, 0, False
        for i in range(starts[s], starts[s + 1]):
            started |= is_start[i] > 0
            kind = kinds[i]
            if kind > 0:
                interactions += 1
                if seen[kind] != s + 1:
                    seen[kind] = s + 1
                    different += 1
        if started:
            found[0, kept], found[1, kept], found[2, kept] = interactions, different, users[starts[s]]
            kept += 1
    return kept


class NamedUnits(NamedTuple):
    """How many different users, and how many different sessions, did each event."""

    users: dict[str, int]
    sessions: dict[str, int]


def units_by_name(events: ir.Table, *, where: ir.BooleanValue | None = None) -> NamedUnits:
    """Counts users and sessions; a lake's events, whose sessions lie within users, are read once for both."""
    if "session_number" not in events.columns:
        return NamedUnits(*(_by_name(events, where, unit=unit)[0] for unit in ("user_id", "session_key")))
    return NamedUnits(*_by_name(events, where, unit="user_id", session=events.session_number))


def _by_name(
    events: ir.Table, where: ir.BooleanValue | None, *, unit: str, session: ir.IntegerValue | None = None
) -> list[dict[str, int]]:
    """Units by name, and the sessions within them where their numbers are given."""
    names: list[str] = []
    known = events.event_name.notnull() if where is None else events.event_name.notnull() & where
    columns = {"name": events.event_name} | ({} if session is None else {"session": session.cast("int64")})
    counts = [np.zeros(0, np.int64) for _ in columns]
    for part in unit_rows(events, columns, unit=unit, where=known):
        names, codes = part.texts.get("name", names), part.columns["name"]
        counts = [np.concatenate([of, np.zeros(len(names) - len(of), np.int64)]) for of in counts]
        _units_by_code(part.starts, codes, np.zeros(len(names), np.int64), counts[0])
        if session is not None:
            starts, order = by_session(part.starts, part.columns["session"])
            _units_by_code(
                starts, codes if order is None else moved(codes, order), np.zeros(len(names), np.int64), counts[1]
            )
    return [dict(zip(names, of.tolist(), strict=True)) for of in counts]


@njit(cache=True, nogil=True)
def _units_by_code(starts, codes, seen, counts):  # pragma: no cover (compiled)
    for u in range(len(starts) - 1):
        for i in range(starts[u], starts[u + 1]):
            if seen[codes[i]] != u + 1:
                seen[codes[i]] = u + 1
                counts[codes[i]] += 1
