"""Units of an experiment, folded from exposures and outcomes of all metrics together."""

from __future__ import annotations

import numpy as np
from numba import njit

NO_VARIANT, SEVERAL = -1, -2
MOMENTS = 15
OF_Y = (1, 5, 6, 7, 8)  # the moments that hold y
TAKEN = ("nothing", "one", "did", "count", "value")  # of an outcome


@njit(cache=True, nogil=True)
def fold_exposed(
    starts, at, is_exposure, variant, outcomes, values, value_of, begins, ends, pre, parts,
    exposed_at, exposed_row, variant_of, first_of, is_exposed, inside, before, pre_count, ever, value_inside, value_pre,
    course, value_course,
):  # fmt: skip  # pragma: no cover (compiled)
    """Per unit: its first exposure that names a variant (else its first), that variant, and per metric what it did.

    `outcomes`: a bit for each metric; `values`: one column per row and property that is summed, `value_of`: the
    metric's column of them, or -1; `begins`, `ends`: the metric's window after the exposure, both ends included; `pre`:
    the length before it, its own instant left out. `exposed_row`: the row of the exposure that counts; `first_of`: the
    first variant, also of a unit that saw several. `parts`: outcome x (first column of `course` or -1, begin, end and
    length of its parts): what happened in each part since exposure, its end left out.
    """
    metrics = len(begins)
    for unit in range(len(starts) - 1):
        low, high = starts[unit], starts[unit + 1]
        variant_of[unit] = first_of[unit] = NO_VARIANT
        for i in range(low, high):
            if not is_exposure[i]:
                continue
            if not is_exposed[unit]:
                is_exposed[unit] = True
                exposed_at[unit], exposed_row[unit] = at[i], i
            if variant[i] >= 0:
                if variant_of[unit] == NO_VARIANT:
                    variant_of[unit] = first_of[unit] = variant[i]
                    exposed_at[unit], exposed_row[unit] = at[i], i
                elif variant_of[unit] != variant[i]:
                    variant_of[unit] = SEVERAL
        if not is_exposed[unit]:
            continue
        t0 = exposed_at[unit]
        for i in range(low, high):
            mask = outcomes[i]
            if not mask:
                continue
            since = at[i] - t0
            for m in range(metrics):
                if not mask >> m:
                    break
                if not (mask >> m) & 1:
                    continue
                ever[unit, m] = True
                v = value_of[m]
                if since < 0:
                    before[unit, m] += 1
                    if since >= -pre:
                        pre_count[unit, m] += 1
                        if v >= 0:
                            value_pre[unit, m] += values[i, v]
                elif begins[m] <= since <= ends[m]:
                    inside[unit, m] += 1
                    if v >= 0:
                        value_inside[unit, m] += values[i, v]
                    if parts[m, 0] >= 0 and parts[m, 1] <= since < parts[m, 2]:
                        part = parts[m, 0] + (since - parts[m, 1]) // parts[m, 3]
                        course[unit, part] += 1
                        if v >= 0:
                            value_course[unit, part] += values[i, v]


@njit(cache=True, nogil=True)
def values_inside(
    starts, at, outcomes, values, metric, column, begins, ends, exposed_at, is_exposed
):  # pragma: no cover (compiled)
    """Of one metric: unit, value and time since exposure of every row in its window, for a quantile over rows."""
    found = 0
    for unit in range(len(starts) - 1):
        if is_exposed[unit]:
            for i in range(starts[unit], starts[unit + 1]):
                since = at[i] - exposed_at[unit]
                if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                    found += 1
    of, value, late = np.empty(found, np.int64), np.empty(found, np.float64), np.empty(found, np.int64)
    found = 0
    for unit in range(len(starts) - 1):
        if is_exposed[unit]:
            for i in range(starts[unit], starts[unit + 1]):
                since = at[i] - exposed_at[unit]
                if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                    of[found], value[found], late[found] = unit, values[i, column], since
                    found += 1
    return of, value, late


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
                _add(own[unit, m], term, sums[group[unit], m], rest[group[unit], m])


@njit(cache=True, nogil=True)
def add_moments_of_units(
    group, taken, is_before, outcome, inside, pre, value_inside, value_pre, sums, rest
):  # pragma: no cover (compiled)
    """`add_moments` of units as they were folded: the four numbers of a metric are put together here, and nothing as
    long as the units is made of them.

    `taken`, `is_before`, `outcome`: metric x (y, d, x, z); what is taken of an outcome: a place of `TAKEN`.
    """
    term, own = np.empty(15), np.empty(4)
    for unit in range(len(group)):
        if group[unit] < 0:
            continue
        for m in range(len(taken)):
            for k in range(4):
                own[k] = _number_of(
                    unit, taken[m, k], is_before[m, k], outcome[m, k], inside, pre, value_inside, value_pre
                )
            _add(own, term, sums[group[unit], m], rest[group[unit], m])


@njit(cache=True, nogil=True)
def add_course_of_units(
    group, taken, is_before, outcome, of_metric, of_part, of_denominator,
    inside, pre, value_inside, value_pre, course, value_course, sums, rest,
):  # fmt: skip  # pragma: no cover (compiled)
    """The moments of parts of the time since exposure. A part of a metric without a denominator of its own differs from
    the whole metric in y alone, so only what holds y (`OF_Y`) is added, and only of units that did something in it.

    `of_metric`, `of_part`, `of_denominator`: per part of a metric its metric, its column of `course`, and that of the
    denominator, or -1.
    """
    term, own = np.empty(15), np.empty(4)
    for unit in range(len(group)):
        g = group[unit]
        if g < 0:
            continue
        for s in range(len(of_metric)):
            m = of_metric[s]
            y = _part_of(unit, taken[m, 0], of_part[s], course, value_course)
            if y == 0.0 and of_denominator[s] < 0:
                continue
            own[0] = y
            for k in range(1, 4):
                own[k] = _number_of(
                    unit, taken[m, k], is_before[m, k], outcome[m, k], inside, pre, value_inside, value_pre
                )
            if of_denominator[s] >= 0:
                own[1] = _part_of(unit, taken[m, 1], of_denominator[s], course, value_course)
                _add(own, term, sums[g, s], rest[g, s])
            else:
                term[:] = 0.0
                term[1] = y
                for k in range(4):
                    term[5 + k] = y * own[k]
                _add_terms(term, sums[g, s], rest[g, s])


@njit(cache=True, nogil=True)
def _number_of(unit, what, is_before, place, inside, pre, value_inside, value_pre):  # pragma: no cover (compiled)
    if what <= 1:
        return float(what)
    if what == 4:
        return value_pre[unit, place] if is_before else value_inside[unit, place]
    count = pre[unit, place] if is_before else inside[unit, place]
    return float(count) if what == 3 else float(min(count, 1))


@njit(cache=True, nogil=True)
def _part_of(unit, what, part, course, value_course):  # pragma: no cover (compiled)
    if what == 4:
        return value_course[unit, part]
    return float(course[unit, part]) if what == 3 else float(min(course[unit, part], 1))


@njit(cache=True, nogil=True)
def _add(own, term, sums, rest):  # pragma: no cover (compiled)
    """One unit's four numbers into the fifteen sums of one metric and group."""
    term[0] = 1.0
    place = 5
    for a in range(4):
        term[1 + a] = own[a]
        for b in range(a, 4):
            term[place] = own[a] * own[b]
            place += 1
    _add_terms(term, sums, rest)


@njit(cache=True, nogil=True)
def _add_terms(term, sums, rest):  # pragma: no cover (compiled)
    for k in range(15):
        if term[k] == 0.0:
            continue
        old = sums[k]
        new = old + term[k]
        back = new - old
        rest[k] += (old - (new - back)) + (term[k] - back)
        sums[k] = new
