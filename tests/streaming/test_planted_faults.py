"""A stream with planted and counted faults through a real broker into a lake, and what the data_quality page says of it. All counts by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kafka import KafkaAdminClient, TopicPartition

from tests.streaming.test_kafka_to_lake import drain, send  # noqa: F401 (a fixture)

ROOT = Path(__file__).resolve().parents[2]
USERS, DAYS = 20, 3


def event(number: int, day: int, *, received: str | None = None, **more: object) -> bytes:
    at = f"2026-03-{1 + day:02d}T{8 + number % 12:02d}:00:00Z"
    row = {
        "event_id": f"d{day}n{number}",
        "event_name": "quiz_started",
        "user_id": f"u{number % USERS}",
        "event_at": at,
    }
    return json.dumps(row | {"received_at": received or at.replace(":00:00Z", ":00:02Z")} | more).encode()


def report(folder: Path, run_id: str) -> dict:
    params = {
        "name": "faults",
        "lake": str(folder / "lake"),
        "reports": str(folder / "reports"),
        "sources": [],
        "sequence": [["data_quality"]],
    }
    (folder / "faults.yaml").write_text(yaml.safe_dump(params))
    command = [
        sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "report",
        str(folder / "faults.yaml"),
        "--run-id",
        run_id,
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "reports" / run_id / "manifest.json").read_text())


@pytest.fixture
def folder(tmp_path_factory):
    """LAUNCHPAD_FAULTS_FOLDER keeps the lake and the reports, to be looked at."""
    kept = os.environ.get("LAUNCHPAD_FAULTS_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("faults")


def test_every_planted_fault_is_in_the_report(broker, topic, send, folder):  # noqa: F811
    lake = folder / "lake"
    send(*(event(n, day) for day in range(DAYS) for n in range(100)))  # 300 good events, offsets 0 to 299
    send(event(0, 0), event(1, 0))  # 2 duplicates: a retry
    send(b"poison", b"\xff\xfe", None)  # 2 refused records; a tombstone is neither row nor refusal
    send(
        event(900, 1, event_at="yesterday"), event(901, 1, user_id=None), event(902, 1, user_id="x", event_at=7)
    )  # 3 refused
    send(
        event(903, 1, received="2026-03-02T09:00:00Z", event_at="2026-03-02T10:00:00Z")
    )  # 1 from a clock an hour ahead
    drain(broker, topic, lake)
    first = report(folder, "faults-1")
    values = {m["name"]: m for m in first["metrics"]}
    assert (first["inputs"]["events"]["rows"], first["inputs"]["rejected"]["rows"]) == (301, 5)
    assert (values["late_share"]["value"], values["late_share"]["n"], values["gap_records"]["value"]) == (0, 301, 0)
    assert values["rejected_share"]["value"] == pytest.approx(5 / 306, rel=1e-5)

    # 40 records expire before they are read; then 12 events of the first day come two days late, out of order.
    send(*(event(n, 2) for n in range(200, 240)))
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    end = 300 + 2 + 3 + 3 + 1 + 40
    admin.delete_records({TopicPartition(topic, 0): end})
    admin.close()
    send(*(event(n, 0, received="2026-03-03T22:00:00Z") for n in reversed(range(300, 312))))
    drain(broker, topic, lake)
    second = report(folder, "faults-2")
    values = {m["name"]: m for m in second["metrics"]}
    assert second["inputs"]["events"]["rows"] == 313
    assert (values["gap_records"]["value"], values["gap_records"]["n"]) == (40, 1)
    assert values["late_share"]["value"] == pytest.approx(12 / 313, rel=1e-5)
    page = (folder / "reports" / "faults-2" / "data_quality.html").read_text().replace("\u00a0", " ")
    assert "40 records were lost" in page and "12 events came after their day was over and restate 1 day" in page
    assert "1 event came from a clock more than a minute ahead" in page
    assert f"kafka:{topic}/0" in page
    index = (folder / "reports" / "faults-2" / "index.html").read_text()
    assert "1 day restated since the last run" in index
    restated = index[index.index('id="restated"') :]
    cells = [c.split("<")[0] for c in restated[: restated.index("</table>")].split("<td")[1:]]
    assert [c.split(">")[-1] for c in cells] == ["events", "2026-03-01", "100", "112"]
