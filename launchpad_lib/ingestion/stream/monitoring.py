"""What the stream worker tells Prometheus. ops/ has the alert rules and the dashboard over these names."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from launchpad_lib.contract.tables import CONFIGURATOR_EVENTS
from launchpad_lib.ingestion.stream.sink import Prepared, Written

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class StreamMetrics:
    """The worker's observer: counts for Prometheus, sentences for the log."""

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        say: Callable[[str], None],
        after_commit: Callable[[int], None] | None = None,
    ) -> None:
        self._say, self._after_commit = say, after_commit
        self._events = Counter(
            "launchpad_stream_events", "Events committed to the lake", ["event_name"], registry=registry
        )
        self._rejected = Counter("launchpad_stream_rejected", "Events refused with a reason", registry=registry)
        self._duplicates = Counter(
            "launchpad_stream_duplicates", "Events left out because their event_id went by before", registry=registry
        )
        self._gaps = Counter(
            "launchpad_stream_gaps", "Stretches of a partition that were gone before they were read", registry=registry
        )
        self._commits = Counter("launchpad_stream_commits", "Commits to the events table", registry=registry)
        self._fenced = Counter(
            "launchpad_stream_fenced", "Commits given up because another worker had moved the offset", registry=registry
        )
        self._failures = Counter(
            "launchpad_stream_failures",
            "Attempts that the broker or the disk refused and that are tried again",
            registry=registry,
        )
        self._lag = Gauge(
            "launchpad_stream_lag",
            "Not read yet: records of a Kafka partition, bytes of a spool writer",
            ["partition"],
            registry=registry,
        )
        self._watermark = Gauge(
            "launchpad_stream_watermark_timestamp_seconds", "Newest received_at that is in the lake", registry=registry
        )
        self._last = Gauge(
            "launchpad_stream_last_commit_timestamp_seconds", "When the last commit ended", registry=registry
        )
        self._version = Gauge("launchpad_stream_table_version", "Version of the events table", registry=registry)
        self._seconds = Histogram(
            "launchpad_stream_commit_seconds", "Duration of a commit", buckets=SECONDS, registry=registry
        )
        self._delivery = Histogram(
            "launchpad_stream_delivery_seconds",
            "From received_at to committed, of the oldest event of each commit",
            buckets=SECONDS,
            registry=registry,
        )
        for name in (*CONFIGURATOR_EVENTS, "other"):
            self._events.labels(name)

    def committed(self, written: Written, prepared: Prepared, *, seconds: float) -> None:
        now = time.time()
        if prepared.rows.num_rows:
            other = prepared.rows.num_rows
            for item in pc.value_counts(prepared.rows["event_name"]).to_pylist():
                if item["values"] in CONFIGURATOR_EVENTS:
                    self._events.labels(item["values"]).inc(item["counts"])
                    other -= item["counts"]
            self._events.labels("other").inc(other)
            limits = pc.min_max(prepared.rows["received_at"].cast(pa.int64())).as_py()
            self._watermark.set(limits["max"] / 1e6)
            self._delivery.observe(max(now - limits["min"] / 1e6, 0.0))
        self._rejected.inc(written.refused)
        self._duplicates.inc(written.duplicates)
        self._gaps.inc(written.gaps)
        self._commits.inc()
        self._last.set(now)
        self._version.set(written.version)
        self._seconds.observe(seconds)
        if written.gaps:
            self._say(
                f"{written.gaps} gap(s): part of the source was gone before it could be read; the table `gaps` "
                "says what"
            )
        if self._after_commit is not None:
            self._after_commit(written.version)

    def waiting(self, *, lag: dict[str, int]) -> None:
        for partition, behind in lag.items():
            self._lag.labels(partition).set(behind)

    def fenced(self, reason: str) -> None:
        self._fenced.inc()
        self._say(f"fenced: {reason}; reading the offsets again")

    def failed(self, reason: str) -> None:
        self._failures.inc()
        self._say(reason)
