"""The index of one run, and the index of all runs."""

from __future__ import annotations

from pathlib import Path

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.contract.private import readers_of
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.markup import POLICY
from launchpad_lib.page.output import short, short_span
from launchpad_lib.page.sparks import SMALL
from launchpad_lib.runner.history import Changes, manifests
from launchpad_lib.runner.summary import GLYPHS, summary
from launchpad_lib.runner.summary_words import address, change_words, stopped_words

MOST_ROWS, MOST_DOUBTS = 20, 6


def publish_index(run_dir: Path, manifest: Manifest, *, since: Changes | None = None) -> None:
    """Writes a run's own index.html, with what changed since the run before where there is one."""
    environment = page_environment("launchpad_lib.runner")
    environment.filters["short"] = short
    page = environment.get_template("run.html.j2").render(
        m=manifest,
        s=summary(manifest),
        policy=POLICY,
        readers=readers_of(run_dir),
        since=since,
        names={n.name for n in manifest.notebooks},
        stopped=stopped_words(manifest),
        address=address,
        changed=change_words,
        called={r.feature_id: r.feature_name for r in manifest.scorecard},
        short_span=short_span,
        glyphs=GLYPHS,
        small=SMALL,
        most_rows=MOST_ROWS,
        most_doubts=MOST_DOUBTS,
    )
    (run_dir / "index.html").write_text(page, encoding="utf-8")


def publish_run_index(reports: Path) -> None:
    """Rebuilds the index of all runs, newest first; a manifest that cannot be read is shown as such."""
    runs = manifests(reports)
    # Every run writes this file, and people have it open.
    write_whole(
        reports / "index.html",
        page_environment("launchpad_lib.runner").get_template("runs.html.j2").render(runs=runs, policy=POLICY),
    )
