"""`launchpad`: the command. Heavy imports are inside the commands, so that help is instant."""

from __future__ import annotations

import argparse
import sys


class _HelpWithParameters(argparse.Action):
    """Help, then the parameters of the run; these are looked up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from launchpad_lib.runner.parameter_table import describe
        from launchpad_lib.runner.parameters import NOTEBOOKS, RunParams

        parser.print_help()
        print(
            f"\na params file takes (those of a notebook: launchpad params NAME, of {', '.join(NOTEBOOKS)}):\n\n{describe(RunParams)}"
        )
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launchpad", description="Did the feature work, and is it healthy?")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="ingest, run the notebooks, publish", add_help=False)
    report.add_argument(
        "-h", "--help", action=_HelpWithParameters, nargs=0, help="show this, and what a params file takes"
    )
    report.add_argument("params", help="params file, for example params/weekly.yaml")
    report.add_argument("--run-id", help="name of the run's folder (default: name and time)")
    commands.add_parser("ingest", help="bring the lake up to date").add_argument(
        "params", help="params file, for example params/weekly.yaml"
    )
    parameters = commands.add_parser("params", help="list parameters of the run or of a notebook")
    parameters.add_argument("notebook", nargs="?", help="for example funnels (default: those of a run)")
    simulation = commands.add_parser("simulate", help="write simulated events and telemetry")
    simulation.add_argument(
        "--out", default="data/raw/simulated", help="folder for the files (default: data/raw/simulated)"
    )
    simulation.add_argument(
        "--seed", type=int, default=20260101, help="the same seed gives the same data (default: 20260101)"
    )
    simulation.add_argument("--users", type=int, default=500, help="default: 500")
    simulation.add_argument("--days", type=int, default=14, help="days of events (default: 14)")
    past = commands.add_parser("history", help="what earlier runs said of a metric")
    past.add_argument("name", help="name of the run, for example weekly")
    past.add_argument("--metric", help="only this one, for example completion_rate_session")
    past.add_argument("--reports", default="reports", help="folder of the reports (default: reports)")
    app = commands.add_parser("app", help="the notebooks as live apps (Voila) on this machine")
    app.add_argument("--port", type=int, default=8866, help="default: 8866")
    app.add_argument("--notebooks", default="notebooks", help="folder of the notebooks (default: notebooks)")
    collect = commands.add_parser("collect", help="take events over HTTP into a spool; serves the configurator at /")
    collect.add_argument("--spool", required=True, help="folder that keeps the events")
    collect.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    collect.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    collect.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        help="web origin that may send, such as https://shop.example; repeatable",
    )
    collect.add_argument(
        "--write-keys", help="file with one write key a line (else LAUNCHPAD_WRITE_KEYS, comma-separated)"
    )
    collect.add_argument(
        "--rate", type=float, default=0.0, help="events a second per write key or client; 0 is no limit"
    )
    collect.add_argument(
        "--burst", type=float, default=0.0, help="events that may come at once (default: one second's)"
    )
    collect.add_argument(
        "--max-body-bytes", type=int, default=1024 * 1024, help="of a request, unpacked too (default: 1048576)"
    )
    forward = commands.add_parser("forward", help="move a spool on to Kafka, at least once")
    forward.add_argument("--spool", required=True, help="folder that keeps the events")
    forward.add_argument("--to", required=True, help="kafka://host:port[,host:port]/topic")
    forward.add_argument(
        "--format",
        choices=("envelope", "single"),
        default="envelope",
        help="several events per record (default), or one",
    )
    forward.add_argument(
        "--keep",
        choices=("all", "unsent"),
        default="all",
        help="`unsent` removes finished segments once they are in Kafka",
    )
    forward.add_argument(
        "--until", choices=("stopped", "empty"), default="stopped", help="`empty` ends when everything is forwarded"
    )
    streaming = commands.add_parser(
        "stream",
        help="events from Kafka or a spool into the lake, each once",
        epilog="TLS and SASL: LAUNCHPAD_KAFKA_* variables.",
    )
    streaming.add_argument(
        "--from", dest="source", required=True, metavar="SOURCE", help="kafka://host:port/topic or spool:DIR"
    )
    streaming.add_argument("--lake", required=True, help="folder of the Delta tables")
    streaming.add_argument(
        "--reports", default="reports", help="kept reports, whose table versions stay readable (default: reports)"
    )
    streaming.add_argument("--metrics-port", type=int, help="serve Prometheus metrics on 127.0.0.1 (0: any free port)")
    streaming.add_argument("--commit-every-ms", type=int, default=150, help="least time between commits (default: 150)")
    streaming.add_argument(
        "--dedupe-window", type=int, default=1_000_000, help="event ids remembered, 64 bytes each (default: 1000000)"
    )
    streaming.add_argument(
        "--idle-exit-seconds", type=float, help="stop when nothing came for so long (default: never)"
    )
    compaction = commands.add_parser(
        "compact", help="merge small files, drop duplicates, delete what no kept report names"
    )
    compaction.add_argument("--lake", required=True, help="folder of the Delta tables")
    compaction.add_argument(
        "--reports", default="reports", help="kept reports, whose table versions stay readable (default: reports)"
    )
    compaction.add_argument(
        "--grace-minutes", type=float, default=60, help="how long a file stays after no version names it (default: 60)"
    )
    simulation.add_argument(
        "--to",
        metavar="TARGET",
        help="send live traffic instead: kafka://host:port/topic, spool:DIR or http://host:port of a collector",
    )
    simulation.add_argument("--events", type=int, default=10_000, help="with --to: how many (default: 10000)")
    simulation.add_argument(
        "--rate", type=float, help="with --to: events per second (default: as fast as acknowledged)"
    )
    simulation.add_argument("--envelope", type=int, default=1, help="with --to kafka: events per record (default: 1)")
    simulation.add_argument("--ledger", help="with --to: file that gets every acknowledged event_id")
    live = commands.add_parser("live", help="the last minutes: events, completion, latency, refused, lag, watermark")
    live.add_argument("--lake", required=True, help="folder of the Delta tables")
    live.add_argument("--minutes", type=float, default=5, help="how far back (default: 5)")
    live.add_argument(
        "--metrics", metavar="URL", help="the stream worker's metrics, for the lag: http://127.0.0.1:PORT/metrics"
    )
    live.add_argument("--every-seconds", type=float, default=2, help="between looks (default: 2)")
    live.add_argument("--once", action="store_true", help="print once and end")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all well, 1 a notebook failed, 2 bad parameters or input."""
    arguments = _parser().parse_args(argv)
    try:
        return _dispatch(arguments)
    except (ValueError, OSError) as error:
        print(f"launchpad: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("launchpad: stopped; nothing half-written is kept", file=sys.stderr)
        return 130


def _dispatch(arguments: argparse.Namespace) -> int:
    import difflib
    import re
    from datetime import UTC, datetime
    from pathlib import Path

    if arguments.command == "simulate":
        if arguments.to:
            from launchpad_lib.cli.streaming import simulate_to

            return simulate_to(
                arguments.to, events=arguments.events, rate_per_second=arguments.rate, envelope=arguments.envelope, seed=arguments.seed,
                ledger=Path(arguments.ledger) if arguments.ledger else None, say=print,
            )  # fmt: skip
        from launchpad_lib.simulation import simulate

        print(simulate(Path(arguments.out), seed=arguments.seed, users=arguments.users, days=arguments.days).rows)
        return 0
    if arguments.command == "history":
        from launchpad_lib.runner.history import history_lines

        print("\n".join(history_lines(Path(arguments.reports), arguments.name, metric=arguments.metric)))
        return 0
    if arguments.command == "app":
        from launchpad_lib.runner.app import serve_app

        return serve_app(Path(arguments.notebooks), port=arguments.port)
    if arguments.command == "collect":
        from launchpad_lib.collector import Settings, serve
        from launchpad_lib.collector.settings import write_keys_from

        settings = Settings(
            Path(arguments.spool),
            write_keys=write_keys_from(Path(arguments.write_keys) if arguments.write_keys else None),
            allowed_origins=tuple(arguments.allow_origin),
            rate_per_second=arguments.rate,
            burst_events=arguments.burst,
            max_body_bytes=arguments.max_body_bytes,
        )
        return serve(settings, host=arguments.host, port=arguments.port)
    if arguments.command == "forward":
        from launchpad_lib.collector.forwarder import Forwarder, KafkaTarget, run

        forwarder = Forwarder(
            Path(arguments.spool), KafkaTarget(arguments.to, form=arguments.format), keep=arguments.keep
        )
        return run(forwarder, until=arguments.until, say=print)
    from launchpad_lib.runner.parameters import NOTEBOOKS, ParameterError, RunParams, load_run

    if arguments.command == "stream":
        from launchpad_lib.cli.streaming import stream

        return stream(
            arguments.source, lake=Path(arguments.lake), reports=Path(arguments.reports), metrics_port=arguments.metrics_port,
            commit_every_ms=arguments.commit_every_ms, dedupe_window=arguments.dedupe_window, idle_exit_seconds=arguments.idle_exit_seconds,
            say=lambda text: print(text, flush=True),
        )  # fmt: skip
    if arguments.command == "live":
        from launchpad_lib.runner.live import show_live

        rounds = 1 if arguments.once else None
        return show_live(
            Path(arguments.lake),
            minutes=arguments.minutes,
            metrics=arguments.metrics,
            every_seconds=arguments.every_seconds,
            rounds=rounds,
        )
    if arguments.command == "compact":
        from launchpad_lib.lake.compaction import compact

        compact(
            Path(arguments.lake), reports=Path(arguments.reports), say=print, grace_seconds=arguments.grace_minutes * 60
        )
        return 0

    if arguments.command == "params":
        if arguments.notebook and arguments.notebook not in NOTEBOOKS:
            near = difflib.get_close_matches(arguments.notebook, NOTEBOOKS, n=1)
            raise ParameterError(
                f"notebook={arguments.notebook!r}: {f'did you mean {near[0]!r}?' if near else 'choose one.'} There are {', '.join(NOTEBOOKS)}"
            )
        from launchpad_lib.runner.parameter_table import describe

        print(describe(NOTEBOOKS[arguments.notebook] if arguments.notebook else RunParams))
        return 0
    from launchpad_lib.runner.run import bring_up_to_date, run_report

    run, now = load_run(Path(arguments.params)), datetime.now(UTC)
    if arguments.command == "ingest":
        bring_up_to_date(run, now=now, say=print)
        return 0
    run_id = arguments.run_id or f"{run.name}-{now:%Y%m%dT%H%M%SZ}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}", run_id):
        raise ParameterError(f"run-id={run_id!r}: letters, digits, _ . - only, not starting with a dot; choose another")
    from launchpad_lib.runner.progress import progress_for

    with progress_for(sys.stdout) as progress:
        return run_report(run, now=now, run_id=run_id, progress=progress)


if __name__ == "__main__":
    sys.exit(main())
