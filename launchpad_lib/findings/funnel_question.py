"""What is asked of a funnel: its steps and rules, and why a log cannot answer, if so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.features import Feature, not_declared
from launchpad_lib.contract.sentences import named, span_words
from launchpad_lib.metrics.steps import Exclusion, Step, as_exclusion, as_step, checked_rules, unknown_in

UNIT_WORDS = {"user_id": "user", "session_key": "session"}
MODE_WORDS = {"ordered": "in order", "strict": "strictly", "any_order": "any order", "strict_order": "strict order"}


class Periods(NamedTuple):
    """Two stretches of time in which units enter; the later one ends where windows are over."""

    earlier: tuple[datetime, datetime]
    later: tuple[datetime, datetime]
    days: int


class FunnelQuestion(NamedTuple):
    """The steps and rules of a funnel, and why it cannot be asked of this log, if so."""

    steps: tuple[Step, ...]
    window: str | None
    observed_through: datetime
    mode: str = "ordered"
    entry: str = "any"
    by: str = "user_id"
    exclusions: tuple[Exclusion, ...] = ()
    hold_constant: str | None = None
    min_cell: int = 30
    refused_because: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """As the metric functions take them."""
        return {k: v for k, v in self._asdict().items() if k not in ("min_cell", "refused_because")}

    @property
    def step_names(self) -> tuple[str, ...]:
        """The steps as they are called: the event, with its filters where it has some."""
        return tuple(step.label for step in self.steps)

    @property
    def event_names(self) -> tuple[str, ...]:
        """The events of the steps."""
        return tuple(step.event_name for step in self.steps)

    @property
    def unit(self) -> str:
        """What is counted, in the singular."""
        return UNIT_WORDS.get(self.by, named(self.by))

    @property
    def is_independent(self) -> bool:
        """Whether the units tell nothing about each other, as tests and intervals take for granted."""
        return self.by == "user_id"

    @property
    def within(self) -> str:
        """The window in words."""
        return "at any time" if self.window is None else f"within {span_words(self.window)}"


def ask_funnel(
    events: ir.Table,
    *,
    steps: Sequence[str | Mapping[str, Any]],
    observed_through: datetime | None,
    features: Sequence[Feature] = (),
    exclusions: Sequence[str | Mapping[str, Any]] = (),
    hold_constant: str | None = None,
    **how: Any,
) -> FunnelQuestion:
    """The question, checked against the log: names that do not occur and rules that contradict each other refuse it.

    Args:
        steps, exclusions: each a name, or a mapping of `event`, `where` and `optional` or `effect`.
        features: where no steps are given, the first of these that declares two events or more gives them.
    """
    declared = next((names for names in map(feature_steps, features) if len(names) > 1), [])
    said: Sequence[str | Mapping[str, Any]] = list(steps) or declared
    asked = FunnelQuestion(
        tuple(as_step(s) for s in said),
        observed_through=observed_through or datetime(1970, 1, 1),
        exclusions=tuple(as_exclusion(e) for e in exclusions),
        hold_constant=hold_constant or None,
        **how,
    )
    if len(said) == 1:
        few = f"a funnel has at least two steps, and {named(asked.step_names[0])} is one; name another event"
        return asked._replace(refused_because=few)
    if not said:
        return asked._replace(refused_because=not_declared([], "start_event", "complete_event"))
    if observed_through is None:
        return asked._replace(refused_because="the log holds no events, so nobody entered; ingest some")
    try:
        rules = checked_rules(**{k: v for k, v in asked.arguments.items() if k != "observed_through"})
    except ValueError as error:
        return asked._replace(refused_because=str(error))
    return asked._replace(refused_because=unknown_in(events, rules))


def feature_steps(feature: Feature) -> list[str]:
    """The funnel a feature declares: start, completion, view, share; what it leaves out is left out.

    >>> feature_steps(Feature(feature_id="quiz", start_event="started", share_event="shared"))
    ['started', 'shared']
    """
    said = (feature.start_event, feature.complete_event, feature.view_event, feature.share_event)
    return list(dict.fromkeys(event for event in said if event))
