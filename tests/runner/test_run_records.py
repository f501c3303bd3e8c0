"""The index of all runs reads a manifest once; what it keeps of it is made again wherever it does not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from launchpad_lib.runner import run_records as room
from launchpad_lib.runner.run_records import KEPT, run_records
from tests.manifests import WHOLE


@pytest.fixture
def reports(tmp_path) -> Path:
    for day, run_id in enumerate(("a", "b"), 1):
        written(tmp_path / run_id, started_at=f"2026-01-0{day}", verdict="before")
    return tmp_path


def written(folder: Path, **more) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(WHOLE | {"run_id": folder.name} | more))


def counted(monkeypatch) -> list[str]:
    read, real = [], room.read_manifest
    monkeypatch.setattr(room, "read_manifest", lambda text: read.append(text) or real(text))
    return read


def test_a_manifest_is_read_once_and_again_when_it_changed(reports, monkeypatch):
    read = counted(monkeypatch)
    first = run_records(reports)
    assert [r.folder for r in first] == ["b", "a"] and len(read) == 2
    assert run_records(reports) == first and len(read) == 2
    written(reports / "a", started_at="2026-01-09", verdict="after")
    assert [(r.folder, r.verdict) for r in run_records(reports)] == [("a", "after"), ("b", "before")] and len(read) == 3


def test_a_run_that_is_gone_is_gone_and_one_that_cannot_be_read_is_asked_each_time(reports, monkeypatch):
    run_records(reports)
    os.remove(reports / "a" / "manifest.json")
    written(reports / "c", manifest_version=7)
    read = counted(monkeypatch)
    for _ in range(2):
        found = run_records(reports)
        assert [r.folder for r in found] == ["b", "c"] and found[1].fault.startswith("manifest_version=7")
    assert len(read) == 2


@pytest.mark.parametrize("damage", [b"", b"1-1 x {}", b"\xff", b"0-0 ", None])
def test_what_is_kept_and_does_not_fit_is_made_again(reports, damage):
    first = run_records(reports)
    whole = (reports / KEPT).read_bytes()
    (reports / KEPT).write_bytes(whole.replace(b"before", b"beyond") if damage is None else damage)
    assert run_records(reports) == first and (reports / KEPT).read_bytes() == whole
