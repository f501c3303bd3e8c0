"""A Kafka topic as a source. Partitions are assigned by hand; offsets live in the lake, not in Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from launchpad_lib.contract.tables import NDJSON
from launchpad_lib.ingestion.stream.decoding import Block
from launchpad_lib.ingestion.stream.sink import Gap
from launchpad_lib.ingestion.stream.worker import Poll, SourceError, Unreachable
from launchpad_lib.kafka.settings import TOPIC

ENVELOPE = (NDJSON.encode(), f"{NDJSON}; charset=utf-8".encode())


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
        self._client = {"bootstrap_servers": address.split(","), **(settings or {})}
        self._admin: KafkaAdminClient | None = None
        self._topic_id: uuid.UUID | None = None
        self._gaps: list[Gap] = []
        self._moved: list[Block] = []
        self._position: dict[TopicPartition, int] = {}
        self._is_assigned = False
        try:
            self._consumer = KafkaConsumer(
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                max_poll_records=max_poll_records,
                max_partition_fetch_bytes=4 << 20,
                fetch_max_wait_ms=100,
                metadata_max_age_ms=10_000,
                reconnect_backoff_max_ms=1000,
                bootstrap_timeout_ms=10_000,
                **self._client,
            )
        except (KafkaError, OSError) as error:
            raise SourceError(
                f"kafka://{address}: no broker answers ({type(error).__name__}); start one (`make kafka`) or "
                "correct the address"
            ) from None

    def __repr__(self) -> str:
        return f"KafkaSource({self._address!r}, {self._topic!r})"

    def identity(self) -> int | None:
        """The first 63 bits of the topic's id."""
        self.partitions()
        return None if self._topic_id is None else self._topic_id.int >> 65

    def partitions(self) -> list[str]:
        """Asks the cluster, so that a topic made anew or with more partitions is noticed."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(request_timeout_ms=5000, bootstrap_timeout_ms=5000, **self._client)
            described = self._admin.describe_topics([self._topic])[0]
        except (KafkaError, OSError, IndexError) as error:
            if self._admin is not None:
                admin, self._admin = self._admin, None
                admin.close()
            if isinstance(error, UnknownTopicOrPartitionError):
                raise self._no_topic() from None
            raise Unreachable(f"{self.name}: the broker does not answer ({type(error).__name__})") from None
        if described["error_code"] == 3:
            raise self._no_topic()
        if described["error_code"]:
            raise Unreachable(f"{self.name}: the broker answers with error code {described['error_code']}")
        topic_id = uuid.UUID(str(described["topic_id"]))
        if self._topic_id is not None and topic_id != self._topic_id:
            raise SourceError(
                f"{self.name}: it was deleted and made anew while it was read; give the new one another name, "
                "or start a new lake"
            )
        self._topic_id = topic_id
        return [str(p["partition_index"]) for p in sorted(described["partitions"], key=lambda p: p["partition_index"])]

    def _no_topic(self) -> SourceError:
        return SourceError(f"{self.name}: there is no such topic at {self._address}; create it, or correct the address")

    def seek(self, partition: str, offset: int | None) -> None:
        """An offset that retention has deleted is noted as a gap, and reading goes on at the earliest there is."""
        tp = TopicPartition(self._topic, int(partition))
        if tp not in self._consumer.assignment():
            self._consumer.assign([*self._consumer.assignment(), tp])
            for other, at in self._position.items():
                self._consumer.seek(other, at)
        try:
            first, end = self._consumer.beginning_offsets([tp])[tp], self._consumer.end_offsets([tp])[tp]
        except (KafkaError, OSError) as error:
            raise Unreachable(f"{self.name}: no offsets for partition {partition} ({type(error).__name__})") from None
        if offset is not None and offset > end:
            gone = f"partition {partition} ends at {end}, but {offset} was read already: it was truncated or made anew"
            raise SourceError(f"{self.name}: {gone}; give it another name, or start a new lake")
        start = first if offset is None else max(offset, first)
        if offset is not None and offset < first:
            self._gaps.append(Gap(partition, offset, first, "expired before it was read"))
            self._moved.append(Block(partition, first, [], [], [], None))
        self._consumer.seek(tp, start)
        self._position[tp] = start

    def poll(self, *, timeout_seconds: float) -> Poll:
        blocks, gaps = self._moved, self._gaps
        self._moved, self._gaps = [], []
        try:
            found = self._consumer.poll(int(timeout_seconds * 1000))
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                self.seek(str(tp.partition), offset)
            return Poll(blocks, gaps)
        except TopicAuthorizationFailedError:
            raise SourceError(
                f"{self.name}: this user may not read the topic; grant it READ, or correct the credentials"
            ) from None
        except KafkaError as error:
            raise Unreachable(f"{self.name}: {type(error).__name__}") from None
        for tp, records in found.items():
            blocks.append(self._block(tp, records))
        if not found:
            # Markers and aborted records move the position without a record to show for it.
            for tp, at in self._position.items():
                now = self._consumer.position(tp, timeout_ms=0)
                if now is not None and now > at:
                    self._position[tp] = now
                    blocks.append(Block(str(tp.partition), now, [], [], [], None))
        return Poll(blocks, gaps)

    def _block(self, tp: TopicPartition, records: list) -> Block:
        position = self._consumer.position(tp, timeout_ms=0)
        following = max(position or 0, records[-1].offset + 1)
        self._position[tp] = following
        if any(r.value is None for r in records):
            records = [r for r in records if r.value is not None]  # tombstones say nothing about an event
        return Block(
            partition=str(tp.partition),
            next_offset=following,
            payloads=[r.value for r in records],
            offsets=[r.offset for r in records],
            envelopes=[bool(r.headers) and _is_envelope(r.headers) for r in records],
            received_us=[r.timestamp * 1000 for r in records],
        )

    def lag(self) -> dict[str, int]:
        """Records between the position and the newest committed one."""
        result = {}
        for tp, at in self._position.items():
            high = self._consumer.highwater(tp)
            result[str(tp.partition)] = max((high if high is not None else at) - at, 0)
        return result

    def close(self) -> None:
        self._consumer.close()
        if self._admin is not None:
            self._admin.close()


def _is_envelope(headers: list[tuple[str, bytes]]) -> bool:
    return any(
        key.lower() == "content-type" and value is not None and value.lower() in ENVELOPE for key, value in headers
    )
