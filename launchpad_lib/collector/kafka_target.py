"""Kafka as a target of lines: one record per event, or envelopes of several events of one partition."""

from __future__ import annotations

import functools
import os
from typing import Any, Literal

import msgspec

from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.kafka.settings import address_of, producer, settings_from

ENVELOPE_EVENTS = 50


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

    def send(self, lines: list[bytes]) -> None:
        """Sends lines and waits until every replica in sync has them (acks=all, idempotent)."""
        from kafka.errors import KafkaError

        try:
            producer = self._connected()
            partitions = sorted(producer.partitions_for(self._topic) or ())
            if not partitions:
                raise TargetUnavailableError(f"topic {self._topic!r} is not there; create it")
            futures = []
            for partition, key, value, count in self._records(lines, partitions):
                headers = [("content-type", NDJSON.encode())] if count > 1 else None
                futures.append(producer.send(self._topic, value=value, key=key, headers=headers, partition=partition))
            producer.flush(timeout=self._timeout_seconds)
            for future in futures:
                future.get(timeout=self._timeout_seconds)
        except KafkaError as error:
            self.close()
            raise TargetUnavailableError(
                f"Kafka at {','.join(self._servers)} did not confirm ({type(error).__name__})"
            ) from None

    def close(self) -> None:
        """Closes the connection without waiting for anything unsent."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None

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
        if self._producer is None:
            self._producer = producer(
                self._servers,
                settings=self._secure,
                compression_type="lz4",
                max_request_size=8 * 1024 * 1024,
                bootstrap_timeout_ms=10_000,
            )
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
