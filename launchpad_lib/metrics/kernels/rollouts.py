"""In which periods each user was active, and where they were when the first of them began."""

from __future__ import annotations

import numpy as np
from numba import njit

LATER = -2  # no event before the first period


@njit(cache=True, nogil=True)
def active_periods(starts, at, place, begins, period, periods, place_of, active):  # pragma: no cover (compiled)
    """Writes per unit the code of its last known place before `begins` (-1: none is known, `LATER`: not there yet) and
    a bit for each period with an event.

    Instants in microseconds; period k is [begins + k period, begins + (k + 1) period).
    """
    for unit in range(len(starts) - 1):
        own, mask = np.int32(LATER), np.int64(0)
        for i in range(starts[unit], starts[unit + 1]):
            if at[i] < begins:
                if place[i] >= 0:
                    own = place[i]
                elif own == LATER:
                    own = np.int32(-1)
                continue
            k = (at[i] - begins) // period
            if k >= periods:
                break
            mask |= np.int64(1) << k
        place_of[unit], active[unit] = own, mask
