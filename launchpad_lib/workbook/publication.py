"""Executed notebooks as self-contained pages: no server, no network request, one file each."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import nbformat
from markdown_it import MarkdownIt
from markupsafe import Markup

from launchpad_lib.workbook.output import METRIC_MIME, SPEC_MIME, formatted

# Raw HTML in markdown stays text: names from the data may stand in it.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("launchpad_lib.workbook"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["markdown"] = lambda text: Markup(MARKDOWN.render(text))
    environment.filters["formatted"] = formatted
    environment.globals["policy"] = POLICY
    return environment


def harvest_metrics(notebook: nbformat.NotebookNode, *, name: str) -> list[dict]:
    """The typed metrics in an executed notebook's outputs, in order."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("data", {}).get(METRIC_MIME)
            if record:
                found.append({"notebook": name, **record})
    return found


def _blocks(cell: nbformat.NotebookNode) -> list[dict]:
    """What a cell shows: kind and content, in order."""
    import vl_convert

    if cell.cell_type == "markdown":
        return [{"kind": "markdown", "content": cell.source}]
    blocks: list[dict] = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if METRIC_MIME in data:
            blocks.append({"kind": "metric", "content": data[METRIC_MIME]})
        elif SPEC_MIME in data:
            svg = vl_convert.vegalite_to_svg(json.dumps(data[SPEC_MIME]))
            blocks.append({"kind": "chart", "content": Markup(svg), "title": data.get("text/plain", "chart")})
        elif "text/markdown" in data:
            blocks.append({"kind": "markdown", "content": data["text/markdown"]})
        elif "text/html" in data:
            # Tables are made by `show`, which escapes; the page's policy forbids scripts whoever wrote them.
            blocks.append({"kind": "table", "content": Markup(data["text/html"])})
        elif output.output_type == "error":
            blocks.append({"kind": "error", "content": f"{output.ename}: {output.evalue}"})
        elif output.get("text") and output.get("name") == "stdout":
            blocks.append({"kind": "text", "content": output["text"]})
    return blocks


def publish_notebook(
    executed: Path, *, html_path: Path, title: str, status: str, error: str | None, context: dict, last_good: str | None
) -> list[dict]:
    """Writes one page, the answer at its top, and returns the metrics found."""
    notebook = nbformat.read(executed, as_version=4)
    sections, answers = [], []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        section = {"blocks": _blocks(cell), "code": cell.source if cell.cell_type == "code" else None}
        if "answer" in tags:
            answers += section["blocks"]
            section["blocks"] = []
        sections.append(section)
    page = _environment().get_template("notebook.html.j2")
    text = page.render(title=title, status=status, error=error, context=context, last_good=last_good, sections=sections, answers=answers)
    html_path.write_text(text, encoding="utf-8")
    return harvest_metrics(notebook, name=executed.stem)


def publish_index(run_dir: Path, manifest: dict) -> None:
    """Writes a run's own index.html."""
    (run_dir / "index.html").write_text(_environment().get_template("run.html.j2").render(m=manifest), encoding="utf-8")


def publish_run_index(reports: Path) -> None:
    """Rebuilds the index of all runs, newest first; a manifest that cannot be read is shown as such."""
    runs = []
    for path in reports.glob("*/manifest.json"):
        if path.parent.name.startswith("."):
            continue
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            runs.append({"id": path.parent.name, "started_at": str(manifest["started_at"]), "status": str(manifest["status"]), "notebooks": manifest["notebooks"]})
        except (ValueError, KeyError, TypeError, OSError):
            runs.append({"id": path.parent.name, "started_at": "", "status": "unreadable manifest", "notebooks": []})
    runs.sort(key=lambda r: (r["started_at"], r["id"]), reverse=True)
    (reports / "index.html").write_text(_environment().get_template("runs.html.j2").render(runs=runs), encoding="utf-8")
