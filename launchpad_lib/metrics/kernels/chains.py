"""The funnel automaton over whole units: for every unit the chain of steps that is reported, in every mode.

All modes (`chain_modes`) are linear in the rows of a unit, whatever their number; a trend looks at a row once for each
period it can serve.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.chain_modes import (
    ANY_ORDER,
    STRICT,
    STRICT_ORDER,
    chain_in_any_order,
    end_of_order,
    may_enter,
    ordered_chain,
    strict_chain,
)
from launchpad_lib.metrics.kernels.step_rows import NEVER

# A clock set back just after midnight repeats a part of the day before: so long may two local dates alternate.
DATES_ALTERNATE_US = 3 * 3_600_000_000
# From so many rows on two threads take a half of the units each.
ROWS_FOR_TWO = 200_000


class Automaton(NamedTuple):
    """What the kernel must know of a funnel's rules.

    `entry_low`, `entry_high`: [low, high) of the instants at which entries count, one pair per span. `required`: steps
    (from 0) that must be done; `optional`, `after`, `until`: each optional step and the required ones around it.
    """

    mode: int
    window_us: int
    first_only: bool
    apart: bool
    steps: int
    required: np.ndarray
    optional: np.ndarray
    after: np.ndarray
    until: np.ndarray
    entry_low: np.ndarray
    entry_high: np.ndarray


class Found(NamedTuple):
    """Reported chains. Grain: one row per unit and span (or period) with an entry.

    `unit` numbers the units of the part, `group` is the number of the span or of the period; `entry` is the row of the
    first entry, `rows[:, k]` the row of step k + 1 (-1: not reached), `removed` tells of an excluded event between.
    """

    unit: np.ndarray
    group: np.ndarray
    entry: np.ndarray
    rows: np.ndarray
    removed: np.ndarray


@njit(cache=True, nogil=True)
def _find(
    starts, at, match, held, values, period, rules, longest, unit, group, entry, rows, removed
):  # pragma: no cover (compiled)
    """Fills the columns of `Found`; returns how many rows it has."""
    mode, window, first_only, apart, steps, required, optional, after, until, entry_low, entry_high = rules
    width = len(required)
    latest, shown = np.empty((longest, width), np.int64), np.empty((longest, width), np.int64)
    slots, place = np.empty((longest, 3), np.int64), np.zeros((values + 1, 2), np.int64)
    entries = steps if mode == ANY_ORDER else 1
    n, stamp = 0, 0
    for u in range(len(starts) - 1):
        i, unit_end, span = starts[u], starts[u + 1], 0
        older, newer = NEVER, NEVER  # periods that are done: two, for local dates may alternate
        while i < unit_end:
            # The next run: the first entry of a span or period, and where its rows end.
            end = unit_end
            if len(period):
                while i < unit_end and (match[i] & entries == 0 or period[i] == older or period[i] == newer):
                    i += 1
                if i == unit_end:
                    break
                low, high = period[i], NEVER
                last, other = at[i], NEVER
                for j in range(i + 1, unit_end):
                    if match[j] & entries:
                        if period[j] == low:
                            last = at[j]
                        elif other == NEVER:
                            other = at[j]
                        elif at[j] - other > DATES_ALTERNATE_US:
                            break
                end = i + 1
                while end < unit_end and at[end] - last <= window:
                    end += 1
                begin = i
                older, newer = newer, low
                i += 1
            else:
                if span == len(entry_low):
                    break
                low, high = entry_low[span], entry_high[span]
                begin = i
                while begin < unit_end and (match[begin] & entries == 0 or not may_enter(begin, at, period, low, high)):
                    begin += 1
                span += 1
                if begin == unit_end:
                    continue
            stamp += 1
            rows[n, :] = -1
            is_removed = False
            if mode == STRICT:
                first = strict_chain(begin, end, at, match, held, period, low, high, rules, latest, rows[n])
            elif mode == ANY_ORDER:
                first = chain_in_any_order(
                    begin, end, at, match, held, period, low, high, rules, latest, place, stamp, rows[n]
                )
            else:
                if mode == STRICT_ORDER:
                    end = end_of_order(begin, end, match, steps)
                first, is_removed = ordered_chain(
                    begin, end, at, match, held, period, low, high, rules, latest, shown, place, slots, stamp, rows[n]
                )
            if first >= 0:
                unit[n], group[n], entry[n], removed[n] = u, low if len(period) else span - 1, first, is_removed
                n += 1
    return n


@njit(cache=True, nogil=True)
def _runs(starts, match, period, entries):  # pragma: no cover (compiled)
    """At least as many as there are pairs of a unit and a period with an entry."""
    n = 0
    for u in range(len(starts) - 1):
        before = NEVER
        for i in range(starts[u], starts[u + 1]):
            if match[i] & entries and period[i] != before:
                before = period[i]
                n += 1
    return n


def find_chains(
    starts: np.ndarray,
    at: np.ndarray,
    match: np.ndarray,
    rules: Automaton,
    *,
    width: int,
    held: np.ndarray,
    values: int,
    period: np.ndarray,
) -> Found:
    """The reported chain of every unit of a part, in every span or period in which it entered.

    Args:
        starts, at, match: rows of whole units, in the order in which a funnel reads them.
        width: how many steps the funnel has, the optional ones too.
        held: codes of the property held constant, below `values`, -1 where absent; no row at all where none is held.
        period: number of the period of every row that may be an entry; no row at all for spans.
    """
    middle = int(np.searchsorted(starts, len(at) // 2)) if len(at) >= ROWS_FOR_TWO else 0
    halves = [(0, middle), (middle, len(starts) - 1)] if 0 < middle < len(starts) - 1 else [(0, len(starts) - 1)]

    def half(span: tuple[int, int]) -> Found:
        own = starts[span[0] : span[1] + 1]
        most = (len(own) - 1) * len(rules.entry_low)
        if len(period):
            most = _runs(own, match, period, rules.steps if rules.mode == ANY_ORDER else 1)
        longest = min(int(np.diff(own).max(initial=1)), values) if len(held) else 1
        unit, group, entry = (np.empty(most, np.int64) for _ in range(3))
        rows, removed = np.empty((most, width), np.int64), np.empty(most, np.bool_)
        n = _find(own, at, match, held, values, period, rules, max(longest, 1), unit, group, entry, rows, removed)
        return Found(unit[:n] + span[0], group[:n], entry[:n], rows[:n], removed[:n])

    if len(halves) == 1:
        return half(halves[0])
    with ThreadPoolExecutor(len(halves)) as pool:
        return Found(*(np.concatenate(column) for column in zip(*pool.map(half, halves), strict=True)))
