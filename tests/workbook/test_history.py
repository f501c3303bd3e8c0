"""What `launchpad history` says of earlier runs, also of those from before there were refusals. Expected lines are by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from test_run import METRIC, NOW, notebook, run

from launchpad_lib.cli.main import main
from launchpad_lib.runner.history import history_lines, previous_manifest

REFUSES = "from launchpad_lib.contract.estimates import Refused\nraise Refused('no <events>')"
# As the runner wrote it before there were refusals: `error` where `reason` is now, no verdict, no findings, no tables.
OLD = {
    "run_id": "small-old",
    "started_at": "2025-12-01T06:00:00+00:00",
    "finished_at": "2025-12-01T06:01:00+00:00",
    "status": "failed",
    "params": {"name": "small"},
    "inputs": {"events": {"version": 3, "rows": 5, "observed_through": "2025-11-30 00:00:00", "rejected": 0, "rows_by_date": {"2025-11-30": 5}}},
    "notebooks": [
        {"name": "funnels", "title": "F", "status": "ok", "seconds": 1.0, "html": "funnels.html", "error": None, "answers": []},
        {"name": "cohorts", "title": "C", "status": "failed", "seconds": 1.0, "html": "cohorts.html", "error": "ValueError: x\ny", "answers": []},
    ],
    "metrics": [
        {"notebook": "funnels", "name": "m", "label": "M", "value": 0.5, "ci_low": None, "ci_high": None, "n": 4, "unit": "fraction",
         "segment": None, "higher_is_better": None, "definition": "d", "refused_because": None}
    ],
    "versions": {"commit": None, "lock_hash": None, "packages": {}},
}  # fmt: skip


def keep(reports: Path, manifest: dict) -> None:
    (reports / manifest["run_id"]).mkdir(parents=True)
    (reports / manifest["run_id"] / "manifest.json").write_text(json.dumps(manifest))


def test_history_tells_statuses_and_reasons_of_new_and_old_runs(tmp_path, capsys):
    keep(tmp_path / "reports", OLD)
    notebook(tmp_path / "notebooks", "funnels", METRIC)
    run(tmp_path, ["funnels"])
    notebook(tmp_path / "notebooks", "funnels", REFUSES)
    run(tmp_path, ["funnels"], now=NOW + timedelta(days=7))
    assert main(["history", "small", "--reports", str(tmp_path / "reports")]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[:3]] == [
        ["small-old", "failed"],
        ["small-20260202T060000Z", "ok"],
        ["small-20260209T060000Z", "refused"],
    ]
    assert (lines[0][2], lines[2][2]) == ("cohorts failed: ValueError: x y", "funnels refused: no <events>")
    assert [(line[0], line[1]) for line in lines[3:]] == [("small-old", "m"), ("small-20260202T060000Z", "m")]
    index = (tmp_path / "reports/index.html").read_text()
    assert index.count("<tr data-run=") == 3 and "unreadable" not in index


def test_a_metric_that_no_run_has_is_told_with_the_nearest(tmp_path):
    keep(tmp_path, OLD | {"metrics": [OLD["metrics"][0] | {"name": "share_rate"}]})
    with pytest.raises(ValueError, match="metric='share_rat': no run of small has it; did you mean 'share_rate'?"):
        history_lines(tmp_path, "small", metric="share_rat")


def test_a_refused_run_is_compared_with_and_a_failed_one_is_not(tmp_path):
    for day, status in enumerate(["ok", "refused", "failed"], start=1):
        keep(tmp_path, OLD | {"run_id": status, "started_at": f"2025-12-0{day}", "status": status})
    assert previous_manifest(tmp_path, "small", before="2026").run_id == "refused"
