"""Scratch folders of killed processes are swept; those of living ones, and what is not ours, stay."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launchpad_lib.contract.scratch_folders import MARK, PREFIXES, ScratchFolder, sweep

MADE = """
import sys
from launchpad_lib.contract.scratch_folders import PREFIXES, ScratchFolder
made = [ScratchFolder(use) for use in PREFIXES]
for one in made:
    open(one.name + "/spilled", "w").close()
print("made", flush=True)
sys.stdin.read()
"""
FORKED = """
import os, sys
from launchpad_lib.contract.scratch_folders import ScratchFolder
made = ScratchFolder("kernels")
child = os.fork()
if child == 0:
    sys.stdin.read()
    sys.exit()  # an orderly end, with what is registered for it
print(child, flush=True)
os.waitpid(child, 0)
print("ended", os.path.isdir(made.name), flush=True)
os.kill(os.getpid(), 9)
"""


@contextmanager
def started(program: str, place: Path) -> Iterator[subprocess.Popen]:
    """A process with scratch folders in `place`, once it has made them; it is killed at the end."""
    environment = os.environ | {"TMPDIR": str(place)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout.readline().strip()
            yield process
        finally:
            process.kill()


def kinds(place: Path) -> list[str]:
    return sorted(path.name.rsplit("-", 1)[0] + "-" for path in place.iterdir())


def test_folders_of_a_killed_process_go_and_those_of_a_living_one_stay(tmp_path):
    with started(MADE, tmp_path) as living:
        theirs = set(tmp_path.iterdir())
        assert kinds(tmp_path) == sorted(PREFIXES.values())
        with started(MADE, tmp_path):
            assert len(set(tmp_path.iterdir())) == 2 * len(theirs)
        assert len(set(tmp_path.iterdir())) == 2 * len(theirs), "killed, so nothing was cleaned up"
        with started(MADE, tmp_path) as next_one:
            there = set(tmp_path.iterdir())
            assert theirs < there and len(there) == 2 * len(theirs), "the next start swept what the killed one left"
            next_one.stdin.close()
            assert next_one.wait(60) == 0
        assert set(tmp_path.iterdir()) == theirs, "an orderly end leaves nothing"
        assert sweep(tmp_path) == 0
        assert all((folder / "spilled").exists() for folder in theirs)
    living.wait()
    assert sweep(tmp_path) == len(theirs) and not list(tmp_path.iterdir())


def test_a_forked_process_neither_takes_the_folder_at_its_end_nor_loses_it(tmp_path):
    with started(FORKED, tmp_path) as process:
        assert sweep(tmp_path) == 0
        process.stdin.close()
        assert process.stdout.readline().split() == ["ended", "True"]
        process.wait()
    assert sweep(tmp_path) == 1


def test_what_has_no_mark_of_ours_stays(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / MARK).touch()
    (tmp_path / "launchpad-sql-notes").mkdir()
    (tmp_path / "launchpad-spill-file").touch()
    (tmp_path / "launchpad-spill-link").symlink_to(tmp_path / "kept")
    (tmp_path / "launchpad-run-linked").mkdir()
    (tmp_path / "launchpad-run-linked" / MARK).symlink_to(tmp_path / "kept" / MARK)
    before = sorted(tmp_path.rglob("*"))
    assert sweep(tmp_path) == 0 and sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_another_user_stays(tmp_path, monkeypatch):
    left_behind(tmp_path, "launchpad-sql-x")
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert sweep(tmp_path) == 0
    monkeypatch.undo()
    assert sweep(tmp_path) == 1


def left_behind(place: Path, name: str) -> None:
    (place / name / "more").mkdir(parents=True)
    (place / name / "more" / "spilled").touch()
    (place / name / MARK).touch()


def test_links_in_a_folder_are_not_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    left_behind(tmp_path, "launchpad-sql-x")
    (tmp_path / "launchpad-sql-x" / "link").symlink_to(tmp_path / "kept")
    assert sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_several_sweep_at_once(tmp_path):
    for number in range(200):
        left_behind(tmp_path, f"launchpad-spill-{number}")
    failed: list[BaseException] = []

    def swept() -> None:
        try:
            sweep(tmp_path)
        except BaseException as error:
            failed.append(error)

    sweepers = [threading.Thread(target=swept) for _ in range(4)]
    for one in sweepers:
        one.start()
    for one in sweepers:
        one.join()
    assert not failed and not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", PREFIXES)
def test_a_folder_ends_with_its_block_and_is_private(use):
    with ScratchFolder(use) as name:
        assert Path(name).stat().st_mode & 0o777 == 0o700
        (Path(name) / "more").mkdir()
    assert not Path(name).exists()
