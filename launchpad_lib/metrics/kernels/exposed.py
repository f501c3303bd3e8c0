"""Units of an experiment, folded from exposures and outcomes of all metrics together: what each did, and nothing of
what it did not do, so that neither memory nor time grows with outcomes that did not happen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

NO_VARIANT, SEVERAL = -1, -2
_PRODUCT = np.uint64(0x03F79D71B4CB0A89)  # de Bruijn: its six highest bits tell which power of two it was multiplied by
_BIT = np.zeros(64, np.int64)
_BIT[[((1 << k) * int(_PRODUCT) % (1 << 64)) >> 58 for k in range(64)]] = np.arange(64)


class Deeds(NamedTuple):
    """What exposed units did. Grain: one entry per unit and outcome that it ever did, in that order; those of unit u
    are `starts[u] : starts[u + 1]`.

    `inside`: events in the outcome's window; `before`: events before the exposure; `pre`: those of them within the
    pre-period; `value_inside`, `value_pre`: sums, 0 for outcomes without a value. `part_*`: the same of the parts of
    the time since exposure in which something happened.
    """

    starts: np.ndarray
    outcome: np.ndarray
    inside: np.ndarray
    before: np.ndarray
    pre: np.ndarray
    value_inside: np.ndarray
    value_pre: np.ndarray
    part_starts: np.ndarray
    part: np.ndarray
    part_count: np.ndarray
    part_value: np.ndarray


@njit(cache=True, nogil=True)
def fold_exposed(
    starts, at, is_exposure, variant, outcomes, values, value_of, begins, ends, pre, parts
):  # pragma: no cover (compiled)
    """Per exposed unit: its number, its first exposure that names a variant (else its first), that row, the variant,
    the first variant (also of a unit that saw several); then the arrays of `Deeds`.

    `outcomes`: a bit for each metric; `values`: one column per row and property that is summed, `value_of`: the
    metric's column of them, or -1; `begins`, `ends`: the metric's window after the exposure, both ends included; `pre`:
    the length before it, its own instant left out. `parts`: outcome x (first part or -1, begin, end and length of its
    parts): what happened in each part since exposure, its end left out.
    """
    in_parts = np.int64(0)
    for m in range(len(parts)):
        if parts[m, 0] >= 0:
            in_parts |= np.int64(1) << m
    units, entries, most = 0, 0, 0
    for unit in range(len(starts) - 1):
        for i in range(starts[unit], starts[unit + 1]):
            if is_exposure[i]:
                units += 1
                seen = np.int64(0)
                for j in range(starts[unit], starts[unit + 1]):
                    seen |= outcomes[j]
                    most += _bits(outcomes[j] & in_parts)
                entries += _bits(seen)
                break
    of_unit, exposed_at, exposed_row = (np.empty(units, np.int64), np.empty(units, np.int64), np.empty(units, np.int64))
    variant_of, first_of = np.empty(units, np.int32), np.empty(units, np.int32)
    entry_starts, part_starts = np.zeros(units + 1, np.int64), np.zeros(units + 1, np.int64)
    outcome = np.empty(entries, np.int8)
    counts = np.empty((3, entries), np.int32)  # inside, before, pre
    sums = np.empty((2, entries), np.float64)  # inside, pre
    # As long as they may become: an array that grows within the loop makes the loop seven times as slow.
    part, part_count, part_value = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most)
    width = 0
    for m in range(len(parts)):
        if parts[m, 0] >= 0:
            width = max(width, parts[m, 0] + -((parts[m, 1] - parts[m, 2]) // parts[m, 3]))
    now, now_sums = np.zeros((3, len(begins)), np.int32), np.zeros((2, len(begins)))
    now_part, now_value = np.zeros(width, np.int32), np.zeros(width)
    u, e, p = -1, 0, 0
    for unit in range(len(starts) - 1):
        low, high = starts[unit], starts[unit + 1]
        is_met = False
        for i in range(low, high):
            if not is_exposure[i]:
                continue
            if not is_met:
                is_met = True
                u += 1
                of_unit[u], exposed_at[u], exposed_row[u] = unit, at[i], i
                variant_of[u] = first_of[u] = NO_VARIANT
            if variant[i] >= 0:
                if variant_of[u] == NO_VARIANT:
                    variant_of[u] = first_of[u] = variant[i]
                    exposed_at[u], exposed_row[u] = at[i], i
                elif variant_of[u] != variant[i]:
                    variant_of[u] = SEVERAL
        if not is_met:
            continue
        t0, seen = exposed_at[u], np.int64(0)
        for i in range(low, high):
            mask = outcomes[i]
            seen |= mask
            since = at[i] - t0
            while mask:
                m = _lowest(mask)
                mask &= mask - 1
                v = value_of[m]
                if since < 0:
                    now[1, m] += 1
                    if since >= -pre:
                        now[2, m] += 1
                        if v >= 0:
                            now_sums[1, m] += values[i, v]
                elif begins[m] <= since <= ends[m]:
                    now[0, m] += 1
                    if v >= 0:
                        now_sums[0, m] += values[i, v]
                    if parts[m, 0] >= 0 and parts[m, 1] <= since < parts[m, 2]:
                        k = parts[m, 0] + (since - parts[m, 1]) // parts[m, 3]
                        now_part[k] += 1
                        if v >= 0:
                            now_value[k] += values[i, v]
        while seen:
            m = _lowest(seen)
            seen &= seen - 1
            outcome[e] = m
            for k in range(3):
                counts[k, e] = now[k, m]
                now[k, m] = 0
            for k in range(2):
                sums[k, e] = now_sums[k, m]
                now_sums[k, m] = 0.0
            e += 1
            if parts[m, 0] < 0:
                continue
            for k in range(parts[m, 0], parts[m, 0] + -((parts[m, 1] - parts[m, 2]) // parts[m, 3])):
                if now_part[k]:
                    part[p], part_count[p], part_value[p] = k, now_part[k], now_value[k]
                    now_part[k], now_value[k] = 0, 0.0
                    p += 1
        entry_starts[u + 1], part_starts[u + 1] = e, p
    return (
        of_unit, exposed_at, exposed_row, variant_of, first_of,
        (entry_starts, outcome, counts[0], counts[1], counts[2], sums[0], sums[1],
         part_starts, part[:p].copy(), part_count[:p].copy(), part_value[:p].copy()),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def values_inside(
    starts, at, outcomes, values, metric, column, begins, ends, of_unit, exposed_at
):  # pragma: no cover (compiled)
    """Of one metric: unit, value and time since exposure of every row in its window, for a quantile over rows."""
    found = 0
    for u in range(len(of_unit)):
        for i in range(starts[of_unit[u]], starts[of_unit[u] + 1]):
            since = at[i] - exposed_at[u]
            if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                found += 1
    of, value, late = np.empty(found, np.int64), np.empty(found, np.float64), np.empty(found, np.int64)
    found = 0
    for u in range(len(of_unit)):
        for i in range(starts[of_unit[u]], starts[of_unit[u] + 1]):
            since = at[i] - exposed_at[u]
            if (outcomes[i] >> metric) & 1 and begins <= since <= ends:
                of[found], value[found], late[found] = u, values[i, column], since
                found += 1
    return of, value, late


@njit(cache=True, nogil=True)
def _bits(mask):  # pragma: no cover (compiled)
    found = 0
    while mask:
        mask &= mask - 1
        found += 1
    return found


@njit(cache=True, nogil=True)
def _lowest(mask):  # pragma: no cover (compiled)
    """The place of the lowest bit of a number that has one."""
    return _BIT[(np.uint64(mask & -mask) * _PRODUCT) >> np.uint64(58)]
