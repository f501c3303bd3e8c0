"""What a planned experiment needs of the log: sums, squares and products per variant and metric, from one reading.

A design that is read at a planned number of units needs a first reading of its exposures alone, to know when that was.
Nothing here grows with the units but the values of winsorised sums and of quantiles, and the clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.metrics.experiment_clusters import Clusters
from launchpad_lib.metrics.experiment_question import Place, Question, question_of
from launchpad_lib.metrics.exposure_counts import conversions, exposed_between, instant_of_unit, units_by_standing
from launchpad_lib.metrics.exposure_period import Period, period_of
from launchpad_lib.metrics.exposures import (
    ExposedUnits,
    experiment_units,
)
from launchpad_lib.metrics.kernels.exposed import MOMENTS, TAKEN, add_moments, add_moments_of_units

MOST_LEVELS = 200  # of a segment
WHOLE = ("", "")


class Counted(NamedTuple):
    """What was counted of an experiment.

    `moments`: (segment property, its level; both empty for all units) -> variant -> metric x 15 (slices after the
    metrics). `capped`: metric -> (cap, variant -> 15) of a winsorised sum. `quantiles`: metric -> variant -> (units,
    values). `conversions`: one row per metric and variant (`outcome` is the metric's place). `standing`: one row per
    standing and variant. `randomised`: variant -> units or clusters, mature or not, for the sample ratio.
    `too_many`: segment properties with more than 200 values. `read_at`: the exposure with which the plan was complete,
    microseconds since 1970.
    """

    question: Question
    moments: dict[tuple[str, str], dict[str, np.ndarray]]
    capped: dict[int, tuple[float, dict[str, np.ndarray]]]
    quantiles: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]
    conversions: pd.DataFrame
    standing: pd.DataFrame
    randomised: dict[str, int]
    exposed_on: tuple[Any, Any]
    refused: tuple[str | None, ...]
    too_many: tuple[str, ...]
    read_at: int | None


def counted(
    events: ir.Table, plan: PlannedExperiment, *, observed_through: datetime | None, report_timezone: str
) -> Counted:
    """Everything that the page needs of the log.

    Args:
        observed_through: last instant of the data; taken only where the plan leaves immature units out.

    Raises:
        ValueError: more outcomes than one reading counts.
    """
    question = question_of(plan)
    labels = tuple(dict.fromkeys(n for n in (plan.cluster, plan.strata, *plan.segments) if n is not None))
    period = period_of(plan.starts_on, plan.ends_on, report_timezone=report_timezone)
    asked: dict[str, Any] = {
        "experiment_id": plan.experiment_id,
        "planned": plan.variants,
        "labels": labels,
        "cluster": plan.cluster,
        "observed_through": observed_through if plan.immature_units == "leave_out" else None,
        "pre_period": parse_window(plan.pre_period),
    }
    read_at = None
    if plan.design == "fixed" and plan.planned_units is not None and plan.cluster is None:
        first = experiment_units(events, outcomes=(), period=period, **asked)
        read_at = instant_of_unit(first, plan.planned_units)
        if read_at is not None:
            ends = read_at + 1 if period.ends is None else min(period.ends, read_at + 1)
            period = Period(period.begins, ends)
    parts = experiment_units(events, outcomes=question.outcomes, period=period, **asked)
    tally = Tally(plan, question, report_timezone)
    for part in parts:
        tally.add(part)
    return tally.counted(read_at)


class Tally:
    """Adds parts of units to moments."""

    def __init__(self, plan: PlannedExperiment, question: Question, report_timezone: str) -> None:
        self._plan, self._question, self._zone = plan, question, report_timezone
        self._sums: dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]] = {WHOLE: {}}
        self._frames: list[pd.DataFrame] = []
        self._standing: list[pd.DataFrame] = []
        self._days: list[Any] = []
        self._kept: dict[int, list[tuple[str, np.ndarray]]] = {}
        self._values: dict[int, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {}
        self._clusters = Clusters(len(question.places)) if plan.cluster else None
        self._too_many: set[str] = set()
        self._units = 0
        self._refused: tuple[str | None, ...] = ()
        of = [[(TAKEN.index(p.taken), p.is_before, p.outcome) for p in four] for four in question.places]
        table = np.array(of, np.int64).reshape(len(of), 4, 3)
        self._taken = (table[:, :, 0].copy(), table[:, :, 1].copy(), table[:, :, 2].copy())

    def add(self, part: ExposedUnits) -> None:
        """The units of one part."""
        self._refused = tuple(part.refused)
        self._frames.append(conversions(part))
        self._standing.append(units_by_standing(part))
        self._days += [d for d in exposed_between(part, report_timezone=self._zone) if d is not None]
        is_own = (part.standing == 0) & part.is_over
        if self._clusters is not None:
            is_assigned = part.standing == 0
            codes = part.labels[str(self._plan.cluster)]
            self._clusters.add(codes[is_assigned], part.variant[is_assigned], part.variants, part.is_over[is_assigned],
                               self._numbers(part, is_assigned))  # fmt: skip
        else:
            group = np.where(is_own, part.variant, -1)
            self._into(WHOLE, group, part)
            for name in dict.fromkeys([self._plan.strata, *self._plan.segments]):
                if name is not None:
                    self._levels(name, group, part)
        for k, metric in enumerate(self._plan.metrics):
            if metric.winsorise is not None and self._clusters is None:
                own, variant = self._numbers(part, is_own, k), part.variant[is_own]
                for code in np.unique(variant).tolist():
                    self._kept.setdefault(k, []).append((part.variants[code], own[variant == code, 0, :]))
            if metric.kind == "quantile":
                self._rows(k, part, is_own)
        self._units += len(part.standing)

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
            into[name] = _added(into.get(name), (sums[code], rest[code]))

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
        unit, value = part.values[self._question.places[metric][0].outcome]
        keep = is_own[unit]
        unit, value = unit[keep], value[keep]
        code = part.variant[unit]
        number = unit + self._units if self._plan.cluster is None else part.labels[self._plan.cluster][unit]
        for one in np.unique(code).tolist():
            rows = self._values.setdefault(metric, {}).setdefault(part.variants[one], [])
            rows.append((number[code == one], value[code == one]))

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
        if self._clusters is not None:
            self._sums[WHOLE], randomised = self._clusters.by_variant()
        return Counted(
            self._question,
            {key: {v: a + b for v, (a, b) in arms.items()} for key, arms in self._sums.items()},
            {
                k: _winsorised(self._kept[k], metric.winsorise)
                for k, metric in enumerate(self._plan.metrics)
                if metric.winsorise is not None and k in self._kept
            },
            {k: {v: _joined(rows) for v, rows in arms.items()} for k, arms in self._values.items()},
            whole.assign(outcome=whole["outcome"].map(places)),
            standing,
            randomised,
            (min(self._days), max(self._days)) if self._days else (None, None),
            tuple(_reason(four, self._refused) for four in self._question.places),
            tuple(sorted(self._too_many)),
            read_at,
        )


NAMED = ("assigned", "outside the plan", "before the start", "after the end", "no cluster")
_SOURCES: Mapping[tuple[str, bool], str] = {
    ("count", False): "inside",
    ("count", True): "pre",
    ("value", False): "value_inside",
    ("value", True): "value_pre",
}


def _reason(four: Iterable[Place], refused: tuple[str | None, ...]) -> str | None:
    """Why a metric cannot be counted: an event of it does not occur."""
    return next((refused[p.outcome] for p in four if refused[p.outcome]), None)


def _added(
    old: tuple[np.ndarray, np.ndarray] | None, more: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums in twice the precision, added."""
    if old is None:
        return more
    total = old[0] + more[0]
    back = total - old[0]
    lost = (old[0] - (total - back)) + (more[0] - back)
    return total, old[1] + more[1] + lost


def _joined(rows: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([u for u, _ in rows]), np.concatenate([v for _, v in rows])


def _winsorised(kept: list[tuple[str, np.ndarray]], share: float) -> tuple[float, dict[str, np.ndarray]]:
    """The cap, that quantile of the values of all units that are not 0, and the moments under it."""
    values = np.concatenate([own[:, 0] for _, own in kept])
    values = values[values != 0]
    cap = float(np.quantile(values, share)) if len(values) else 0.0
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, own in kept:
        capped = own.copy()
        capped[:, [0, 2]] = np.minimum(own[:, [0, 2]], cap)
        sums, rest = np.zeros((1, 1, MOMENTS)), np.zeros((1, 1, MOMENTS))
        add_moments(np.zeros(len(own), np.int64), capped[:, None, :], sums, rest)
        found[name] = _added(found.get(name), (sums[0, 0], rest[0, 0]))
    return cap, {name: a + b for name, (a, b) in found.items()}
