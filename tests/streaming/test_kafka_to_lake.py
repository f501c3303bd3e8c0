"""A real topic read into a lake: poison, envelopes, markers, tombstones, more partitions, expiry, recreation, broker restart. Hand counts."""

from __future__ import annotations

import json
import threading
import time

import pytest
from deltalake import DeltaTable
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from launchpad_lib.ingestion.stream.kafka_source import KafkaSource
from launchpad_lib.ingestion.stream.sink import StreamSink
from launchpad_lib.ingestion.stream.worker import SourceError, StreamSettings, StreamWorker
from launchpad_lib.kafka.settings import KafkaSettingsError, settings_from
from tests.streaming.kafka_broker import Broker
from tests.streaming.test_spool_to_lake import Quiet, ids, rejects

ENVELOPE = [("content-type", b"application/x-ndjson")]


def event(number: int) -> bytes:
    return json.dumps(
        {"event_id": f"e{number}", "event_name": "n", "user_id": f"u{number}", "event_at": "2026-01-01T00:00:00Z"}
    ).encode()


def drain(broker: Broker, topic: str, lake, *, idle_exit_seconds: float | None = 0.4, stop=lambda: False) -> Quiet:
    source, seen = KafkaSource(broker.address, topic), Quiet()
    try:
        sink = StreamSink(lake, source_name=source.name, dedupe_window=10_000)
        StreamWorker(
            source, sink, observer=seen, settings=StreamSettings(0.02, idle_exit_seconds=idle_exit_seconds)
        ).run(stop)
    finally:
        source.close()
    return seen


@pytest.fixture
def send(broker, topic):
    producer = KafkaProducer(bootstrap_servers=broker.address)

    def send_all(*values, headers=None, partition=0):
        for value in values:
            producer.send(topic, value, key=b"u", headers=headers, partition=partition)
        producer.flush()

    yield send_all
    producer.close()


def test_records_envelopes_tombstones_and_poison_each_end_where_they_belong(broker, topic, send, tmp_path):
    send(event(1), None, b"poison")
    send(b"\n".join([event(2), b"{}", event(3)]) + b"\n", headers=ENVELOPE)
    send(event(4), event(1))
    seen = drain(broker, topic, tmp_path)
    assert ids(tmp_path) == ["e1", "e2", "e3", "e4"]
    assert [(source, offset) for source, offset, _ in rejects(tmp_path)] == [
        (f"kafka:{topic}/0", 2),
        (f"kafka:{topic}/0", 3),
    ]
    assert rejects(tmp_path)[1][2].startswith("event 2 of the record: ")
    assert (seen.duplicates, DeltaTable(str(tmp_path / "events")).transaction_version(f"kafka:{topic}/0")) == (1, 6)
    assert drain(broker, topic, tmp_path).rows == 0


def test_aborted_transactions_are_not_read_and_their_markers_not_taken_for_a_gap(broker, topic, tmp_path):
    producer = KafkaProducer(bootstrap_servers=broker.address, transactional_id=topic)
    producer.init_transactions()
    for number, ends in ((1, "commit"), (2, "abort"), (3, "commit"), (4, "abort")):
        producer.begin_transaction()
        producer.send(topic, event(number), partition=0)
        producer.flush()
        producer.commit_transaction() if ends == "commit" else producer.abort_transaction()
    producer.close()
    seen = drain(broker, topic, tmp_path)
    assert ids(tmp_path) == ["e1", "e3"]
    # Four records and four markers: reading goes on at offset 8, behind the last marker.
    assert (seen.gaps, DeltaTable(str(tmp_path / "events")).transaction_version(f"kafka:{topic}/0")) == (0, 8)


def test_a_partition_that_is_added_while_the_worker_runs_is_read_from_its_beginning(broker, topic, send, tmp_path):
    send(event(1))
    stop = threading.Event()
    worker = threading.Thread(
        target=drain, args=(broker, topic, tmp_path), kwargs={"idle_exit_seconds": None, "stop": stop.is_set}
    )
    worker.start()
    try:
        admin = KafkaAdminClient(bootstrap_servers=broker.address)
        admin.create_partitions({topic: 2})
        admin.close()
        other = KafkaProducer(bootstrap_servers=broker.address)
        other.send(topic, event(2), partition=1).get(10)
        other.close()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not ((tmp_path / "events").exists() and ids(tmp_path) == ["e1", "e2"]):
            time.sleep(0.1)
    finally:
        stop.set()
        worker.join()
    assert ids(tmp_path) == ["e1", "e2"]


def test_offsets_that_expired_are_a_gap_and_reading_goes_on(broker, topic, send, tmp_path):
    send(event(1), event(2))
    drain(broker, topic, tmp_path)
    send(*(event(n) for n in range(3, 8)))
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(topic, 0): 5})
    admin.close()
    assert drain(broker, topic, tmp_path).gaps == 1
    assert ids(tmp_path) == ["e1", "e2", "e6", "e7"]
    gap = DeltaTable(str(tmp_path / "gaps")).to_pyarrow_table().to_pylist()
    assert [(g["source"], g["partition"], g["from_offset"], g["to_offset"]) for g in gap] == [
        (f"kafka:{topic}", "0", 2, 5)
    ]
    assert drain(broker, topic, tmp_path).gaps == 0


def test_a_topic_made_anew_stops_the_worker_with_one_sentence(broker, topic, send, tmp_path):
    send(event(1))
    drain(broker, topic, tmp_path)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_topics([topic])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            broker.create_topic(topic)
            break
        except Exception:
            time.sleep(0.2)
    admin.close()
    with pytest.raises(SourceError, match="deleted and made anew since it was read last"):
        drain(broker, topic, tmp_path)
    assert ids(tmp_path) == ["e1"]


def test_a_missing_topic_or_broker_is_one_sentence_and_nothing_is_created(broker, tmp_path):
    with pytest.raises(SourceError, match="there is no such topic"):
        drain(broker, "absent", tmp_path)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    assert "absent" not in admin.list_topics()
    admin.close()


def test_secrets_come_from_the_environment_and_appear_in_no_message():
    settings = settings_from({"LAUNCHPAD_KAFKA_SASL_PLAIN_PASSWORD": "hush", "LAUNCHPAD_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                              "LAUNCHPAD_KAFKA_SASL_MECHANISM": "PLAIN", "LAUNCHPAD_KAFKA_SASL_PLAIN_USERNAME": "u"})  # fmt: skip
    assert settings["sasl_plain_password"] == "hush"
    with pytest.raises(KafkaSettingsError, match="there is no such Kafka setting") as error:
        settings_from({"LAUNCHPAD_KAFKA_PASSWORD": "hush"})
    assert "hush" not in str(error.value)


def test_a_broker_that_crashes_and_comes_back_costs_nothing(tmp_path):
    from tests.streaming.kafka_broker import why_not

    if why_not():
        pytest.skip(why_not() or "")
    broker = Broker(tmp_path / "kafka").start()
    try:
        broker.create_topic("t")
        producer = KafkaProducer(
            bootstrap_servers=broker.address,
            acks="all",
            delivery_timeout_ms=60_000,
            reconnect_backoff_max_ms=300,
            request_timeout_ms=3000,
        )
        stop = threading.Event()
        worker = threading.Thread(
            target=drain, args=(broker, "t", tmp_path / "lake"), kwargs={"idle_exit_seconds": None, "stop": stop.is_set}
        )
        worker.start()
        sent = [producer.send("t", event(n)) for n in range(500)]
        producer.flush()
        import signal

        broker.stop(signal.SIGKILL)
        sent += [producer.send("t", event(n)) for n in range(500, 1000)]
        broker.start()
        acknowledged = sum(1 for s in sent if s.get(60).offset >= 0)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(ids(tmp_path / "lake")) < acknowledged:
            time.sleep(0.2)
        stop.set()
        worker.join()
        producer.close()
        assert ids(tmp_path / "lake") == sorted(f"e{n}" for n in range(1000))
    finally:
        broker.stop()
