"""The collector's Prometheus metrics. One registry per app, so that two apps in a process do not meet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

RULES = ("malformed", "invalid", "too_large", "too_deep")
OUTCOMES = (
    "accepted",
    "partial",
    "refused",
    "unauthorised",
    "misdirected",
    "forbidden_origin",
    "too_large",
    "rate_limited",
    "unavailable",
)
TURNED_AWAY = ("connections", "head", "slow")
disable_created_metrics()  # a timestamp beside every counter doubles the page and tells nothing here
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Monitor:
    """Names and meanings of the collector's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        events = Counter("launchpad_collector_events", "Events by outcome", ["outcome"], registry=self.registry)
        self.accepted, self.duplicates, self.refused = (events.labels(o) for o in ("accepted", "duplicate", "refused"))
        refusals = Counter("launchpad_collector_refusals", "Refused events by rule", ["rule"], registry=self.registry)
        self.refusals = {rule: refusals.labels(rule) for rule in RULES}
        requests = Counter(
            "launchpad_collector_requests",
            "Requests to /v1/events by outcome, and what /v1/annotations turned away",
            ["outcome"],
            registry=self.registry,
        )
        self.requests = {outcome: requests.labels(outcome) for outcome in OUTCOMES}
        turned = Counter(
            "launchpad_collector_turned_away", "Connections closed before a request", ["reason"], registry=self.registry
        )
        self.turned_away = {reason: turned.labels(reason) for reason in TURNED_AWAY}
        self.request_seconds = Histogram(
            "launchpad_collector_request_seconds",
            "Time from the body read to the answer, sync included",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.sync_seconds = Histogram(
            "launchpad_collector_spool_sync_seconds",
            "Time of one write and fdatasync",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.spooled_bytes = Counter(
            "launchpad_collector_spooled_bytes", "Bytes written to the spool", registry=self.registry
        )
        self.last_event_at = Gauge(
            "launchpad_collector_last_event_timestamp_seconds",
            "When the last event was kept (Unix seconds)",
            registry=self.registry,
        )
        self.spool_bytes = Gauge(
            "launchpad_collector_spool_bytes", "Size of the spool's segments, sent ones too", registry=self.registry
        )
        self.spool_limit_bytes = Gauge(
            "launchpad_collector_spool_limit_bytes", "Size at which events are answered 503", registry=self.registry
        )
        self.is_writable = Gauge(
            "launchpad_collector_spool_writable", "1 when the last write to the spool succeeded", registry=self.registry
        )
        self.is_writable.set(1)

    def group(self, size_bytes: int, seconds: float) -> None:
        """One synced group of lines."""
        self.sync_seconds.observe(seconds)
        self.spooled_bytes.inc(size_bytes)
