"""The index of one run, and the index of all runs."""

from __future__ import annotations

from pathlib import Path

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.markup import POLICY
from launchpad_lib.runner.history import Changes, manifests


def publish_index(run_dir: Path, manifest: Manifest, *, since: Changes | None = None) -> None:
    """Writes a run's own index.html, with what changed since the run before where there is one."""
    (run_dir / "index.html").write_text(
        page_environment("launchpad_lib.runner")
        .get_template("run.html.j2")
        .render(m=manifest, policy=POLICY, since=since),
        encoding="utf-8",
    )


def publish_run_index(reports: Path) -> None:
    """Rebuilds the index of all runs, newest first; a manifest that cannot be read is shown as such."""
    runs = manifests(reports)
    # Every run writes this file, and people have it open.
    write_whole(
        reports / "index.html",
        page_environment("launchpad_lib.runner").get_template("runs.html.j2").render(runs=runs, policy=POLICY),
    )
