"""The lake's tables: names, columns, types, grain, keys and the event contract. The only place they are declared.

Every other sub-package imports this one and third parties only.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ColumnType = Literal["string", "timestamp", "float64", "int64", "boolean", "json"]


class Column(NamedTuple):
    """One column of a table. `required` means a row without it is rejected."""

    name: str
    type: ColumnType
    required: bool
    description: str
    minimum: float | None = None
    maximum: float | None = None


class Table(NamedTuple):
    """One table of the lake: its grain, its columns, the natural key and the instant it is partitioned by."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time_column: str | None

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        return {c.name: c for c in self.columns}[name]


EVENTS = Table(
    "events",
    "one row per event_id",
    (
        Column("event_id", "string", True, "unique id, made where the event happened; stable over retries"),
        Column("event_name", "string", True, "what happened, for example quiz_started"),
        Column("user_id", "string", True, "who did it"),
        Column("session_id", "string", False, "the client's session; derived from 30-minute gaps where absent"),
        Column("event_at", "timestamp", True, "when it happened (client clock, UTC)"),
        Column("received_at", "timestamp", False, "when it reached us (UTC); event_at where absent"),
        Column("feature_id", "string", False, "the feature it belongs to"),
        Column("properties", "json", False, "every other field, as a JSON object"),
        Column("platform", "string", False, "web, ios, android, ..."),
        Column("app_version", "string", False, "version of the client"),
        Column("country", "string", False, "ISO 3166 alpha-2"),
    ),
    ("event_id",),
    "event_at",
)

TELEMETRY = Table(
    "telemetry",
    "one row per observation of a feature",
    (
        Column("observation_id", "string", False, "unique id; made from the row's content where absent"),
        Column("feature_id", "string", True, "the feature observed"),
        Column("user_id", "string", False, "who met it; NULL when unknown"),
        Column("observed_at", "timestamp", True, "when (UTC)"),
        Column("latency_ms", "float64", False, "latency in milliseconds", 0.0),
        Column("crashed", "boolean", False, "true or false; NULL is unknown, never healthy"),
        Column("error_count", "int64", False, "errors in this observation", 0.0),
        Column("feedback_score", "float64", False, "1 (bad) to 5 (good)", 1.0, 5.0),
        Column("session_seconds", "float64", False, "seconds spent", 0.0),
        Column("app_version", "string", False, "version of the client"),
        Column("platform", "string", False, "web, ios, android, ..."),
    ),
    ("observation_id",),
    "observed_at",
)

SERIES = Table(
    "series",
    "one row per feature, signal and instant: a measure that was aggregated elsewhere",
    (
        Column("feature_id", "string", True, "the feature, machine or service measured"),
        Column("signal", "string", True, "what was measured, for example cpu_percent"),
        Column("at", "timestamp", True, "start of the bucket (UTC)"),
        Column("value", "float64", False, "its value, of any sign; NULL is a gap"),
        Column("observations", "int64", False, "how many observations it is made of; NULL when unknown", 0.0),
    ),
    ("feature_id", "signal", "at"),
    "at",
)

ANNOTATIONS = Table(
    "annotations",
    "one row per deployment, incident or experiment mark",
    (
        Column("at", "timestamp", True, "when (UTC)"),
        Column("kind", "string", True, "deployment, incident or experiment"),
        Column("feature_id", "string", False, "the feature concerned; NULL for all"),
        Column("label", "string", False, "text shown on charts"),
    ),
    ("at", "kind", "feature_id", "label"),
    "at",
)

FEATURES = Table(
    "features",
    "one row per feature",
    (
        Column("feature_id", "string", True, "key"),
        Column("feature_name", "string", False, "readable name"),
        Column("owner_team", "string", False, "who answers for it"),
        Column("lifecycle_stage", "string", False, "alpha, beta, ga, sunset"),
        Column("released_on", "timestamp", False, "release date"),
        Column("slo_p95_latency_ms", "float64", False, "declared ceiling of daily p95 latency", 0.0),
        Column("slo_crash_free_users", "float64", False, "declared floor of crash-free users", 0.0, 1.0),
        Column(
            "slo_error_rate", "float64", False, "declared ceiling of the share of observations with an error", 0.0, 1.0
        ),
        Column("slo_feedback_score", "float64", False, "declared floor of the mean feedback", 1.0, 5.0),
        Column("start_event", "string", False, "event with which an attempt begins"),
        Column("complete_event", "string", False, "event with which an attempt is finished"),
        Column("view_event", "string", False, "event with which its value is seen, for example a result"),
        Column("share_event", "string", False, "event with which its value is passed on"),
        Column("interaction_events", "string", False, "events that are uses of it: a JSON list of names, or one name"),
    ),
    ("feature_id",),
    None,
)

EXPERIMENTS = Table(
    "experiments",
    "one row per planned experiment",
    (
        Column("experiment_id", "string", True, "key, as in its exposures"),
        Column("control", "string", True, "its control variant"),
        Column("plan", "string", True, "the rest of the plan as a JSON object: metrics, shares, planned_units, ..."),
    ),
    ("experiment_id",),
    None,
)

REJECTED = Table(
    "rejected",
    "one row per refused input row",
    (
        Column("table_name", "string", True, "the table it was meant for"),
        Column("source", "string", True, "file name, kafka:topic/partition or spool/writer"),
        Column("line", "int64", False, "line or row number in the source, from 1; of a stream the offset, from 0"),
        Column("reason", "string", True, "which rule it broke"),
        Column("raw", "string", False, "the row as text"),
        Column("rejected_at", "timestamp", True, "when (UTC)"),
    ),
    ("table_name", "source", "line"),
    None,
)

GAPS = Table(
    "gaps",
    "one row per stretch of a source partition that was gone before it could be read",
    (
        Column("source", "string", True, "kafka:topic or spool"),
        Column("partition", "string", True, "partition of the topic, or writer of the spool"),
        Column("from_offset", "int64", True, "first offset that could not be read"),
        Column("to_offset", "int64", True, "offset at which reading went on; the stretch ends before it"),
        Column("reason", "string", True, "why it was gone"),
        Column("noticed_at", "timestamp", True, "when (UTC)"),
    ),
    ("source", "partition", "from_offset"),
    None,
)

TABLES: dict[str, Table] = {
    t.name: t for t in (EVENTS, TELEMETRY, SERIES, ANNOTATIONS, FEATURES, EXPERIMENTS, REJECTED, GAPS)
}

NDJSON = "application/x-ndjson"

PropertyType = Literal["string", "number", "integer", "boolean"]


class Property(NamedTuple):
    """One typed property of an event."""

    name: str
    type: PropertyType
    required: bool
    description: str


QUIZ_ID = Property("quiz_id", "string", True, "which quiz, for example laptop")
OF_QUIZ = QUIZ_ID._replace(required=False)

EVENT_PROPERTIES: dict[str, tuple[Property, ...]] = {
    "quiz_started": (QUIZ_ID, Property("entry", "string", False, "how the user came: start, restart or shared_link")),
    "slider_adjusted": (
        OF_QUIZ,
        Property("slider", "string", True, "which slider, for example budget"),
        Property("value", "number", True, "the value it came to rest on"),
        Property("previous_value", "number", False, "the value before"),
    ),
    "option_selected": (
        OF_QUIZ,
        Property("question", "string", False, "the question the option answers"),
        Property("option", "string", True, "the option chosen, for example light"),
    ),
    "quiz_completed": (
        QUIZ_ID,
        Property("interactions", "integer", False, "sliders moved and options chosen in this quiz"),
        Property("duration_ms", "integer", False, "milliseconds from quiz_started to here"),
    ),
    "result_viewed": (
        OF_QUIZ,
        Property("result", "string", True, "the recommendation shown"),
        Property("score", "number", False, "how well it fits, 0 to 1"),
    ),
    "result_shared": (
        OF_QUIZ,
        Property("result", "string", False, "the recommendation shared"),
        Property("channel", "string", True, "link, native, mail, ..."),
    ),
}
"""Typed properties of the configurator's events.

The SDKs are made from them; the collector holds the types of those that are there, and admits any further property and
event.
"""

CONFIGURATOR_EVENTS = tuple(EVENT_PROPERTIES)
INTERACTION_EVENTS = ("slider_adjusted", "option_selected")
EXPOSURE_EVENT = "experiment_exposed"
