"""What the retention lift page asks of each feature."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.features import Feature, Rollout, ShownBy, not_declared
from launchpad_lib.contract.sentences import counted, named, span_words
from launchpad_lib.findings.releases import reason_of
from launchpad_lib.findings.rows import not_asked
from launchpad_lib.metrics import unknown_names
from launchpad_lib.metrics.trials import MOST_TRIALS, Compare, TrialQuestion


class LiftQuestion(NamedTuple):
    """One feature's question, or why it cannot be asked of this log.

    `event_names`: everything that is a use of it, for `compare` "used".
    """

    feature_id: str
    feature_name: str
    start_event: str | None
    complete_event: str | None
    refused_because: str | None
    compare: Compare = "finished"
    event_names: tuple[str, ...] = ()
    rollout: Rollout | None = None
    experiment: ShownBy | None = None
    negative_control: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether the feature declares what is compared: a start and a finish, or any event of its own; where it was
        switched on; or the experiment that shows it.
        """
        return self.rollout is not None or self.experiment is not None or self.is_tried

    @property
    def done_events(self) -> tuple[str, ...]:
        """What counts as doing it."""
        if self.compare == "used":
            return self.event_names
        return () if self.complete_event is None else (self.complete_event,)

    @property
    def is_tried(self) -> bool:
        """Whether it declares what start trials compare."""
        if self.compare == "used":
            return bool(self.event_names)
        return self.start_event is not None and self.complete_event is not None

    @property
    def trials(self) -> TrialQuestion:
        """The question as the log is asked."""
        control = () if self.negative_control is None else (self.negative_control,)
        if self.compare == "used":
            return TrialQuestion("used", self.event_names, feature_id=self.feature_id, control_events=control)
        return TrialQuestion("finished", (str(self.complete_event),), (str(self.start_event),), control_events=control)


class LiftRules(NamedTuple):
    """What every feature is asked alike."""

    outcome_days: int
    observed_through: datetime
    grace: str = "session"
    compare: Compare = "finished"
    min_cell: int = 30
    smallest_lift: float = 0.02
    seed: int = 20260101
    report_timezone: str = "UTC"
    most_trials: int = MOST_TRIALS

    @property
    def words(self) -> dict[str, str]:
        """The blanks of the definitions that do not depend on the feature."""
        doing = self.compare == "finished"
        return {
            "grace": "the session, at most a day"
            if self.grace == "session"
            else f"{span_words(self.grace)} and session",
            "outcome": counted(self.outcome_days, "day"),
            "late": f"the longest grace and {counted(self.outcome_days, 'day')}",
            "trial": "start of somebody who has not finished before"
            if doing
            else "first event of an active day of somebody who has not used it before",
            "do": "finish" if doing else "use it",
        }


def ask_lift(
    events: ir.Table,
    features: Iterable[Feature],
    *,
    compare: Compare = "finished",
    observed_through: datetime | None = None,
) -> tuple[LiftQuestion, ...]:
    """One question per feature: not asked where it does not declare what is compared, refused where that does not occur
    in the log.
    """
    found = []
    for feature in features:
        names = feature.event_names
        if compare == "finished":
            reason = not_declared([feature], "start_event", "complete_event")
            names = tuple(name for name in (feature.start_event, feature.complete_event) if name)
        else:
            reason = None if names else not_asked(f"{named(feature.name)} declares no event; declare one")
        if reason is None:
            reason = reason_of(feature, unknown_names(events, event_names=names), through=observed_through)
        declared = (feature.start_event, feature.complete_event)
        own = LiftQuestion(feature.feature_id, feature.name, *declared, reason, compare, feature.event_names)
        found.append(
            own._replace(
                rollout=feature.rollout, experiment=feature.experiment, negative_control=feature.negative_control
            )
        )
    return tuple(found)
