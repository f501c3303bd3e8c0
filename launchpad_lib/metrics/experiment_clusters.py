"""Sums of whole clusters of units."""

from __future__ import annotations

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.exposed import MOMENTS, add_moments


class Clusters:
    """Sums of whole clusters; a cluster whose units were in several variants is in none."""

    def __init__(self, metrics: int) -> None:
        self._sums, self._rest = np.zeros((0, metrics, 4)), np.zeros((0, metrics, 4))
        self._variant, self._mature = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._names: list[str] = []

    def add(
        self, codes: np.ndarray, variant: np.ndarray, names: list[str], is_over: np.ndarray, own: np.ndarray
    ) -> None:
        """Units of a part with their clusters."""
        self._names = names
        most = int(codes.max(initial=-1)) + 1
        if most > len(self._variant):
            wider = max(most, 2 * len(self._variant))
            grown = np.zeros((2, wider, *self._sums.shape[1:]))
            grown[0, : len(self._variant)], grown[1, : len(self._variant)] = self._sums, self._rest
            self._sums, self._rest = grown
            more = wider - len(self._variant)
            self._variant = np.concatenate([self._variant, np.full(more, -1)])
            self._mature = np.concatenate([self._mature, np.zeros(more, np.int64)])
        self._mature += np.bincount(codes[is_over], minlength=len(self._mature))
        _add_to_clusters(codes, variant, is_over, own, self._variant, self._sums, self._rest)

    def by_variant(self) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, int]]:
        """Moments over the clusters of each variant, and how many there are."""
        found, randomised = {}, {}
        whole = self._sums + self._rest
        for code in np.unique(self._variant[self._variant >= 0]).tolist():
            is_own = self._variant == code
            randomised[self._names[code]] = int(is_own.sum())
            own = whole[is_own & (self._mature > 0)]
            sums, rest = (np.zeros((1, own.shape[1], MOMENTS)) for _ in range(2))
            add_moments(np.zeros(len(own), np.int64), own, sums, rest)
            found[self._names[code]] = (sums[0], rest[0])
        return found, randomised


@njit(cache=True, nogil=True)
def _add_to_clusters(codes, variant, is_over, own, variant_of, sums, rest):  # pragma: no cover (compiled)
    for unit in range(len(codes)):
        c = codes[unit]
        if variant_of[c] == -1:
            variant_of[c] = variant[unit]
        elif variant_of[c] != variant[unit]:
            variant_of[c] = -2
        if not is_over[unit]:
            continue
        for m in range(own.shape[1]):
            for k in range(4):
                old = sums[c, m, k]
                new = old + own[unit, m, k]
                back = new - old
                rest[c, m, k] += (old - (new - back)) + (own[unit, m, k] - back)
                sums[c, m, k] = new
