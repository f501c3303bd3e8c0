"""How often each row of a file stood in its earlier parts: equal rows without an id are several events."""

from __future__ import annotations

import threading

import numpy as np


class Occurrences:
    """Counts in order of the parts, whatever thread reads them: eight bytes a row."""

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []
        self._turn = threading.Condition()
        self._next = 0

    def of_part(self, part: int) -> PartOccurrences:
        """For one part; each part must ask or end, or the next ones wait."""
        return PartOccurrences(self, part)

    def count(self, hashes: np.ndarray, part: int) -> np.ndarray:
        with self._turn:
            self._turn.wait_for(lambda: self._next >= part)
            if self._next > part:  # it has had its turn
                return np.zeros(len(hashes), np.int64)
            counts = np.zeros(len(hashes), np.int64)
            for level in self._levels:
                counts += np.searchsorted(level, hashes, "right") - np.searchsorted(level, hashes, "left")
            self._levels.append(np.sort(hashes))
            while len(self._levels) > 1 and len(self._levels[-2]) <= 2 * len(self._levels[-1]):
                last = self._levels.pop()
                self._levels[-1] = np.sort(np.concatenate([self._levels[-1], last]), kind="stable")
            self._next += 1
            self._turn.notify_all()
            return counts


class PartOccurrences:
    """One part's place in the order."""

    def __init__(self, whole: Occurrences, part: int) -> None:
        self._whole, self._part = whole, part

    def before(self, hashes: np.ndarray) -> np.ndarray:
        """How often rows of these hashes stood in earlier parts."""
        return self._whole.count(np.ascontiguousarray(hashes), self._part)

    def end(self) -> None:
        """Lets the next part go on, whatever became of this one."""
        self._whole.count(np.empty(0, np.uint64), self._part)
