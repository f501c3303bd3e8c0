"""Units of an experiment, folded from exposures and outcomes of all metrics together."""

from __future__ import annotations

import numpy as np
from numba import njit

NO_VARIANT, SEVERAL = -1, -2
MOMENTS = 15
TAKEN = ("nothing", "one", "did", "count", "value")  # of an outcome


@njit(cache=True, nogil=True)
def fold_exposed(
    starts, at, is_exposure, variant, outcomes, values, value_of, begins, ends, pre,
    exposed_at, exposed_row, variant_of, is_exposed, inside, before, pre_count, ever, value_inside, value_pre,
):  # fmt: skip  # pragma: no cover (compiled)
    """Per unit: its first exposure that names a variant (else its first), that variant, and per metric what it did.

    `outcomes`: a bit for each metric; `values`: one column per row and property that is summed, `value_of`: the
    metric's column of them, or -1; `begins`, `ends`: the metric's window after the exposure, both ends included; `pre`:
    the length before it, its own instant left out. `exposed_row`: the row of the exposure that counts.
    """
    metrics = len(begins)
    for unit in range(len(starts) - 1):
        low, high = starts[unit], starts[unit + 1]
        variant_of[unit] = NO_VARIANT
        for i in range(low, high):
            if not is_exposure[i]:
                continue
            if not is_exposed[unit]:
                is_exposed[unit] = True
                exposed_at[unit], exposed_row[unit] = at[i], i
            if variant[i] >= 0:
                if variant_of[unit] == NO_VARIANT:
                    variant_of[unit] = variant[i]
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


@njit(cache=True, nogil=True)
def values_inside(
    starts, at, outcomes, values, metric, column, begins, ends, exposed_at, is_exposed
):  # pragma: no cover (compiled)
    """Of one metric: the unit and the value of every row in its window, for a quantile over rows."""
    found = 0
    for unit in range(len(starts) - 1):
        if is_exposed[unit]:
            for i in range(starts[unit], starts[unit + 1]):
                since = at[i] - exposed_at[unit]
                if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                    found += 1
    of, value = np.empty(found, np.int64), np.empty(found, np.float64)
    found = 0
    for unit in range(len(starts) - 1):
        if is_exposed[unit]:
            for i in range(starts[unit], starts[unit + 1]):
                since = at[i] - exposed_at[unit]
                if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                    of[found], value[found] = unit, values[i, column]
                    found += 1
    return of, value


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
                place, what = outcome[m, k], taken[m, k]
                if what <= 1:
                    own[k] = what
                elif what == 4:
                    own[k] = value_pre[unit, place] if is_before[m, k] else value_inside[unit, place]
                else:
                    count = pre[unit, place] if is_before[m, k] else inside[unit, place]
                    own[k] = count if what == 3 else min(count, 1)
            _add(own, term, sums[group[unit], m], rest[group[unit], m])


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
    for k in range(15):
        if term[k] == 0.0:
            continue
        old = sums[k]
        new = old + term[k]
        back = new - old
        rest[k] += (old - (new - back)) + (term[k] - back)
        sums[k] = new
