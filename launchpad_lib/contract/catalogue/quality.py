"""Can the numbers be trusted: rejects, delivery, gaps, drift."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column

REJECTED_SHARE = Metric(
    name="rejected_share",
    label="Share of input rows refused",
    question="How much of what came in could not be used?",
    numerator="rows in the rejected table",
    denominator="accepted event and telemetry rows and rejected rows",
    interval="Wilson 95 %",
    unit="fraction",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric",
)
LATE_SHARE = Metric(
    name="late_share",
    label="Share of events that came after their day was over",
    question="How much do past days still change?",
    numerator="events received on a later UTC date than they happened",
    denominator="events whose arrival was observed",
    interval="Wilson 95 %",
    unit="fraction",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric: late events",
)
DELIVERY_P99 = Metric(
    name="delivery_p99",
    label="Delivery time, p99",
    question="How long do the slowest events take to arrive?",
    numerator="99th percentile of received_at minus event_at",
    denominator="events whose arrival was observed",
    interval="",
    unit="seconds",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric: a delay is never computed from a filled instant",
)
GAP_RECORDS = Metric(
    name="gap_records",
    label="Records lost in gaps",
    question="What was gone before it could be read?",
    numerator="offsets of the sources that were gone before they could be read",
    denominator="gaps",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric",
)
PLACEHOLDER_USER_ROWS = Metric(
    name="placeholder_user_rows",
    label="Rows of users that are no users",
    question="How many rows stand under a placeholder instead of a user?",
    numerator="rows of events and telemetry whose user_id is a placeholder such as undefined, null, (not set) or a zero"
    " uuid; all of them would count as one user",
    denominator="rows of events and telemetry with a user_id",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric",
)
OUTSIDE_ROWS = Metric(
    name="outside_rows",
    label="Rows outside the observed window",
    question="Which rows lie beside what the log covers?",
    numerator="rows of events and telemetry before the log begins in earnest or after it ends; they are in the lake and"
    " in no number",
    denominator="rows of events and telemetry in the lake",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric: observed_through",
)
CONFLICTING_COPIES = Metric(
    name="conflicting_copies",
    label="Copies that said something else",
    question="Did two events share one id and differ?",
    numerator="events left out since another event of the same event_id, with other content, is kept",
    denominator="events left out as copies, with the same or other content",
    interval="",
    unit="count",
    direction="lower",
    maturity="",
    source="shared definitions, Rules for every metric: duplicates",
)
DRIFTED_COLUMNS = Metric(
    name="drifted_columns",
    label="Columns that drifted",
    question="Did the mix of users or values change?",
    numerator="columns whose last {drift_days} days differ from all days before, in their values or in their share of"
    " missing values: adjusted p under 0.05, Benjamini-Hochberg over all tests of a table, one row per user and period",
    denominator="columns that could be judged",
    interval="",
    unit="count",
    direction="neither",
    maturity="",
    source="shared definitions, Telemetry: drift",
)

METRICS: tuple[Metric, ...] = (
    REJECTED_SHARE,
    LATE_SHARE,
    DELIVERY_P99,
    GAP_RECORDS,
    PLACEHOLDER_USER_ROWS,
    OUTSIDE_ROWS,
    CONFLICTING_COPIES,
    DRIFTED_COLUMNS,
)

TABLE_NAME = Column("table_name", "string", True, "table of the lake")

QUALITY_CHECKS = ResultTable(
    "quality_checks",
    "one row per check",
    (
        Column("check", "string", True, "what was checked"),
        Column("result", "float64", False, "the number found; NULL where the check could not be made"),
        Column("limit", "float64", False, "a result above it is not fine; NULL where there is none"),
        Column("verdict", "string", True, "fine, changed, cannot tell, not asked"),
    ),
)
REJECTS = ResultTable(
    "rejects",
    "one row per table, source and reason",
    (
        TABLE_NAME,
        Column("source", "string", True, "file, kafka:topic/partition or spool/writer"),
        Column("reason", "string", True, "the rule that was broken"),
        Column("rows", "int64", True, "refused rows"),
        Column("share", "float64", True, "of all refused rows"),
    ),
)
RESTATED_DAYS = ResultTable(
    "restated_days",
    "one row per UTC date to which events came after it was over",
    (
        Column("day", "timestamp", False, "the date; NULL in a row that only says why there is none"),
        Column("rows", "int64", False, "events of the date"),
        Column("late_rows", "int64", False, "of these, those that came later"),
        Column("late_share", "float64", False, "late_rows / rows"),
        Column("last_received_at", "timestamp", False, "when the last of them came (UTC)"),
        Column("refused_because", "string", False, "why there is no number; NULL where there is one"),
    ),
)
MISSING_VALUES = ResultTable(
    "missing_values",
    "one row per table and column",
    (
        TABLE_NAME,
        Column("column", "string", True, "the column"),
        Column("rows", "int64", True, "rows of the table"),
        Column("missing", "int64", True, "rows where the column is NULL"),
        Column("missing_share", "float64", False, "missing / rows"),
    ),
)
DRIFT = ResultTable(
    "drift",
    "one row per table, watched column and aspect",
    (
        TABLE_NAME,
        Column("column", "string", True, "a column, or a property of an event"),
        Column("aspect", "string", True, "values, or missing: the share of rows without a value"),
        Column("test", "string", False, "Kolmogorov-Smirnov, chi-square or Fisher"),
        Column("n_reference", "int64", False, "users in the days before; one row of each"),
        Column("n_current", "int64", False, "users in the last days; one row of each"),
        Column("reference", "string", False, "what was before, where it moved most"),
        Column("current", "string", False, "what is now, there"),
        Column("moved_most", "string", False, "which value moved most, and in which direction"),
        Column("new_values", "string", False, "values that were not there before, most frequent first"),
        Column("vanished_values", "string", False, "values that are there no more, most frequent first"),
        Column("psi", "float64", False, "population stability index"),
        Column("psi_critical", "float64", False, "what undrifted samples of these sizes exceed once in 20"),
        Column("p_value", "float64", False, "uncorrected"),
        Column("q_value", "float64", False, "after Benjamini-Hochberg over all tests of the table"),
        Column("is_drifted", "boolean", False, "q_value under 0.05; NULL where nothing could be compared"),
        Column("refused_because", "string", False, "why there is no number; NULL where there is one"),
    ),
)

ROWS_PER_DAY = ResultTable(
    "rows_per_day",
    "one row per local date with rows",
    (
        Column("day", "timestamp", True, "the local date"),
        Column("rows", "int64", True, "events of the date; telemetry where there are no events"),
    ),
)
PLACEHOLDERS = ResultTable(
    "placeholders",
    "one row per table and placeholder that stands for a user",
    (
        TABLE_NAME,
        Column("user_id", "string", True, "the placeholder as it stands there"),
        Column("rows", "int64", True, "rows under it"),
    ),
)

TABLES: tuple[ResultTable, ...] = (
    QUALITY_CHECKS,
    REJECTS,
    RESTATED_DAYS,
    MISSING_VALUES,
    DRIFT,
    ROWS_PER_DAY,
    PLACEHOLDERS,
)
