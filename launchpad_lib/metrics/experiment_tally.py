"""Parts of exposed units added up: moments of all, of segments, of clusters and of the parts of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.metrics.experiment_clusters import STRIPE, Clusters, Own
from launchpad_lib.metrics.experiment_counted import (
    MOST_LEVELS,
    WHOLE,
    Counted,
    Pair,
    Rows,
    added,
    of_part,
    reason,
    winsorised,
    without_split,
)
from launchpad_lib.metrics.experiment_question import Question
from launchpad_lib.metrics.exposure_counts import (
    HOUR_US,
    conversions,
    exposed_between,
    exposed_by_hour,
    local_date,
    units_by_standing,
)
from launchpad_lib.metrics.exposures import STANDINGS, ExposedUnits
from launchpad_lib.metrics.kernels.exposed_sums import MOMENTS, OF_D, OF_Y, TAKEN, add_moments_of_units

NAMED = ("assigned", "several variants", "outside the plan", "before the start", "after the end", "no cluster")
_SOURCES: Mapping[tuple[str, bool], str] = {
    ("count", False): "inside",
    ("count", True): "pre",
    ("value", False): "value_inside",
    ("value", True): "value_pre",
}


class Tally:
    """Adds parts of units to moments."""

    def __init__(self, plan: PlannedExperiment, question: Question, report_timezone: str) -> None:
        self._plan, self._question, self._zone = plan, question, report_timezone
        self._sums: dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]] = {WHOLE: {}}
        self._frames: list[pd.DataFrame] = []
        self._standing: list[pd.DataFrame] = []
        self._days: list[Any] = []
        self._hours: list[pd.Series] = []
        self._kept: dict[int, list[tuple[str, np.ndarray]]] = {}
        self._values: dict[int, dict[str, list[Rows]]] = {}
        self._clusters = Clusters(len(question.places), len(question.slices)) if plan.cluster else None
        self._course: dict[str, Pair] = {}
        self._excluded: Pair | None = None
        self._too_many: set[str] = set()
        self._texts: dict[str, list[str]] = {}
        self._units = 0
        self._refused: tuple[str | None, ...] = ()
        of = [[(TAKEN.index(p.taken), p.is_before, p.outcome) for p in four] for four in question.places]
        table = np.array(of, np.int64).reshape(len(of), 4, 3)
        self._taken = (table[:, :, 0].copy(), table[:, :, 1].copy(), table[:, :, 2].copy())
        of_slices = [(s.metric, s.column, s.denominator) for s in question.slices]
        self._slices = np.array(of_slices, np.int64).reshape(-1, 3)

    def add(self, part: ExposedUnits) -> None:
        """The units of one part."""
        self._refused = tuple(part.refused)
        self._frames.append(conversions(part))
        self._standing.append(units_by_standing(part))
        self._days += [d for d in exposed_between(part, report_timezone=self._zone) if d is not None]
        self._hours.append(exposed_by_hour(part))
        is_own = (part.standing == 0) & part.is_over
        if self._clusters is not None:
            self._by_cluster(self._clusters, part)
        else:
            group = np.where(is_own, part.variant, -1)
            self._whole(group, part)
            for name in self._properties:
                self._levels(name, group, part)
        self._into_excluded(part)
        for k, metric in enumerate(self._plan.metrics):
            if metric.winsorise is not None and self._clusters is None:
                own, variant = self._numbers(part, is_own, k), part.variant[is_own]
                for code in np.unique(variant).tolist():
                    self._kept.setdefault(k, []).append((part.variants[code], own[variant == code, 0, :]))
            if metric.kind == "quantile":
                self._rows(k, part, is_own)
        self._units += len(part.standing)

    @property
    def _properties(self) -> list[str]:
        """What units are told apart by."""
        return list(dict.fromkeys(n for n in (self._plan.strata, *self._plan.segments) if n is not None))

    def _by_cluster(self, clusters: Clusters, part: ExposedUnits) -> None:
        """Assigned units to their clusters, some at a time, since their numbers are laid out."""
        assigned = np.flatnonzero(part.standing == 0)
        codes = part.labels[str(self._plan.cluster)]
        for begin in range(0, max(len(assigned), 1), STRIPE):
            own = np.zeros(len(part.standing), np.bool_)
            own[assigned[begin : begin + STRIPE]] = True
            numbers = Own(self._numbers(part, own), self._numbers_of_course(part, own))
            is_over = part.is_over[own]
            clusters.add(codes[own], part.variant[own], part.variants, is_over, numbers)
            for name in self._plan.segments:
                self._texts[name] = part.label_texts[name]
                if name not in self._too_many:
                    clusters.add_segment(name, codes[own], part.labels[name][own], is_over, numbers.whole)
                    if clusters.levels_seen(name) > MOST_LEVELS:
                        self._too_many.add(name)

    def _numbers_of_course(self, part: ExposedUnits, is_own: np.ndarray) -> np.ndarray:
        """Unit x part of a metric x (y, d)."""
        units = np.flatnonzero(is_own)
        found = np.ones((len(units), len(self._question.slices), 2))
        for s, one in enumerate(self._question.slices):
            four = self._question.places[one.metric]
            found[:, s, 0] = of_part(part, units, four[0], one.column)
            if one.denominator >= 0:
                found[:, s, 1] = of_part(part, units, four[1], one.denominator)
            elif four[1].taken != "one":
                found[:, s, 1] = self._numbers(part, is_own, one.metric)[:, 0, 1]
        return found

    def _numbers(self, part: ExposedUnits, is_own: np.ndarray, metric: int | None = None) -> np.ndarray:
        """Unit x metric x (y, d, x, z), of one metric or of all; wanted only where units are looked at one by one."""
        units = np.flatnonzero(is_own)
        places = self._question.places if metric is None else self._question.places[metric : metric + 1]
        found = np.zeros((len(units), len(places), 4))
        for m, four in enumerate(places):
            for k, place in enumerate(four):
                if place.taken == "one":
                    found[:, m, k] = 1.0
                elif place.taken != "nothing":
                    source = _SOURCES["value" if place.taken == "value" else "count", place.is_before]
                    number = part.column(source, units, place.outcome)
                    found[:, m, k] = number > 0 if place.taken == "did" else number
        return found

    def _added(self, group: np.ndarray, groups: int, slices: np.ndarray, part: ExposedUnits) -> tuple[Pair, Pair]:
        """The moments of groups of units, and those of the parts of windows; `group`: -1 of units that are in none."""
        sums, rest = (np.zeros((groups, len(self._question.places), MOMENTS)) for _ in range(2))
        course, course_rest = (np.zeros((groups, len(slices), MOMENTS)) for _ in range(2))
        add_moments_of_units(
            group.astype(np.int64), tuple(part.deeds), *self._taken, slices, sums, rest, course, course_rest
        )
        return (sums, rest), (course, course_rest)

    def _whole(self, group: np.ndarray, part: ExposedUnits) -> None:
        """Adds units to the moments of their variants, and to the parts of the windows."""
        (sums, rest), (course, course_rest) = self._added(group, len(part.variants), self._slices, part)
        into = self._sums[WHOLE]
        for code in np.unique(group[group >= 0]).tolist():
            name = part.variants[code]
            into[name] = added(into.get(name), (sums[code], rest[code]))
            self._course[name] = added(self._course.get(name), (course[code], course_rest[code]))

    def _into_excluded(self, part: ExposedUnits) -> None:
        """Adds the units that are left out to the moments of their standing."""
        group = np.where((part.standing > 0) & part.is_over, part.standing, -1)
        pair, _ = self._added(group, len(STANDINGS), self._slices[:0], part)
        self._excluded = added(self._excluded, pair)

    def _levels(self, name: str, group: np.ndarray, part: ExposedUnits) -> None:
        """Adds units to the moments of their variants in each level of a property."""
        if name in self._too_many:
            return
        codes = part.labels[name]
        texts = [*part.label_texts[name], "(none)"]
        met = np.unique(codes[group >= 0])
        seen = {key[1] for key in self._sums if key[0] == name} | {texts[code] for code in met.tolist()}
        if len(seen) > MOST_LEVELS:
            self._too_many.add(name)
            self._sums = {key: v for key, v in self._sums.items() if key[0] != name}
            return
        both = np.where(group >= 0, group * len(met) + np.searchsorted(met, codes), -1)
        (sums, rest), _ = self._added(both, len(part.variants) * max(len(met), 1), self._slices[:0], part)
        for pair in np.unique(both[both >= 0]).tolist():
            code, level = divmod(pair, len(met))
            into = self._sums.setdefault((name, texts[met[level]]), {})
            variant = part.variants[code]
            into[variant] = added(into.get(variant), (sums[pair], rest[pair]))

    def _rows(self, metric: int, part: ExposedUnits, is_own: np.ndarray) -> None:
        """Values of a quantile, with their units (or clusters) numbered over all parts."""
        unit, value, since = part.values[self._question.places[metric][0].outcome]
        keep = is_own[unit]
        unit, value, since = unit[keep], value[keep], since[keep]
        code = part.variant[unit]
        number = unit + self._units if self._plan.cluster is None else part.labels[self._plan.cluster][unit]
        for one in np.unique(code).tolist():
            rows = self._values.setdefault(metric, {}).setdefault(part.variants[one], [])
            rows.append((number[code == one], value[code == one], since[code == one]))

    def counted(self, read_at: int | None) -> Counted:
        """What was added."""
        frames = pd.concat(self._frames)
        places = {four[0].outcome: m for m, four in enumerate(self._question.places[: len(self._plan.metrics)])}
        frames = frames[frames["outcome"].isin(list(places))]
        sums = [c for c in frames.columns if c not in ("outcome", "metric", "variant", "refused_because")]
        whole = frames.groupby(["outcome", "variant"], as_index=False)[sums].sum()
        standing = pd.concat(self._standing).fillna({"variant": ""}).groupby(["standing", "variant"], as_index=False)
        standing = standing[["units", "units_immature"]].sum()
        assigned = standing[standing["standing"] == "assigned"]
        randomised = assigned.set_index("variant")["units"].to_dict()
        standing = standing.assign(variant=standing["variant"].where(standing["standing"].isin(NAMED), None))
        course = self._whole_course()
        if self._clusters is not None:
            randomised = self._clusters.randomised
            self._sums[WHOLE], course = self._clusters.by_variant()
            self._sums |= self._segments(self._clusters)
            standing = without_split(standing, self._clusters.dropped)
        return Counted(
            self._question,
            {key: {v: a + b for v, (a, b) in arms.items()} for key, arms in self._sums.items()},
            course,
            {
                k: winsorised(self._kept[k], metric.winsorise)
                for k, metric in enumerate(self._plan.metrics)
                if metric.winsorise is not None and k in self._kept
            },
            {k: {v: self._joined(rows) for v, rows in arms.items()} for k, arms in self._values.items()},
            whole.assign(outcome=whole["outcome"].map(places)),
            standing,
            {} if self._excluded is None else dict(zip(STANDINGS, np.add(*self._excluded), strict=True)),
            randomised,
            (min(self._days), max(self._days)) if self._days else (None, None),
            tuple(reason(four, self._refused) for four in self._question.places),
            tuple(sorted(self._too_many)),
            read_at,
            self._daily(),
        )

    def _daily(self) -> pd.DataFrame:
        """Units first exposed: variant x local day."""
        hours = [part for part in self._hours if len(part)]
        if not hours or self._clusters is not None:
            return pd.DataFrame()
        seen = pd.concat(hours).groupby(level=["variant", "hour"]).sum().unstack("hour", fill_value=0)
        return seen.T.groupby([local_date(int(hour) * HOUR_US, self._zone) for hour in seen.columns]).sum().T

    def _whole_course(self) -> dict[str, np.ndarray]:
        """The moments of parts; what holds neither y nor a denominator of their own is that of their metric."""
        found = {}
        for name, (sums, rest) in self._course.items():
            found[name] = sums + rest
            whole = np.add(*self._sums[WHOLE][name])
            for s, one in enumerate(self._question.slices):
                apart = [*OF_Y, *OF_D] if one.denominator >= 0 else list(OF_Y)
                own = whole[one.metric].copy()
                own[apart] = found[name][s, apart]
                found[name][s] = own
        return found

    def _segments(self, clusters: Clusters) -> dict[tuple[str, str], dict[str, Pair]]:
        """The clusters in each level of a property."""
        found = {}
        for name in self._plan.segments:
            if name not in self._too_many:
                texts = [*self._texts.get(name, []), "(none)"]
                for level in clusters.levels(name):
                    found[name, texts[level]] = clusters.by_segment(name, level)
        return found

    def _joined(self, rows: list[Rows]) -> Rows:
        """All rows of a variant; those of clusters that are in none are left out."""
        of, value, since = (np.concatenate(part) for part in zip(*rows, strict=True))
        keep = np.ones(len(of), np.bool_) if self._clusters is None else self._clusters.is_assigned[of]
        return of[keep], value[keep], since[keep]
