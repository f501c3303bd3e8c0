"""A real Apache Kafka for the tests: one KRaft node on loopback and random ports, started from Maven artifacts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "kafka.sh"


def why_not() -> str | None:
    """The reason why no broker can run here; None when one can."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed; a JDK 17 and Maven 3 are needed for a real Kafka"
    fetched = subprocess.run(["sh", str(SCRIPT), "fetch"], capture_output=True, text=True)
    return f"Kafka could not be fetched: {fetched.stderr.strip()[-300:]}" if fetched.returncode else None


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Broker:
    """One broker on its own folder; `stop` and `start` keep the data and the address, as a restart does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.controller_port = folder, free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, timeout_seconds: float = 60) -> Broker:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "broker.log", "ab") as log:
            self._process = subprocess.Popen(
                ["sh", str(SCRIPT), "run", str(self.folder), str(self.port), str(self.controller_port)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ}, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the broker ended at once: {(self.folder / 'broker.log').read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the broker did not listen within {timeout_seconds} s")

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """Ends the broker: SIGTERM is an orderly stop, SIGKILL a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sign)
            try:
                self._process.wait(120)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def create_topic(self, name: str, *, partitions: int = 1, configs: dict[str, str] | None = None) -> None:
        from kafka import KafkaAdminClient
        from kafka.admin import NewTopic

        admin = KafkaAdminClient(bootstrap_servers=self.address)
        admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
        admin.close()
