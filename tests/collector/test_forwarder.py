"""The forwarder: every whole line reaches the target at least once, in order per writer; against a real broker where there is one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from launchpad_lib.collector.forwarder import Forwarder
from launchpad_lib.collector.kafka_target import KafkaTarget, TargetUnavailableError
from launchpad_lib.collector.settings import CollectorError
from launchpad_lib.kafka.settings import KafkaSettingsError, settings_from
from tests.collecting import ROOT, event
from tests.kafka_broker import Broker, broker_or_skip, ids_in


def lines(numbers: range, *, prefix: str = "e") -> bytes:
    return b"".join(json.dumps(event(n, event_id=f"{prefix}{n}")).encode() + b"\n" for n in numbers)


class Listed:
    """A target in memory; it refuses as often as told."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.lines: list[bytes] = []
        self.refusals = refusals

    def send(self, lines: list[bytes]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise TargetUnavailableError("away")
        self.lines += lines

    def close(self) -> None:
        pass


def test_whole_lines_are_forwarded_once_and_a_torn_one_when_it_is_whole(tmp_path):
    segment = tmp_path / "w-000000000000.ndjson"
    segment.write_bytes(lines(range(3)) + b'{"event_id":"torn')
    (tmp_path / "notes.txt").write_text("not a segment")
    target = Listed()
    forwarder = Forwarder(tmp_path, target)
    assert forwarder.step().lines == 3 and forwarder.step().lines == 0
    with segment.open("ab") as file:
        file.write(b'"}\n')
    assert forwarder.step().lines == 1
    forwarder.close()
    again = Forwarder(tmp_path, target)
    assert again.step().lines == 0
    again.close()
    assert target.lines[-1] == b'{"event_id":"torn"}' and len(target.lines) == 4


def test_nothing_moves_on_while_the_target_refuses(tmp_path):
    (tmp_path / "w-000000000000.ndjson").write_bytes(lines(range(3)))
    target = Listed(refusals=1)
    forwarder = Forwarder(tmp_path, target)
    with pytest.raises(TargetUnavailableError):
        forwarder.step()
    assert forwarder.step().lines == 3
    forwarder.close()


def test_finished_segments_are_removed_only_when_asked_and_only_when_forwarded(tmp_path):
    import fcntl

    for number in range(3):
        (tmp_path / f"w-{number:012d}.ndjson").write_bytes(lines(range(number, number + 1)))
    lock = (tmp_path / "w.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    target = Listed()
    forwarder = Forwarder(tmp_path, target, keep="unsent")
    assert forwarder.step().lines == 3
    forwarder.step()
    # The last segment of a living writer stays; when the writer is dead it is finished too.
    assert [p.name for p in tmp_path.glob("*.ndjson")] == ["w-000000000002.ndjson"]
    lock.close()
    forwarder.step()
    assert not list(tmp_path.glob("*.ndjson")) and len(target.lines) == 3
    forwarder.close()


def test_a_second_forwarder_and_a_broken_position_file_are_refused(tmp_path):
    first = Forwarder(tmp_path, Listed())
    with pytest.raises(CollectorError, match="another forwarder"):
        Forwarder(tmp_path, Listed())
    first.close()
    (tmp_path / ".forwarded.json").write_text("{")
    with pytest.raises(CollectorError, match="position file"):
        Forwarder(tmp_path, Listed())


@pytest.mark.parametrize("to", ["kafka://host:9092", "http://host/topic", "kafka:///topic", "kafka://host:9092/to pic"])
def test_a_target_that_is_no_address_is_refused(to):
    with pytest.raises(KafkaSettingsError, match="kafka://host:port/topic"):
        KafkaTarget(to)


def test_security_settings_are_handed_on_and_their_values_never_shown():
    given = {
        "LAUNCHPAD_KAFKA_SASL_PLAIN_PASSWORD": "hush",
        "LAUNCHPAD_KAFKA_SSL_CHECK_HOSTNAME": "false",
        "LAUNCHPAD_KAFKA_HEAP": "1g",
        "HOME": "/",
    }
    assert settings_from(given) == {"sasl_plain_password": "hush", "ssl_check_hostname": False}
    with pytest.raises(KafkaSettingsError, match="no such Kafka setting") as refused:
        settings_from({"LAUNCHPAD_KAFKA_PASSWORD": "hush"})
    assert "hush" not in str(refused.value)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory):
    started = broker_or_skip(tmp_path_factory.mktemp("kafka"), topics=["events", "single", "killed"])
    yield started
    started.stop()


def command(spool: Path, broker: Broker, topic: str, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "forward",
        "--spool",
        str(spool),
        "--to",
        f"kafka://{broker.address}/{topic}",
        *options,
    ]


def test_a_real_broker_gets_every_line_under_its_users_partition(broker, tmp_path):
    (tmp_path / "w-000000000000.ndjson").write_bytes(lines(range(400)))
    for topic, form in (("events", "envelope"), ("single", "single")):
        (tmp_path / ".forwarded.json").unlink(missing_ok=True)
        done = subprocess.run(
            command(tmp_path, broker, topic, "--format", form, "--until", "empty"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        records = broker.read(topic)
        events = [(partition, json.loads(line)) for partition, _, _, held in records for line in held]
        assert Counter(e["event_id"] for _, e in events) == Counter({f"e{n}": 1 for n in range(400)})
        places: dict[str, set[int]] = {}
        for partition, e in events:
            places.setdefault(e["user_id"], set()).add(partition)
        assert all(len(p) == 1 for p in places.values())
        for _, key, headers, held in records:
            assert key.decode() == json.loads(held[0])["user_id"]
            assert (headers.get("content-type") == b"application/x-ndjson") == (len(held) > 1)
        numbers = [int(e["event_id"][1:]) for _, e in events if e["user_id"] == "u3"]
        assert numbers == sorted(numbers)


def test_a_forwarder_killed_again_and_again_loses_nothing(broker, tmp_path):
    for number in range(12):
        (tmp_path / f"w-{number:012d}.ndjson").write_bytes(lines(range(number * 3000, (number + 1) * 3000)))
    for delay in (1.0, 1.15, 1.3):
        process = subprocess.Popen(command(tmp_path, broker, "killed"), cwd=ROOT, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
    done = subprocess.run(
        command(tmp_path, broker, "killed", "--until", "empty"), cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert set(ids_in(broker, "killed")) == {f"e{n}" for n in range(36_000)}
