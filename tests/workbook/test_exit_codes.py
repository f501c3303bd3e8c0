"""What the command says and how it ends when the input is at fault. Counts by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from test_run import notebook
from test_stopping import PROGRAM


def only_sentence_of_a_run_that_wrote_nothing(folder: Path) -> str:
    """Runs p.yaml of a folder: exit status 2, one line, and neither lake nor reports."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, "report", "p.yaml"], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (2, "", 1)
    assert not (folder / "lake").exists() and not (folder / "reports").exists()
    return shown.stderr


def test_a_source_every_row_of_which_is_refused_ends_with_2_and_one_sentence_before_any_notebook(tmp_path):
    """297 rows whose instants are numbers of a unit that nobody stated; another source is whole, and is not written either."""
    notebook(tmp_path / "notebooks", "funnels", "1 / 0")
    rows = "".join(f"u{i},{1541105830796 + i},seen\n" for i in range(297))
    (tmp_path / "wrong.csv").write_text(f"user_id,event_at,event_name\n{rows}")
    (tmp_path / "features.csv").write_text("feature_id\nquiz\n")
    sources = "[{table: features, path: features.csv}, {table: events, path: wrong.csv}]"
    (tmp_path / "p.yaml").write_text(f"name: x\nlake: lake\nsequence: [[funnels]]\nsources: {sources}\n")
    said = only_sentence_of_a_run_that_wrote_nothing(tmp_path)
    assert "297 of 297 rows refused: event_at: 1541105830796 is not a timestamp" in said


def test_a_notebook_of_the_sequence_that_is_not_there_ends_the_run_before_anything_is_written(tmp_path):
    notebook(tmp_path / "notebooks", "engagement", "1")
    (tmp_path / "rows.csv").write_text("user_id,event_at,event_name\nu,2026-01-01T00:00:00Z,seen\n")
    sources = "[{table: events, path: rows.csv}]"
    (tmp_path / "p.yaml").write_text(f"name: x\nlake: lake\nsequence: [[engagement, funnels]]\nsources: {sources}\n")
    said = only_sentence_of_a_run_that_wrote_nothing(tmp_path)
    assert "notebooks holds no funnels.ipynb; run in a workbook that has them (`launchpad init DIR`" in said
