"""A real Kafka broker for tests of what produces into it, started by scripts/kafka.sh on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.collecting import ROOT

SCRIPT = Path(os.environ.get("LAUNCHPAD_BROKER_SCRIPT", ROOT / "scripts/kafka.sh"))


class Record(NamedTuple):
    """One record as a consumer sees it; `lines` are its events as text."""

    partition: int
    key: bytes | None
    headers: dict[str, bytes]
    lines: list[bytes]


class Broker(NamedTuple):
    """A running broker."""

    address: str
    process: subprocess.Popen

    @staticmethod
    def missing() -> str:
        """Why there can be no broker here, or nothing."""
        if not SCRIPT.exists():
            return "scripts/kafka.sh is not here: no broker to test with"
        if subprocess.run(["sh", str(SCRIPT), "fetch"], capture_output=True, timeout=300).returncode:
            return "no Java or Maven: no broker to test with"
        return ""

    @classmethod
    def started(cls, folder: Path, *, topics: list[str]) -> Broker:
        """A new broker with its data in the folder; each topic has three partitions."""
        port = free_port()
        process = subprocess.Popen(
            ["sh", str(SCRIPT), "run", str(folder), str(port), str(free_port())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        broker = cls(f"127.0.0.1:{port}", process)
        deadline = time.monotonic() + 180
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                broker.create(*topics)
                return broker
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    broker.stop()
                    raise
                time.sleep(0.2)

    def create(self, *topics: str) -> None:
        """Makes topics of three partitions."""
        from kafka import KafkaAdminClient
        from kafka.admin import NewTopic

        admin = KafkaAdminClient(bootstrap_servers=self.address)
        admin.create_topics([NewTopic(topic, 3, 1) for topic in topics])
        admin.close()

    def read(self, topic: str) -> list[Record]:
        """Every record that is in the topic now."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="earliest")
        places = [TopicPartition(topic, p) for p in range(3)]
        consumer.assign(places)
        ends, found = consumer.end_offsets(places), []
        while any(consumer.position(p) < end for p, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                found += [Record(r.partition, r.key, dict(r.headers or ()), r.value.split(b"\n")) for r in records]
        consumer.close()
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def ids_in(broker: Broker, topic: str) -> Counter[str]:
    """How often each event_id is in the topic."""
    return Counter(json.loads(line)["event_id"] for record in broker.read(topic) for line in record.lines)


def broker_or_skip(folder: Path, *, topics: list[str]) -> Broker:
    """A broker; without Java or Maven the test skips, or fails where nothing may skip."""
    missing = Broker.missing()
    if missing:
        (pytest.fail if os.environ.get("LAUNCHPAD_REQUIRE_ALL") == "1" else pytest.skip)(missing)
    return Broker.started(folder, topics=topics)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
