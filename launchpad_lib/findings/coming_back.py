"""Everything the cohort page counts, from two readings of the log: one by user and one by session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.feature_results import feature_retention
from launchpad_lib.findings.lifecycle_results import (
    Lifetimes,
    lifecycle_result,
    lifetimes,
    session_paths,
    session_transitions,
)
from launchpad_lib.findings.reading import read_together
from launchpad_lib.findings.retention_results import (
    RetentionQuestion,
    retention_cohorts,
    retention_result,
    retention_segments,
)
from launchpad_lib.metrics.windows import Period


class ComingBack(NamedTuple):
    """The result tables of users, whole or refused."""

    retention: pd.DataFrame
    cohorts: pd.DataFrame
    segments: pd.DataFrame
    features: pd.DataFrame
    lifecycle: pd.DataFrame
    lifetimes: Lifetimes


class Ways(NamedTuple):
    """The result tables of sessions, whole or refused."""

    paths: pd.DataFrame
    transitions: pd.DataFrame


def coming_back(
    events: ir.Table,
    asked: RetentionQuestion,
    features: Sequence[Feature],
    *,
    cohort_by: Period,
    cohort_property: str | None,
    behaviour_event: str | None,
    behaviour_within: str,
    behaviour_at_least: int,
    lifecycle_period: Period,
    churn_gap: str,
) -> ComingBack:
    """Who comes back, by cohort, by segment and by feature; who is new and gone; how long they stay."""
    parts = [
        retention_result(events, asked),
        retention_cohorts(events, asked, cohort_by=cohort_by),
        retention_segments(
            events,
            asked,
            cohort_property=cohort_property,
            behaviour_event=behaviour_event,
            behaviour_within=behaviour_within,
            behaviour_at_least=behaviour_at_least,
        ),
        feature_retention(events, asked, features),
        lifecycle_result(events, asked, lifecycle_period=lifecycle_period),
        lifetimes(events, asked, churn_gap=churn_gap, cohort_property=cohort_property),
    ]
    return ComingBack(*read_together(events, parts))


def ways(events: ir.Table, asked: RetentionQuestion, *, path_anchor: str | None, path_end: str | None) -> Ways:
    """What sessions do after the anchor and before the end, and what follows what."""
    parts = [
        session_paths(events, asked, path_anchor=path_anchor, path_end=path_end),
        session_transitions(events, asked),
    ]
    return Ways(*read_together(events, parts, unit="session_key"))
