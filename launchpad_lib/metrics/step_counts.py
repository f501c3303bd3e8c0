"""Counts and times per step, added up from the reported chains of the units, part by part."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pyarrow as pa

from launchpad_lib.metrics.reported_chains import NEVER, Chains
from launchpad_lib.metrics.steps import Rules

QUANTILES = (0.5, 0.9)
# From so many values a group on, selecting is faster than sorting all groups together.
MANY_VALUES = 64


class StepCounts:
    """Units, entrants and times of every step, for all units together, by segment or by period of entry.

    Grain of what is kept: one number per group and count; two durations per unit and reached step, so that medians are
    exact.
    """

    def __init__(
        self, rules: Rules, *, by: Literal["segment", "period"] | None, immature: Literal["left_out", "counted"]
    ) -> None:
        self.rules, self.by, self.immature = rules, by, immature
        count = len(rules.steps)
        self.previous = [max((r for r in rules.required if r < k), default=1) - 1 for k in range(1, count + 1)]
        self._names: list[str] = []
        self._keys: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self._times: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in range(count)]

    def add(self, chains: Chains) -> None:
        """Adds the units of a part."""
        if self.by == "segment":
            self._names, key = chains.names, chains.segment(self.rules)
        else:
            key = chains.group if self.by else np.zeros(len(chains.unit), np.int64)
        is_mature = chains.is_mature if self.immature == "left_out" else np.ones(len(key), bool)
        counted = is_mature & ~chains.is_removed
        groups, place = _numbered(key)
        reached = [counted & (chains.at[:, k] != NEVER) for k in range(len(self.rules.steps))]
        flags = [~is_mature, is_mature & chains.is_removed, *reached]
        self._keys.append(groups)
        self._counts.append(np.stack([np.bincount(place[flag], minlength=len(groups)) for flag in flags], axis=1))
        for k in range(1, len(reached)):
            at = chains.at[reached[k]]
            self._times[k].append((key[reached[k]], at[:, k] - at[:, self.previous[k]], at[:, k] - at[:, 0]))

    def table(self) -> pa.Table:
        """Grain: one row per group and step: [segment or period,] step, users, users_at_risk, entrants, the four
        times, entrants_immature, users_removed.
        """
        keys = np.concatenate([np.empty(0, np.int64), *self._keys])
        groups, place = np.unique(keys, return_inverse=True)
        if self.by is None:
            groups = np.zeros(1, np.int64)
        count = len(self.rules.steps)
        totals = np.zeros((len(groups), count + 2), np.int64)
        if self._counts:
            np.add.at(totals, place, np.concatenate(self._counts))
        immature, removed, users = totals[:, 0], totals[:, 1], totals[:, 2:]
        times = np.full((len(groups), count, 2 * len(QUANTILES)), np.nan)
        for k in range(1, count):
            own, step, whole = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in _columns(self._times[k]))
            for column, micros in enumerate((step, whole)):
                times[:, k, 2 * column : 2 * column + 2] = group_quantiles(
                    np.searchsorted(groups, own), micros, len(groups)
                )
        columns: dict[str, pa.Array | np.ndarray] = {}
        if self.by == "segment":
            names = pa.array([*self._names, None], pa.string())
            columns["segment"] = names.take(pa.array(np.repeat(groups % len(names), count)))
        elif self.by:
            columns["period"] = np.repeat(groups, count)
        columns |= {
            "step": np.tile(np.arange(1, count + 1), len(groups)),
            "users": users.ravel(),
            "users_at_risk": users[:, self.previous].ravel(),
            "entrants": np.repeat(users[:, 0], count),
            "entrants_immature": np.repeat(immature, count),
            "users_removed": np.repeat(removed, count),
        }
        for column, name in enumerate(TIMES):
            values = times[:, :, column].ravel()
            columns[name] = pa.array(values, mask=np.isnan(values))
        return pa.table(columns)


TIMES = ("median_seconds", "p90_seconds", "median_seconds_from_entry", "p90_seconds_from_entry")


def _columns(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[list[np.ndarray]]:
    return [[part[column] for part in parts] for column in range(3)]


def _numbered(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different keys and each row's place among them; without a sort where the keys lie close together."""
    if not len(key):
        return key, key
    low = int(key.min())
    if int(key.max()) - low > max(1_000_000, 2 * len(key)):
        groups, place = np.unique(key, return_inverse=True)
        return groups, place
    present = np.bincount(key - low) > 0
    return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[key - low]


def group_quantiles(group: np.ndarray, micros: np.ndarray, groups: int) -> np.ndarray:
    """Median and ninth decile, in seconds, of each group's durations: (groups, 2), NaN where there are none.

    Between order statistics interpolated linearly, as `quantile_cont` does: rank q (n - 1).

    >>> group_quantiles(np.array([0, 0, 2]), np.array([1_000_000, 3_000_000, 500_000]), 3).tolist()
    [[2.0, 2.8], [nan, nan], [0.5, 0.5]]
    """
    found = np.full((groups, len(QUANTILES)), np.nan)
    counts = np.bincount(group, minlength=groups)
    ends = np.cumsum(counts)
    if len(micros) < MANY_VALUES * np.count_nonzero(counts):
        ordered = micros[np.lexsort((micros, group))]
    else:  # few groups with many values: selecting is enough
        ordered = micros[np.argsort(group)] if groups > 1 else micros.copy()
        for end, count in np.stack([ends, counts], axis=1)[counts > 0].tolist():
            ranks = [around((count - 1) * q) for q in QUANTILES for around in (math.floor, math.ceil)]
            ordered[end - count : end].partition(ranks)
    some = counts > 0
    first = (ends - counts)[some]
    for column, q in enumerate(QUANTILES):
        rank = (counts[some] - 1) * q
        floor = np.floor(rank)
        low = ordered[first + floor.astype(np.int64)] / 1e6
        high = ordered[first + np.ceil(rank).astype(np.int64)] / 1e6
        found[some, column] = low + (high - low) * (rank - floor)
    return found
