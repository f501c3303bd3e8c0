"""`launchpad simulate`: files of a simulated product, or live traffic of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds simulate."""
    simulation = commands.add_parser("simulate", help="write simulated events and telemetry")
    simulation.set_defaults(run=_simulate)
    simulation.add_argument(
        "--out", default="data/raw/simulated", help="folder for the files (default: data/raw/simulated)"
    )
    simulation.add_argument(
        "--seed", type=int, default=20260101, help="the same seed gives the same data (default: 20260101)"
    )
    simulation.add_argument("--users", type=int, help="default: 500")
    simulation.add_argument("--days", type=int, default=14, help="days of events (default: 14)")
    simulation.add_argument(
        "--to",
        metavar="TARGET",
        help="send live traffic instead: kafka://host:port/topic, spool:DIR or http://host:port of a collector",
    )
    simulation.add_argument(
        "--events",
        type=int,
        help="about how many, instead of --users; with --to: just how many (default: 10000)",
    )
    simulation.add_argument(
        "--format",
        choices=["jsonl.gz", "jsonl", "parquet"],
        default="jsonl.gz",
        help="of the event files; Parquet is written fastest (default: jsonl.gz)",
    )
    simulation.add_argument(
        "--rate", type=float, help="with --to: events per second (default: as fast as acknowledged)"
    )
    simulation.add_argument("--envelope", type=int, default=1, help="with --to kafka: events per record (default: 1)")
    simulation.add_argument("--ledger", help="with --to: file that gets every acknowledged event_id")


def _simulate(arguments: argparse.Namespace) -> int:
    if arguments.to:
        return simulate_to(
            arguments.to,
            events=10_000 if arguments.events is None else arguments.events,
            rate_per_second=arguments.rate,
            envelope=arguments.envelope,
            seed=arguments.seed,
            ledger=Path(arguments.ledger) if arguments.ledger else None,
            say=print,
        )
    from launchpad_lib.simulation import simulate, users_for

    if arguments.events is not None and arguments.users is not None:
        raise ValueError("events, users: say how many events or how many users, not both; leave out one")
    users = 500 if arguments.users is None else arguments.users
    if arguments.events is not None:
        users = users_for(arguments.events, days=arguments.days)
    result = simulate(
        Path(arguments.out), seed=arguments.seed, users=users, days=arguments.days, file_format=arguments.format
    )
    print(result.rows)
    return 0


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
    """Sends simulated traffic to kafka://host:port/topic, spool:DIR or http://host:port (a collector) and says what
    must arrive.
    """
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
        f"acknowledged in {done.seconds:.1f} s: {done.sent:,} sent = {done.unique:,} events + "
        f"{done.duplicates:,} duplicates + {done.malformed:,} malformed"
    )
    completion = done.completed_quizzes / max(done.started_quizzes, 1)
    by = " (by the collector itself)" if address.startswith("http") else ""
    say(
        f"so the lake must have {done.unique:,} more events ({done.late:,} late) and {done.malformed:,} more "
        f"refused{by}; completion {completion:.3f}"
    )
    return 0
