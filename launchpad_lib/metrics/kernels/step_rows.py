"""What every row of a log is to a funnel, and in which order its rows are read.

A row is an integer: bit k is set where the event is step k + 1, `REMOVES` and `BLOCKS` where it is excluded.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.local_days import DAY_US, TO_MONDAY, offset_at, period_of

NEVER = np.iinfo(np.int64).min
MOST_STEPS = 60
REMOVES, BLOCKS = 1 << 61, 1 << 62


@njit(cache=True, nogil=True)
def match_rows(starts, at, codes, table, bits, held, steps, match):  # pragma: no cover (compiled)
    """match[row] = what the event is; returns how many rows share their instant with others out of the steps' order."""
    is_held, has_bits = len(held) > 0, len(bits) > 0
    disordered = 0
    for u in range(len(starts) - 1):
        low, high = starts[u], starts[u + 1]
        first, ranked, is_sorted = low, 0, True
        for i in range(low, high):
            m = table[codes[i]]
            if has_bits:
                m |= bits[i]
            if is_held and held[i] < 0:
                m &= ~steps
            match[i] = m
            if i > first and at[i] == at[i - 1]:
                rank = rank_of(m & steps)
                if i == first + 1:
                    ranked = rank_of(match[first] & steps)
                if rank < ranked:
                    is_sorted = False
                ranked = max(rank, ranked)
            else:
                if not is_sorted:
                    disordered += i - first
                first, is_sorted = i, True
        if not is_sorted:
            disordered += high - first
    return disordered


@njit(cache=True, nogil=True)
def add_bits(flags, flag, bit, bits):  # pragma: no cover (compiled)
    """Sets `bit` in bits[row] where flags[row] has `flag`."""
    for i in range(len(flags)):
        if flags[i] & flag:
            bits[i] |= bit


@njit(cache=True, nogil=True)
def rank_of(mask):  # pragma: no cover (compiled)
    """The number of the first step of a mask, 0 for none."""
    if mask == 0:
        return 0
    rank = 1
    while mask & 1 == 0:
        mask >>= 1
        rank += 1
    return rank


@njit(cache=True, nogil=True)
def step_order(starts, at, match, steps, disordered):  # pragma: no cover (compiled)
    """(places, rows): the row that belongs at each place so that at one instant the order of the steps wins.

    A stable counting sort of each run of equal instants that is out of order.
    """
    places, rows = np.empty(disordered, np.int64), np.empty(disordered, np.int64)
    counts = np.zeros(MOST_STEPS + 2, np.int64)
    n = 0
    for u in range(len(starts) - 1):
        low, high = starts[u], starts[u + 1]
        while low < high:
            end = low + 1
            is_sorted = True
            ranked = 0
            while end < high and at[end] == at[low]:
                if end == low + 1:
                    ranked = rank_of(match[low] & steps)
                rank = rank_of(match[end] & steps)
                is_sorted = is_sorted and rank >= ranked
                ranked = max(rank, ranked)
                end += 1
            if not is_sorted:
                counts[:] = 0
                for i in range(low, end):
                    counts[rank_of(match[i] & steps) + 1] += 1
                for k in range(1, len(counts)):
                    counts[k] += counts[k - 1]
                for i in range(low, end):
                    rank = rank_of(match[i] & steps)
                    places[n], rows[n] = low + counts[rank], i
                    counts[rank] += 1
                    n += 1
            low = end
    return places, rows


@njit(cache=True, nogil=True)
def entry_periods(at, match, entries, edges, offsets, kind, weekday):  # pragma: no cover (compiled)
    """The number of the local period of every row that may be an entry; 0 for the others."""
    found = np.zeros(len(at), np.int64)
    day, since, until, period = NEVER, NEVER, NEVER, np.int64(0)
    for i in range(len(at)):
        if match[i] & entries:
            t = at[i]
            if t < since or t >= until:
                offset, begun, ended = offset_at(t, edges, offsets)
                day = (t + offset) // DAY_US
                since, until = max(day * DAY_US - offset, begun), min((day + 1) * DAY_US - offset, ended)
                period = period_of(day + TO_MONDAY, kind, weekday)
            found[i] = period
    return found
