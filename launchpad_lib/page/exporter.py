"""The page as an nbconvert exporter: `jupyter nbconvert --to launchpad NOTEBOOK`, Lab's "Save and Export As".

One self-contained file: no server, no request, whatever notebook it is. A run makes the same page (`whole_page`) with
what only it knows: its id, the versions it read, whether the notebook failed or refused.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbconvert.exporters.exporter import Exporter
from traitlets import default

from launchpad_lib.page.blocks import notebook_title
from launchpad_lib.page.harvest import harvest
from launchpad_lib.page.whole_page import REFUSED, PageFacts, page_of


class LaunchpadExporter(Exporter):
    """A notebook as one self-contained page: verdict and findings first, charts as pictures that come alive, code
    folded.
    """

    output_mimetype = "text/html"
    export_from_notebook = "Launchpad page"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(  # type: ignore[override]  # nbconvert's own exporters return text, too
        self, nb: nbformat.NotebookNode, resources: Any | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page's HTML, and nbconvert's resources; what the page says of itself is read from the notebook."""
        notebook, resources = super().from_notebook_node(nb, resources, **options)
        facts = facts_of(notebook, name=str(resources.get("metadata", {}).get("name") or "notebook"))
        return page_of(notebook, facts), resources


def facts_of(notebook: nbformat.NotebookNode, *, name: str) -> PageFacts:
    """What a notebook that somebody ran by hand says of itself."""
    title = notebook_title(notebook, otherwise=name)
    errors = [
        output
        for cell in notebook.cells
        if "raises-exception" not in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    if errors:
        first = errors[0]
        if first.ename == REFUSED:
            return PageFacts(title, "refused", first.evalue)
        return PageFacts(title, "failed", f"{first.ename}: {first.evalue}")
    try:
        refused = harvest(notebook, name=name).refused_because
    except ValueError as fault:
        return PageFacts(title, "failed", str(fault))
    return PageFacts(title, "refused" if refused else "ok", refused)
