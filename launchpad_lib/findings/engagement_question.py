"""What is asked about engagement: the declared features, the one in detail, and the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.sentences import named, span_words
from launchpad_lib.findings.releases import reason_of
from launchpad_lib.findings.rows import NO_EVENTS, NO_FEATURE, not_asked
from launchpad_lib.metrics import unknown_names
from launchpad_lib.metrics.windows import Weekday


class EngagementQuestion(NamedTuple):
    """The declared features, the one told in detail, and the rules."""

    features: tuple[Feature, ...]
    window: str
    observed_through: datetime | None
    report_timezone: str = "UTC"
    week_starts_on: Weekday = "monday"
    activity_days: int = 14
    min_cell: int = 30

    @property
    def detail(self) -> Feature | None:
        """The feature told in detail: the only one, or the first."""
        return self.features[0] if self.features else None

    @property
    def feature_id(self) -> str | None:
        """The id of the feature in detail: whose numbers the headline metrics are."""
        return self.detail.feature_id if self.detail else None

    def name_of(self, feature_id: str) -> str:
        """What people call a feature, for a sentence."""
        return named(next((f.name for f in self.features if f.feature_id == feature_id), feature_id))

    @property
    def refused_because(self) -> str | None:
        """Why nothing at all can be counted."""
        return NO_EVENTS if self.observed_through is None else None

    @property
    def place(self) -> dict[str, Any]:
        """When the data end and whose days count, as the metric functions take them."""
        return {"observed_through": self.observed_through, "report_timezone": self.report_timezone}

    @property
    def until(self) -> dict[str, Any]:
        """The same, as `findings.releases` takes it."""
        return {"through": self.observed_through, "report_timezone": self.report_timezone}

    @property
    def rules(self) -> dict[str, Any]:
        """What fills the blanks of the definitions."""
        detail = self.detail or Feature(feature_id="the feature")
        said = {name: getattr(detail, name) for name in ("start_event", "complete_event", "view_event", "share_event")}
        return {
            "feature": named(self.detail.feature_id) if self.detail else "a feature",
            "window": span_words(self.window),
            "report_timezone": self.report_timezone,
            "interaction_events": ", ".join(named(e) for e in detail.interaction_events) or "none declared",
            **{name: named(event) for name, event in said.items() if event},
        }

    def undeclared(self, events: ir.Table, *fields: str) -> str | None:
        """Why a question about the feature in detail is not asked, or cannot be answered."""
        if self.detail is None:
            return NO_FEATURE
        said = {name: getattr(self.detail, name) for name in fields}
        missing = [name for name, value in said.items() if not value]
        if missing:
            return not_asked(f"{named(self.detail.feature_id)} declares no {' and no '.join(missing)}")
        names = [n for value in said.values() for n in ((value,) if isinstance(value, str) else value)]
        unknown = unknown_names(events, event_names=names)
        return self.refused_because or reason_of(self.detail, unknown, **self.until)


def ask_engagement(
    features: Sequence[Feature], *, observed_through: datetime | None, **rules: Any
) -> EngagementQuestion:
    """The question of the page; an empty log refuses all of it, an undeclared event only its own part."""
    return EngagementQuestion(tuple(features), observed_through=observed_through, **rules)
