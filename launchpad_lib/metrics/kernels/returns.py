"""Who comes back, compiled: a unit's returns are bits after its start, and a bracket of periods is a mask over them.

A row costs one comparison as long as it lies in a period that is known already; a unit costs its starts times the
brackets that are over for it. Nothing is ever paired with events.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.local_days import (
    DAY_US,
    FAR_AHEAD,
    LONG_AGO,
    TO_MONDAY,
    local_day,
    offset_at,
    period_of,
)

FIRST, EACH_PERIOD, EACH_LABEL = 0, 1, 2
NO_COHORT, BY_LABEL, BY_PERIOD, BY_UNIT = 0, 1, 2, 3


def bracket_masks(brackets: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of brackets over words of 64 periods (words x brackets), and the first and last word of each."""
    words = max(high for _, high in brackets) // 64 + 1
    masks = np.zeros((words, len(brackets)), np.uint64)
    for b, (low, high) in enumerate(brackets):
        for word in range(low // 64, high // 64 + 1):
            begin, end = max(low - 64 * word, 0), min(high - 64 * word, 63)
            masks[word, b] = ((1 << (end - begin + 1)) - 1) << begin
    first, last = (np.array([pair[k] // 64 for pair in brackets], np.int64) for k in (0, 1))
    return masks, first, last


@njit(cache=True, nogil=True)
def _mature(highs, room):  # pragma: no cover (compiled)
    """How many brackets are over; they are in the order of their ends."""
    low, high = 0, len(highs)
    while low < high:
        middle = (low + high) // 2
        if highs[middle] <= room:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _add_hits(window, masks, first, last, mature, target):  # pragma: no cover (compiled)
    """Adds 1 to each bracket that is over and has a return."""
    if len(masks) == 1:
        only = window[0]
        for b in range(mature):
            target[b] += np.int64((only & masks[0, b]) != 0)
        return
    for b in range(mature):
        for word in range(first[b], last[b] + 1):
            if window[word] & masks[word, b]:
                target[b] += 1
                break


@njit(cache=True, nogil=True)
def _shifted(seen, shift, window):  # pragma: no cover (compiled)
    """The bits from `shift` on, as many as the window holds."""
    word, inside = shift >> 6, np.uint64(shift & 63)
    for w in range(len(window)):
        bits = seen[word + w] >> inside
        if inside:
            bits |= seen[word + w + 1] << (np.uint64(64) - inside)
        window[w] = bits


@njit(cache=True, nogil=True)
def fold_calendar(
    starts, at, start_bits, start_bit, return_bits, return_bit, labels, lookup, unit_cohorts, mode, cohorts_are,
    own_calendar, cohort_calendar, cohort_base, edges, offsets, highs, masks, first, last, last_complete, seen, own,
    cohort, stamps, mature, retained, persons, yy, yx, xx,
):  # fmt: skip  # pragma: no cover (compiled)
    """Calendar periods. `seen`, `own`, `cohort`, `stamps` are room to work in; from `mature` on the counts by cohort.

    mature[c, m]: starts for which the first m brackets are over. With room in `persons` also the sums over persons that
    the limits of recurring starts need.
    """
    is_clustered = len(persons) > 0
    window = np.zeros(len(masks), np.uint64)
    overs, y = np.zeros(len(highs) + 1, np.int64), np.zeros(len(highs), np.int64)
    top = len(seen) - len(masks) - 2  # the last word that a return is noted in
    used = top
    offset, since, until = np.int64(0), FAR_AHEAD, FAR_AHEAD
    for u in range(len(starts) - 1):
        if cohorts_are == BY_UNIT and unit_cohorts[u] < 0:
            continue
        seen[: used + 1] = 0
        used, count, base, returned = 0, 0, 0, LONG_AGO
        # Until `quiet` a row changes nothing: the period has its start and its return.
        ends, quiet, period, day = LONG_AGO, LONG_AGO, np.int64(0), np.int64(0)
        for i in range(starts[u], starts[u + 1]):
            t = at[i]
            if t < quiet:
                continue
            label = np.int64(-1)
            if mode == EACH_LABEL:
                label = lookup[labels[i] + 1]
                is_start = label >= 0
            else:
                is_start = start_bit == 0 or (start_bits[i] & start_bit) != 0
            is_return = return_bit == 0 or (return_bits[i] & return_bit) != 0
            if not (is_start or is_return):
                continue
            if t >= ends:
                if t < since or t >= until:
                    offset, since, until = offset_at(t, edges, offsets)
                day = (t + offset) // DAY_US
                ends = min((day + 1) * DAY_US - offset, until)
                day += TO_MONDAY
                period = period_of(day, own_calendar[0], own_calendar[1])
            if is_return and period != returned:
                returned = period
                if count > 0 and period >= base and (period - base) >> 6 <= top:
                    used = max(used, (period - base) >> 6)
                    seen[(period - base) >> 6] |= np.uint64(1) << np.uint64((period - base) & 63)
            if is_return and mode != EACH_LABEL and count > 0 and (mode == FIRST or own[count - 1] >= period):
                quiet = ends
            if not is_start:
                continue
            if mode == FIRST:
                is_new = count == 0
            elif mode == EACH_PERIOD:
                is_new = count == 0 or period > own[count - 1]
            else:
                is_new = stamps[label] != u
                stamps[label] = u
            if not is_new:
                continue
            if count == 0:
                base = period
                if returned == period:
                    seen[0] |= np.uint64(1)
            own[count] = period
            if cohorts_are == BY_PERIOD:
                cohort[count] = period_of(day, cohort_calendar[0], cohort_calendar[1]) - cohort_base
            elif cohorts_are == BY_UNIT:
                cohort[count] = unit_cohorts[u]
            elif mode == EACH_LABEL:
                cohort[count] = label
            elif cohorts_are == BY_LABEL:
                cohort[count] = lookup[labels[i] + 1]
            else:
                cohort[count] = 0
            count += 1
        if count == 0:
            continue
        if not is_clustered:
            for k in range(count):
                over = _mature(highs, last_complete - own[k])
                mature[cohort[k], over] += 1
                _shifted(seen, own[k] - base, window)
                _add_hits(window, masks, first, last, over, retained[cohort[k]])
            continue
        is_sorted = True
        for k in range(1, count):
            is_sorted = is_sorted and cohort[k] >= cohort[k - 1]
        order = np.arange(count) if is_sorted else np.argsort(cohort[:count], kind="mergesort")
        for place_of in range(count):
            k = order[place_of]
            over = _mature(highs, last_complete - own[k])
            mature[cohort[k], over] += 1
            overs[over] += 1
            _shifted(seen, own[k] - base, window)
            _add_hits(window, masks, first, last, over, y)
            if place_of + 1 == count or cohort[order[place_of + 1]] != cohort[k]:
                c, x = cohort[k], np.int64(0)
                for b in range(len(highs) - 1, -1, -1):
                    x += overs[b + 1]
                    overs[b + 1] = 0
                    retained[c, b] += y[b]
                    persons[c, b] += np.int64(x > 0)
                    yy[c, b] += y[b] * y[b]
                    yx[c, b] += y[b] * x
                    xx[c, b] += x * x
                    y[b] = 0
                overs[0] = 0


@njit(cache=True, nogil=True)
def _from(instants, place, end, wanted):  # pragma: no cover (compiled)
    """The first place from `place` on whose instant is at least the wanted one; a near one costs few steps."""
    low, near = place, min(place + 8, end)
    while low < near and instants[low] < wanted:
        low += 1
    if low < near or low == end:
        return low
    step = 1
    while low < end and instants[low] < wanted:
        if low + step < end and instants[low + step] < wanted:
            low += step
            step *= 2
        elif step == 1:
            return low + 1
        else:
            step //= 2
    return low


@njit(cache=True, nogil=True)
def fold_rolling(
    starts, at, start_bits, start_bit, return_bits, return_bit, labels, lookup, unit_cohorts, mode, cohorts_are,
    cohort_calendar, cohort_base, edges, offsets, highs, masks, first, last, through, length, returns, own, cohort,
    stamps, mature, retained,
):  # fmt: skip  # pragma: no cover (compiled)
    """Periods of `length` microseconds from the start. `returns`, `own`, `cohort`, `stamps` are room to work in."""
    window = np.zeros(len(masks), np.uint64)
    longest = highs[len(highs) - 1]
    for u in range(len(starts) - 1):
        if cohorts_are == BY_UNIT and unit_cohorts[u] < 0:
            continue
        count, met = 0, 0
        for i in range(starts[u], starts[u + 1]):
            if return_bit != 0 and (return_bits[i] & return_bit) != 0:
                returns[met] = at[i]
                met += 1
            label = np.int64(-1)
            if mode == EACH_LABEL:
                label = lookup[labels[i] + 1]
                is_start = label >= 0 and stamps[label] != u
            else:
                is_start = count == 0 and (start_bit == 0 or (start_bits[i] & start_bit) != 0)
            if is_start:
                own[count] = at[i]
                cohort[count] = 0
                if mode == EACH_LABEL:
                    stamps[label] = u
                    cohort[count] = label
                elif cohorts_are == BY_UNIT:
                    cohort[count] = unit_cohorts[u]
                elif cohorts_are == BY_LABEL:
                    cohort[count] = lookup[labels[i] + 1]
                elif cohorts_are == BY_PERIOD:
                    day = local_day(at[i], edges, offsets)
                    cohort[count] = period_of(day, cohort_calendar[0], cohort_calendar[1]) - cohort_base
                count += 1
            if return_bit == 0 and count > 0 and mode == FIRST:
                break
        instants, low, end = returns, 0, met
        if return_bit == 0:
            instants, low, end = at, starts[u], starts[u + 1]
        for k in range(count):
            t0 = own[k]
            over = _mature(highs, (through - t0) // length - 1)
            mature[cohort[k], over] += 1
            if over == 0:
                continue
            window[:] = 0
            place = _from(instants, low, end, t0)
            while place < end:
                # Constants divide ten times as fast.
                since = instants[place] - t0
                behind = since // DAY_US if length == DAY_US else since // length
                if behind > longest:
                    break
                window[behind >> 6] |= np.uint64(1) << np.uint64(behind & 63)
                place = _from(instants, place + 1, end, t0 + (behind + 1) * length)
            _add_hits(window, masks, first, last, over, retained[cohort[k]])


@njit(cache=True, nogil=True)
def early_deeds(
    starts, at, start_bits, start_bit, deed_bits, deed_bit, within, through, at_least, cohorts
):  # pragma: no cover (compiled)
    """Per unit: 1 for so many deeds within the time after its first start, 0 for fewer, -1 where that is not over."""
    for u in range(len(starts) - 1):
        cohorts[u] = -1
        t0, begun, times = np.int64(0), False, 0
        for i in range(starts[u], starts[u + 1]):
            if not begun and (start_bit == 0 or (start_bits[i] & start_bit) != 0):
                t0, begun = at[i], True
                # Deeds at the instant of the start count, also where they come before it in the order of ties.
                for k in range(i - 1, starts[u] - 1, -1):
                    if at[k] < t0:
                        break
                    times += np.int64((deed_bits[k] & deed_bit) != 0)
            if begun:
                if at[i] > t0 + within:
                    break
                times += np.int64((deed_bits[i] & deed_bit) != 0)
        if begun and t0 + within <= through:
            cohorts[u] = np.int64(times >= at_least)
