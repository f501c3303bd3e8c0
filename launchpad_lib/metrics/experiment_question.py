"""What a plan asks of the log: outcomes, and where the numbers of each metric stand among them."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, floor
from typing import Literal, NamedTuple

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.planned_metrics import PlannedMetric
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.exposures import Outcome, parts_of

SLICES = 7  # of a metric's window, for its course since exposure
DAY = timedelta(days=1)

Taken = Literal["did", "count", "value", "one", "nothing"]


class Place(NamedTuple):
    """Where one of the four numbers of a unit stands: an outcome and what is taken of it, in its window or before."""

    outcome: int
    taken: Taken
    is_before: bool = False


class Slice(NamedTuple):
    """A part of a metric's window, since exposure: columns of `ExposedUnits.course` that hold its numerator and, of a
    ratio, its denominator (else -1).
    """

    metric: int
    begins: timedelta
    ends: timedelta
    column: int
    denominator: int


class Question(NamedTuple):
    """The outcomes of a plan; of each metric its places of y, d, x, z; the parts of its window."""

    outcomes: tuple[Outcome, ...]
    places: tuple[tuple[Place, Place, Place, Place], ...]
    slices: tuple[Slice, ...]


def question_of(plan: PlannedExperiment) -> Question:
    """The outcomes that a plan asks for, and where the numbers of each metric stand among them."""
    outcomes: list[Outcome] = []
    places = []
    for metric in plan.metrics:
        begins, ends = _window_of(metric, plan)
        keeps = metric.kind == "quantile"
        outcomes.append(
            _outcome(metric.event, metric.value, begins, ends, keeps=keeps, parts=parts_of_window(metric, plan))
        )
        places.append(_places(metric, outcomes, begins, ends))
    columns = parts_of(outcomes)
    slices = []
    for k, (metric, four) in enumerate(zip(plan.metrics, places, strict=True)):
        edges = outcomes[four[0].outcome].parts
        below = columns[four[1].outcome] if metric.kind == "ratio" else []
        for part, column in enumerate(columns[four[0].outcome]):
            slices.append(Slice(k, edges[part], edges[part + 1], column, below[part] if below else -1))
    return Question(tuple(outcomes), tuple(places), tuple(slices))


def without_course(question: Question) -> Question:
    """The same of whole windows only."""
    return question._replace(outcomes=tuple(o._replace(parts=()) for o in question.outcomes), slices=())


def _window_of(metric: PlannedMetric, plan: PlannedExperiment) -> tuple[timedelta, timedelta]:
    begins = parse_window(metric.begins) if metric.begins else timedelta(0)
    return begins, parse_window(metric.window or plan.window)


def parts_of_window(metric: PlannedMetric, plan: PlannedExperiment) -> tuple[timedelta, ...]:
    """Edges of the parts of a metric's window: whole days since exposure, as many together as make at most seven parts;
    none where under two whole days are in it, or the value stands on the exposure itself.
    """
    if metric.event is None and metric.kind != "retention":
        return ()
    begins, ends = (length / DAY for length in _window_of(metric, plan))
    first, last = ceil(begins), floor(ends)
    if last - first < 2:
        return ()
    length = -(-(last - first) // SLICES)
    return tuple(timedelta(days=day) for day in [*range(first, last, length), last])


def _outcome(
    event: str | None,
    value: str | None,
    begins: timedelta,
    ends: timedelta,
    *,
    keeps: bool = False,
    parts: tuple[timedelta, ...] = (),
) -> Outcome:
    """An outcome after the exposure; without an event the value on the exposure itself, or any event."""
    if event is None and value is not None:
        return Outcome(EXPOSURE_EVENT, timedelta(0), value=value)
    return Outcome(event, ends, begins, value=value, keeps_values=keeps, parts=parts)


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
        # A denominator on the exposure itself has no days; then the whole of it stands below each part.
        parts = outcomes[own].parts if metric.per_event is not None else ()
        outcomes.append(_outcome(metric.per_event, metric.per_value, begins, ends, parts=parts))
        below: Taken = "value" if metric.per_value else "count"
        d, z = Place(len(outcomes) - 1, below), Place(len(outcomes) - 1, below, is_before=True)
    if metric.covariate is not None:
        outcomes.append(Outcome(EXPOSURE_EVENT, timedelta(0), value=metric.covariate))
        x, z = Place(len(outcomes) - 1, "value"), Place(own, "one")
    elif metric.event is None and metric.value is not None:
        x, z = Place(own, "nothing"), Place(own, "nothing")
    return y, d, x, z
