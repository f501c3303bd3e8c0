"""Exposed units added up: counts and sums of products per group and metric, in twice the precision.

Only what a unit did is looked at; all that did nothing of a metric have the same numbers, and are added together.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MOMENTS = 15
OF_Y = (1, 5, 6, 7, 8)  # the moments that hold y
OF_D = (2, 9, 10, 11)  # the further ones that hold d
TAKEN = ("nothing", "one", "did", "count", "value")  # of an outcome


@njit(cache=True, nogil=True)
def add_moments(group, own, sums, rest):  # pragma: no cover (compiled)
    """Adds units to the moments of their groups, in twice the precision, so that no order of the units is seen.

    `group`: of each unit, -1 for none; `own`: unit x metric x (y, d, x, z); `sums`, `rest`: group x metric x 15, the
    count, the four sums, then their ten squares and products in the order yy yd yx yz dd dx dz xx xz zz.
    """
    term = np.empty(15)
    for unit in range(len(group)):
        if group[unit] >= 0:
            for m in range(own.shape[1]):
                _terms(own[unit, m], term)
                _add(term, 1.0, sums[group[unit], m], rest[group[unit], m])


@njit(cache=True, nogil=True)
def add_moments_of_units(
    group, deeds, taken, is_before, outcome, slices, sums, rest, course, course_rest
):  # pragma: no cover (compiled)
    """`add_moments` of units as they were folded, and the moments of the parts of the time since exposure.

    `deeds`: the arrays of `Deeds`; `taken`, `is_before`, `outcome`: metric x (y, d, x, z), what is taken of an outcome
    being a place of `TAKEN`; `slices`: part of a metric x (its metric, its part, that of the denominator or -1);
    `course`: group x part of a metric x 15. A part differs from the whole metric in y and in a denominator of its own
    alone, so only what holds these (`OF_Y`, `OF_D`) is in `course`.
    """
    starts, of, inside, _, pre, value_inside, value_pre, part_starts, part, part_count, part_value = deeds
    metrics = len(taken)
    most, most_parts = 1, 1
    for m in range(metrics):
        for k in range(4):
            most = max(most, outcome[m, k] + 1)
    for e in range(len(of)):
        most = max(most, of[e] + 1)
    for e in range(len(part)):
        most_parts = max(most_parts, part[e] + 1)
    for s in range(len(slices)):
        most_parts = max(most_parts, slices[s, 1] + 1, slices[s, 2] + 1)
    by_outcome, of_outcome = _metrics_of(taken, outcome, most)
    by_part, of_part = _slices_of(slices, most_parts)
    counts, values = np.zeros((2, most), np.int32), np.zeros((2, most))
    part_counts, part_values = np.zeros(most_parts, np.int32), np.zeros(most_parts)
    done, done_slice = np.full(metrics, -1), np.full(len(slices), -1)
    units, touched = np.zeros(len(sums)), np.zeros((len(sums), metrics))
    term, own, of_slice = np.empty(15), np.empty(4), np.empty(4)
    for unit in range(len(group)):
        g = group[unit]
        if g < 0:
            continue
        units[g] += 1
        for e in range(starts[unit], starts[unit + 1]):
            counts[0, of[e]], counts[1, of[e]] = inside[e], pre[e]
            values[0, of[e]], values[1, of[e]] = value_inside[e], value_pre[e]
        for e in range(starts[unit], starts[unit + 1]):
            for k in range(by_outcome[of[e]], by_outcome[of[e] + 1]):
                m = of_outcome[k]
                if done[m] == unit:
                    continue
                done[m] = unit
                touched[g, m] += 1
                _numbers(m, taken, is_before, outcome, counts, values, own)
                _terms(own, term)
                _add(term, 1.0, sums[g, m], rest[g, m])
        if len(slices):
            low, high = part_starts[unit], part_starts[unit + 1]
            for e in range(low, high):
                part_counts[part[e]], part_values[part[e]] = part_count[e], part_value[e]
            for e in range(low, high):
                for k in range(by_part[part[e]], by_part[part[e] + 1]):
                    s = of_part[k]
                    if done_slice[s] == unit:
                        continue
                    done_slice[s] = unit
                    m = slices[s, 0]
                    _numbers(m, taken, is_before, outcome, counts, values, of_slice)
                    of_slice[0] = _of_part(taken[m, 0], slices[s, 1], part_counts, part_values)
                    if slices[s, 2] >= 0:
                        of_slice[1] = _of_part(taken[m, 1], slices[s, 2], part_counts, part_values)
                    _terms(of_slice, term)
                    term[0] = term[3] = term[4] = term[12] = term[13] = term[14] = 0.0
                    if slices[s, 2] < 0:
                        term[2] = term[9] = term[10] = term[11] = 0.0
                    _add(term, 1.0, course[g, s], course_rest[g, s])
            for e in range(low, high):
                part_counts[part[e]], part_values[part[e]] = 0, 0.0
        for e in range(starts[unit], starts[unit + 1]):
            counts[0, of[e]] = counts[1, of[e]] = 0
            values[0, of[e]] = values[1, of[e]] = 0.0
    for g in range(len(sums)):
        for m in range(metrics):
            _numbers(m, taken, is_before, outcome, counts, values, own)  # of a unit that did nothing
            _terms(own, term)
            _add(term, units[g] - touched[g, m], sums[g, m], rest[g, m])


@njit(cache=True, nogil=True)
def count_conversions(group, is_over, starts, of, inside, before, found):  # pragma: no cover (compiled)
    """Group x outcome x (units that did it in its window, units that ever did it, events in the window, events before):
    the first three of units whose windows are over.
    """
    for unit in range(len(group)):
        g = group[unit]
        if g < 0:
            continue
        for e in range(starts[unit], starts[unit + 1]):
            found[g, of[e], 3] += before[e]
            if is_over[unit]:
                found[g, of[e], 0] += inside[e] > 0
                found[g, of[e], 1] += 1
                found[g, of[e], 2] += inside[e]


@njit(cache=True, nogil=True)
def lay_out(starts, of, values, units, column, out):  # pragma: no cover (compiled)
    """Unit x wanted outcome (or part) of some units; `column`: of each outcome, -1 where it is not wanted."""
    for row in range(len(units)):
        for e in range(starts[units[row]], starts[units[row] + 1]):
            if column[of[e]] >= 0:
                out[row, column[of[e]]] = values[e]


@njit(cache=True, nogil=True)
def _metrics_of(taken, outcome, most):  # pragma: no cover (compiled)
    """Of each outcome the metrics of which some number hangs on it: where they begin, and they themselves."""
    starts, found = np.zeros(most + 1, np.int64), np.empty(len(taken) * 4, np.int64)
    n = 0
    for o in range(most):
        for m in range(len(taken)):
            for k in range(4):
                if taken[m, k] > 1 and outcome[m, k] == o:
                    found[n] = m
                    n += 1
                    break
        starts[o + 1] = n
    return starts, found


@njit(cache=True, nogil=True)
def _slices_of(slices, most):  # pragma: no cover (compiled)
    """The same of parts and the parts of metrics that they are numerator or denominator of."""
    starts, found = np.zeros(most + 1, np.int64), np.empty(len(slices) * 2, np.int64)
    n = 0
    for p in range(most):
        for s in range(len(slices)):
            if slices[s, 1] == p or slices[s, 2] == p:
                found[n] = s
                n += 1
        starts[p + 1] = n
    return starts, found


@njit(cache=True, nogil=True)
def _numbers(m, taken, is_before, outcome, counts, values, own):  # pragma: no cover (compiled)
    """The four numbers of one metric of the unit whose counts and values were laid out."""
    for k in range(4):
        what, place, before = taken[m, k], outcome[m, k], is_before[m, k]
        if what <= 1:
            own[k] = float(what)
        elif what == 4:
            own[k] = values[before, place]
        else:
            count = counts[before, place]
            own[k] = float(count) if what == 3 else float(min(count, 1))


@njit(cache=True, nogil=True)
def _of_part(what, part, counts, values):  # pragma: no cover (compiled)
    if what == 4:
        return values[part]
    return float(counts[part]) if what == 3 else float(min(counts[part], 1))


@njit(cache=True, nogil=True)
def _terms(own, term):  # pragma: no cover (compiled)
    term[0] = 1.0
    place = 5
    for a in range(4):
        term[1 + a] = own[a]
        for b in range(a, 4):
            term[place] = own[a] * own[b]
            place += 1


@njit(cache=True, nogil=True)
def _add(term, times, sums, rest):  # pragma: no cover (compiled)
    """Fifteen terms, so many times, into the fifteen sums of one metric and group."""
    for k in range(15):
        more = term[k] * times
        if more == 0.0:
            continue
        old = sums[k]
        new = old + more
        back = new - old
        rest[k] += (old - (new - back)) + (more - back)
        sums[k] = new
