"""What the retention lift page asks of each feature."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.features import Feature, not_declared
from launchpad_lib.contract.sentences import counted
from launchpad_lib.metrics import unknown_names

# Whoever finishes in the first day is left out there, so that what is adjusted for comes before finishing.
FIRST_EVENT_DAYS = 2


class LiftQuestion(NamedTuple):
    """One feature's question, or why it cannot be asked of this log."""

    feature_id: str
    feature_name: str
    start_event: str | None
    complete_event: str | None
    refused_because: str | None

    @property
    def is_asked(self) -> bool:
        """Whether the feature declares a start and a finish."""
        return self.start_event is not None and self.complete_event is not None


class LiftRules(NamedTuple):
    """What every feature is asked alike."""

    landmark_days: int
    outcome_days: int
    observed_through: datetime | None
    min_cell: int = 30
    smallest_lift: float = 0.02
    seed: int = 20260101
    report_timezone: str = "UTC"

    @property
    def late_days(self) -> int:
        """Landmark of the comparisons that count from a user's first event."""
        return self.landmark_days + FIRST_EVENT_DAYS

    @property
    def landmark(self) -> str:
        """As it is read."""
        return counted(self.landmark_days, "day")

    @property
    def outcome(self) -> str:
        """As it is read."""
        return counted(self.outcome_days, "day")

    @property
    def late(self) -> str:
        """As it is read."""
        return counted(self.late_days, "day")


def ask_lift(events: ir.Table, features: Iterable[Feature]) -> tuple[LiftQuestion, ...]:
    """One question per feature: not asked where it declares no start and finish, refused where these do not occur."""
    found = []
    for feature in features:
        reason = not_declared([feature], "start_event", "complete_event")
        if reason is None:
            reason = unknown_names(
                events, event_names=[name for name in (feature.start_event, feature.complete_event) if name]
            )
        found.append(
            LiftQuestion(feature.feature_id, feature.name, feature.start_event, feature.complete_event, reason)
        )
    return tuple(found)
