"""`launchpad collect` and `forward`: events over HTTP into a spool, and on to Kafka."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds collect and forward."""
    collect = commands.add_parser("collect", help="take events over HTTP into a spool; serves the configurator at /")
    collect.set_defaults(run=_collect)
    collect.add_argument("--spool", required=True, help="folder that keeps the events")
    collect.add_argument(
        "--annotations", help="folder that keeps what POST /v1/annotations tells (default: it is not taken)"
    )
    collect.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    collect.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    collect.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        help="web origin that may send, such as https://shop.example; repeatable",
    )
    collect.add_argument(
        "--allow-host",
        action="append",
        default=[],
        help="name that requests may be addressed to, besides this machine's own; repeatable (default: any, or on "
        "loopback this machine's names only)",
    )
    collect.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        help="address of a proxy whose X-Forwarded-For is believed; repeatable (default: nobody's)",
    )
    collect.add_argument(
        "--max-spool-bytes",
        type=int,
        default=64 << 30,
        help="events are answered 503 while the spool is larger (default: 64 GiB)",
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
    forward.set_defaults(run=_forward)
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


def _collect(arguments: argparse.Namespace) -> int:
    from launchpad_lib.collector import Settings, serve
    from launchpad_lib.collector.settings import write_keys_from

    settings = Settings(
        Path(arguments.spool),
        write_keys=write_keys_from(Path(arguments.write_keys) if arguments.write_keys else None),
        allowed_origins=tuple(arguments.allow_origin),
        rate_per_second=arguments.rate,
        burst_events=arguments.burst,
        max_body_bytes=arguments.max_body_bytes,
        max_spool_bytes=arguments.max_spool_bytes,
        allowed_hosts=tuple(arguments.allow_host),
        trusted_proxies=tuple(arguments.trusted_proxy),
        annotations=Path(arguments.annotations) if arguments.annotations else None,
    )
    return serve(settings, host=arguments.host, port=arguments.port)


def _forward(arguments: argparse.Namespace) -> int:
    from launchpad_lib.collector.forwarder import Forwarder, KafkaTarget, run

    forwarder = Forwarder(Path(arguments.spool), KafkaTarget(arguments.to, form=arguments.format), keep=arguments.keep)
    return run(forwarder, until=arguments.until, say=print)
