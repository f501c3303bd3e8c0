"""Sums of whole clusters of units, of all of them and of those in each segment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.exposed_sums import MOMENTS, add_moments

STRIPE = 20_000  # units whose numbers are laid out at once


class Own(NamedTuple):
    """Numbers of some units: unit x metric x (y, d, x, z), and unit x part of a metric x (y, d)."""

    whole: np.ndarray
    course: np.ndarray


class Dropped(NamedTuple):
    """Clusters whose units saw several variants: how many, and of each variant their units, mature or not, and those of
    them whose window is not over.
    """

    clusters: int
    units: dict[str, tuple[int, int]]


class Clusters:
    """Sums of whole clusters; a cluster whose units were in several variants is in none."""

    def __init__(self, metrics: int, slices: int) -> None:
        self._sums, self._course = Sums(metrics, 4), Sums(slices, 2)
        self._variant, self._mature = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._names: list[str] = []
        self._metrics = metrics
        self._of_variant = Pairs()
        self._seen = np.zeros((0, 2), np.int64)
        self._segments: dict[str, tuple[Pairs, Sums]] = {}

    def add(self, codes: np.ndarray, variant: np.ndarray, names: list[str], is_over: np.ndarray, own: Own) -> None:
        """Units of a part with their clusters."""
        self._names = names
        most = int(codes.max(initial=-1)) + 1
        if most > len(self._variant):
            more = max(most, 2 * len(self._variant)) - len(self._variant)
            self._variant = np.concatenate([self._variant, np.full(more, -1)])
            self._mature = np.concatenate([self._mature, np.zeros(more, np.int64)])
        self._mature += np.bincount(codes[is_over], minlength=len(self._mature))
        _mark(codes, variant, self._variant)
        pairs = self._of_variant.numbers(codes, variant)
        size = len(self._of_variant.cluster)
        self._seen = np.vstack([self._seen, np.zeros((size - len(self._seen), 2), np.int64)])
        self._seen[:, 0] += np.bincount(pairs, minlength=size)
        self._seen[:, 1] += np.bincount(pairs[~is_over], minlength=size)
        self._sums.add(codes[is_over], own.whole[is_over])
        self._course.add(codes[is_over], own.course[is_over])

    def add_segment(
        self, name: str, codes: np.ndarray, level: np.ndarray, is_over: np.ndarray, whole: np.ndarray
    ) -> None:
        """The same units by the level of one property."""
        pairs, sums = self._segments.setdefault(name, (Pairs(), Sums(self._metrics, 4)))
        sums.add(pairs.numbers(codes[is_over], level[is_over]), whole[is_over])

    @property
    def randomised(self) -> dict[str, int]:
        """Variant -> its clusters, mature or not."""
        codes, counts = np.unique(self._variant[self._variant >= 0], return_counts=True)
        return {self._names[c]: int(n) for c, n in zip(codes.tolist(), counts.tolist(), strict=True)}

    @property
    def is_assigned(self) -> np.ndarray:
        """Of each cluster whether it is in a variant."""
        return self._variant >= 0

    @property
    def dropped(self) -> Dropped:
        """The clusters that are in no variant."""
        seen = self._variant[self._of_variant.cluster] == SEVERAL if len(self._variant) else np.zeros(0, np.bool_)
        units = {}
        for code in np.unique(self._of_variant.level[seen]).tolist():
            both = self._seen[seen & (self._of_variant.level == code)].sum(axis=0)
            units[self._names[code]] = (int(both[0]), int(both[1]))
        return Dropped(int((self._variant == SEVERAL).sum()), units)

    def by_variant(self) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, np.ndarray]]:
        """Moments over the clusters of each variant, as sums and what they lost; and those of the parts of metrics."""
        found, course = {}, {}
        for code in np.unique(self._variant[self._variant >= 0]).tolist():
            own = np.flatnonzero((self._variant == code) & (self._mature > 0))
            found[self._names[code]] = self._sums.moments(own)
            sums, rest = self._course.moments(own)
            course[self._names[code]] = sums + rest
        return found, course

    def by_segment(self, name: str, level: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Moments over the clusters of each variant, of their units in that level only; clusters without one are left
        out.
        """
        pairs, sums = self._segments[name]
        found = {}
        of = np.where(pairs.level == level, self._variant[pairs.cluster], -1)
        for code in np.unique(of[of >= 0]).tolist():
            found[self._names[code]] = sums.moments(np.flatnonzero(of == code))
        return found

    def levels_seen(self, name: str) -> int:
        """How many levels of a property any unit has."""
        return len(np.unique(self._segments[name][0].level))

    def levels(self, name: str) -> list[int]:
        """The levels of a property that some unit of an assigned cluster has."""
        if name not in self._segments:
            return []
        pairs, _ = self._segments[name]
        return np.unique(pairs.level[self._variant[pairs.cluster] >= 0]).tolist()


class Pairs:
    """Numbers 0, 1, ... of pairs of a cluster and a level, in the order in which they come."""

    def __init__(self) -> None:
        self._number: dict[tuple[int, int], int] = {}
        self.cluster, self.level = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def numbers(self, codes: np.ndarray, level: np.ndarray) -> np.ndarray:
        """The number of each pair.

        >>> Pairs().numbers(np.array([4, 4, 2, 4]), np.array([0, 1, 0, 0])).tolist()
        [1, 2, 0, 1]
        """
        both = np.column_stack([codes.astype(np.int64), level.astype(np.int64)])
        known, place = np.unique(both, axis=0, return_inverse=True)
        number = [self._number.setdefault((c, k), len(self._number)) for c, k in known.tolist()]
        if len(self._number) > len(self.cluster):
            whole = np.array(list(self._number), np.int64).reshape(-1, 2)
            self.cluster, self.level = whole[:, 0], whole[:, 1]
        return np.array(number, np.int64)[place.ravel()] if len(codes) else np.zeros(0, np.int64)


class Sums:
    """Sums in twice the precision of numbers of each of a growing list of groups."""

    def __init__(self, places: int, numbers: int) -> None:
        self._sums, self._rest = (np.zeros((0, places, numbers)) for _ in range(2))

    def add(self, codes: np.ndarray, own: np.ndarray) -> None:
        """Units of a group each."""
        most = int(codes.max(initial=-1)) + 1
        if most > len(self._sums):
            grown = np.zeros((2, max(most, 2 * len(self._sums)), *self._sums.shape[1:]))
            grown[0, : len(self._sums)], grown[1, : len(self._sums)] = self._sums, self._rest
            self._sums, self._rest = grown
        _add_to_groups(codes, own, self._sums, self._rest)

    def moments(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The fifteen moments over these groups of (y, d, x, z), what is not there as 0."""
        sums, rest = (np.zeros((1, self._sums.shape[1], MOMENTS)) for _ in range(2))
        there = groups[groups < len(self._sums)]
        own = np.zeros((len(groups), self._sums.shape[1], 4))
        own[: len(there), :, : self._sums.shape[2]] = self._sums[there] + self._rest[there]
        add_moments(np.zeros(len(own), np.int64), own, sums, rest)
        return sums[0], rest[0]


SEVERAL = -2


@njit(cache=True, nogil=True)
def _mark(codes, variant, variant_of):  # pragma: no cover (compiled)
    for unit in range(len(codes)):
        c = codes[unit]
        if variant_of[c] == -1:
            variant_of[c] = variant[unit]
        elif variant_of[c] != variant[unit]:
            variant_of[c] = -2


@njit(cache=True, nogil=True)
def _add_to_groups(codes, own, sums, rest):  # pragma: no cover (compiled)
    for unit in range(len(codes)):
        c = codes[unit]
        for m in range(own.shape[1]):
            for k in range(own.shape[2]):
                old = sums[c, m, k]
                new = old + own[unit, m, k]
                back = new - old
                rest[c, m, k] += (old - (new - back)) + (own[unit, m, k] - back)
                sums[c, m, k] = new
