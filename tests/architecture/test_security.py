"""SECURITY.md names tests that exist; a finding without a triage is told."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def script():
    spec = importlib.util.spec_from_file_location("security", ROOT / "scripts" / "security.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_test_that_the_threat_model_names_is_there():
    folder, named = "", []
    for row in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines():
        for path in re.findall(r"`((?:tests/[a-z_]+/)?test_[a-z_]+\.py)`", row):
            folder = path.rpartition("/")[0] or folder
            named.append(f"{folder}/{path.rpartition('/')[2]}")
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_a_finding_of_another_rule_or_of_high_severity_and_an_idle_triage_are_told():
    def finding(rule: str, severity: str) -> dict:
        return {"filename": "a.py", "line_number": 1, "test_id": rule, "issue_severity": severity, "issue_text": "x"}

    untriaged = script().untriaged
    assert untriaged([finding("B1", "LOW")], {"B1": "why"}) == []
    assert untriaged([finding("B2", "LOW")], {})[0].startswith("a.py:1: B2")
    assert len(untriaged([finding("B1", "HIGH")], {"B1": "why"})) == 1
    assert "take it out" in untriaged([], {"B1": "why"})[0]


def test_every_triage_has_a_reason():
    triage = json.loads((ROOT / "scripts" / "bandit_triage.json").read_text(encoding="utf-8"))
    assert all(len(reason) > 30 for reason in triage.values())
