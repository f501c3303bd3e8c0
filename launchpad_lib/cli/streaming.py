"""`launchpad stream`, `compact` and `live`: events into the lake as they come."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchpad_lib.contract.pseudonyms import Pseudonyms
    from launchpad_lib.ingestion.stream.worker import Source


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds stream, compact and live."""
    streaming = commands.add_parser(
        "stream",
        help="events from Kafka or a spool into the lake, each once",
        epilog="TLS and SASL: LAUNCHPAD_KAFKA_* variables.",
    )
    streaming.set_defaults(run=_stream)
    streaming.add_argument(
        "--from", dest="source", required=True, metavar="SOURCE", help="kafka://host:port/topic or spool:DIR"
    )
    streaming.add_argument("--lake", required=True, help="folder of the Delta tables")
    streaming.add_argument(
        "--reports", help="further kept reports, whose table versions stay readable beside those that the lake knows of"
    )
    streaming.add_argument("--metrics-port", type=int, help="serve Prometheus metrics on 127.0.0.1 (0: any free port)")
    streaming.add_argument("--commit-every-ms", type=int, default=50, help="least time between commits (default: 50)")
    streaming.add_argument(
        "--dedupe-window", type=int, default=1_000_000, help="event ids remembered, 64 bytes each (default: 1000000)"
    )
    streaming.add_argument(
        "--idle-exit-seconds", type=float, help="stop when nothing came for so long (default: never)"
    )
    streaming.add_argument(
        "--pseudonymise",
        action="store_true",
        help="keep a keyed hash of user_id in its place (salt: LAUNCHPAD_PSEUDONYM_SALT)",
    )
    compaction = commands.add_parser(
        "compact", help="merge small files, drop duplicates, delete what no kept report names"
    )
    compaction.set_defaults(run=_compact)
    compaction.add_argument("--lake", required=True, help="folder of the Delta tables")
    compaction.add_argument(
        "--reports", help="further kept reports, whose table versions stay readable beside those that the lake knows of"
    )
    compaction.add_argument(
        "--grace-minutes", type=float, default=60, help="how long a file stays after no version names it (default: 60)"
    )
    compaction.add_argument(
        "--dry-run", action="store_true", help="say what would be merged and deleted, and change nothing"
    )
    live = commands.add_parser("live", help="the last minutes: events, completion, latency, refused, lag, watermark")
    live.set_defaults(run=_live)
    live.add_argument("--lake", required=True, help="folder of the Delta tables")
    live.add_argument("--minutes", type=float, default=5, help="how far back (default: 5)")
    live.add_argument(
        "--metrics", metavar="URL", help="the stream worker's metrics, for the lag: http://127.0.0.1:PORT/metrics"
    )
    live.add_argument("--every-seconds", type=float, default=2, help="between looks (default: 2)")
    live.add_argument(
        "--alerts", metavar="PARAMS", help="judge and send the rules on live figures of this params file at each look"
    )
    live.add_argument("--once", action="store_true", help="print once and end")


def _stream(arguments: argparse.Namespace) -> int:
    from launchpad_lib.contract.pseudonyms import Pseudonyms

    return stream(
        arguments.source,
        lake=Path(arguments.lake),
        reports=Path(arguments.reports) if arguments.reports else None,  # it may come later
        metrics_port=arguments.metrics_port,
        commit_every_ms=arguments.commit_every_ms,
        dedupe_window=arguments.dedupe_window,
        idle_exit_seconds=arguments.idle_exit_seconds,
        pseudonyms=Pseudonyms.from_environment(os.environ) if arguments.pseudonymise else None,
        say=lambda text: print(text, flush=True),
    )


def _compact(arguments: argparse.Namespace) -> int:
    from launchpad_lib.lake.compaction import compact
    from launchpad_lib.lake.compaction_plan import would_compact

    reports, grace_seconds = _folder(arguments.reports), arguments.grace_minutes * 60
    if arguments.dry_run:
        print("\n".join(would_compact(Path(arguments.lake), reports=reports, grace_seconds=grace_seconds)))
        return 0
    compact(Path(arguments.lake), reports=reports, say=print, grace_seconds=grace_seconds)
    return 0


def _folder(reports: str | None) -> Path | None:
    """A reports folder that somebody names must be there: a misspelt one would cost the versions that its
    reports name.
    """
    if reports is not None and not Path(reports).is_dir():
        raise ValueError(f"reports={reports!r}: there is no such folder; correct the path, or leave it out")
    return None if reports is None else Path(reports)


def _live(arguments: argparse.Namespace) -> int:
    from launchpad_lib.runner.live import show_live

    return show_live(
        Path(arguments.lake),
        minutes=arguments.minutes,
        metrics=arguments.metrics,
        every_seconds=arguments.every_seconds,
        rounds=1 if arguments.once else None,
        look=_live_rules(arguments.alerts) if arguments.alerts else None,
    )


def _live_rules(params: str) -> Callable[..., str]:
    """What judges the live rules of a params file; its folder of reports is that of its workbook."""
    from launchpad_lib.delivery.channels import check_secrets
    from launchpad_lib.runner.live_alerts import LiveAlerts
    from launchpad_lib.runner.parameters import load_run
    from launchpad_lib.runner.workbook import workbook_of

    run = load_run(Path(params))
    check_secrets({name: run.channels[name] for rule in run.alerts if rule.is_live for name in rule.to})
    return LiveAlerts(run.model_copy(update={"reports": str(workbook_of(Path(params)) / run.reports)})).look


def open_source(address: str) -> Source:
    """The source of an address: kafka://host:port/topic or spool:DIR.

    Raises:
        SourceError: the address has neither form, or nobody answers there.
    """
    from launchpad_lib.ingestion.stream.worker import SourceError

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
    address: str,
    *,
    lake: Path,
    reports: Path | None,
    metrics_port: int | None,
    commit_every_ms: int,
    dedupe_window: int,
    idle_exit_seconds: float | None,
    pseudonyms: Pseudonyms | None = None,
    say: Callable[[str], None],
) -> int:
    """Runs the worker until SIGTERM or SIGINT; what was read by then is committed."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server

    from launchpad_lib.contract.private import private_folder
    from launchpad_lib.ingestion.stream.monitoring import StreamMetrics
    from launchpad_lib.ingestion.stream.sink import StreamSink
    from launchpad_lib.ingestion.stream.worker import StreamSettings, StreamWorker
    from launchpad_lib.lake.compaction import Upkeep
    from launchpad_lib.lake.refused_damage import refuse_damage

    if not 1 <= commit_every_ms <= 60_000:
        raise ValueError(f"commit-every-ms={commit_every_ms}: must be 1 to 60000; choose for example 50")
    speak = _that_never_fails(say)
    stopping = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopping.set())
    refuse_damage(lake, logs_only=True)
    source = open_source(address)
    private_folder(lake)
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    try:
        sink = StreamSink(lake, source_name=source.name, dedupe_window=dedupe_window)
        observer = StreamMetrics(registry=registry, say=speak, after_commit=Upkeep(lake, reports=reports, say=speak))
        if metrics_port is not None:
            server, _ = start_http_server(metrics_port, addr="127.0.0.1", registry=registry)
            speak(f"metrics: http://127.0.0.1:{server.server_port}/metrics")
        settings = StreamSettings(
            commit_every_seconds=commit_every_ms / 1000, idle_exit_seconds=idle_exit_seconds, pseudonyms=pseudonyms
        )
        worker = StreamWorker(source, sink, observer=observer, settings=settings)
        speak(f"streaming {source.name} into {lake}")
        worker.run(stopping.is_set)
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
