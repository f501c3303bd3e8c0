"""The chain of steps that is reported of one unit, in every mode, from what each of its rows is (`step_rows`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.step_rows import BLOCKS, NEVER, REMOVES, rank_of

ORDERED, STRICT, ANY_ORDER, STRICT_ORDER = range(4)
MODES = {"ordered": ORDERED, "strict": STRICT, "any_order": ANY_ORDER, "strict_order": STRICT_ORDER}


@njit(cache=True, nogil=True)
def may_enter(i, at, period, low, high):  # pragma: no cover (compiled)
    """Whether an entry at this row counts: its period is `low`, or its instant lies in [low, high)."""
    if len(period):
        return period[i] == low
    return (at[i] >= low) & (at[i] < high)


@njit(cache=True, nogil=True)
def ordered_chain(
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
        if m & 1 and may_enter(i, at, period, low, high):
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
        if at[j] == best_start and match[j] & 1 and may_enter(j, at, period, low, high):
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
def strict_chain(begin, end, at, match, held, period, low, high, rules, latest, pos):  # pragma: no cover (compiled)
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
        if m & 1 and may_enter(i, at, period, low, high):
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
def chain_in_any_order(
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
        if match[i] & steps and may_enter(i, at, period, low, high):
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
        if (first_only and i != entry) or not may_enter(i, at, period, low, high):
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
def end_of_order(begin, end, match, steps):  # pragma: no cover (compiled)
    """The first row that is neither a step already reached nor the next one."""
    reached = 0
    for i in range(begin, end):
        m = match[i] & steps
        rank = rank_of(m)
        if rank == 0 or rank > reached + 1:
            return i
        while m >> reached:
            reached += 1
    return end
