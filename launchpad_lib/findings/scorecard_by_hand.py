"""What a scorecard counts itself where no run stands behind it, as in Lab: use, its change, and state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.feature_results import feature_adoptions
from launchpad_lib.metrics.stability import feature_days
from launchpad_lib.metrics.windows import Weekday
from launchpad_lib.page.run_results import RunResults
from launchpad_lib.risk import breaches, state_table

MIN_BREACH_DAYS = 2  # as `risk_scoring` has it where nothing else is said


def run_or_counted(
    results: RunResults,
    events: ir.Table,
    telemetry: ir.Table,
    features: Sequence[Feature],
    *,
    observed_through: datetime | None,
    telemetry_through: datetime | None,
    report_timezone: str,
    week_starts_on: Weekday,
    min_cell: int,
) -> RunResults:
    """The results of the run; without one those that cost little, counted as the pages count them. The others say that
    they are read from a run.
    """
    if results.is_run:
        return results
    asked = ask_engagement(
        features,
        window="1d",
        observed_through=observed_through,
        report_timezone=report_timezone,
        week_starts_on=week_starts_on,
        min_cell=min_cell,
    )
    tables: dict[str, pd.DataFrame] = {}
    if features:
        tables["adoption"], tables["adoption_changes"] = feature_adoptions(events, asked)
    if features and telemetry_through is not None:
        daily = breaches(feature_days(telemetry, report_timezone=report_timezone), features, min_observations=min_cell)
        tables["states"] = state_table(daily, features, through=telemetry_through, min_breach_days=MIN_BREACH_DAYS)
    return RunResults({}, tables)
