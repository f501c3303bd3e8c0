"""Puts the rows of each user's sessions together."""

from __future__ import annotations

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.columns import scatter


def by_session(starts: np.ndarray, session: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Where each session starts when the rows of each user's sessions stand together, those that begin first first; and
    the place of every row then, None where each stays where it is.
    """
    moved = np.empty(len(session), np.int32)
    most = int(np.diff(starts).max()) if len(starts) > 1 else 0
    unit_starts = np.empty(len(session) + 1, np.int64)
    units, is_moved = _session_places(starts, session, moved, np.empty((3, most + 1), np.int64), unit_starts)
    return unit_starts[: units + 1].copy(), moved if is_moved else None


def moved(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Each value in its new place; of none there is nothing to move."""
    if not len(values):
        return values
    out = np.empty_like(values)
    scatter(values, places, out)
    return out


@njit(cache=True, nogil=True)
def _session_places(starts, session, moved, runs, unit_starts):  # pragma: no cover (compiled)
    """runs[0] = first row of each stretch of one session, runs[1] = its group, runs[2] = free place of each group."""
    units, is_moved = 0, False
    for u in range(len(starts) - 1):
        begin, end = starts[u], starts[u + 1]
        count = 0
        for i in range(begin, end):
            if i == begin or session[i] != session[i - 1]:
                runs[0, count] = i
                count += 1
        runs[0, count] = end
        groups = 0
        if count <= 48:
            for k in range(count):
                mine = session[runs[0, k]]
                group = groups
                for j in range(k):
                    if session[runs[0, j]] == mine:
                        group = runs[1, j]
                        break
                runs[1, k] = group
                if group == groups:
                    groups += 1
        else:
            values = np.empty(count, np.int64)
            for k in range(count):
                values[k] = session[runs[0, k]]
            order = np.argsort(values, kind="mergesort")
            first = 0
            for k in range(count):
                if k == 0 or values[order[k]] != values[order[k - 1]]:
                    first = order[k]
                runs[1, order[k]] = first  # for now the group is the number of its first stretch
            for k in range(count):
                if runs[1, k] == k:
                    runs[2, k] = groups
                    groups += 1
            for k in range(count):
                runs[1, k] = runs[2, runs[1, k]]
        if groups == count:
            for k in range(count):
                unit_starts[units + k] = runs[0, k]
            if is_moved:
                for i in range(begin, end):
                    moved[i] = i
            units += count
            continue
        if not is_moved:  # most parts have nothing to move, and then nothing need be written
            is_moved = True
            for i in range(begin):
                moved[i] = i
        for g in range(groups):
            runs[2, g] = 0
        for k in range(count):
            runs[2, runs[1, k]] += runs[0, k + 1] - runs[0, k]
        place = begin
        for g in range(groups):
            size = runs[2, g]
            unit_starts[units + g] = place
            runs[2, g] = place
            place += size
        for k in range(count):
            g = runs[1, k]
            for i in range(runs[0, k], runs[0, k + 1]):
                moved[i] = runs[2, g]
                runs[2, g] += 1
        units += groups
    unit_starts[units] = len(session)
    return units, is_moved
