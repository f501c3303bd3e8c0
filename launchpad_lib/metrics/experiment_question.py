"""What a plan asks of the log: outcomes, and where the numbers of each metric stand among them."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.planned_metrics import PlannedMetric
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.exposures import Outcome

SLICES = 7  # of a success metric's window, for its course since exposure


Taken = Literal["did", "count", "value", "one", "nothing"]


class Place(NamedTuple):
    """Where one of the four numbers of a unit stands: an outcome and what is taken of it, in its window or before."""

    outcome: int
    taken: Taken
    is_before: bool = False


class Slice(NamedTuple):
    """A part of a metric's window, since exposure."""

    metric: int
    begins: timedelta
    ends: timedelta


class Question(NamedTuple):
    """The outcomes of a plan; of each metric (then of each slice) its places of y, d, x, z."""

    outcomes: tuple[Outcome, ...]
    places: tuple[tuple[Place, Place, Place, Place], ...]
    slices: tuple[Slice, ...]


def question_of(plan: PlannedExperiment) -> Question:
    """The outcomes that a plan asks for, and where the numbers of each metric stand among them."""
    outcomes: list[Outcome] = []
    places = []
    for metric in plan.metrics:
        begins = parse_window(metric.begins) if metric.begins else timedelta(0)
        ends = parse_window(metric.window or plan.window)
        keeps = metric.kind == "quantile"
        outcomes.append(_outcome(metric.event, metric.value, begins, ends, keeps=keeps))
        places.append(_places(metric, outcomes, begins, ends))
    slices = []
    for k, metric in enumerate(plan.metrics):
        if metric.role != "success" or metric.kind not in ("conversion", "count", "sum") or metric.event is None:
            continue
        if len(outcomes) + SLICES > 60 or metric.begins:
            break
        for begins, ends in _sliced(parse_window(metric.window or plan.window)):
            slices.append(Slice(k, begins, ends))
            outcomes.append(Outcome(metric.event, ends - timedelta(microseconds=1), begins, value=metric.value))
            one = places[k][0]
            places.append((Place(len(outcomes) - 1, one.taken), *places[k][1:]))
    return Question(tuple(outcomes), tuple(places), tuple(slices))


def _sliced(window: timedelta) -> list[tuple[timedelta, timedelta]]:
    """Whole days since exposure, as many together as make at most seven parts; none of a window under two days."""
    days = window // timedelta(days=1)
    if days < 2:
        return []
    length = -(-days // SLICES)
    edges = [*range(0, days, length), days]
    return [(timedelta(days=a), timedelta(days=b)) for a, b in pairwise(edges)]


def _outcome(
    event: str | None, value: str | None, begins: timedelta, ends: timedelta, *, keeps: bool = False
) -> Outcome:
    """An outcome after the exposure; without an event the value on the exposure itself, or any event."""
    if event is None and value is not None:
        return Outcome(EXPOSURE_EVENT, timedelta(0), value=value)
    return Outcome(event, ends, begins, value=value, keeps_values=keeps)


def _places(
    metric: PlannedMetric, outcomes: list[Outcome], begins: timedelta, ends: timedelta
) -> tuple[Place, Place, Place, Place]:
    """Of one metric whose outcome was added last; a denominator and a covariate are outcomes of their own."""
    own = len(outcomes) - 1
    is_did = metric.kind == "retention" or (metric.kind == "conversion" and metric.event is not None)
    is_summed = metric.value is not None and metric.kind != "count"
    taken: Taken = "did" if is_did else "value" if is_summed else "count"
    y, d = Place(own, taken), Place(own, "one")
    x, z = Place(own, taken, is_before=True), Place(own, "one")
    if metric.kind == "ratio":
        outcomes.append(_outcome(metric.per_event, metric.per_value, begins, ends))
        below: Taken = "value" if metric.per_value else "count"
        d, z = Place(len(outcomes) - 1, below), Place(len(outcomes) - 1, below, is_before=True)
    if metric.covariate is not None:
        outcomes.append(Outcome(EXPOSURE_EVENT, timedelta(0), value=metric.covariate))
        x, z = Place(len(outcomes) - 1, "value"), Place(own, "one")
    elif metric.event is None and metric.value is not None:
        x, z = Place(own, "nothing"), Place(own, "nothing")
    return y, d, x, z
