"""Kafka as a target of lines: one record per event, or envelopes of several events of one partition."""

from __future__ import annotations

import functools
import os
import time
from typing import Any, Literal

import msgspec

from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.kafka.settings import address_of, client_settings, settings_from

ENVELOPE_EVENTS = 50
PARTITIONS_SECONDS = 60.0


class TargetUnavailableError(OSError):
    """The target did not confirm; the lines must be sent again."""


class _Keyed(msgspec.Struct):
    user_id: str


_keyed = msgspec.json.Decoder(_Keyed)


class KafkaTarget:
    """`to` is kafka://host:port[,host:port]/topic.

    TLS and SASL settings come from LAUNCHPAD_KAFKA_SECURITY_PROTOCOL, _SASL_MECHANISM, ... .

    An envelope holds events of one partition only, and is keyed by its first user: each user's events stay in order in
    one partition.
    """

    def __init__(
        self, to: str, *, form: Literal["envelope", "single"] = "envelope", timeout_seconds: float = 30.0
    ) -> None:
        self._servers, self._topic = address_of(to, argument="to")
        self._form = form
        self._secure = settings_from(os.environ)
        self._timeout_seconds = timeout_seconds
        self._producer: Any = None
        self._partitions: list[int] = []
        self._asked_at = 0.0

    def send(self, lines: list[bytes]) -> None:
        """Sends lines and waits until every replica in sync has them (acks=all, idempotent)."""
        from confluent_kafka import KafkaException

        refused: list[str] = []

        def delivered(error: Any, _: object) -> None:
            if error is not None:
                refused.append(error.name())

        try:
            producer = self._connected()
            for partition, key, value, count in self._records(lines, self._partitions):
                headers = [("content-type", NDJSON.encode())] if count > 1 else None
                arguments = {"value": value, "key": key, "headers": headers, "partition": partition}
                while True:
                    try:
                        producer.produce(self._topic, **arguments, on_delivery=delivered)
                        break
                    except BufferError:  # the client's queue is full: until some are acknowledged
                        producer.poll(0.05)
            unsent = producer.flush(self._timeout_seconds)
        except KafkaException as error:
            self.close()
            raise self._unavailable(error.args[0].name()) from None
        if refused or unsent:
            self.close()
            raise self._unavailable(refused[0] if refused else "no answer in time")

    def close(self) -> None:
        """Lets go of the connection without waiting for anything unsent."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _unavailable(self, why: str) -> TargetUnavailableError:
        return TargetUnavailableError(f"Kafka at {','.join(self._servers)} did not confirm ({why.lstrip('_')})")

    def _records(self, lines: list[bytes], partitions: list[int]) -> list[tuple[int, bytes | None, bytes, int]]:
        """`partition, key, value, events` of each record, in the order of the lines within a partition."""
        open_envelopes: dict[int, tuple[bytes | None, list[bytes]]] = {}
        records = []
        for line in lines:
            key = _user(line)
            partition = partitions[_murmur(key) % len(partitions)] if key is not None else partitions[0]
            if self._form == "single":
                records.append((partition, key, line, 1))
                continue
            first, envelope = open_envelopes.setdefault(partition, (key, []))
            envelope.append(line)
            if len(envelope) >= ENVELOPE_EVENTS:
                records.append((partition, first, b"\n".join(envelope), len(envelope)))
                del open_envelopes[partition]
        records += [(p, first, b"\n".join(envelope), len(envelope)) for p, (first, envelope) in open_envelopes.items()]
        return records

    def _connected(self) -> Any:
        """The producer; the topic's partitions are asked for anew with each, and every minute."""
        from confluent_kafka import Producer

        if self._producer is None:
            self._producer = Producer(
                client_settings(",".join(self._servers), self._secure)
                | {
                    "acks": "all",
                    "enable.idempotence": True,
                    "linger.ms": 2,
                    "compression.type": "lz4",
                    "message.max.bytes": 8 << 20,
                    "delivery.timeout.ms": int(self._timeout_seconds * 1000),
                }
            )
            self._asked_at = -PARTITIONS_SECONDS
        if time.monotonic() - self._asked_at > PARTITIONS_SECONDS:
            # All topics are listed: asking for one would create it on a broker that is set so.
            known = self._producer.list_topics(timeout=10).topics.get(self._topic)
            if known is None or not known.partitions:
                raise TargetUnavailableError(f"topic {self._topic!r} is not there; create it")
            self._partitions, self._asked_at = sorted(known.partitions), time.monotonic()
        return self._producer


def _user(line: bytes) -> bytes | None:
    try:
        return _keyed.decode(line).user_id.encode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # not an event: the worker refuses it with a reason, it is not ours to drop


@functools.lru_cache(maxsize=100_000)
def _murmur(key: bytes) -> int:
    from kafka.partitioner.default import murmur2

    return murmur2(key) & 0x7FFFFFFF
