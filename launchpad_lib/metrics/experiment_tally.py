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
from launchpad_lib.metrics.exposure_counts import conversions, exposed_between, units_by_standing
from launchpad_lib.metrics.exposures import STANDINGS, ExposedUnits
from launchpad_lib.metrics.kernels.exposed import (
    MOMENTS,
    OF_Y,
    TAKEN,
    add_course_of_units,
    add_moments_of_units,
)

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
        slices = np.array(of_slices, np.int64).reshape(-1, 3)
        self._slices = (slices[:, 0].copy(), slices[:, 1].copy(), slices[:, 2].copy())

    def add(self, part: ExposedUnits) -> None:
        """The units of one part."""
        self._refused = tuple(part.refused)
        self._frames.append(conversions(part))
        self._standing.append(units_by_standing(part))
        self._days += [d for d in exposed_between(part, report_timezone=self._zone) if d is not None]
        is_own = (part.standing == 0) & part.is_over
        if self._clusters is not None:
            self._by_cluster(self._clusters, part)
        else:
            group = np.where(is_own, part.variant, -1)
            self._into(WHOLE, group, part)
            self._add_course(group, part)
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
        found = np.ones((int(is_own.sum()), len(self._question.slices), 2))
        for s, one in enumerate(self._question.slices):
            four = self._question.places[one.metric]
            found[:, s, 0] = of_part(part, is_own, four[0], one.column)
            if one.denominator >= 0:
                found[:, s, 1] = of_part(part, is_own, four[1], one.denominator)
            elif four[1].taken != "one":
                found[:, s, 1] = self._numbers(part, is_own, one.metric)[:, 0, 1]
        return found

    def _numbers(self, part: ExposedUnits, is_own: np.ndarray, metric: int | None = None) -> np.ndarray:
        """Unit x metric x (y, d, x, z), of one metric or of all; wanted only where units are looked at one by one."""
        matrices = {(name, before): getattr(part, source)[is_own] for (name, before), source in _SOURCES.items()}
        places = self._question.places if metric is None else self._question.places[metric : metric + 1]
        found = np.zeros((int(is_own.sum()), len(places), 4))
        for m, four in enumerate(places):
            for k, place in enumerate(four):
                if place.taken == "one":
                    found[:, m, k] = 1.0
                elif place.taken == "did":
                    found[:, m, k] = matrices["count", place.is_before][:, place.outcome] > 0
                elif place.taken != "nothing":
                    found[:, m, k] = matrices[place.taken, place.is_before][:, place.outcome]
        return found

    def _into(self, key: tuple[str, str], group: np.ndarray, part: ExposedUnits) -> None:
        """Adds units to the moments of their variants; `group`: the variant's code, -1 for units that are left out."""
        codes = np.unique(group[group >= 0]).tolist()
        sums = np.zeros((len(part.variants), len(self._question.places), MOMENTS))
        rest = np.zeros_like(sums)
        taken, is_before, outcome = self._taken
        add_moments_of_units(
            group, taken, is_before, outcome,
            part.inside, part.pre, part.value_inside, part.value_pre, sums, rest,
        )  # fmt: skip
        into = self._sums.setdefault(key, {})
        for code in codes:
            name = part.variants[code]
            into[name] = added(into.get(name), (sums[code], rest[code]))

    def _into_excluded(self, part: ExposedUnits) -> None:
        """Adds the units that are left out to the moments of their standing."""
        group = np.where((part.standing > 0) & part.is_over, part.standing, -1)
        sums = np.zeros((len(STANDINGS), len(self._question.places), MOMENTS))
        rest = np.zeros_like(sums)
        add_moments_of_units(
            group, *self._taken, part.inside, part.pre, part.value_inside, part.value_pre, sums, rest
        )  # fmt: skip
        self._excluded = added(self._excluded, (sums, rest))

    def _add_course(self, group: np.ndarray, part: ExposedUnits) -> None:
        """Adds units to the parts of the windows of their variants."""
        sums = np.zeros((len(part.variants), len(self._question.slices), MOMENTS))
        rest = np.zeros_like(sums)
        if self._question.slices:
            add_course_of_units(
                group, *self._taken, *self._slices, part.inside, part.pre, part.value_inside, part.value_pre,
                part.course, part.value_course, sums, rest,
            )  # fmt: skip
        for code in np.unique(group[group >= 0]).tolist():
            name = part.variants[code]
            self._course[name] = added(self._course.get(name), (sums[code], rest[code]))

    def _levels(self, name: str, group: np.ndarray, part: ExposedUnits) -> None:
        codes = part.labels[name]
        if name in self._too_many:
            return
        texts = [*part.label_texts[name], "(none)"]
        for code in np.unique(codes[group >= 0]).tolist():
            self._into((name, texts[code]), np.where(codes == code, group, -1), part)
        if sum(key[0] == name for key in self._sums) > MOST_LEVELS:
            self._too_many.add(name)
            self._sums = {key: v for key, v in self._sums.items() if key[0] != name}

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
        )

    def _whole_course(self) -> dict[str, np.ndarray]:
        """The moments of parts: of one without a denominator of its own, what does not hold y is that of its metric."""
        found = {}
        for name, (sums, rest) in self._course.items():
            found[name] = sums + rest
            whole = np.add(*self._sums[WHOLE][name])
            for s, one in enumerate(self._question.slices):
                if one.denominator < 0:
                    own = whole[one.metric].copy()
                    own[list(OF_Y)] = found[name][s, list(OF_Y)]
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
