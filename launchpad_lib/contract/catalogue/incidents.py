"""Incidents: what was out of the ordinary and ended by itself, or still goes on."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column

INCIDENTS_NOW = Metric(
    name="incidents_now",
    label="Series in an incident now",
    question="How many signals of features are out of the ordinary now?",
    numerator="series of a feature and signal whose incident had not ended by the run's instant",
    denominator="series that could be judged, in buckets of {bucket}",
    interval="",
    unit="count",
    direction="lower",
    maturity="{unjudged} series could not be judged and are in neither count; {silent} fell silent",
    source="shared definitions, Telemetry: incident",
)
INCIDENTS_SEEN = Metric(
    name="incidents_seen",
    label="Incidents in the whole history",
    question="How often was a signal out of the ordinary?",
    numerator="runs of buckets outside the seasonal expectation that was known before them; a healthy feature raises at"
    " most {budget} of them in 30 days",
    denominator="buckets that were judged, over all series",
    interval="",
    unit="count",
    direction="lower",
    maturity="The first two days of a series (21 buckets, if that is more) are not judged",
    source="shared definitions, Telemetry: incident",
)
_KEYS = (
    Column("feature_id", "string", True, "the feature, or what a series of the table `series` measures"),
    Column(
        "signal",
        "string",
        True,
        "p95_latency_ms, error_rate, crash_rate, mean_feedback_score, observations, or its own",
    ),
    Column("bucket", "string", True, "5 minutes, hour or day"),
)
INCIDENTS = ResultTable(
    "incidents",
    "one row per feature, signal and incident",
    (
        *_KEYS,
        Column("started_at", "timestamp", True, "first bucket of the run that is out of the ordinary (UTC)"),
        Column("detected_at", "timestamp", True, "the bucket whose value told it (UTC)"),
        Column("ended_at", "timestamp", False, "first ordinary bucket after it; NULL while it goes on"),
        Column("score", "float64", True, "minus the decimal logarithm of the probability of its strangest bucket"),
        Column("size", "float64", True, "value - expected, in the unit of the signal"),
        Column(
            "value", "float64", True, "of the bucket farthest from what was expected; a rate or number: of all of it"
        ),
        Column("expected", "float64", True, "what was expected there, from the buckets before"),
        Column("observations", "float64", False, "of all its buckets; NULL where they are not known"),
        Column("users", "int64", False, "users who met it: slower than expected, an error, a crash, a worse score"),
    ),
)
WATCHED = ResultTable(
    "watched",
    "one row per feature and signal with a series",
    (
        *_KEYS,
        Column("first_at", "timestamp", False, "first known bucket (UTC)"),
        Column("last_at", "timestamp", False, "last known bucket (UTC)"),
        Column("buckets", "int64", True, "from the first known bucket to the last"),
        Column("missing", "int64", True, "gaps among them"),
        Column("judged", "int64", True, "known buckets in which an incident could be told"),
        Column("silent_buckets", "int64", True, "gaps after the last known bucket, up to the run's instant"),
        Column("is_silent", "boolean", False, "silent for more than twice its longest gap; NULL with too few buckets"),
        Column("incidents", "int64", True, "incidents found"),
        Column("is_incident_now", "boolean", False, "whether one goes on; NULL where it could not be judged"),
        Column("refused_because", "string", False, "why it could not be judged; NULL where it was"),
    ),
)
METRICS: tuple[Metric, ...] = (INCIDENTS_NOW, INCIDENTS_SEEN)
TABLES: tuple[ResultTable, ...] = (INCIDENTS, WATCHED)
