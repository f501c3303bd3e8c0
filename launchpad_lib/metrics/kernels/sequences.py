"""What follows what within a unit, compiled: names are codes, repeats may be one, and nothing is paired twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.one_reading import Part

NOTHING = np.uint32(0xFFFF_FFFF)  # no event follows
LONG = np.uint32(0xFFFF_FFFE)  # a longer time than the numbers below it can say; kept beside


@njit(cache=True, nogil=True)
def _fold_follows(starts, at, names, lookup, collapsed, codes, gaps, longs):  # pragma: no cover (compiled)
    """Writes each event's code and the microseconds to the next one of its unit; returns how many, and longer gaps."""
    rows, far = 0, 0
    for u in range(len(starts) - 1):
        before, instant = np.int64(-1), np.int64(0)
        for i in range(starts[u], starts[u + 1]):
            code = lookup[names[i] + 1]
            if code < 0 or (collapsed and code == before):
                continue
            if before >= 0:
                gap = at[i] - instant
                if gap >= np.int64(LONG):
                    longs[far] = gap
                    far += 1
                    gaps[rows - 1] = LONG
                else:
                    gaps[rows - 1] = gap
            codes[rows] = code
            gaps[rows] = NOTHING
            rows += 1
            before, instant = code, at[i]
    return rows, far


@njit(cache=True, nogil=True)
def _pairs(codes, gaps, small, kinds, pairs, long_pairs):  # pragma: no cover (compiled)
    """pairs[i]: the kind of event i times `kinds` plus that of the one that follows; the last kind is the end."""
    far = 0
    for i in range(len(codes)):
        following = kinds - 1 if gaps[i] == NOTHING else small[codes[i + 1]]
        pairs[i] = small[codes[i]] * kinds + following
        if gaps[i] == LONG:
            long_pairs[far] = pairs[i]
            far += 1


@njit(cache=True, nogil=True)
def _sorted_by_pair(pairs, gaps, places, found):  # pragma: no cover (compiled)
    """Puts each gap to the others of its pair; places[p] is where the next one of pair p goes."""
    for i in range(len(pairs)):
        if gaps[i] != NOTHING:
            found[places[pairs[i]]] = gaps[i]
            places[pairs[i]] += 1


@njit(cache=True, nogil=True)
def _fold_steps(starts, names, lookup, collapsed, anchor, is_after, ring, counts):  # pragma: no cover (compiled)
    """counts[k, code + 1]: units whose step k + 1 after (before) the first anchor is the code; 0 is the edge."""
    length = len(counts)
    for u in range(len(starts) - 1):
        before, seen, step, is_anchored = np.int64(-1), 0, 0, False
        for i in range(starts[u], starts[u + 1]):
            code = lookup[names[i] + 1]
            if code < 0 or (collapsed and code == before):
                continue
            before = code
            if is_anchored:
                counts[step, code + 1] += 1
                step += 1
            elif code == anchor:
                is_anchored = True
                if not is_after:
                    step = min(seen, length)
                    for k in range(step):
                        counts[k, ring[(seen - 1 - k) % length] + 1] += 1
            else:
                ring[seen % length] = code
                seen += 1
            if is_anchored and (step == length or not is_after):
                break
        if is_anchored:
            for k in range(step, length):
                counts[k, 0] += 1


class _Names:
    """The names as they are shown, numbered; two texts that are shown alike are one."""

    def __init__(self, shown_as: Callable[[str], str]) -> None:
        self.shown_as = shown_as
        self.known: dict[str, int] = {}
        self.lookup = np.full(1, -1, np.int64)

    def take(self, texts: Sequence[str]) -> np.ndarray:
        """The number of each text by its code + 1; NULL has none."""
        new = [self.shown_as(text) for text in texts[len(self.lookup) - 1 :]]
        if new:
            numbers = [self.known.setdefault(name, len(self.known)) for name in new]
            self.lookup = np.concatenate([self.lookup, np.array(numbers, np.int64)])
        return self.lookup

    @property
    def shown(self) -> list[str]:
        """The names by number."""
        return list(self.known)


class Follows(NamedTuple):
    """One row per kind of event and of what follows: how often, and the median microseconds (NaN for the end)."""

    before: np.ndarray
    after: np.ndarray
    times: np.ndarray
    median: np.ndarray


class FollowFold:
    """Which event follows which. State: 6 bytes an event (10 where there are more than 65,536 names)."""

    flags: ClassVar[dict[str, ir.BooleanValue | None]] = {"any": None}

    def __init__(
        self, name: ir.StringValue, *, repeats: Literal["kept", "collapsed"], shown_as: Callable[[str], str]
    ) -> None:
        self.columns: dict[str, ir.Value] = {"name": name}
        self.collapsed = repeats == "collapsed"
        self.names = _Names(shown_as)
        self.codes: list[np.ndarray] = []
        self.gaps: list[np.ndarray] = []
        self.longs: list[np.ndarray] = []

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        lookup = self.names.take(part.texts["name"])
        kind = np.uint16 if len(self.names.known) <= 65_536 else np.int32
        codes, gaps = np.zeros(len(part.at), kind), np.zeros(len(part.at), np.uint32)
        longs = np.zeros(len(part.at), np.int64)
        place = (part.starts, part.at, part.columns["name"], lookup)
        rows, far = _fold_follows(*place, self.collapsed, codes, gaps, longs)
        for held, found in ((self.codes, codes[:rows]), (self.gaps, gaps[:rows]), (self.longs, longs[:far])):
            held.append(found if len(found) > len(part.at) // 2 else found.copy())

    def counts(self) -> np.ndarray:
        """How often each name occurs."""
        every = len(self.names.known)
        return sum((np.bincount(codes, minlength=every) for codes in self.codes), np.zeros(every, np.int64))

    def follows(self, small: np.ndarray, kinds: int) -> Follows:
        """Kinds of events are `small` of their numbers, below `kinds` - 1, which is the end."""
        times = np.zeros((kinds - 1) * kinds, np.int64)
        every = list(self._paired(small, kinds))
        for pairs, _ in every:
            times += np.bincount(pairs, minlength=len(times))
        lasting = times.copy()
        lasting[kinds - 1 :: kinds] = 0
        edges = np.concatenate([[0], np.cumsum(lasting)])
        found, places = np.zeros(edges[-1], np.uint32), edges[:-1].copy()
        for (pairs, _), gaps in zip(every, self.gaps, strict=True):
            _sorted_by_pair(pairs, gaps, places, found)
        long_pairs = np.concatenate([pairs for _, pairs in every] or [np.zeros(0, np.int64)])
        longs = np.concatenate(self.longs or [np.zeros(0, np.int64)])
        median = np.full(len(times), np.nan)
        for pair in np.flatnonzero(lasting):
            median[pair] = _median(found[edges[pair] : edges[pair + 1]], longs[long_pairs == pair])
        there = np.flatnonzero(times)
        return Follows(there // kinds, there % kinds, times[there], median[there])

    def _paired(self, small: np.ndarray, kinds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        kind = np.uint16 if (kinds - 1) * kinds <= 65_536 else np.int32
        for codes, gaps, longs in zip(self.codes, self.gaps, self.longs, strict=True):
            pairs, long_pairs = np.zeros(len(codes), kind), np.zeros(len(longs), np.int64)
            _pairs(codes, gaps, small, kinds, pairs, long_pairs)
            yield pairs, long_pairs


def _median(gaps: np.ndarray, longs: np.ndarray) -> float:
    """The median in seconds; the mean of the middle two. `longs` are the values of those that only say LONG."""
    middle = [(len(gaps) - 1) // 2, len(gaps) // 2]
    gaps.partition(middle)
    short, longs = len(gaps) - len(longs), np.sort(longs)
    low, high = (float(gaps[k] if k < short else longs[k - short]) / 1e6 for k in middle)
    return low + (high - low) * 0.5


class StepFold:
    """The steps after a unit's first anchor, or before it. State: units by step and name; names of no unit too."""

    flags: ClassVar[dict[str, ir.BooleanValue | None]] = {"any": None}

    def __init__(
        self,
        name: ir.StringValue,
        *,
        anchor: str,
        direction: Literal["after", "before"],
        length: int,
        repeats: Literal["kept", "collapsed"],
        shown_as: Callable[[str], str],
    ) -> None:
        self.columns: dict[str, ir.Value] = {"name": name}
        self.anchor, self.is_after, self.collapsed = shown_as(anchor), direction == "after", repeats == "collapsed"
        self.names = _Names(shown_as)
        self.counts = np.zeros((length, 1), np.int64)

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        lookup = self.names.take(part.texts["name"])
        more = len(self.names.known) + 1 - self.counts.shape[1]
        self.counts = np.pad(self.counts, ((0, 0), (0, more)))
        anchor = self.names.known.get(self.anchor, -2)
        ring = np.zeros(len(self.counts), np.int64)
        place = (part.starts, part.columns["name"], lookup)
        _fold_steps(*place, self.collapsed, anchor, self.is_after, ring, self.counts)
