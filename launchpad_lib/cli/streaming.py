"""`launchpad stream` and `launchpad simulate --to`: the parts put together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from launchpad_lib.ingestion.stream.worker import Source, SourceError


def open_source(address: str) -> Source:
    """The source of an address: kafka://host:port/topic or spool:DIR.

    Raises:
        SourceError: the address has neither form, or nobody answers there.
    """
    if address.startswith("kafka://"):
        from launchpad_lib.ingestion.stream.kafka_source import KafkaSource
        from launchpad_lib.kafka.settings import address_of, settings_from

        servers, topic = address_of(address, argument="from")
        return KafkaSource(",".join(servers), topic, settings=settings_from(os.environ))
    if address.startswith("spool:"):
        from launchpad_lib.ingestion.stream.spool_source import SpoolSource

        return SpoolSource(address.removeprefix("spool:"))
    raise SourceError(
        f"from={address.split('@')[-1]!r}: no such kind of source; write kafka://host:port/topic or spool:DIR"
    )


def stream(
    address: str, *, lake: Path, reports: Path, metrics_port: int | None, commit_every_ms: int, dedupe_window: int, idle_exit_seconds: float | None,
    say: Callable[[str], None],
) -> int:  # fmt: skip
    """Runs the worker until SIGTERM or SIGINT; what was read by then is committed."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server

    from launchpad_lib.ingestion.stream.monitoring import StreamMetrics
    from launchpad_lib.ingestion.stream.sink import StreamSink
    from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
    from launchpad_lib.lake.compaction import Upkeep

    if not 1 <= commit_every_ms <= 60_000:
        raise ValueError(f"commit-every-ms={commit_every_ms}: must be 1 to 60000; choose for example 150")
    speak = _that_never_fails(say)
    stopping = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopping.set())
    source = open_source(address)
    lake.mkdir(parents=True, exist_ok=True)
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    try:
        sink = StreamSink(lake, source_name=source.name, dedupe_window=dedupe_window)
        observer = StreamMetrics(registry=registry, say=speak, after_commit=Upkeep(lake, reports=reports, say=speak))
        if metrics_port is not None:
            server, _ = start_http_server(metrics_port, addr="127.0.0.1", registry=registry)
            speak(f"metrics: http://127.0.0.1:{server.server_port}/metrics")
        settings = StreamSettings(commit_every_seconds=commit_every_ms / 1000, idle_exit_seconds=idle_exit_seconds)
        speak(f"streaming {source.name} into {lake}")
        StreamWorker(source, sink, observer=observer, settings=settings).run(stopping.is_set)
    finally:
        source.close()
    speak(f"stopped; {lake / 'events'} is at version {sink.version}")
    return 0


def _that_never_fails(say: Callable[[str], None]) -> Callable[[str], None]:
    """A full disk often holds the log too; a sentence that cannot be written must not end the worker."""

    def speak(text: str) -> None:
        try:
            say(text)
        except OSError:
            pass

    return speak


def simulate_to(
    address: str,
    *,
    events: int,
    rate_per_second: float | None,
    envelope: int,
    seed: int,
    ledger: Path | None,
    say: Callable[[str], None],
) -> int:
    """Sends simulated traffic to kafka://host:port/topic, spool:DIR or http://host:port (a collector) and says what must arrive."""
    import uuid

    from launchpad_lib.simulation.traffic import CollectorSender, KafkaSender, Sender, SpoolSender, send_traffic

    sender: Sender
    if address.startswith("kafka://"):
        from launchpad_lib.kafka.settings import address_of, settings_from

        servers, topic = address_of(address, argument="to")
        sender = KafkaSender(",".join(servers), topic, is_envelope=envelope > 1, settings=settings_from(os.environ))
    elif address.startswith("spool:"):
        sender = SpoolSender(Path(address.removeprefix("spool:")))
    elif address.startswith(("http://", "https://")):
        sender = CollectorSender(address)
    else:
        raise ValueError(f"to={address!r}: write kafka://host:port/topic, spool:DIR or http://host:port of a collector")
    batch = max(envelope, 1) if envelope > 1 else 50
    done = send_traffic(
        sender,
        events=events,
        rate_per_second=rate_per_second,
        batch=batch,
        seed=seed,
        name=f"{uuid.uuid4().hex[:8]}-",
        ledger=ledger,
    )
    say(
        f"acknowledged in {done.seconds:.1f} s: {done.sent:,} sent = {done.unique:,} events + {done.duplicates:,} duplicates + {done.malformed:,} malformed"
    )
    completion = done.completed_quizzes / max(done.started_quizzes, 1)
    by = " (by the collector itself)" if address.startswith("http") else ""
    say(
        f"so the lake must have {done.unique:,} more events ({done.late:,} late) and {done.malformed:,} more refused{by}; completion {completion:.3f}"
    )
    return 0
