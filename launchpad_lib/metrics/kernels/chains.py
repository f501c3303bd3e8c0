"""The funnel automaton over whole units: for every unit the chain of steps that is reported, in every mode.

A row is an integer: bit k is set where the event is step k + 1, `REMOVES` and `BLOCKS` where it is excluded. All modes
are linear in a unit's rows, whatever their number; a trend looks at a row once for each period it can serve.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.local_days import DAY_US, TO_MONDAY, offset_at, period_of

NEVER = np.iinfo(np.int64).min
MOST_STEPS = 60
REMOVES, BLOCKS = 1 << 61, 1 << 62
ORDERED, STRICT, ANY_ORDER, STRICT_ORDER = range(4)
MODES = {"ordered": ORDERED, "strict": STRICT, "any_order": ANY_ORDER, "strict_order": STRICT_ORDER}
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
                rank = _rank(m & steps)
                if i == first + 1:
                    ranked = _rank(match[first] & steps)
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
def _rank(mask):  # pragma: no cover (compiled)
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
                    ranked = _rank(match[low] & steps)
                rank = _rank(match[end] & steps)
                is_sorted = is_sorted and rank >= ranked
                ranked = max(rank, ranked)
                end += 1
            if not is_sorted:
                counts[:] = 0
                for i in range(low, end):
                    counts[_rank(match[i] & steps) + 1] += 1
                for k in range(1, len(counts)):
                    counts[k] += counts[k - 1]
                for i in range(low, end):
                    rank = _rank(match[i] & steps)
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


@njit(cache=True, nogil=True)
def _may(i, at, period, low, high):  # pragma: no cover (compiled)
    """Whether an entry at this row counts: its period is `low`, or its instant lies in [low, high)."""
    if len(period):
        return period[i] == low
    return (at[i] >= low) & (at[i] < high)


@njit(cache=True, nogil=True)
def _ordered(
    begin, end, at, match, held, period, low, high, rules, latest, shown, place, slots, stamp, pos
):  # pragma: no cover (compiled)
    """(row of the first entry, whether an excluded event lies between), and pos[k] = row of step k + 1.

    latest[slot, r] = start of the latest-started chain of r + 1 required steps among events of one value of the held
    property; `shown` is what of it is older than the present instant. slots[slot] = (epoch, depth, instant): a
    blocking event begins a new epoch. place[code] = (stamp, slot).
    """
    mode, window, first_only, apart, steps, required, optional, after, until, _, _ = rules
    deepest = len(required)
    is_held = len(held) > 0
    entry, used = -1, 0
    best_depth, best_row, best_start, best_from = 0, -1, NEVER, begin
    epoch, epoch_from = 0, begin
    if not is_held:
        slots[0, 0] = -1
    for i in range(begin, end):
        m = match[i]
        if m == 0:
            continue
        if m & BLOCKS:
            epoch += 1
            epoch_from = i
        if m & steps == 0:
            continue
        t = at[i]
        slot = np.int64(0)
        if is_held:
            code = held[i]
            if place[code, 0] != stamp:
                place[code, 0], place[code, 1] = stamp, used
                slots[used, 0] = -1
                used += 1
            slot = place[code, 1]
        if slots[slot, 0] != epoch:
            slots[slot, 0], slots[slot, 1], slots[slot, 2] = epoch, 0, t
            for r in range(deepest):
                latest[slot, r] = NEVER
                shown[slot, r] = NEVER
        if apart and slots[slot, 2] != t:
            slots[slot, 2] = t
            for r in range(deepest):
                shown[slot, r] = latest[slot, r]
        top = slots[slot, 1]
        depth, start = 0, NEVER
        for r in range(min(top, deepest - 1), 0, -1):
            if (m >> required[r]) & 1:
                begun = shown[slot, r - 1] if apart else latest[slot, r - 1]
                if begun != NEVER and t - begun <= window:
                    latest[slot, r] = begun
                    if depth == 0:
                        depth, start = r + 1, begun
        if m & 1 and _may(i, at, period, low, high):
            if entry < 0:
                entry = i
            if not first_only or i == entry:
                latest[slot, 0] = t
                if depth == 0:
                    depth, start = 1, t
        if depth > top:
            slots[slot, 1] = depth
        if depth > best_depth:
            best_depth, best_row, best_start, best_from = depth, i, start, epoch_from
            if depth == deepest:
                break
    if best_depth == 0:
        return -1, False
    chosen = held[best_row] if is_held else 0
    first = best_row
    j = best_row
    while j >= best_from and at[j] >= best_start:
        if at[j] == best_start and match[j] & 1 and _may(j, at, period, low, high):
            if (not first_only or j == entry) and (not is_held or held[j] == chosen):
                first = j
        j -= 1
    pos[0] = first
    done, last, removed = 1, first, False
    for j in range(first + 1, best_row + 1):
        m = match[j]
        if done < best_depth and (m >> required[done]) & 1:
            if (not is_held or held[j] == chosen) and at[j] - best_start <= window:
                if not apart or at[j] > at[last]:
                    pos[required[done]] = j
                    last = j
                    done += 1
        if m & REMOVES and j < best_row:
            removed = True
    for o in range(len(optional)):
        k, since, before = optional[o], pos[after[o]], pos[until[o]]
        if since < 0:
            continue
        for j in range(since + 1, before if before >= 0 else end):
            m = match[j]
            if m & BLOCKS or at[j] - best_start > window:
                break
            if (m >> k) & 1 and (not is_held or held[j] == chosen):
                pos[k] = j
                break
    return entry, removed


@njit(cache=True, nogil=True)
def _strict(begin, end, at, match, held, period, low, high, rules, latest, pos):  # pragma: no cover (compiled)
    """Row of the first entry, and pos: every step of the chain is the row after the one before."""
    mode, window, first_only, apart, steps, required, optional, after, until, _, _ = rules
    deepest = len(required)
    is_held = len(held) > 0
    entry, top, best_depth, best_row = -1, 0, 0, -1
    for i in range(begin, end):
        m = match[i] & steps
        if m == 0:
            top = 0
            continue
        t = at[i]
        linked = i > begin
        if linked and is_held:
            linked = held[i] == held[i - 1]
        if linked and apart:
            linked = t > at[i - 1]
        depth = 0
        for r in range(min(top, deepest - 1) if linked else 0, 0, -1):
            begun = latest[0, r - 1]
            if (m >> r) & 1 and begun != NEVER and t - begun <= window:
                latest[0, r] = begun
                depth = max(depth, r + 1)
            else:
                latest[0, r] = NEVER
        latest[0, 0] = NEVER
        if m & 1 and _may(i, at, period, low, high):
            if entry < 0:
                entry = i
            if not first_only or i == entry:
                latest[0, 0] = t
                depth = max(depth, 1)
        top = depth
        if depth > best_depth:
            best_depth, best_row = depth, i
            if depth == deepest:
                break
    for k in range(best_depth):
        pos[k] = best_row - best_depth + 1 + k
    return entry


@njit(cache=True, nogil=True)
def _any_order(
    begin, end, at, match, held, period, low, high, rules, latest, place, stamp, pos
):  # pragma: no cover (compiled)
    """Row of the first entry, and pos: the steps found inside one window, in the order in which they were done.

    Backwards, so that latest[slot, k] = the next row that is step k + 1.
    """
    mode, window, first_only, apart, steps, required, optional, after, until, _, _ = rules
    count = len(required)
    is_held = len(held) > 0
    entry = -1
    for i in range(begin, end):
        if match[i] & steps and _may(i, at, period, low, high):
            entry = i
            break
    if entry < 0:
        return entry
    used, best_depth = 0, 0
    if not is_held:
        for k in range(count):
            latest[0, k] = -1
    for i in range(end - 1, entry - 1, -1):
        m = match[i] & steps
        if m == 0:
            continue
        slot = np.int64(0)
        if is_held:
            code = held[i]
            if place[code, 0] != stamp:
                place[code, 0], place[code, 1] = stamp, used
                for k in range(count):
                    latest[used, k] = -1
                used += 1
            slot = place[code, 1]
        for k in range(count):
            if (m >> k) & 1:
                latest[slot, k] = i
        if (first_only and i != entry) or not _may(i, at, period, low, high):
            continue
        depth = 0
        for k in range(count):
            row = latest[slot, k]
            if row >= 0 and at[row] - at[i] <= window:
                depth += 1
        if depth < best_depth:
            continue
        best_depth, n = depth, 0
        for k in range(count):  # by insertion: few steps, and most often in order
            row = latest[slot, k]
            if row >= 0 and at[row] - at[i] <= window:
                j = n
                while j > 0 and pos[j - 1] > row:
                    pos[j] = pos[j - 1]
                    j -= 1
                pos[j] = row
                n += 1
    return entry


@njit(cache=True, nogil=True)
def _cut(begin, end, match, steps):  # pragma: no cover (compiled)
    """The first row that is neither a step already reached nor the next one."""
    reached = 0
    for i in range(begin, end):
        m = match[i] & steps
        rank = _rank(m)
        if rank == 0 or rank > reached + 1:
            return i
        while m >> reached:
            reached += 1
    return end


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
                while begin < unit_end and (match[begin] & entries == 0 or not _may(begin, at, period, low, high)):
                    begin += 1
                span += 1
                if begin == unit_end:
                    continue
            stamp += 1
            rows[n, :] = -1
            is_removed = False
            if mode == STRICT:
                first = _strict(begin, end, at, match, held, period, low, high, rules, latest, rows[n])
            elif mode == ANY_ORDER:
                first = _any_order(begin, end, at, match, held, period, low, high, rules, latest, place, stamp, rows[n])
            else:
                if mode == STRICT_ORDER:
                    end = _cut(begin, end, match, steps)
                first, is_removed = _ordered(
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
