"""A Kafka topic as a source. Partitions are assigned by hand; offsets live in the lake, not in Kafka."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.ingestion.stream.decoding import Block
from launchpad_lib.ingestion.stream.sink import Gap
from launchpad_lib.ingestion.stream.worker import Poll, SourceError, Unreachable
from launchpad_lib.kafka.settings import TOPIC, client_settings

# The client's types take every message for one that may have neither partition nor offset: hence Any.
ENVELOPE = (NDJSON.encode(), f"{NDJSON}; charset=utf-8".encode())
ANSWER_SECONDS = 5.0
GATHER_SECONDS = 0.01
NEW_TOPIC_SECONDS = 1.0  # until every broker has heard of a topic that was just made
POLL_BYTES = 2 << 20  # of one poll, about: what a processor holds near while it is decoded
# Reading ahead happens in the client's own threads: up to 32 MB, and where that is full the client looks again after
# 2 ms (its own default of a second starves a fast reader).
CONSUMER = {
    "group.id": "launchpad",  # asked for by the client; no group is joined and nothing is committed to it
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "enable.partition.eof": True,  # its offset lies behind markers and aborted records
    "check.crcs": True,
    "queued.max.messages.kbytes": 32_768,
    "fetch.queue.backoff.ms": 2,
    "fetch.message.max.bytes": 4 << 20,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 50,
    "topic.metadata.refresh.interval.ms": 5000,  # an added partition is read by then, not after 5 min
}


class KafkaSource:
    """One topic, read in full by this worker."""

    def __init__(
        self,
        address: str,
        topic: str,
        *,
        settings: Mapping[str, str | bool] | None = None,
        max_poll_records: int = 5000,
    ) -> None:
        """Raises:
        SourceError: the topic's name is not allowed, or no broker answers within 10 s.
        """
        if not TOPIC.fullmatch(topic):
            raise SourceError(
                f"topic={topic!r}: letters, digits, . _ - only; correct the address kafka://host:port/topic"
            )
        self.name, self._address, self._topic = f"kafka:{topic}", address, topic
        self._max_poll_records = self._poll_records = max_poll_records
        self._topic_id: uuid.UUID | None = None
        self._gaps: list[Gap] = []
        self._moved: list[Block] = []
        self._position: dict[int, int] = {}
        try:
            client = client_settings(address, settings or {})
            self._admin = AdminClient(client)
            self._consumer = Consumer(client | CONSUMER)
            self._admin.describe_cluster(request_timeout=2 * ANSWER_SECONDS).result(3 * ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise SourceError(
                f"kafka://{address}: no broker answers ({_name(error)}); start one (`make kafka`), or correct the "
                "address or the LAUNCHPAD_KAFKA_* settings"
            ) from None

    def __repr__(self) -> str:
        return f"KafkaSource({self._address!r}, {self._topic!r})"

    def identity(self) -> int | None:
        """The first 63 bits of the topic's id."""
        self.partitions()
        return None if self._topic_id is None else self._topic_id.int >> 65

    def partitions(self) -> list[str]:
        """Asks the cluster, so that a topic made anew or with more partitions is noticed."""
        until = time.monotonic() + NEW_TOPIC_SECONDS
        while True:
            asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=ANSWER_SECONDS)
            try:
                described: Any = asked[self._topic].result(2 * ANSWER_SECONDS)
                break
            except (KafkaException, TimeoutError) as error:
                if _code(error) != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise Unreachable(f"{self.name}: the broker does not answer ({_name(error)})") from None
                if time.monotonic() > until:
                    raise SourceError(
                        f"{self.name}: there is no such topic at {self._address}; create it, or correct the address"
                    ) from None
            time.sleep(0.1)
        topic_id = uuid.UUID(bytes=base64.urlsafe_b64decode(f"{described.topic_id}=="))
        if self._topic_id is not None and topic_id != self._topic_id:
            raise SourceError(
                f"{self.name}: it was deleted and made anew while it was read; give the new one another name, "
                "or start a new lake"
            )
        self._topic_id = topic_id
        return [str(number) for number in sorted(p.id for p in described.partitions)]

    def seek(self, partition: str, offset: int | None) -> None:
        """An offset that retention has deleted is noted as a gap, and reading goes on at the earliest there is."""
        number = int(partition)
        try:
            first, end = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, number), timeout=2 * ANSWER_SECONDS
            )
        except KafkaException as error:
            raise Unreachable(f"{self.name}: no offsets for partition {partition} ({_name(error)})") from None
        if offset is not None and offset > end:
            gone = f"partition {partition} ends at {end}, but {offset} was read already: it was truncated or made anew"
            raise SourceError(f"{self.name}: {gone}; give it another name, or start a new lake")
        start = first if offset is None else max(offset, first)
        if offset is not None and offset < first:
            self._gaps.append(Gap(partition, offset, first, "expired before it was read"))
            self._moved.append(Block(partition, first, [], [], [], None))
        self._position[number] = start
        self._consumer.assign([TopicPartition(self._topic, p, at) for p, at in self._position.items()])

    def poll(self, *, timeout_seconds: float) -> Poll:
        first: Any = self._consumer.poll(timeout_seconds) if not self._moved else None
        found: list[Any] = [] if first is None else [first, *self._consumer.consume(self._poll_records - 1, 0)]
        if found and len(found) < self._poll_records:
            # A block costs the same for one event as for hundreds: what comes within a moment goes along.
            found += self._consumer.consume(self._poll_records - len(found), GATHER_SECONDS)
        told = [m for m in found if m.error() is not None]
        records = [m for m in found if m.error() is None] if told else found
        numbers = [m.partition() for m in records]
        partitions = sorted(set(numbers))
        if len(partitions) == 1:
            blocks = [self._block(numbers[0], records)]
        else:
            apart = {n: [m for m, number in zip(records, numbers, strict=True) if number == n] for n in partitions}
            blocks = [self._block(number, messages) for number, messages in apart.items()]
        if records:
            size = sum(map(len, (p for b in blocks for p in b.payloads))) // len(records) + 1
            self._poll_records = min(max(POLL_BYTES // size, 1), self._max_poll_records)
        for message in told:
            blocks += self._told(message)
        blocks, self._moved = blocks + self._moved, []
        gaps, self._gaps = self._gaps, []
        return Poll(blocks, gaps)

    def _block(self, number: int, messages: list[Any]) -> Block:
        self._position[number] = following = messages[-1].offset() + 1
        payloads = [m.value() for m in messages]
        if None in payloads:  # tombstones say nothing about an event
            messages = [m for m in messages if m.value() is not None]
            payloads = [m.value() for m in messages]
        return Block(
            partition=str(number),
            next_offset=following,
            payloads=payloads,
            offsets=[m.offset() for m in messages],
            envelopes=[_is_envelope(m.headers()) for m in messages],
            received_us=lambda: [m.timestamp()[1] * 1000 for m in messages],
        )

    def _told(self, message: Any) -> list[Block]:
        """What stands in place of a record: an end, or why there is nothing to read."""
        number, code = message.partition(), message.error().code()
        if code == KafkaError._PARTITION_EOF:
            at = message.offset()
            if at <= self._position.get(number, at):
                return []
            self._position[number] = at
            return [Block(str(number), at, [], [], [], None)]
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self.seek(str(number), self._position[number])
            return []
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise SourceError(
                f"{self.name}: this user may not read the topic; grant it READ, or correct the credentials"
            )
        raise Unreachable(f"{self.name}: {message.error().name()}")

    def lag(self) -> dict[str, int]:
        """Records between the position and the newest one that the client has heard of."""
        result = {}
        for number, at in self._position.items():
            known = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            result[str(number)] = max(known[1] - at, 0) if known is not None else 0
        return result

    def close(self) -> None:
        self._consumer.close()


def _is_envelope(headers: list[tuple[str, bytes | None]] | None) -> bool:
    return headers is not None and any(
        key.lower() == "content-type" and value is not None and value.lower() in ENVELOPE for key, value in headers
    )


def _code(error: Exception) -> int | None:
    return error.args[0].code() if isinstance(error, KafkaException) else None


def _name(error: Exception) -> str:
    """The kind of a fault in one word; the client's own text may hold values of settings."""
    return error.args[0].name().lstrip("_") if isinstance(error, KafkaException) else type(error).__name__
