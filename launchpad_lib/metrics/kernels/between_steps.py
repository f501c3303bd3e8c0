"""What units did between two steps of a funnel, and when: counted in stretches of the time since the first of the two.

A unit that goes on at once has had no time to do anything else, and one that stops has the whole window. So what is
counted is who was still on the way when a stretch began, whether it had done an event by then, and whether it went on
in that stretch: both sides of each stretch had had the same time, however coarse instants are.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# The first stretch is a second long; from there on 32 double the time, and the last one begins after four years.
EDGES_MS = np.unique(np.concatenate([[0], np.round(1000 * 2.0 ** (np.arange(27 * 32 + 1) / 32))]).astype(np.int64))
STRETCHES = len(EDGES_MS)


@njit(cache=True, nogil=True)
def stretch_of(edges, t):  # pragma: no cover (compiled)
    """The stretch that an instant lies in; one at an edge begins the later stretch."""
    low, high = 0, len(edges)
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] <= t:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def count_between(
    starts, at, codes, match, passed, unit, rows, counted, window, through, edges, seen, units, went_on, entered, on_in
):  # pragma: no cover (compiled)
    """Adds the units of a part. Per required step but the last and name of an event (the last name is: all units):
    `units` that were on their way (did the event there), `went_on` of them; and per stretch `entered`: how many more
    than in the one before were on their way when it began (had done the event), and `on_in`: how many of those went on
    in it. A stretch that a unit's window does not cover to its end is none of its.

    Args:
        passed: bits of `match`; a row that has one of them is no event between steps.
        rows: of the required steps, in the order in which they are done.
        counted: which chains count.
        seen: for each name the number of the stay in which it was met last; zeros.
    """
    stay, everybody = 0, len(seen)
    for n in range(len(unit)):
        if not counted[n]:
            continue
        limit = through
        begun = at[rows[n, 0]]
        if begun <= through - window:
            limit = begun + window
        for k in range(rows.shape[1] - 1):
            since, until = rows[n, k], rows[n, k + 1]
            if since < 0:
                break
            goes_on = until >= 0
            took = (at[until] - at[since]) // 1000 if goes_on else np.int64(2**62)
            last = stretch_of(edges, (limit - at[since]) // 1000 + 1) - 1
            place = stretch_of(edges, took)
            told = goes_on and place <= last
            last = min(last, place)
            stay += 1
            units[k, everybody] += 1
            went_on[k, everybody] += goes_on
            if last >= 0:
                entered[k, everybody, 0] += 1
                entered[k, everybody, last + 1] -= 1
                on_in[k, everybody, place] += told
            for i in range(since + 1, until if goes_on else starts[unit[n] + 1]):
                if (at[i] == at[until]) if goes_on else (at[i] > limit):
                    break
                name = codes[i]
                if name < 0 or match[i] & passed or seen[name] == stay:
                    continue
                seen[name] = stay
                units[k, name] += 1
                went_on[k, name] += goes_on
                first = stretch_of(edges, (at[i] - at[since]) // 1000) + 1
                if first <= last:
                    entered[k, name, first] += 1
                    entered[k, name, last + 1] -= 1
                    on_in[k, name, place] += told
