"""A run that is stopped ends at once with its kernels and leaves nothing half-written; a kill at any time leaves whole files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from test_run import gone, notebook

from launchpad_lib.contract.whole_files import write_whole

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from launchpad_lib.cli.main import main; sys.exit(main())"
BUSY = "import os, pathlib, time\npathlib.Path({mark!r}).write_text(str(os.getpid()))\ntime.sleep(120)"


def until(is_so, *, seconds: float = 240) -> None:
    limit = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.02)


def bare_process() -> float:
    """Seconds that a process takes now which does nothing: what a busy machine adds to every end of one."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    return time.monotonic() - started


@pytest.mark.parametrize("when", ["both at work", "starting"])
def test_ctrl_c_ends_a_report_within_three_seconds_with_its_kernels_and_leaves_nothing(tmp_path, when):
    for name in ("funnels", "engagement"):
        notebook(tmp_path / "notebooks", name, BUSY.format(mark=str(tmp_path / name)))
    params = {
        "name": "small",
        "lake": "lake",
        "reports": "reports",
        "sequence": [["funnels", "engagement"]],
        "workers": 2,
    }
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(params))
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "report", "p.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    if when == "starting":
        until(lambda: list(tmp_path.glob("reports/.*.partial")))
        time.sleep(0.3)
    else:
        until(lambda: all((tmp_path / n).exists() and (tmp_path / n).read_text() for n in ("funnels", "engagement")))
    family = psutil.Process(run.pid).children(recursive=True)
    started = time.monotonic()
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=180)
    assert time.monotonic() - started < max(3, 60 * bare_process())
    assert (run.returncode, err) == (130, "launchpad: stopped; nothing half-written is kept\n"), out
    assert all(gone(p.pid) for p in family)
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_shared_file_is_whole_whenever_its_writer_is_killed(tmp_path):
    """A writer of two texts in turn, killed 40 times, 0 to 8 ms after it begins."""
    texts = {letter * 2_000_000 for letter in "ab"}
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from launchpad_lib.contract.whole_files import write_whole
path = Path({str(tmp_path / "index.html")!r})
write_whole(path, "a" * 2_000_000)
print("ready", flush=True)
while True:
    for letter in "ba":
        write_whole(path, letter * 2_000_000)
"""
    for turn in range(40):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        writer.stdout.readline()
        time.sleep(turn / 5_000)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(120)
        assert (tmp_path / "index.html").read_text() in texts, turn


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    (tmp_path / "index.html").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "index.html", "\ud800")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"index.html": "old"}


def test_a_new_file_has_the_rights_that_others_expect_and_have_in_its_folder(tmp_path):
    for folder, is_usual in ((0o755, True), (0o700, False)):
        tmp_path.chmod(folder)
        write_whole(tmp_path / "a", "x")
        (tmp_path / "b").write_text("x")
        usual = (tmp_path / "b").stat().st_mode
        assert (tmp_path / "a").stat().st_mode == (usual if is_usual else usual & ~0o077)
