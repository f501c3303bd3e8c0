"""The index of all runs reads a manifest once; what it keeps of it is made again wherever it does not fit."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from launchpad_lib.runner import history
from launchpad_lib.runner import run_records as room
from launchpad_lib.runner.history import last_good, previous_manifest, runs_of
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


def many(reports: Path) -> None:
    """Runs of two names and all states and pages, by a fixed seed: some of one instant, of copied folders, unreadable."""
    rng = random.Random(20_261_127)
    for number in range(40):
        states = {page: rng.choice(["ok", "refused", "failed"]) for page in ("funnels", "risk")}
        folder, started_at = reports / f"r{number}", f"2026-01-{rng.randint(1, 28):02}T06:00:00+00:00"
        pages = [
            {"name": n, "title": n, "status": s, "reason": None, "seconds": 1.0, "html": f"{n}.html"}
            for n, s in states.items()
        ]
        run_id = rng.choice([folder.name] * 5 + [f"r{number - 1}"])  # a copy keeps the id of its run
        name = rng.choice(["w", "x"])
        written(
            folder, run_id=run_id, params={"name": name}, started_at=started_at,
            status=rng.choice(["ok", "refused", "failed"]), notebooks=pages,
        )  # fmt: skip
        for page in states:
            if rng.random() < 0.5:
                (folder / f"{page}.html").write_text("page")
        if rng.random() < 0.1:
            (folder / "manifest.json").write_text(rng.choice(["{", "\u00e9", "{}"]))


def previous_by_all_manifests(reports: Path, name: str, before: str):
    return next((m for m in runs_of(reports, name) if m.status != "failed" and m.started_at < before), None)


def last_good_by_all_manifests(reports: Path, name: str, page: str) -> str | None:
    for m in runs_of(reports, name):
        if (reports / m.run_id / f"{page}.html").is_file() and page in {
            n.name for n in m.notebooks if n.status == "ok"
        }:
            return f"../{m.run_id}/{page}.html"
    return None


@pytest.mark.parametrize("damage", ["none", "no file", "cut", "another form"])
def test_the_run_before_and_the_last_good_page_are_those_of_all_manifests(tmp_path, monkeypatch, damage):
    many(tmp_path)
    run_records(tmp_path)
    kept = tmp_path / KEPT
    whole = kept.read_bytes()
    if damage == "no file":
        kept.unlink()
    elif damage != "none":
        kept.write_bytes(whole[:-9] if damage == "cut" else whole.replace(b"2-", b"1-", 1))
    told = set()
    for name in ("w", "x", "none"):
        for day in range(1, 30, 3):
            before = f"2026-01-{day:02}T06:00:00+00:00"
            said = previous_manifest(tmp_path, name, before=before)
            assert said == previous_by_all_manifests(tmp_path, name, before)
            told.add(said and said.run_id)
        for page in ("funnels", "risk", "other"):
            said = last_good(tmp_path, name, page)
            assert said == last_good_by_all_manifests(tmp_path, name, page)
            told.add(said)
    assert len(told) > 8 and kept.read_bytes() == whole


def test_of_what_is_kept_one_manifest_is_read_for_the_run_before_and_none_for_a_page(reports, monkeypatch):
    run_records(reports)
    read = counted(monkeypatch)
    monkeypatch.setattr(history, "read_manifest", room.read_manifest)
    assert last_good(reports, "small", "funnels") is None and read == []
    assert previous_manifest(reports, "small", before="2027").run_id == "b" and len(read) == 1
