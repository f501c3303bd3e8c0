"""What was begun and what came of it: of many pairs of events (start and completion, view and share) in one reading."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.kernels.named_events import is_named, number_by_name
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import unit_column

PAIRS_AT_ONCE = 31  # two bits of an int64 each
UNIT = "unit_of_attempts"


class Attempts(NamedTuple):
    """Units that began, mature ones (their first begin + window is observed) unless it says otherwise.

    `finished`: of them those with an end within the window after some begin. `begins, ends`: events from a unit's first
    begin to the end of its window, and the sums over units of `ends` squared, of `ends * begins`, of `begins` squared.
    """

    began: int
    finished: int
    immature: int
    begins: int
    ends: int
    ends_squared: int
    ends_begins: int
    begins_squared: int


def attempts(
    events: ir.Table, pairs: Sequence[tuple[str, str]], *, window: str, observed_through: datetime, by: str = "user_id"
) -> list[Attempts]:
    """What came of each pair (begin, end) of event names, in one reading for 31 pairs.

    An end counts at or after a begin by at most the window; at one instant the begin comes first, whatever the order of
    arrival. Where begin and end have one name, an end is another event.
    """
    log = events if by in events.columns and by != "session_id" else events.mutate(**{UNIT: unit_column(events, by)})
    unit = by if log is events else UNIT
    length = parse_window(window)
    limits = int(length.total_seconds() * 1_000_000), micros_of(observed_through - length)
    found: list[Attempts] = []
    for place in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[place : place + PAIRS_AT_ONCE]
        bits: dict[str, int] = {}
        for k, (begin, end) in enumerate(some):
            bits[begin] = bits.get(begin, 0) | 1 << 2 * k
            bits[end] = bits.get(end, 0) | 2 << 2 * k
        sums = np.zeros((len(some), len(Attempts._fields)), np.int64)
        columns = {"at": log.event_at, "bits": number_by_name(log, bits)}
        where = is_named(log, bits) & log.event_at.notnull()
        scratch = np.empty((3, len(some)), np.int64)
        for part in unit_rows(log, columns, unit=unit, where=where):
            _fold(part.starts, part.columns["at"], part.columns["bits"], limits, scratch, sums)
        found.extend(Attempts(*(int(n) for n in row)) for row in sums)
    return found


@njit(cache=True, nogil=True)
def _fold(starts, at, bits, limits, scratch, sums):  # pragma: no cover (compiled)
    """begun[k], ended[k]: instants of the last begin, and of the last end that no begin stands before yet."""
    window, mature_until = limits
    first, begun, ended = scratch
    never = np.int64(-(2**62))
    pairs = len(first)
    counts = np.zeros((pairs, 2), np.int64)
    finished = np.zeros(pairs, np.bool_)
    for u in range(len(starts) - 1):
        for k in range(pairs):
            first[k] = begun[k] = ended[k] = never
            counts[k, 0] = counts[k, 1] = 0
            finished[k] = False
        for i in range(starts[u], starts[u + 1]):
            here, t = bits[i], at[i]
            for k in range(pairs):
                role = (here >> (2 * k)) & 3
                if role == 0:
                    continue
                if role & 2:
                    if begun[k] != never and t - begun[k] <= window:
                        finished[k] = True
                    if role == 2:
                        ended[k] = t
                if role & 1:
                    if ended[k] == t:
                        finished[k] = True
                    begun[k] = t
                    if first[k] == never:
                        first[k] = t
        for i in range(starts[u], starts[u + 1]):
            here, t = bits[i], at[i]
            for k in range(pairs):
                role = (here >> (2 * k)) & 3
                if role and first[k] != never and first[k] <= t <= first[k] + window:
                    counts[k, 0] += role & 1
                    counts[k, 1] += role >> 1
        for k in range(pairs):
            if first[k] == never:
                continue
            if first[k] > mature_until:
                sums[k, 2] += 1
                continue
            x, y = counts[k, 0], counts[k, 1]
            sums[k, 0] += 1
            sums[k, 1] += finished[k]
            sums[k, 3] += x
            sums[k, 4] += y
            sums[k, 5] += y * y
            sums[k, 6] += y * x
            sums[k, 7] += x * x
