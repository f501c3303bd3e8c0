"""Did it work: engagement, funnels, cohorts."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column

COMPLETION_RATE_USER = Metric(
    name="completion_rate_user",
    label="Completion rate per user",
    question="Of the users who start, how many finish?",
    numerator="users with {start_event} followed by {complete_event} within {window}",
    denominator="mature users with {start_event}",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity="A user whose window is still open is in neither count ({immature} are)",
    source="shared definitions, Product metrics: completion rate",
)

METRICS: tuple[Metric, ...] = (COMPLETION_RATE_USER,)

FUNNEL = ResultTable(
    "funnel",
    "one row per step",
    (
        Column("step", "int64", True, "number of the step, from 1"),
        Column("step_name", "string", True, "the event of the step"),
        Column("users", "int64", True, "mature units that reached it"),
        Column("conversion_rate", "float64", False, "of step 1, fraction"),
        Column("ci_low", "float64", False, "lower 95 % limit, Wilson"),
        Column("ci_high", "float64", False, "upper 95 % limit, Wilson"),
    ),
)

TABLES: tuple[ResultTable, ...] = (FUNNEL,)
