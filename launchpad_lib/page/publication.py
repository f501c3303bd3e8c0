"""The pages of a run: the page that the exporter makes for anybody by hand, with what the run knows."""

from __future__ import annotations

from pathlib import Path

import nbformat

from launchpad_lib.contract.manifest import Status
from launchpad_lib.page.whole_page import PageFacts, page_of


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
    # Without the copies and checks that nbconvert makes of a notebook before: a sixth of the time of a page.
    html_path.write_text(page_of(notebook, facts), encoding="utf-8")
