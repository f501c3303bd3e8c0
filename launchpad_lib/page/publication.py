"""The pages of a run: written by the exporter that anybody can use by hand, with what the run knows."""

from __future__ import annotations

from pathlib import Path

import nbformat

from launchpad_lib.contract.manifest import Status
from launchpad_lib.page.exporter import RESOURCE, LaunchpadExporter, PageFacts


def publish_notebook(
    notebook: nbformat.NotebookNode,
    *,
    html_path: Path,
    title: str,
    status: Status,
    reason: str | None,
    context: dict,
    last_good: str | None,
) -> None:
    """Writes one page, its conclusion at the top; `reason` is why it failed or refused."""
    facts = PageFacts(title, status, reason, context, last_good)
    page, _ = LaunchpadExporter().from_notebook_node(notebook, {RESOURCE: facts})
    html_path.write_text(page, encoding="utf-8")
