"""Alert rules and dashboard against the metrics that a real worker exports, checked by promtool, scraped by a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from launchpad_lib.runner.live import live_figures, worker_figures
from tests.streaming.kafka_broker import free_port
from tests.streaming.test_spool_to_lake import event

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / ".tools" / "prometheus" / "usr" / "bin"


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """A worker with metrics, after two events, one of them refused; yields (metrics address, folder)."""
    folder = tmp_path_factory.mktemp("ops")
    (folder / "spool").mkdir()
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [
        event(n, event_name=name, event_at=at, user_id="u") for n, name in enumerate(("quiz_started", "quiz_completed"))
    ]
    (folder / "spool" / "w-000000000000.ndjson").write_text("".join(lines) + "{}\n" + lines[0])
    process = subprocess.Popen([sys.executable, "-m", "launchpad_lib.cli.main", "stream", "--from", f"spool:{folder / 'spool'}", "--lake", str(folder / "lake"), "--metrics-port", "0"],
                               stdout=subprocess.PIPE, text=True, cwd=ROOT)  # fmt: skip
    url = process.stdout.readline().split()[-1]
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not (
        "launchpad_stream_lag" in (seen := worker_figures(url)) and seen.get("launchpad_stream_events_total") == 2
    ):
        time.sleep(0.1)
    yield url, folder
    process.terminate()
    assert process.wait(120) == 0


def exported(url: str) -> set[str]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    return {re.split(r"[ {]", line)[0] for line in text.splitlines() if line and not line.startswith("#")}


def test_every_metric_that_rules_and_dashboard_name_is_really_exported(worker):
    names = exported(worker[0])
    dashboard = json.loads((ROOT / "ops/grafana/launchpad.json").read_text())
    used = (
        " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])
        + (ROOT / "ops/prometheus/alerts.yml").read_text()
    )
    named = set(re.findall(r"(?:launchpad_stream|process)_\w+", used))
    assert len(named) >= 10
    assert named <= names


def test_the_worker_counts_what_it_did(worker):
    figures = worker_figures(worker[0])
    assert (
        figures["launchpad_stream_events_total"],
        figures["launchpad_stream_rejected_total"],
        figures["launchpad_stream_duplicates_total"],
    ) == (2, 1, 1)


def test_live_shows_the_last_minutes(worker, capsys):
    from launchpad_lib.cli.main import main

    figures = live_figures(worker[1] / "lake", minutes=60, now=datetime.now(UTC))
    assert (figures.events, figures.users, figures.completion_rate, figures.refused) == (2, 1, 1.0, 1)
    assert main(["live", "--lake", str(worker[1] / "lake"), "--metrics", worker[0], "--once"]) == 0
    assert "completion" in capsys.readouterr().out
    assert main(["live", "--lake", str(worker[1] / "none"), "--once"]) == 2


@pytest.fixture(scope="module")
def prometheus():
    done = subprocess.run(["sh", str(ROOT / "scripts/prometheus.sh")], capture_output=True, text=True)
    if done.returncode:
        reason = f"Prometheus is not to be had: {done.stderr.strip()[-200:]}"
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return PROMETHEUS


def test_promtool_accepts_rules_and_configuration(prometheus):
    for kind, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(
            [str(prometheus / "promtool"), "check", kind, str(ROOT / "ops/prometheus" / file)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_prometheus_scrapes_the_worker_and_evaluates_every_rule_and_panel(prometheus, worker, tmp_path):
    port, target = free_port(), worker[0].removeprefix("http://").removesuffix("/metrics")
    rules = ROOT / "ops/prometheus/alerts.yml"
    (tmp_path / "p.yml").write_text(
        f"global: {{scrape_interval: 500ms, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: launchpad-stream, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    log = open(tmp_path / "log", "w")
    server = subprocess.Popen([str(prometheus / "prometheus"), f"--config.file={tmp_path / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
                               f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)  # fmt: skip

    def ask(path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=60) as answer:
            return json.loads(answer.read())["data"]

    try:
        deadline, value = time.monotonic() + 120, None
        while time.monotonic() < deadline and value != "2":
            try:
                found = ask("query?query=sum(launchpad_stream_events_total)")["result"]
                value = found[0]["value"][1] if found else None
            except OSError:
                pass
            time.sleep(0.2)
        assert value == "2", (tmp_path / "log").read_text()[-1000:]
        time.sleep(1.5)
        assert [r["name"] for g in ask("rules")["groups"] for r in g["rules"] if r["health"] == "err"] == []
        from urllib.parse import quote

        for panel in json.loads((ROOT / "ops/grafana/launchpad.json").read_text())["panels"]:
            for query in panel["targets"]:
                ask("query?query=" + quote(query["expr"]))
    finally:
        server.terminate()
        server.wait()
        log.close()
